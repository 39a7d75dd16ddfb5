"""The store of a station: every verdict, durable in batches so that an SD card does not wear out.

A record is acknowledged when `flush` returns it: from then on it survives `kill -9` and power cuts.
Until then it waits in memory, for at most `sync_seconds` where the caller flushes when `due`. Only
one process adds records; others read and mark through `open_store` meanwhile.

A disk that is full or read-only loses nothing that was acknowledged: records wait in memory, the
oldest of more than 10,000 are given up and counted, and writing is tried again in growing waits. A
damaged file is moved aside and a new store begun; an event says so. The order of records is that of
their ids: clocks may jump.
"""

from __future__ import annotations

import math
import sqlite3
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Deque, Dict, List, Optional

from edge.errors import UserError
from edge.station.editor import StoreEditor, insert_events
from edge.station.lock import lock
from edge.station.schema import StoreDamagedError, StoreError, begin, named_errors, set_aside
from edge.station.types import Record
from edge.station.view import (
    COLUMNS,
    COUNT,
    STATE,
    Counts,
    Mark,
    StoreView,
    as_counts,
    clean,
    counters,
    inode,
    plain,
)

__all__ = ["Store", "StoreDamagedError", "StoreEditor", "StoreError", "StoreView", "open_store"]

WAITING = 10_000  # records kept in memory while the disk does not take them
_EVENTS_WAITING = 1_000
_PATIENCE = 1.0  # seconds that another process's mark may hold up the verdicts
_LONGEST_WAIT = 30.0  # seconds between two trials to write
_AT_ONCE = 2_000  # old records removed in one go, however many there are too many
_NUMBERS = ("taken", "monotonic", "score", "p_value", "threshold", "ms")

_INSERT = (
    f"INSERT OR IGNORE INTO records ({', '.join(COLUMNS)}, id)"
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
)
_REMOVE = "DELETE FROM records WHERE id <= (SELECT id FROM records ORDER BY id LIMIT 1 OFFSET ?)"


def open_store(folder, readonly: bool = True) -> StoreView:
    """A station's store for another process or thread than the runner's.

    readonly: otherwise a `StoreEditor`, which also marks.
    Raises: StoreError where there is none; UserError where a newer program made it.
    """
    return StoreView(folder) if readonly else StoreEditor(folder)


class Store(StoreView):
    """The one that adds records. Belongs to one thread.

    folder: the station, made where it is absent.
    keep: how many records are held; beyond that the oldest go. Marks of them stay, with a copy.
    sync_seconds: how long a record may wait to be durable, where `flush` is called when `due`.
    Raises: UserError where another process writes to the station or a newer program made it;
        StoreError where the disk does not allow to write.
    """

    def __init__(self, folder, keep: int = 1_000_000, sync_seconds: float = 1.0):
        if keep < 1:
            raise UserError(f"expected to keep at least 1 record, got {keep}")
        self._keep, self._sync_seconds = keep, sync_seconds
        self._waiting: Deque[Record] = deque()
        self._events: Deque[tuple] = deque(maxlen=_EVENTS_WAITING)
        self._states: Dict[str, str] = {}
        self._counters: Dict[str, int] = {}
        self._held = self._next_id = 0
        self._station = ""
        self._first: Optional[float] = None  # when the oldest of what is not durable came
        self._trouble: Optional[_Trouble] = None
        self._checked = False
        self._lock = lock(Path(folder))
        try:
            super().__init__(folder)
        except BaseException:
            self._lock.close()
            raise

    def add(self, record: Record) -> Record:
        """Takes a record. Returns it with its id; it is not durable yet."""
        record = _storable(record._replace(id=self._next_id))
        self._next_id += 1
        self._count("failed" if record.verdict == "error" else "scored")
        self._count(record.decision)
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self._count("lost")
            if self._trouble:
                self._trouble.lost += 1
        self._waiting.append(record)
        self._touch()
        return record

    def drop(self, n: int = 1) -> None:
        """Counts frames that the source let go."""
        if n > 0:
            self._count("dropped", n)
            self._touch()

    def note(self, kind: str, text: str) -> None:
        """Takes an event; durable with the next flush."""
        self._events.append((time.time(), clean(kind), clean(text)))
        self._touch()

    def set_state(self, name: str, value: str) -> None:
        """Takes a value to keep under a name; durable with the next flush."""
        self._states[name] = plain(value)
        self._touch()

    def state(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """What was last kept under that name, durable or not."""
        return self._states[name] if name in self._states else super().state(name, default)

    def mark(self, id: int, kind: str) -> Mark:
        """As `StoreEditor.mark`; of durable records."""
        with StoreEditor(self.path.parent) as editor:
            return editor.mark(id, kind)

    def due(self) -> bool:
        """Whether `flush` should be called now."""
        if self._first is None:
            return False
        at = self._first + self._sync_seconds
        return time.monotonic() >= (max(at, self._trouble.retry_at) if self._trouble else at)

    def flush(self) -> List[Record]:
        """Makes everything taken so far durable, in one commit.

        Returns: the records that are durable from now on, in the order of their ids.
        Raises: StoreError where the disk does not take them; they wait, and `due` says when to
            try again.
        """
        if self._first is None:
            return []
        try:
            return self._commit()
        except StoreDamagedError:
            return self._begin_anew()
        except StoreError as error:
            self._put_off(error)
            raise

    def close(self) -> None:
        """Flushes and ends. Raises: StoreError where something could not be made durable."""
        if self._lock.closed:
            return
        try:
            self.flush()
        finally:
            self._release()
            self._lock.close()

    def _begin_anew(self) -> List[Record]:
        try:
            self._release()
            self._say_damaged(set_aside(self.path))
            return self._commit()
        except StoreError as error:
            self._put_off(error)
            raise

    def _commit(self) -> List[Record]:
        # Every statement may be repeated: after a failed commit nobody can tell whether it will be
        # found on the disk. So counters are written as totals, and a record that is there stays.
        records = list(self._waiting)
        with self._connected() as connection:
            events = [*self._events, *self._recovery()]
            connection.execute("BEGIN IMMEDIATE")
            held = self._held
            if records:
                held += connection.executemany(_INSERT, records).rowcount
                held -= self._make_room(connection, held, len(records))
            insert_events(connection, events)
            totals = [(COUNT + name, n) for name, n in {**self._counters, "held": held}.items()]
            states = [(STATE + name, value) for name, value in self._states.items()]
            connection.executemany("REPLACE INTO state VALUES (?, ?)", totals + states)
            connection.execute("COMMIT")
        self._held = held
        self._waiting.clear()
        self._events.clear()
        self._states.clear()
        self._first = self._trouble = None
        return records

    def _recovery(self) -> List[tuple]:
        return [(time.time(), "store", self._trouble.text())] if self._trouble else []

    def _make_room(self, connection: sqlite3.Connection, held: int, added: int) -> int:
        """Removes the oldest records, some at once rather than one a flush. Returns how many."""
        surplus = held - self._keep
        if surplus <= 0:
            return 0
        n = min(surplus + min(500, self._keep // 20), _AT_ONCE + 2 * added)
        return connection.execute(_REMOVE, (n - 1,)).rowcount

    def _connect(self) -> sqlite3.Connection:
        connection, aside = begin(self.path, _PATIENCE, check=not self._checked)
        try:
            with named_errors(self.path):
                self._adopt(connection)
        except BaseException:
            connection.close()
            raise
        self._checked = True
        self._inode = inode(self.path)
        if aside:
            self._say_damaged(aside)
        return connection

    def _adopt(self, connection: sqlite3.Connection) -> None:
        """Takes over what the file holds; gives a new file what this process knows."""
        drawn = self._station or uuid.uuid4().hex[:12]
        insert = "INSERT OR IGNORE INTO state VALUES ('station', ?)"
        fresh = connection.execute(insert, (drawn,)).rowcount == 1
        found = dict(connection.execute("SELECT name, value FROM state"))
        if self._station and found["station"] != self._station:
            raise StoreError(f"{self.path} was replaced by another station's; start again")
        known = counters(found.items())
        self._held = known.pop("held", 0)
        if self._station and fresh:
            self.note("store", "a new station.db was begun")
        if not self._station:
            self._counters = known
            last = connection.execute("SELECT MAX(id) FROM records").fetchone()[0] or 0
            self._next_id = last + 1
            self._station = found["station"]

    @property
    def current_counts(self) -> Counts:
        """As `counts`, with what is not durable yet."""
        return as_counts(self._counters)

    def _count(self, name: str, n: int = 1) -> None:
        self._counters[name] = self._counters.get(name, 0) + n

    def _touch(self) -> None:
        if self._first is None:
            self._first = time.monotonic()

    def _put_off(self, error: StoreError) -> None:
        self._trouble = self._trouble or _Trouble(str(error))
        self._trouble.put_off()

    def _say_damaged(self, aside: str) -> None:
        self.note("store", f"station.db was damaged: moved to {aside}")


class _Trouble:
    """A disk that does not take what it is given: since when, why, and when to try again."""

    def __init__(self, problem: str):
        self.problem, self.since, self.lost, self.retry_at = problem, time.monotonic(), 0, 0.0
        self._wait = 0.5

    def put_off(self) -> None:
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        self.retry_at = time.monotonic() + self._wait

    def text(self) -> str:
        seconds = time.monotonic() - self.since
        return f"not written for {seconds:.0f} s ({self.problem}); {self.lost} records were lost"


def _storable(record: Record) -> Record:
    """Plain numbers and clean text; a score that is no number becomes None, as SQLite has it."""
    return Record(*map(_value, Record._fields, record))


def _value(name: str, value):
    if value is None or name == "id":
        return value
    if name not in _NUMBERS:
        return clean(value)
    return None if math.isnan(value) else float(value)
