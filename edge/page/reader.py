"""What the page tells of a station, as JSON-ready values.

A store belongs to one thread, and may be moved, damaged or not there yet: each question opens it
anew. Ages are by the clock that never jumps, and known only within one start of the machine.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from edge.errors import UserError
from edge.page import memory
from edge.page.pictures import Stored, open_picture
from edge.page.recent import Rejected
from edge.station.clock import boot_id
from edge.station.editor import UNMARK
from edge.station.schema import FILE, StoreError
from edge.station.store import open_store
from edge.station.types import Record
from edge.station.view import StoreView

_RECORDS, _EVENTS, _POINTS = 60, 30, 300
_LAYERS = ("picture", "map", "reconstruction")


class State(NamedTuple):
    """Whether the station runs.

    name: "running", "stopped", "silent" (it hangs or was killed) or "new" (it never ran).
    text: the same for a person. memory: its folder there. health: of `edge.station.health`, None
        where it is not to be believed.
    """

    name: str
    text: str
    memory: Optional[Path] = None
    health: Optional[dict] = None


class Reader:
    """folder: the station. For any number of threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._boot = boot_id()
        self._health = memory.MemoryFile(memory.HEALTH)
        self._live = memory.MemoryFile(memory.LIVE)
        self._rejected = Rejected()

    def live(self, layer: str, seen: str) -> Dict[str, Any]:
        """The newest decision and, while the station runs, the frame that it sees.

        layer: which picture of it. seen: the version that the asker has, which is not sent again.
        """
        if not self._exists():
            return {"state": _stated(_NEW), "record": None, "frame": None, "problem": None}
        with open_store(self._folder) as store:
            state = self._state(store)
            newest = next(iter(store.latest(1)), None)
        record = None if newest is None else self._told(newest)
        problem, frame = None, None
        if state.name == "running" and state.memory is not None:
            problem = memory.ask_for_live(state.memory)
            frame = self._frame(state.memory, layer, seen)
        if frame is not None and _newer(frame["record"], record):
            record = frame["record"]
        return {"state": _stated(state), "record": record, "frame": frame, "problem": problem}

    def status(self) -> Dict[str, Any]:
        """Everything else on the page."""
        empty: Dict[str, Any] = {
            "name": self._folder.name,
            "health": None,
            "counts": None,
            "records": [],
            "rejected": [],
            "scores": [],
            "events": [],
            "marks": {},
        }
        if not self._exists():
            return {**empty, "state": _stated(_NEW)}
        with open_store(self._folder) as store:
            state = self._state(store)
            return {
                **empty,
                "state": _stated(state),
                "health": state.health,
                "counts": store.counts()._asdict(),
                "records": [self._told(record) for record in store.latest(_RECORDS)],
                "rejected": [self._told(r) for r in self._rejected.latest(store, _RECORDS)],
                "scores": [_finite(point._asdict()) for point in store.scores(_POINTS)],
                "events": [event._asdict() for event in store.events(_EVENTS)],
                "marks": {mark.record.id: mark.kind for mark in store.marks()},
            }

    def record(self, id: int) -> Optional[Dict[str, Any]]:
        """One record with its mark and whether its pictures are still there; None where unknown."""
        found = self._find(id)
        if found is None:
            return None
        with open_store(self._folder) as store:
            marks = {mark.record.id: mark.kind for mark in store.marks()}
        told = {**self._told(found), "mark": marks.get(id)}
        for kind in ("picture", "map"):
            stored = open_picture(self._folder, found, kind)
            told[f"has_{kind}"] = stored is not None
            if stored is not None:
                stored.file.close()
        return told

    def picture(self, id: int, kind: str) -> Optional[Stored]:
        """A stored picture, "picture" or "map", of a record; None where there is none."""
        found = self._find(id)
        return None if found is None else open_picture(self._folder, found, kind)

    def mark(self, id: int, kind: str) -> Dict[str, Any]:
        """Keeps an operator's word, or takes it back. Raises: UserError, see `StoreEditor.mark`."""
        with open_store(self._folder, readonly=False) as store:
            if kind == UNMARK:
                store.unmark(id)
                return {"id": id, "mark": None}
            made = store.mark(id, kind)
        return {"id": made.record.id, "mark": made.kind}

    def _exists(self) -> bool:
        return (self._folder / FILE).exists()

    def _find(self, id: int) -> Optional[Record]:
        """Also of records that were removed while their mark stays."""
        if not self._exists():
            return None
        with open_store(self._folder) as store:
            found = store.get(id)
            if found is None:
                found = next((m.record for m in store.marks() if m.record.id == id), None)
        return found

    def _state(self, store: StoreView) -> State:
        kept = store.state("memory")
        if kept is None:
            return _NEW
        folder = Path(kept)
        try:
            memory.check_folder(folder, store.path)
        except UserError as error:
            return State("silent", f"Nothing is known of the station: {error}.")
        health = self._health.read(folder)
        if health is None:
            return State("stopped", "The station is not running.", folder)
        if not memory.fresh(health):
            text = f"The station has not been heard of for {_duration(health.age)}."
            return State("silent", text, folder)
        stopping = health.content.get("stopping")
        text = f"The station stops: {stopping}." if stopping else "The station is running."
        return State("running", text, folder, health.content)

    def _frame(self, folder: Path, layer: str, seen: str) -> Optional[Dict[str, Any]]:
        live = self._live.read(folder)
        if live is None or not isinstance(live.content.get("record"), dict):
            return None
        layer = layer if layer in _LAYERS else "map"
        version = f"{live.version}-{layer}"
        try:
            record = Record(**live.content["record"])
        except TypeError:
            return None
        picture = live.content.get(layer)
        return {
            "version": version,
            "layer": layer,
            "record": self._told(record),
            "width": live.content.get("width"),
            "height": live.content.get("height"),
            "jpeg": None if version == seen or not isinstance(picture, str) else picture,
        }

    def _told(self, record: Record) -> Dict[str, Any]:
        """Its fields and `age`, seconds since it was taken; None where nobody can know."""
        told = _finite(record._asdict())
        told["age"] = None
        if record.boot == self._boot and isinstance(record.monotonic, (int, float)):
            told["age"] = round(max(0.0, time.monotonic() - record.monotonic), 2)
        return told


_NEW = State("new", "The station has not run yet. Start it with `python -m edge run`.")


def problem(error: UserError) -> Dict[str, Any]:
    """What `live` and `status` tell of a station whose store cannot be read."""
    name = "unreadable" if isinstance(error, StoreError) else "silent"
    return {"state": _stated(State(name, f"{error}")), "record": None, "frame": None}


def _newer(one: Dict[str, Any], other: Optional[Dict[str, Any]]) -> bool:
    if other is None or other["age"] is None:
        return one["age"] is not None
    return one["age"] is not None and one["age"] < other["age"] - 0.01  # two looks at one frame


def _stated(state: State) -> Dict[str, Any]:
    status = None if state.health is None else state.health.get("status")
    problems: List[str] = [] if state.health is None else state.health.get("problems") or []
    return {"name": state.name, "text": state.text, "status": status, "problems": problems}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _finite(row: dict) -> dict:
    """JSON has no infinity."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
