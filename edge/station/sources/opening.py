"""From the text that names a source to the source."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Callable, Optional

from edge.errors import UserError
from edge.station.sources.base import Source, SourceOptions, check_options

_URL = re.compile(r"(rtsps?|https?)://\S+")
_CAMERA = re.compile(r"camera:(\d{1,3}|/dev/\S+)")
_PICAMERA = re.compile(r"picamera:\d{1,2}")
_UPLOAD = re.compile(r"upload:(?:(\[[0-9a-fA-F:.]+\]|[^:\s]+):)?(\d{1,5})")

_OPENCV = ("cv2", "run `pip install opencv-python-headless`")
_PICAMERA2 = (
    "picamera2",
    "run `sudo apt install python3-picamera2`, and make a virtual environment with "
    "--system-site-packages",
)


def open_source(text: str, options: Optional[SourceOptions] = None) -> Source:
    """Opens what a text names, see `edge.station.sources`.

    A camera that is not there yet is no error: it is waited for.
    Raises: UserError where the text names nothing, something is missing, an option is out of range.
    """
    options = options or SourceOptions()
    check_options(options)
    kind, colon, rest = text.partition(":")
    if text == "-":
        kind, colon = "stdin", ":"
    if colon and kind in _KINDS:
        return _KINDS[kind](text, rest, options)
    from edge.station.sources.folder import FolderSource

    path = Path(text)
    if not text or not os.path.lexists(path):
        raise UserError(
            f"source {text!r}: expected a picture, a folder, camera:N, picamera:N, rtsp://..., "
            "video:FILE, watch:FOLDER, upload:PORT, command:PROGRAM or -, and there is no such file"
        )
    return FolderSource(path, options)


def _watch(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.watch import WatchSource

    return WatchSource(Path(rest or "."), options)


def _stdin(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.stdin import StdinSource

    if rest or sys.stdin is None or os.isatty(0):
        raise UserError(f"source {text!r}: expected pictures on standard input, as in `... | edge`")
    return StdinSource(options)


def _upload(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.upload import UploadSource

    match = _UPLOAD.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise UserError(f"source {text!r}: expected upload:PORT or upload:HOST:PORT")
    if options.token is not None and len(options.token) < 8:
        raise UserError("token: expected at least 8 characters; `openssl rand -hex 16` makes one")
    return UploadSource((match[1] or "127.0.0.1").strip("[]"), int(match[2]), options)


def _video(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.video import VideoSource

    if not Path(rest).is_file():
        raise UserError(f"{rest}: no such video file")
    _need(text, *_OPENCV)
    return VideoSource(rest, _capture(text, options), options)


def _camera(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.camera import CameraSource
    from edge.station.sources.child import without_password

    for pattern, needed in ((_CAMERA, _OPENCV), (_URL, _OPENCV), (_PICAMERA, _PICAMERA2)):
        if pattern.fullmatch(text):
            _need(without_password(text), *needed)
            return CameraSource(without_password(text), _capture(text, options), options)
    raise UserError(
        f"source {without_password(text)!r}: expected camera:N, camera:/dev/videoN, picamera:N or "
        "rtsp://HOST/PATH"
    )


def _command(text: str, rest: str, options: SourceOptions) -> Source:
    from edge.station.sources.camera import CameraSource
    from edge.station.sources.child import Child, guarded

    try:
        command = shlex.split(rest)
    except ValueError as error:
        raise UserError(f"source {text!r}: {str(error).lower()}") from None
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else ""
        raise UserError(f"source {text!r}: expected a program, and {name!r} is none")
    name = f"command:{Path(command[0]).name}"
    return CameraSource(
        name, lambda closing: Child(guarded(command), closing), options, options.every
    )


def _capture(text: str, options: SourceOptions) -> Callable:
    """Starts the process that holds a camera or decodes a video."""
    from edge.station.sources.child import Child, environment

    def start(closing):
        setup = {"source": text, "every": options.every, "parent": os.getpid()}
        if options.size is not None:
            setup["size"] = options.size
        # By standard input: an address may hold a password, and arguments are public.
        given = json.dumps(setup).encode() + b"\n"
        return Child([sys.executable, "-m", "edge.station.capture"], closing, given, environment())

    return start


def _need(text: str, module: str, hint: str) -> None:
    # Not imported here: only the process that uses it is to grow by it.
    if importlib.util.find_spec(module) is None:
        raise UserError(f"{text}: needs {module}; {hint}")


_KINDS = {
    "watch": _watch,
    "stdin": _stdin,
    "upload": _upload,
    "video": _video,
    "camera": _camera,
    "picamera": _camera,
    "rtsp": _camera,
    "rtsps": _camera,
    "http": _camera,
    "https": _camera,
    "command": _command,
}
