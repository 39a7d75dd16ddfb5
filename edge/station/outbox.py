"""Between the store and a sink that may be out of reach: records wait in the store, not in memory.

A thread for each remote sink reads the store from a cursor of its own, sends in order, and moves
the cursor on once the sink has acknowledged. While the sink is down it waits longer and longer;
scoring never waits for it. What has waited too long is skipped, oldest first, and counted.

A record arrives at least once. It arrives once as long as neither the acknowledgement nor the
cursor gets lost: where the connection breaks between a delivery and its acknowledgement, or the
process or the power does before the cursor is on the disk, the same record is sent again. No sender
can tell those cases apart. The `key` (`<station>-<id>`) is then the same, so that a receiver can.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from typing import List, Optional, Tuple

from edge.errors import UserError
from edge.station.editor import StoreEditor
from edge.station.sinks import RemoteSink, SinkError, SinkRefusedError
from edge.station.types import Record

_OFFERS = 3  # of records that the sink refuses, before they are given up
_PATIENCE = 5.0  # seconds without a call after which the store is looked at all the same
_LONGEST_ASKED = 300.0  # seconds that a sink may ask to be left alone
_QUIET = 600.0  # seconds between two events of a kind: a sink that flaps must not flood them


class Outbox:
    """The sink that the runner sees: its `write` only wakes the thread.

    folder: the station; its store exists already. A sink that is new to it gets what is added from
        now on.
    queue: how many records may wait. waits: seconds, the first and the longest between two trials.
    Raises: StoreError where the store cannot be read.
    """

    at_once = False

    def __init__(
        self,
        folder,
        sink: RemoteSink,
        queue: int = 10_000,
        waits: Tuple[float, float] = (1.0, 60.0),
    ):
        if queue < 1:
            raise UserError(f"expected a queue of at least 1 record for {sink.name}, got {queue}")
        self.name = sink.name
        self.problem: Optional[str] = None  # why the sink does not take records just now
        self.waiting = 0  # records, when last looked at
        self._sink, self._queue, self._waits = sink, queue, waits
        # No flush to the disk for a cursor: the runner's next one covers it.
        self._store = StoreEditor(folder, synchronous="NORMAL")
        self._cursor = _Cursor(self._store, sink.name)
        self._journal = _Journal(self._store, sink.name)
        self._store.close()  # from here on it belongs to the thread
        self._work, self._end = threading.Event(), threading.Event()
        self._until = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"outbox {sink.name}", daemon=True)
        self._thread.start()

    def write(self, records: List[Record]) -> None:
        """There is something to send. Returns at once."""
        self._work.set()

    @property
    def skipped(self) -> int:
        """Records that this sink never got: they waited too long, were refused, or are lost."""
        return self._cursor.skipped

    def close(self, timeout: float = 2.5) -> None:
        """Sends what it can in `timeout` seconds; the rest goes out after the next start."""
        self._until = time.monotonic() + timeout
        self._end.set()
        self._work.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            batch, missing = self._next()
            if batch:
                self._cursor.skip(missing)
                self._journal.skipped(missing)
                if not self._deliver(batch):
                    break
            elif self._end.is_set():
                break
            else:
                self._work.wait(_PATIENCE)
                self._work.clear()
            if time.monotonic() > self._until:
                break
        self._cursor.keep()
        self._store.close()
        self._sink.close()

    def _next(self) -> Tuple[List[Record], int]:
        """The records that are sent next, and how many before them never will be."""
        try:
            self._cursor.keep()
            start = max(self._cursor.at, self._look() - self._queue)
            batch = self._store.after(start, self._sink.batch)
        except UserError as error:  # also a store of a newer version, put in place meanwhile
            self.problem = str(error)
            return [], 0
        self.problem = None
        return batch, batch[0].id - self._cursor.at - 1 if batch else 0

    def _look(self) -> int:
        last = self._store.last_id()
        self.waiting = max(0, last - self._cursor.at)
        return last

    def _deliver(self, batch: List[Record]) -> bool:
        """Sends until acknowledged or given up; False where the end came first."""
        try:
            if not self._offer(batch):
                return False
        except SinkRefusedError as error:
            if len(batch) > 1:  # one of them spoils it for the others
                return all(self._deliver([record]) for record in batch)
            self._cursor.skip(1)
            self._journal.refused(batch[0], error)
        else:
            self._cursor.advance(batch[-1].id)
        return True

    def _offer(self, batch: List[Record]) -> bool:
        wait, refusals = self._waits[0], 0
        while True:
            try:
                self._sink.write(batch)
            except SinkError as error:
                problem = error
            except Exception as error:  # a thread that dies would be a sink that is silent for ever
                problem = SinkError(f"{self.name}: {type(error).__name__}: {error}")
            else:
                self.problem = None
                self._journal.works(self.waiting)
                return True
            refusals += isinstance(problem, SinkRefusedError)
            if refusals == _OFFERS:
                raise problem
            self.problem = str(problem)
            self._journal.fails(self.problem)
            with contextlib.suppress(UserError):
                self._look()
            asked = min(problem.wait, _LONGEST_ASKED)
            if self._end.wait(max(asked, wait * random.uniform(0.8, 1.2))):
                return False
            wait = min(2 * wait, self._waits[1])


class _Cursor:
    """How far a sink has got. Held in memory and, as soon as that can be written, in the store."""

    def __init__(self, store: StoreEditor, sink: str):
        self._store, self._name = store, f"outbox {sink}"
        kept = store.state(self._name)
        at, skipped = json.loads(kept) if kept else (store.last_id(), 0)
        self.at: int = at
        self.skipped: int = skipped
        self._kept = kept
        self.keep()

    def advance(self, id: int) -> None:
        self.at = id
        self.keep()

    def skip(self, n: int) -> None:
        self.at += n
        self.skipped += n
        self.keep()

    def keep(self) -> None:
        now = json.dumps([self.at, self.skipped])
        if now != self._kept:
            with contextlib.suppress(UserError):  # sent it is; what is not kept is sent again
                self._store.set_state(self._name, now)
                self._kept = now


class _Journal:
    """Events of a sink, few of them."""

    def __init__(self, store: StoreEditor, sink: str):
        self._store, self._sink = store, sink
        self._failed_at = self._skipped_at = -_QUIET
        self._failing = False
        self._missing = 0

    def fails(self, problem: str) -> None:
        now = time.monotonic()
        if not self._failing and now - self._failed_at >= _QUIET:
            self._failing, self._failed_at = True, now
            self._note(f"fails: {problem}")

    def works(self, waiting: int) -> None:
        if self._failing:
            self._failing = False
            self._note(f"works again; {waiting} records wait for it")

    def skipped(self, n: int) -> None:
        self._missing += n
        now = time.monotonic()
        if self._missing and now - self._skipped_at >= _QUIET:
            self._skipped_at = now
            self._note(f"{self._missing} records were skipped: they had waited too long")
            self._missing = 0

    def refused(self, record: Record, error: SinkRefusedError) -> None:
        now = time.monotonic()
        self._missing += 1
        if now - self._skipped_at >= _QUIET:
            self._skipped_at, self._missing = now, 0
            self._note(f"record {record.id} was given up: {error}")

    def _note(self, text: str) -> None:
        with contextlib.suppress(UserError):
            self._store.note("sink", f"{self._sink} {text}")
