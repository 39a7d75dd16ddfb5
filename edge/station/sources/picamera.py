"""The Raspberry Pi's own camera through picamera2. Runs in the capture's process."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterator, Optional, Tuple

import numpy as np

from edge.errors import UserError


def picamera_frames(
    number: int, size: Optional[Tuple[int, int]] = None, every: float = 0.0
) -> Iterator[np.ndarray]:
    """Yields pictures of the Pi's camera, numbered from 0, for ever.

    Returns: uint8 (H, W, 3) RGB. Raises: UserError when there is no such camera.
    """
    from picamera2 import Picamera2

    found = len(Picamera2.global_camera_info())
    if number >= found:
        raise UserError(f"no such camera; libcamera finds {found}: `rpicam-hello --list-cameras`")
    camera = Picamera2(number)
    main: Dict[str, Any] = {"format": "BGR888"}  # libcamera's name for bytes in the order R, G, B
    if size is not None:
        main["size"] = tuple(size)
    # Without a queue each picture is taken after it was asked for; that halves the highest rate.
    camera.configure(camera.create_video_configuration(main=main, queue=every <= 0))
    camera.start()
    while True:
        start = time.monotonic()
        yield camera.capture_array("main")
        time.sleep(max(0.0, start + every - time.monotonic()))
