"""How a station does, second by second: drift, health for monitoring, a line for the service."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from typing import Optional

from edge.station.drift import DriftWatch
from edge.station.health import Health, HealthFile, health
from edge.station.ledger import Ledger
from edge.station.log import Log
from edge.station.looks import looks
from edge.station.model import Judged, Model
from edge.station.sections import Settings
from edge.station.sources.base import Source
from edge.station.types import Record

MEMORY = "memory"  # in the store's state: where health.json and the page's picture lie
_DRIFT = "drift"
_HEALTH_EVERY = 2.0  # seconds
_FRESH = 30.0
_KEEP_EVERY = 600.0  # seconds between two writes of what the drift watch has seen


class Monitor:
    """folder: in memory, where `health.json` lies."""

    def __init__(self, settings: Settings, ledger: Ledger, source: Source, log: Log) -> None:
        self._settings, self._ledger, self._store = settings, ledger, ledger.store
        self._source, self._log = source, log
        self._file = HealthFile(settings.name)
        self.folder = self._file.path.parent
        self._started = time.monotonic()
        self._drift: Optional[DriftWatch] = None
        self._bundle = ""
        self._last: Optional[Record] = None
        self._last_at: Optional[float] = None
        self._health_at = 0.0
        self._kept_at = self._started

    def begin(self, model: Model) -> None:
        """At the start, and when another bundle or threshold is in use."""
        self._bundle = model.id
        if str(self.folder) != self._store.state(MEMORY):
            self._store.set_state(MEMORY, str(self.folder))
        of = self._settings.drift
        if not of.watch:
            return
        # Frames taken before come as quickly as they can be judged: each is another moment.
        every = 0.0 if self._source.recorded else of.every
        self._drift = DriftWatch(model.calibration, of.window, every, of.false_warnings, of.defects)
        with contextlib.suppress(ValueError):
            self._drift.restore(json.loads(self._store.state(_DRIFT) or "null"))

    def scored(self, record: Record, judged: Judged, bundle: str) -> None:
        """A frame was scored."""
        self._last, self._last_at, self._bundle = record, time.monotonic(), bundle
        drift = self._drift
        if drift is None or not drift.due(record.monotonic):
            return
        view, verdict = judged.view, judged.verdict
        assert view is not None and verdict is not None
        figures = looks(view.picture, view.ignored)
        event = drift.add(verdict.score, verdict.label, figures, record.monotonic)
        if event is not None:
            text = f"drift is over: {event.text}" if event.over else f"drift: {event.text}"
            self._store.note("drift", text)
            self._log.warning(text)
            self._keep()

    def beat(self, lost: Optional[str]) -> str:
        """About once a second. lost: why the camera is gone. Returns a line for the service."""
        now = time.monotonic()
        if now - self._kept_at >= _KEEP_EVERY:
            self._keep()
        if now >= self._health_at:
            self._health_at = now + _HEALTH_EVERY
            self._file.write(self._health(lost), _FRESH)
        if lost is not None:
            return f"camera lost: {lost}"
        if self._last is None:
            return "waiting for a frame"
        counts = self._store.current_counts
        return f"{self._last.decision}; {counts.scored} scored, {counts.failed} failed"

    def end(self, reason: str) -> None:
        """At the end of the station."""
        self._keep()
        self._file.remove()

    def _keep(self) -> None:
        self._kept_at = time.monotonic()
        if self._drift is not None:
            self._store.set_state(_DRIFT, json.dumps(self._drift.state()))

    def _health(self, lost: Optional[str]) -> dict:
        counts = self._store.current_counts
        last = self._last
        record = health(
            Health(
                started=self._started,
                now=time.monotonic(),
                taken=time.time(),
                scored=counts.scored,
                failed=counts.failed,
                dropped=counts.dropped,
                lost=counts.lost,
                last=self._last_at,
                ms=last.ms if last else None,
                decision=last.decision if last else None,
                live=self._source.live,
                every=self._settings.source.options.every,
                source_lost=lost,
                drift=self._drift.warning if self._drift else None,
                trouble=self._ledger.trouble,
                waiting=self._ledger.waiting(),
                free_mb=_free_mb(self._settings.folder),
                bundle=self._bundle,
            )
        )
        sinks = [f"{name}: {problem}" for name, problem in self._ledger.problems().items()]
        if sinks and record["status"] == "ok":
            record["status"] = "warn"
        record["problems"] += sinks
        return record


def _free_mb(folder) -> Optional[float]:
    try:
        return shutil.disk_usage(folder).free / 1e6
    except OSError:
        return None
