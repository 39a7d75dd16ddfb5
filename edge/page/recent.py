"""The last frames that did not pass: among thousands that did, they are what is looked for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, List

from edge.station.types import Record
from edge.station.view import StoreView

_KEPT = 60
_BACK = 20_000  # records that are looked through at the start
_PAGE = 2000


class Rejected:
    """Follows a store, each record looked at once. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: Deque[Record] = deque(maxlen=_KEPT)
        self._station = ""
        self._last = 0

    def latest(self, store: StoreView, n: int) -> List[Record]:
        """The last n of them, newest first."""
        with self._lock:
            last = store.last_id()
            if store.station != self._station or last < self._last:
                self._records.clear()
                self._station, self._last = store.station, 0
            self._last = max(self._last, last - _BACK)
            while self._last < last:
                page = store.after(self._last, _PAGE)
                if not page:
                    break
                self._last = page[-1].id
                self._records.extend(record for record in page if rejected(record))
            return list(self._records)[: -n - 1 : -1]


def rejected(record: Record) -> bool:
    """Whether the frame or the decision is anything but a pass."""
    return record.decision != "PASS" or record.verdict != "pass"
