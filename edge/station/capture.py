"""The process that holds a camera, so that a driver that hangs can be cut off with it.

`python -m edge.station.capture` reads one line of JSON on standard input and writes each picture as
a binary PPM (grey: PGM) to standard output, which any viewer can open:

    echo '{"source": "camera:0"}' | python -m edge.station.capture | head -c 2000000 > one.ppm

Keys: source; optional every (seconds), size ([width, height]), parent (the process to end with).
What is wrong stands in the last line of standard error, and the status is then 3.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import BinaryIO, Iterable, Iterator

import numpy as np

from edge.errors import UserError
from edge.station.guard import die_with_parent
from edge.station.sources.child import GAVE_UP
from edge.station.sources.netpbm import netpbm_bytes


def pictures(setup: dict) -> Iterator[np.ndarray]:
    """Opens what the setup names. Yields: uint8 (H, W) or (H, W, 3) RGB."""
    source, every = setup["source"], float(setup.get("every", 0.0))
    kind, _, rest = source.partition(":")
    if kind == "video":
        from edge.station.sources.opencv import video_frames

        return video_frames(rest, every)
    if kind == "picamera":
        from edge.station.sources.picamera import picamera_frames

        return picamera_frames(int(rest), setup.get("size"), every)
    from edge.station.sources.opencv import camera_frames

    return camera_frames(source, setup.get("size"), every)


def write(taken: Iterable[np.ndarray], out: BinaryIO) -> None:
    """Writes pictures as binary PPM or PGM."""
    for picture in taken:
        height, width = picture.shape[:2]
        out.write(netpbm_bytes(width, height, picture.ndim))
        out.write(np.ascontiguousarray(picture).data)
        out.flush()


def main() -> int:
    """Runs until the source ends or the reader goes. Returns the exit status."""
    setup = json.loads(sys.stdin.readline())
    if "parent" in setup:
        die_with_parent(setup["parent"])
    # A service manager tells all processes to stop; the station stops this one when it is ready.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print what they like on standard output; it must not come between pictures.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        write(pictures(setup), out)
        out.close()
    except BrokenPipeError:
        return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return GAVE_UP
    except Exception as error:  # a driver's own, of any kind
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return GAVE_UP
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # closing a camera's driver may hang as well
