"""A folder watched for new pictures, by looking at it again and again.

Looking works on every file system, network shares included, and needs no library. A picture is
taken when two looks find it unchanged; one that cannot be read may still be on its way, and gets
some more time. A file that is written anew under its old name is a new picture.

What was judged is moved or deleted where asked for, but only once its record is safe: a power cut
in between has it judged twice, never lost.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set

from edge.errors import UserError
from edge.preprocess import PICTURE_SUFFIXES
from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.folder import read_file
from edge.station.sources.waiting import Wake
from edge.station.types import Arrival, Record, Trouble

_MOVE = "move to "
_ON_ITS_WAY = 3.0  # seconds that a file which cannot be read may stay as it is
_BUSY = 10  # times as long as looking took, the next look waits: a folder may hold 100,000 files


class _Seen(NamedTuple):
    """What a file is known by. since: `time.monotonic` of the first look that found it so."""

    inode: int
    size: int
    changed: int
    since: float

    def same(self, other: Optional[_Seen]) -> bool:
        return other is not None and self[:3] == other[:3]


class WatchSource(Source):
    """New pictures of one folder, oldest first; folders in it are left alone.

    Raises: UserError where there is no such folder, or `done` cannot be understood.
    """

    answers = True

    def __init__(self, folder: Path, options: SourceOptions) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected one to watch")
        self._folder = folder
        self._options = options
        self._target = _target(folder, options.done)
        self._closing = Wake()
        self._found: Dict[str, _Seen] = {}  # at the last look, and not yet taken
        self._taken: Dict[str, _Seen] = {}
        self._unanswered: Set[str] = set()
        self._failed: List[Trouble] = []
        self._gone = False
        existing = options.existing
        if not (options.done != "keep" if existing is None else existing):
            self._taken = self._look() or {}

    def frames(self) -> Iterator[Arrival]:
        pause = 0.0
        while not self._closing.wait(pause):
            start = time.monotonic()
            now = self._look()
            pause = max(self._options.poll, _BUSY * (time.monotonic() - start))
            if now is None:
                if not self._gone:
                    yield Trouble(str(self._folder), "lost: the folder cannot be read", lost=True)
                self._gone = True
                continue
            self._gone = False
            for name in self._complete(now):
                if self._closing.is_set:
                    return
                arrival = self._take(name)
                if arrival is not None:
                    yield arrival
                yield from self._failures()
            yield from self._failures()

    def answer(self, arrival: Arrival, record: Optional[Record]) -> None:
        path = Path(arrival.source)
        if path.name not in self._unanswered or path.parent != self._folder:
            return
        taken = self._taken[path.name]  # once it is answered, the look may forget it
        self._unanswered.remove(path.name)
        try:
            if not taken.same(_stat(path)):
                return  # another picture has taken its place since
            if self._target is None:
                path.unlink()
            else:
                self._target.mkdir(exist_ok=True)
                path.rename(_free_name(self._target / path.name))
        except OSError as error:
            what = "deleted" if self._target is None else "moved"
            self._failed.append(Trouble(str(path), f"cannot be {what}: {error.strerror}"))

    def close(self) -> None:
        self._closing.set()

    def _failures(self) -> Iterator[Trouble]:
        failed, self._failed = self._failed, []
        yield from failed

    def _look(self) -> Optional[Dict[str, _Seen]]:
        """Every picture file there is; None where the folder cannot be read."""
        now = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if _is_picture(entry):
                        seen = _stat(entry)
                        if seen is not None:
                            now[entry.name] = seen
        except OSError:
            return None
        return now

    def _complete(self, now: Dict[str, _Seen]) -> List[str]:
        """The names to take, oldest first: found the same at the last look."""
        fresh = {name: seen for name, seen in now.items() if not seen.same(self._taken.get(name))}
        before = self._found
        self._found = {
            name: before[name] if seen.same(before.get(name)) else seen
            for name, seen in fresh.items()
        }
        self._forget(now)
        ready = [name for name, seen in fresh.items() if seen.same(before.get(name))]
        return sorted(ready, key=lambda name: (fresh[name].changed, name))

    def _forget(self, now: Dict[str, _Seen]) -> None:
        # Not at once: a stick or share that is away for a while looks like an empty folder.
        if len(self._taken) > 2 * len(now) + 1000:
            here = now.keys() | self._unanswered
            self._taken = {name: seen for name, seen in self._taken.items() if name in here}

    def _take(self, name: str) -> Optional[Arrival]:
        seen = self._found[name]
        arrival = read_file(self._folder / name, self._options)
        if not seen.same(_stat(self._folder / name)):
            return None  # changed while it was read, or gone
        if isinstance(arrival, Trouble) and time.monotonic() - seen.since < _ON_ITS_WAY:
            return None
        self._taken[name] = self._found.pop(name)
        if self._options.done != "keep":
            self._unanswered.add(name)
        return arrival


def _is_picture(entry: os.DirEntry) -> bool:
    # Programs that copy use names with a dot before they rename; a pipe would never end.
    name = entry.name
    return not name.startswith(".") and name.lower().endswith(PICTURE_SUFFIXES) and entry.is_file()


def _stat(file) -> Optional[_Seen]:
    try:
        found = file.stat()
    except OSError:  # gone meanwhile
        return None
    return _Seen(found.st_ino, found.st_size, found.st_mtime_ns, time.monotonic())


def _target(folder: Path, done: str) -> Optional[Path]:
    if done in ("keep", "delete"):
        return None
    name = done[len(_MOVE) :].strip() if done.startswith(_MOVE) else ""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise UserError(
            f'done: expected keep, delete or "move to SUBFOLDER" (a name without /), got {done!r}'
        )
    return folder / name


def _free_name(path: Path) -> Path:
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
