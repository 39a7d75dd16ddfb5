"""`edge run`: frames in, verdicts out, until told to stop.

One loop, one thread. It waits for the next frame, judges it and keeps what came of it; about once
a second it also looks after everything else. What could hang has a thread or a process of its own:
the source, remote sinks, the page.
"""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple, Optional

from edge.station.clock import Clock, boot_id
from edge.station.feeder import Feeder
from edge.station.judgement import Judgement
from edge.station.ledger import Ledger
from edge.station.live import Live
from edge.station.log import Log
from edge.station.model import Judged, Model
from edge.station.monitor import Monitor
from edge.station.page_child import PageChild
from edge.station.sections import Settings
from edge.station.service import Notifier, Stopping, Watchdog
from edge.station.sources import open_source
from edge.station.sources.base import Source
from edge.station.store import Counts
from edge.station.types import Arrival, Frame, Record, Trouble

_BEAT = 1.0  # seconds


class Summary(NamedTuple):
    """What one run did; as `Counts`, of this run alone. reason: why it ended."""

    scored: int
    failed: int
    dropped: int
    decisions: dict
    reason: str


def run(settings: Settings, log: Optional[Log] = None) -> Summary:
    """Runs a station until its source ends or SIGTERM or SIGINT comes. In the main thread.

    Raises: UserError where it cannot be started; BrokenPipeError where a sink is standard output
        and its reader is gone.
    """
    log = log or Log()
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(Stopping())
        masks = settings.masks.open()
        ledger = Ledger(settings, log)
        station: Optional[Station] = None
        # Last of all, whatever went wrong: what was taken is made durable.
        stack.callback(lambda: ledger.close(station.source if station else None))
        model = Model(settings.bundle, masks, log)
        source = open_source(settings.source.open, settings.source.options)
        stack.callback(source.close)
        station = Station(settings, log, stopping, ledger, model, source)
        if settings.page.serve:
            station.page = PageChild(settings.page, settings.folder, log)
            stack.callback(station.page.close)
        return station.run()


class Station:
    """Everything of a running station, opened by `run`."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        stopping: Stopping,
        ledger: Ledger,
        model: Model,
        source: Source,
    ) -> None:
        self.source = source
        self.page: Optional[PageChild] = None
        self._settings, self._log, self._stopping = settings, log, stopping
        self._ledger, self._store, self._model = ledger, ledger.store, model
        of = settings.judgement
        self._judgement = Judgement(of.votes, of.of, of.release, of.gap)
        self._monitor = Monitor(settings, ledger, source, log)
        self._live = Live(self._monitor.folder)
        self._clock, self._boot = Clock(), boot_id()
        self._notifier = Notifier()
        self._watchdog = Watchdog(self._notifier)
        self._beat_at = 0.0
        self._came = False  # whether anything came since the last beat
        self._lost: Optional[Trouble] = None
        self._lost_since = 0.0
        self._dropped = 0
        self._before = self._store.current_counts

    def run(self) -> Summary:
        """Until the end."""
        self._begin()
        feeder = Feeder(self.source)
        try:
            while not (feeder.ended or self._stopping):
                arrival = feeder.take(self._beat_at, self._stopping.fileno())
                if arrival is not None:
                    self._take(arrival)
                if time.monotonic() >= self._beat_at:
                    self._beat()
        finally:
            self._notifier.stopping()
            left = feeder.close()
            self._count_dropped(1 if isinstance(left, Frame) else 0)
            self._end()
        return self._summary()

    def _begin(self) -> None:
        self._store.note("start", f"{self._settings.source.open}, bundle {self._model.id}")
        self._note_rejected()
        self._monitor.begin(self._model)
        self._notifier.ready()
        self._beat()

    def _take(self, arrival: Arrival) -> None:
        self._came = True
        if isinstance(arrival, Trouble):
            if arrival.lost:
                self._lose(arrival)
                return
            judged = Judged(error=arrival.problem)
            moment = self._clock.now()
            record = self._record(arrival.source, moment.taken, moment.monotonic, judged)
            self._log.warning(f"{arrival.source}: {arrival.problem}", kind=arrival.problem)
            self._ledger.take(self.source, arrival, record, judged)
            return
        self._find(arrival)
        judged = self._model.judge(arrival.picture)
        record = self._record(arrival.source, arrival.taken, arrival.monotonic, judged)
        if judged.error is not None:
            self._log.error(f"{arrival.source}: {judged.error}", kind=judged.error)
        record = self._ledger.take(self.source, arrival, record, judged)
        if judged.verdict is None or judged.view is None:
            return
        self._watchdog.scored()
        self._monitor.scored(record, judged, self._model.id)
        if self._live.due():
            self._live.show(record, judged.view.picture, judged.verdict)

    def _record(self, source: str, taken: float, monotonic: float, judged: Judged) -> Record:
        verdict = judged.verdict
        label = "error" if verdict is None else verdict.label
        return Record(
            taken=taken,
            monotonic=monotonic,
            boot=self._boot,
            source=source,
            verdict=label,
            decision=self._judgement.decide(label, monotonic),
            score=verdict and verdict.score,
            p_value=verdict and verdict.p_value,
            threshold=verdict and verdict.threshold,
            ms=verdict and verdict.ms,
            bundle=self._model.id,
            error=judged.error,
        )

    def _lose(self, trouble: Trouble) -> None:
        self._log.error(f"{trouble.source}: {trouble.problem}", kind=f"lost {trouble.source}")
        if self._lost is None:  # the first of a row of failures is news, the others are not
            self._lost_since = time.monotonic()
            self._store.note("source", f"{trouble.source}: {trouble.problem}")
        self._lost = trouble

    def _find(self, frame: Frame) -> None:
        if self._lost is not None:
            seconds = time.monotonic() - self._lost_since
            text = f"{frame.source}: back after {seconds:.0f} s"
            self._store.note("source", text)
            self._log.info(text)
            self._lost = None

    def _beat(self) -> None:
        """Everything besides the frames, about once a second."""
        self._beat_at = time.monotonic() + _BEAT
        jump = self._clock.jump()
        if jump is not None:
            self._store.note("clock", jump)
            self._log.warning(jump)
        self._count_dropped()
        self._refresh()
        if self._lost is not None:
            self._watchdog.lost()
        elif not self._came and not self.source.live:
            self._watchdog.waiting()
        self._came = False
        if self.page is not None:
            self.page.look()
        if self._store.due():
            self._ledger.flush(self.source)
        lost = None if self._lost is None else self._lost.problem
        self._notifier.status(self._monitor.beat(lost))
        self._log.flush()

    def _refresh(self) -> None:
        change = self._model.refresh()
        if change is not None:
            self._store.note("bundle", change)
            self._log.info(f"bundle: {change}")
            self._monitor.begin(self._model)
        self._note_rejected()  # also where a version gave way before it was ever used

    def _note_rejected(self) -> None:
        rejected = self._model.rejected
        if rejected is not None and rejected != self._store.state("rejected"):
            self._store.set_state("rejected", rejected)
            self._store.note("bundle", f"rolled back: {rejected}")
            self._log.error(f"bundle: rolled back: {rejected}")

    def _count_dropped(self, more: int = 0) -> None:
        dropped = self.source.dropped
        self._store.drop(dropped - self._dropped + more)
        self._dropped = dropped

    def _end(self) -> None:
        reason = self._stopping.reason or "the source has ended"
        self._store.note("stop", reason)
        self._live.remove()
        self._monitor.end(reason)
        self._log.flush(all=True)

    def _summary(self) -> Summary:
        before, now = self._before, self._store.current_counts
        decisions = {
            name: n - before.decisions.get(name, 0)
            for name, n in now.decisions.items()
            if n > before.decisions.get(name, 0)
        }
        scored, failed, dropped = (
            getattr(now, name) - getattr(before, name) for name in Counts._fields[:3]
        )
        return Summary(scored, failed, dropped, decisions, self._stopping.reason or "end")
