"""Everything that is kept of a frame: its record, its picture where it failed, and who is told.

Who waits for the verdict itself (a gate that throws a part out) is told first. Then comes the
store; what it has made durable goes to the other sinks and back to the source. Nothing here ends a
station: a disk that is full, a sink that is down are told and tried again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Dict, List, Optional, Tuple

import numpy as np

from edge.errors import UserError
from edge.station.log import Log
from edge.station.model import Judged
from edge.station.sections import Settings
from edge.station.sinks import Sink, SinkError, open_sink
from edge.station.sinks.failures import Failures, FailuresError
from edge.station.sources.base import Source
from edge.station.store import WAITING, Store, StoreError
from edge.station.types import Arrival, Frame, Record

_NO_PICTURE = np.zeros((1, 1), np.uint8)


class Ledger:
    """Opens the store and the sinks of a station. The methods belong to one thread.

    trouble: why the disk does not take records just now, or None.
    Raises: UserError where the station cannot be written to, or a sink cannot be opened.
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self.trouble: Optional[str] = None
        self._log = log
        self._unanswered: OrderedDict[int, Arrival] = OrderedDict()
        self._sinks: List[Sink] = []
        self.store = Store(settings.folder, settings.store.keep, settings.store.sync_seconds)
        try:
            kept = settings.failures
            self._failures = (
                Failures(settings.folder, kept.cap_mb, kept.reserve_mb, kept.form)
                if kept.save
                else None
            )
            for sink in settings.sinks:
                self._sinks.append(open_sink(sink.to, settings.folder, sink.options))
        except BaseException:
            self.close(None)
            raise

    def take(self, source: Source, arrival: Arrival, record: Record, judged: Judged) -> Record:
        """Takes what became of one arrival. Returns the record with its id."""
        for sink in self._sinks:
            if sink.at_once:
                self._write(sink, [record])
        if record.verdict == "fail":
            record = record._replace(picture=self._keep(arrival, judged))
        record = self.store.add(record)
        if source.answers:
            # The picture itself is not needed any more, and there may be a second's worth of them.
            small = arrival._replace(picture=_NO_PICTURE) if isinstance(arrival, Frame) else arrival
            self._unanswered[record.id] = small
            if len(self._unanswered) > WAITING:  # as many as the store holds back
                source.answer(self._unanswered.popitem(last=False)[1], None)
        if self.store.due() or (source.prompt and self.trouble is None):
            self.flush(source)
        return record

    def flush(self, source: Optional[Source]) -> None:
        """Makes durable what was taken, then hands it on. To be called when `store.due()`."""
        try:
            records = self.store.flush()
        except StoreError as error:
            self.trouble = str(error)
            self._log.error(f"store: {error}; verdicts wait in memory", kind="store")
            return
        if self.trouble is not None:
            self.trouble = None
            self._log.info("store: works again")
        if records:
            self._hand_on(records, source)

    def waiting(self) -> Dict[str, int]:
        """Sink -> how many records wait for it; of those that can keep them waiting."""
        return {s.name: s.waiting for s in self._sinks if hasattr(s, "waiting")}

    def problems(self) -> Dict[str, str]:
        """Sink -> why it takes nothing just now."""
        found: List[Tuple[str, Optional[str]]] = [
            (s.name, getattr(s, "problem", None)) for s in self._sinks
        ]
        return {name: problem for name, problem in found if problem}

    def close(self, source: Optional[Source]) -> None:
        """Flushes, and ends everything that was opened."""
        try:
            self.flush(source)
        finally:
            self._close_sinks()
            try:
                self.store.close()
            except StoreError as error:
                self._log.error(f"store: {error}; these verdicts are lost")

    def _close_sinks(self) -> None:
        # Side by side: each may take its time to send what waits.
        threads = [threading.Thread(target=sink.close, daemon=True) for sink in self._sinks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep(self, arrival: Arrival, judged: Judged) -> Optional[str]:
        if self._failures is None or judged.view is None or judged.verdict is None:
            return None
        try:
            return self._failures.save(arrival.source, judged.view.picture, judged.verdict)
        except FailuresError as error:
            self._log.warning(f"pictures of failures: {error}", kind="failures")
        return None

    def _hand_on(self, records: List[Record], source: Optional[Source]) -> None:
        if source is not None and source.answers:
            for record in records:
                arrival = self._unanswered.pop(record.id, None)
                if arrival is not None:
                    source.answer(arrival, record)
        for sink in self._sinks:
            if not sink.at_once:
                self._write(sink, records)

    def _write(self, sink: Sink, records: List[Record]) -> None:
        try:
            sink.write(records)
        except BrokenPipeError:
            self._sinks.remove(sink)  # whoever read standard output is gone
            raise
        except SinkError as error:
            self._log.error(f"{sink.name}: {error}", kind=f"sink {sink.name}")
        except UserError as error:
            self._log.error(f"{sink.name}: {error}", kind=f"sink {sink.name}")
