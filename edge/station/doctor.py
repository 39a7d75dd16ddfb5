"""`edge doctor` for a station: cameras, permissions, disk, memory, clock, optional packages.

What a station could do without is told and not complained of; what the given settings need is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Tuple

from edge.station.health import memory_folder

Line = Tuple[bool, str]

_QUERY_CAPABILITIES = 0x80685600  # VIDIOC_QUERYCAP of linux/videodev2.h
_CAPTURES = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, and the same of several planes
_TIME_ERROR = 5  # of adjtimex(2): the clock is not synchronised
_LEAST_FREE_MB = 500
_EARLIEST = 1_735_689_600  # 2025; a clock that says less was never set
_OPTIONAL = {
    "cv2": ("OpenCV", "USB and network cameras, video files", "opencv-python-headless"),
    "picamera2": ("picamera2", "the Pi's own camera", ""),
    "paho.mqtt": ("paho-mqtt", "MQTT", "paho-mqtt"),
    "waitress": ("waitress", "the page and uploads", "waitress"),
    "gpiozero": ("gpiozero", "GPIO", "gpiozero lgpio"),
    "cryptography": ("cryptography", "signed bundles", "cryptography"),
}


def station_lines(settings=None) -> Iterator[Line]:
    """Yields (ok, line) for each thing.

    settings: `edge.station.settings.Settings` of the station to look after, None for the machine.
    """
    yield from cameras(_camera_of(settings))
    yield from disk(Path() if settings is None else settings.folder)
    yield memory()
    yield clock()
    yield from packages(tuple(_needed(settings)))


def cameras(wanted: Optional[str] = None, devices: str = "/dev") -> Iterator[Line]:
    """The V4L2 devices that give pictures, and whether this user may open them.

    wanted: the path of one that there has to be.
    """
    paths = sorted(Path(devices).glob("video*"), key=lambda p: (len(p.name), p.name))
    found = False
    for path in paths:
        line = _camera(path)
        if line is not None:
            found |= line[0]
            yield line
    if wanted is not None and not Path(wanted).exists():
        yield False, f"camera {wanted}: no such device; is it plugged in?"
    elif not paths:
        yield True, f"cameras: none at {devices}/video*"
    elif not found:
        yield wanted is None, "cameras: none that this user can take pictures with"


def _camera(path: Path) -> Optional[Line]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        group = _group(path)
        return False, f"camera {path}: no permission; run `sudo usermod -aG {group} $USER`, log in"
    except OSError as error:
        return False, f"camera {path}: {error.strerror}"
    try:
        card, captures = _capabilities(handle)
    except OSError:  # no V4L2 device
        return None
    finally:
        os.close(handle)
    # A decoder, a scaler or a camera's second device, for its settings, gives no pictures.
    return (True, f"camera {path}: {card}") if captures else None


def _capabilities(handle: int) -> Tuple[str, bool]:
    import fcntl

    answer = bytearray(104)  # struct v4l2_capability
    fcntl.ioctl(handle, _QUERY_CAPABILITIES, answer)
    card = bytes(answer[16:48]).split(b"\0")[0].decode("utf-8", "replace")
    _, of_driver, of_device = struct.unpack_from("=III", answer, 80)
    return card, bool((of_device or of_driver) & _CAPTURES)


def _group(path: Path) -> str:
    with contextlib.suppress(KeyError, OSError, NotImplementedError):
        return path.group()
    return "video"


class Mount(NamedTuple):
    """Where a folder lies. kind: of the file system; device: "/dev/mmcblk0p2", "tmpfs"."""

    point: str
    kind: str
    device: str

    @property
    def in_memory(self) -> bool:
        return self.kind in ("tmpfs", "ramfs")

    @property
    def on_a_card(self) -> bool:
        return self.device.startswith("/dev/mmcblk")


def mount_of(folder, table: str = "/proc/self/mountinfo") -> Optional[Mount]:
    """The mount that a folder lies in; None where the system does not tell."""
    where = os.path.realpath(folder)
    best: Optional[Mount] = None
    try:
        lines = Path(table).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kinds) < 2:
            continue
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), fields[4])  # " " is \040
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        # Of two at the same place, the later one lies on top.
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(point, kinds[0], kinds[1])
    return best


def disk(folder) -> Iterator[Line]:
    """Room and permission where the station keeps its store."""
    folder = Path(folder).resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    mount = mount_of(there)
    kind = "" if mount is None else f", {mount.kind} on {mount.device}"
    try:
        usage = shutil.disk_usage(there)
        full = os.statvfs(there)
    except OSError as error:
        yield False, f"disk of {folder}: {error.strerror}"
        return
    free = usage.free / 1e6
    hint = "" if free >= _LEAST_FREE_MB else f"; {_LEAST_FREE_MB} MB or more"
    yield free >= _LEAST_FREE_MB, f"disk of {folder}: {free:,.0f} MB free{kind}{hint}"
    if full.f_files and not full.f_favail:
        yield False, f"disk of {folder}: no more files can be made (inodes are used up)"
    if not os.access(there, os.W_OK | os.X_OK):
        read_only = full.f_flag & os.ST_RDONLY
        why = "the disk is read-only" if read_only else "no permission to write"
        yield False, f"disk of {folder}: {why}; choose another folder for the station"
    if mount is not None and mount.on_a_card:
        yield (
            True,
            "an SD card: mount it with noatime, and keep the journal in memory "
            + (
                "(Storage=volatile in journald.conf)" if Path("/var/log/journal").is_dir() else ""
            ).strip(),
        )


def memory() -> Line:
    """Whether what need not survive is kept off the card."""
    folder = memory_folder("station")
    mount = mount_of(folder if folder.exists() else folder.parent)
    if mount is None or mount.in_memory:
        return True, f"health.json: in memory, {folder}"
    return True, f"health.json: in {folder}, on {mount.kind}: each write wears the disk a little"


def clock(now: Optional[float] = None, synchronised: Optional[bool] = None) -> Line:
    """Whether times in records can be believed."""
    now = time.time() if now is None else now
    synchronised = clock_is_synchronised() if synchronised is None else synchronised
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < _EARLIEST:
        return False, f"clock: {said}, never set; connect a network, or add a clock with a battery"
    if synchronised is None:
        return True, f"clock: {said}; this system does not tell whether it is synchronised"
    if synchronised:
        return True, f"clock: {said}, synchronised"
    return True, f"clock: {said}, not synchronised; `timedatectl set-ntp true` where there is a net"


def clock_is_synchronised() -> Optional[bool]:
    """What the kernel says, by adjtimex(2); None where it cannot be asked."""
    import ctypes

    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # modes 0: only asks
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def packages(needed=()) -> Iterator[Line]:
    """Optional packages; nothing is imported. needed: modules that the station uses."""
    for module, (name, serves, install) in _OPTIONAL.items():
        if _installed(module):
            yield True, f"{name}: installed, for {serves}"
        else:
            how = f"run `pip install {install}`" if install else "`apt install python3-picamera2`"
            yield module not in needed, f"{name}: not installed; for {serves}: {how}"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the parent of a submodule is absent
        return False


def _camera_of(settings) -> Optional[str]:
    match = re.fullmatch(r"camera:(\d+|/dev/\S+)", "" if settings is None else settings.source.open)
    if match is None:
        return None
    return match[1] if match[1].startswith("/") else f"/dev/video{match[1]}"


def _needed(settings) -> Iterator[str]:
    """Modules."""
    if settings is None:
        return
    kind = settings.source.open.partition(":")[0]
    if kind in ("camera", "video", "rtsp", "rtsps", "http", "https"):
        yield "cv2"
    if kind == "picamera":
        yield "picamera2"
    if kind == "upload" or settings.page.serve:
        yield "waitress"
    for sink in settings.sinks:
        kind = sink.to.partition(":")[0]
        if kind in ("mqtt", "mqtts"):
            yield "paho.mqtt"
        if kind == "gpio":
            yield "gpiozero"
