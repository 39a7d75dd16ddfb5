"""Reading a store, also from other processes while the runner writes it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional

from edge.station.schema import FILE, StoreError, connect, named_errors, verify_version
from edge.station.types import Record

# What stands before a name in the table `state`: a counter's, a caller's.
COUNT, STATE = "count:", "state:"
COLUMNS = tuple(name for name in Record._fields if name != "id")

_PATIENCE = 5.0  # seconds to wait for whoever holds the lock; the runner holds it for milliseconds
_LARGEST = 2**63 - 1
_SELECT = f"SELECT {', '.join(COLUMNS)}, id FROM"


class Event(NamedTuple):
    """Something that happened. time: UTC seconds. kind: short, as "camera"."""

    id: int
    time: float
    kind: str
    text: str


class Mark(NamedTuple):
    """An operator's word on a record. kind: "false-alarm" or "missed"; marked: UTC seconds."""

    record: Record
    kind: str
    marked: float


class Score(NamedTuple):
    """A point of the chart."""

    id: int
    taken: float
    score: float
    threshold: Optional[float]
    decision: str


class Counts(NamedTuple):
    """What became of every frame, since the store began.

    scored + failed: frames handed to the store; failed ones could not be judged. lost: those of
        them that have no record, because the disk was full for too long. dropped: frames that the
        source let go, besides. decisions: how often each was made ("PASS", "WARN", "FAIL", …).
    """

    scored: int
    failed: int
    dropped: int
    lost: int
    decisions: Dict[str, int]


class StoreView:
    """A store that is read. Belongs to one thread; any number may be open beside the runner.

    folder: the station. Follows the path: a store that was moved aside is not read on.
    Raises: StoreError where there is none or it cannot be read; here and in every method.
    """

    _mode = "ro"
    _synchronous = "FULL"

    def __init__(self, folder):
        self.path = Path(folder) / FILE
        self._open: Optional[sqlite3.Connection] = None
        self._inode: Optional[int] = None
        self._rows("SELECT 1")

    def latest(self, n: int) -> List[Record]:
        """The last n records, newest first."""
        return _records(self._rows(f"{_SELECT} records ORDER BY id DESC LIMIT ?", max(0, n)))

    def after(self, id: int, limit: int) -> List[Record]:
        """The records that follow an id, oldest first."""
        statement = f"{_SELECT} records WHERE id > ? ORDER BY id LIMIT ?"
        return _records(self._rows(statement, min(id, _LARGEST), max(0, limit)))

    def get(self, id: int) -> Optional[Record]:
        """The record of that id; None where there never was one or it has been removed."""
        if not 0 < id <= _LARGEST:
            return None
        found = _records(self._rows(f"{_SELECT} records WHERE id = ?", id))
        return found[0] if found else None

    def last_id(self) -> int:
        """Of the newest record; 0 where there is none."""
        return self._rows("SELECT MAX(id) FROM records")[0][0] or 0

    def counts(self) -> Counts:
        """As committed with the newest record."""
        return as_counts(counters(self._rows("SELECT name, value FROM state")))

    def events(self, n: int) -> List[Event]:
        """The last n events, newest first."""
        statement = "SELECT id, time, kind, text FROM events ORDER BY id DESC LIMIT ?"
        return [Event(*row) for row in self._rows(statement, max(0, n))]

    def scores(self, n: int) -> List[Score]:
        """Of the last n records, those that have a score, oldest first."""
        statement = (
            "SELECT id, taken, score, threshold, decision FROM"
            " (SELECT * FROM records ORDER BY id DESC LIMIT ?) WHERE score IS NOT NULL ORDER BY id"
        )
        return [Score(*row) for row in self._rows(statement, max(0, n))]

    def marks(self) -> List[Mark]:
        """All marks, in the order of their records."""
        rows = self._rows(f"SELECT {', '.join(COLUMNS)}, id, kind, marked FROM marks ORDER BY id")
        return [Mark(Record(*row[:-2]), *row[-2:]) for row in rows]

    def state(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """What was last kept under that name."""
        value = self._value(STATE + name)
        return default if value is None else value

    @property
    def station(self) -> str:
        """Of this store alone: 12 digits drawn when it was made. Ids begin anew with a store."""
        return self._value("station") or ""

    def close(self) -> None:
        """Gives the file back; the next call opens it again."""
        self._release()

    def _release(self) -> None:
        if self._open is not None:
            with contextlib.suppress(sqlite3.Error):
                self._open.close()
            self._open = None

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _value(self, name: str):
        rows = self._rows("SELECT value FROM state WHERE name = ?", name)
        return rows[0][0] if rows else None

    def _rows(self, statement: str, *values) -> list:
        with self._connected() as connection:
            return connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _connected(self):
        with named_errors(self.path):
            try:
                yield self._connection()
            except sqlite3.Error:
                self._release()  # also rolls back; the next call begins from what is on disk
                raise

    def _connection(self) -> sqlite3.Connection:
        if self._open is None or self._moved():
            self._release()
            self._inode = inode(self.path)
            self._open = self._connect()
        return self._open

    def _moved(self) -> bool:
        return inode(self.path) != self._inode

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise StoreError(f"expected a station, found no {self.path}; is the folder right?")
        mode = self._mode
        if mode == "ro" and self._at_rest():
            mode += "&immutable=1"
            self._inode = None  # opened again for each query: the disk may be mended meanwhile
        connection = connect(self.path, mode, _PATIENCE, self._synchronous)
        try:
            verify_version(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _at_rest(self) -> bool:
        """Whether nobody writes here and nobody could: SQLite would need to, to read a log."""
        log = self.path.with_name(self.path.name + "-wal")
        return not log.exists() and not os.access(self.path.parent, os.W_OK)


def as_counts(values: Dict[str, int]) -> Counts:
    """From counters by name; decisions are those in capitals."""
    decisions = {name: n for name, n in values.items() if name.isupper()}
    scored, failed, dropped, lost = (
        values.get(name, 0) for name in ("scored", "failed", "dropped", "lost")
    )
    return Counts(scored, failed, dropped, lost, decisions)


def counters(state: Iterable[tuple]) -> Dict[str, int]:
    """From the rows of the table `state`."""
    return {name[len(COUNT) :]: value for name, value in state if name.startswith(COUNT)}


def clean(text) -> str:
    """Text of bounded length, and `plain`."""
    return plain(str(text)[:4096])


def plain(text: str) -> str:
    """Without the half characters that names of files may hold and SQLite refuses."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def inode(path: Path) -> Optional[int]:
    """What tells a file from another that took its place; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _records(rows: list) -> List[Record]:
    return [Record(*row) for row in rows]
