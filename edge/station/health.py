"""How a station does, for monitoring: a small JSON file in memory, not on the card.

Written every few seconds and whole at any moment. A file that is older than `fresh_s` says that the
station hangs or is gone; everything else it says itself.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Mapping, NamedTuple, Optional

_QUIET = 60.0  # seconds without a scored frame after which a live source is worth a look
_LEAST_FREE_MB = 200.0
_MEMORY = ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")  # systemd's for the service, and the user's


class Health(NamedTuple):
    """What a station knows of itself.

    started, now: monotonic seconds. taken: UTC seconds of `now`. scored, failed, dropped, lost:
        frames so far, of this store. last: monotonic seconds of the last scored frame. ms: of it.
    decision: the last. live: of the source. every: seconds between the frames asked of it.
    source_lost: why the camera is gone. drift: the warning. trouble: of the disk. waiting: sink ->
        records that wait for it. free_mb: of the station's disk. bundle: in use. stopping: why.
    """

    started: float
    now: float
    taken: float
    scored: int = 0
    failed: int = 0
    dropped: int = 0
    lost: int = 0
    last: Optional[float] = None
    ms: Optional[float] = None
    decision: Optional[str] = None
    live: bool = False
    every: float = 0.0
    source_lost: Optional[str] = None
    drift: Optional[str] = None
    trouble: Optional[str] = None
    waiting: Mapping[str, int] = {}
    free_mb: Optional[float] = None
    bundle: Optional[str] = None
    stopping: Optional[str] = None


def health(of: Health) -> dict:
    """The record for monitoring.

    Returns: "status", "ok", "warn" (it works, and somebody should look) or "bad" (frames are not
        being judged or verdicts not kept), "problems", one line each, and the figures.
    """
    bad = [f"source: {of.source_lost}"] if of.source_lost else []
    bad += [f"store: {of.trouble}"] if of.trouble else []
    since = of.now - (of.started if of.last is None else of.last)
    if of.live and since > max(_QUIET, 3 * of.every) and not of.source_lost:
        bad.append(f"no frame was scored for {since:.0f} s")
    warn = [f"drift: {of.drift}"] if of.drift else []
    if of.free_mb is not None and of.free_mb < _LEAST_FREE_MB:
        warn.append(f"disk: {of.free_mb:.0f} MB free")
    if of.lost:
        warn.append(f"store: {of.lost} records were lost while the disk did not take them")
    return {
        "status": "bad" if bad else "warn" if warn else "ok",
        "problems": bad + warn,
        "pid": os.getpid(),
        "time": of.taken,
        "uptime_s": round(of.now - of.started, 1),
        "frames": {
            "scored": of.scored,
            "failed": of.failed,
            "dropped": of.dropped,
            "lost": of.lost,
        },
        "last_scored_s": None if of.last is None else round(of.now - of.last, 1),
        "decision": of.decision,
        "ms": None if of.ms is None else round(of.ms, 2),
        "waiting": dict(of.waiting),
        "free_mb": None if of.free_mb is None else round(of.free_mb),
        "bundle": of.bundle,
        "stopping": of.stopping,
    }


class HealthFile:
    """`health.json`, replaced as a whole.

    folder: by default the service's own folder in memory, else the user's, else one of /dev/shm,
        else of the temporary files. name: tells several stations of one user apart.
    """

    def __init__(self, name: str, folder=None) -> None:
        self.path = (memory_folder(name) if folder is None else Path(folder)) / "health.json"

    def write(self, record: dict, fresh_s: float = 30.0) -> bool:
        """Replaces the file. Returns: whether it could be; a station goes on without.

        fresh_s: how many seconds this record may be believed.
        """
        content = json.dumps(_finite({**record, "fresh_s": fresh_s}), indent=1)
        beside = self.path.with_name(f".health.json.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Anybody may make a folder of that name in /dev/shm, with links to our files in it.
            if self.path.parent.lstat().st_uid not in (_user(), 0):
                return False
            # Not flushed to any disk: memory forgets a power cut, and so does the station.
            beside.write_text(content + "\n", encoding="utf-8")
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            return False
        return True

    def remove(self) -> None:
        """At the end of the station: what is not there is not believed."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def read_health(folder: Optional[str]) -> Optional[dict]:
    """The record of a running station; None where none runs, or it hangs.

    folder: that `health.json` lies in; None where no station has ever run.
    """
    if folder is None:
        return None
    path = Path(folder) / "health.json"
    try:
        age = time.time() - path.stat().st_mtime
        record = json.loads(path.read_bytes())
        return record if abs(age) <= record["fresh_s"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def memory_folder(name: str, environment: Optional[Mapping[str, str]] = None) -> Path:
    """Where what need not survive a power cut is written without wearing out a card."""
    environment = os.environ if environment is None else environment
    given = environment.get(_MEMORY[0], "").split(":")[0]  # systemd made it for this service
    if given:
        return Path(given)
    own = f"edge-{name}"
    for folder in (environment.get(_MEMORY[1], ""), "/dev/shm"):
        if folder and os.access(folder, os.W_OK | os.X_OK) and Path(folder).is_dir():
            return Path(folder) / (own if folder != "/dev/shm" else f"{own}-{_user()}")
    return Path(tempfile.gettempdir()) / f"{own}-{_user()}"


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _finite(value):
    """What JSON can hold: no NaN, no infinity."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
