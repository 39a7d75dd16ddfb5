"""Cameras, network streams and video files through OpenCV. Runs in the capture's process."""

from __future__ import annotations

import os
import time
from typing import Any, Iterator, Optional, Tuple

import numpy as np

from edge.errors import UserError

_URLS = ("rtsp://", "rtsps://", "http://", "https://")


def camera_frames(
    text: str, size: Optional[Tuple[int, int]] = None, every: float = 0.0
) -> Iterator[np.ndarray]:
    """Yields pictures of "camera:N", "camera:/dev/..." or an address, as long as they come.

    Returns: uint8 (H, W, 3) RGB, or (H, W) where the camera is grey.
    Raises: UserError when it cannot be opened, and when no more come.
    """
    capture = _opened(text, size)
    due = 0.0
    # Pictures that are not due are taken from the driver all the same, else it would give old
    # ones later; to decode them is what costs, and is left out.
    while capture.grab():
        now = time.monotonic()
        if now >= due:
            due = now + every
            yield _picture(capture)
    raise UserError("gives no more pictures")


def video_frames(path: str, every: float = 0.0) -> Iterator[np.ndarray]:
    """Yields the pictures of a video file, `every` seconds of its own time apart.

    Raises: UserError when it cannot be opened.
    """
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UserError("is no video that OpenCV can read")
    rate = capture.get(cv2.CAP_PROP_FPS)
    step = every * rate if 0 < rate < 1e6 else 0.0
    number, due = 0, 0.0
    while capture.grab():
        if number >= due:
            due = max(due + step, number)
            yield _picture(capture)
        number += 1
    if number == 0:
        raise UserError("is a video without a picture")


def _opened(text: str, size: Optional[Tuple[int, int]]) -> Any:
    import cv2

    cv2.setNumThreads(1)  # the processors are there to judge
    if text.startswith(_URLS):
        # As other releases have it; OpenCV 4.11 would ask for UDP, which loses parts of pictures.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_flags;prefer_tcp")
        capture = cv2.VideoCapture(text, cv2.CAP_FFMPEG)
    else:
        device = text.partition(":")[2]
        capture = cv2.VideoCapture(int(device) if device.isdecimal() else device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise UserError("cannot be opened; is it there, on, and in nobody else's use?")
    if size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture; not every driver can
    return capture


def _picture(capture: Any) -> np.ndarray:
    import cv2

    ok, picture = capture.retrieve()
    if not ok or picture is None or picture.dtype != np.uint8:
        raise UserError("gives pictures that OpenCV cannot decode to 8 bits")
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
