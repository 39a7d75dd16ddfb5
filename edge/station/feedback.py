"""What an operator's marks make of the threshold, when somebody asks for it; never by themselves.

A frame marked as a false alarm is a good picture: its score joins the calibration's, and the
threshold is set again as ever (`edge.calibration`). Those marked are the highest of all good
frames, so this errs towards fewer alarms than the rate asked for; `edge calibrate BUNDLE FOLDER`,
with all kinds of good frames of this device, does not.

A frame marked as missed sets nothing: a threshold comes from good pictures alone, or its rate of
false alarms means nothing. It is told at which rate it would have been found.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from edge.calibration import Calibration, check_rate
from edge.errors import BundleError
from edge.manifest import PRECISIONS, read_manifest, write_manifest
from edge.recalibrate import same_graphs
from edge.station.types import Record
from edge.station.view import Mark, StoreView

_PAGE = 5000  # records read at a time


class Missed(NamedTuple):
    """A defective frame that passed. found: whether it would fail now. rate: the least false-alarm
    rate at which it would."""

    id: int
    score: float
    found: bool
    rate: float


class Proposal(NamedTuple):
    """A new threshold and what would follow.

    added: scores that joined the calibration. known: marks that had joined it before. alarming:
        frames marked as false alarms that would still fail.
    frames: recorded frames that were compared. changes: (verdict now, verdict then) -> how many.
    """

    old: Calibration
    new: Calibration
    added: int
    known: int
    alarming: int
    missed: Tuple[Missed, ...]
    frames: int
    changes: Dict[Tuple[str, str], int]


def propose(
    calibration: Calibration,
    marks: Sequence[Mark],
    records: Iterable[Record],
    rate: Optional[float] = None,
) -> Proposal:
    """The threshold that the marks make.

    calibration: in use. marks, records: of frames that the same graphs scored. rate: of false
        alarms; by default the calibration's.
    Raises: CalibrationError on a rate outside (0, 0.5].
    """
    if rate is not None:
        check_rate(rate)
    good = [m.record.score for m in marks if m.kind == "false-alarm" and m.record.score is not None]
    added = _not_yet(good, calibration.scores)
    new = calibration
    if added or (rate is not None and rate != calibration.rate):
        new = calibration.extended(added, calibration.rate if rate is None else rate)
    missed = [
        Missed(m.record.id, m.record.score, *_judged(new, m.record.score))
        for m in marks
        if m.kind == "missed" and m.record.score is not None
    ]
    frames = 0
    changes: Counter = Counter()
    for record in records:
        if record.score is not None:
            frames += 1
            changes[calibration.label(record.score), new.label(record.score)] += 1
    return Proposal(
        old=calibration,
        new=new,
        added=len(added),
        known=len(good) - len(added),
        alarming=sum(new.label(score) == "fail" for score in good),
        missed=tuple(missed),
        frames=frames,
        changes={change: n for change, n in sorted(changes.items()) if change[0] != change[1]},
    )


def _judged(calibration: Calibration, score: float) -> Tuple[bool, float]:
    return calibration.label(score) == "fail", calibration.p_value(score)


def _not_yet(scores: Sequence[float], known: Sequence[float]) -> List[float]:
    """Those that calibration does not hold: asked twice, the same marks join once.

    Scores are kept to the last bit, in the store as in the manifest, so they know themselves.
    """
    there = Counter(known)
    missing = []
    for score in scores:
        if there[score]:
            there[score] -= 1
        else:
            missing.append(score)
    return missing


def calibrate_from_marks(
    bundle,
    station,
    precision: Optional[str] = None,
    rate: Optional[float] = None,
    apply: bool = True,
) -> dict:
    """Sets the threshold of a bundle again by the marks of a station.

    bundle: a bundle's folder, or a bundle store. station: its folder. precision: that the station
        judges with; by default as `edge.Runner` chooses. apply: otherwise nothing is changed.
    Returns: old and new threshold and what follows, for a person and for JSON.
    Raises: UserError where there is no such bundle or station, or it cannot be written; nothing is
        then changed.
    """
    target = _Target(bundle, precision)
    with StoreView(station) as store:
        marks = store.marks()
        ours = [m for m in marks if m.record.bundle in target.ids]
        proposal = propose(target.calibration, ours, _records(store, target.ids), rate)
    changed = proposal.new != proposal.old
    if apply and changed:
        target.save(proposal)
    return {
        "precision": target.precision,
        **_report(proposal),
        "marks_of_other_bundles": len(marks) - len(ours),
        "applied": apply and changed,
    }


def _records(store: StoreView, bundles: Sequence[str]) -> Iterator[Record]:
    last = 0
    while True:
        page = store.after(last, _PAGE)
        if not page:
            return
        last = page[-1].id
        yield from (record for record in page if record.bundle in bundles)


def _report(proposal: Proposal) -> dict:
    changes = {f"{before} -> {after}": n for (before, after), n in proposal.changes.items()}
    return {
        "old_threshold": proposal.old.threshold,
        "threshold": proposal.new.threshold,
        "false_alarm_rate": proposal.new.rate,
        "pictures": len(proposal.new.scores),
        "calibration": proposal.new.note,
        "false_alarms": {
            "added": proposal.added,
            "added_before": proposal.known,
            "still_failing": proposal.alarming,
        },
        "missed": [
            {
                "id": missed.id,
                "score": missed.score,
                "found_now": missed.found,
                "found_at_rate": missed.rate,
            }
            for missed in proposal.missed
        ],
        "recorded_frames": {"compared": proposal.frames, **changes},
    }


class _Target:
    """The calibration to change: a bundle's own, or the one that a bundle store keeps beside it.

    ids: `Record.bundle` of frames that these graphs scored. In a bundle's folder the manifest, and
    with it the id, changes with each calibration; it holds the ones before.
    """

    def __init__(self, bundle, precision: Optional[str]):
        from edge.install.store import Store

        self._store = Store(bundle) if Store.is_one(bundle) else None
        self._folder = Path(bundle)
        if self._store is not None:
            state = self._store.settled()
            if state is None:
                raise BundleError(f"{bundle} holds no bundle that works; install one")
            self._folder = self._store.path(state.active)
        self._manifest = read_manifest(self._folder)
        self._calibrations = dict(self._manifest.calibrations)
        if self._store is not None:
            from edge.install.local import local_calibrations

            self._calibrations.update(local_calibrations(self._folder))
        have = self._manifest.graphs["detector"]
        self.precision = precision or next((p for p in reversed(PRECISIONS) if p in have), "int8")
        if self.precision not in self._calibrations:
            raise BundleError(f"{self._folder} holds no calibration for {self.precision}")
        self.calibration = self._calibrations[self.precision]
        self.ids = same_graphs(self._folder, self._manifest)

    def save(self, proposal: Proposal) -> None:
        facts = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "marks": proposal.added + proposal.known,
            "before": self.ids,
        }
        made_from = {**self._manifest.made_from, "recalibrated": facts}
        self._calibrations[self.precision] = proposal.new
        if self._store is not None:
            from edge.install.local import save_calibrations

            version = self._folder.name
            save_calibrations(self._store.folder, version, self._calibrations, made_from)
            return
        changed = self._manifest._replace(calibrations=self._calibrations, made_from=made_from)
        write_manifest(self._folder, changed)
