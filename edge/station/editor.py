"""Changing a store beside the runner: an operator's marks, events, the cursors of sinks."""

from __future__ import annotations

import contextlib
import sqlite3
import time

from edge.errors import UserError
from edge.station.view import COLUMNS, STATE, Mark, StoreView, clean, plain

MARKS = ("false-alarm", "missed")
UNMARK = "none"  # where a mark is asked for: takes it back
EVENTS_KEPT = 10_000


class StoreEditor(StoreView):
    """Marks, events and state, each durable when the call returns. Never makes or repairs a store.

    synchronous: "NORMAL" where a power cut may undo the last changes, as of a cursor; then the
        next commit of the runner makes them durable and no further flush to the disk is needed.
    """

    _mode = "rw"

    def __init__(self, folder, synchronous: str = "FULL"):
        self._synchronous = synchronous
        super().__init__(folder)

    def mark(self, id: int, kind: str) -> Mark:
        """Keeps the operator's word on a record, in place of an earlier one.

        The mark holds a copy of the record and stays when that one is removed: marks are few,
        a person's work, and what the threshold is later set by.
        Raises: UserError for an unknown id or kind, and for a frame that was not judged.
        """
        if kind not in MARKS:
            raise UserError(f"expected a mark of {' or '.join(MARKS)}, got {kind!r}")
        record = self.get(id)
        if record is None:
            raise UserError(f"expected the id of a record, got {id}: {self._span()}")
        if record.score is None:
            raise UserError(f"record {id} was not judged ({record.error}): nothing to mark")
        made = Mark(record, kind, time.time())
        values = ", ".join("?" * (len(COLUMNS) + 3))
        with self._writing() as connection:
            connection.execute(
                f"REPLACE INTO marks ({', '.join(COLUMNS)}, id, kind, marked) VALUES ({values})",
                (*made.record, made.kind, made.marked),
            )
        return made

    def unmark(self, id: int) -> bool:
        """Takes a mark back. Returns whether there was one."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM marks WHERE id = ?", (id,)).rowcount > 0

    def note(self, kind: str, text: str) -> None:
        """Keeps an event."""
        with self._writing() as connection:
            insert_events(connection, [(time.time(), clean(kind), clean(text))])

    def set_state(self, name: str, value: str) -> None:
        """Keeps a value under a name."""
        with self._writing() as connection:
            connection.execute("REPLACE INTO state VALUES (?, ?)", (STATE + name, plain(value)))

    @contextlib.contextmanager
    def _writing(self):
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _span(self) -> str:
        first, last = self._rows("SELECT MIN(id), MAX(id) FROM records")[0]
        if first is None:
            return f"{self.path} holds no records yet"
        return f"{self.path} holds {first} to {last}"


def insert_events(connection: sqlite3.Connection, events: list) -> None:
    """events: (time, kind, text). Removes what is older than the last 10,000."""
    if events:
        connection.executemany("INSERT INTO events (time, kind, text) VALUES (?, ?, ?)", events)
        connection.execute(
            f"DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - {EVENTS_KEPT}"
        )
