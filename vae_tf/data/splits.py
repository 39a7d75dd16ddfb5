"""Which good picture trains, which validates, which calibrates: seeded, disjoint, on record.

The threshold is set on good pictures that training never saw, in any way: on seen ones the model
does better than it will on the next part, and the threshold would come out too low.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edge.errors import UserError
from edge.groups import group_keys
from edge.preprocess import InputSpec
from vae_tf.data.duplicates import DuplicateReport
from vae_tf.data.pictures import Pictures
from vae_tf.errors import DataError

MIN_GOOD = 16  # good pictures, below which nothing can be trained and calibrated
MIN_GROUPS = 4
MIN_SIDE = 8  # pictures at least on either side of the split
MAX_CALIBRATION = 2000  # more tell no more about a threshold
VALIDATION = 0.1  # share of what calibration leaves, for early stopping
MIN_FOR_VALIDATION = 50


@dataclasses.dataclass(frozen=True)
class Splits:
    """A source, split. validation and test may be empty; test holds good and defective ones.

    spec: what all pictures were prepared to. skipped: (name, reason) of what could not be read.
    duplicates: near-duplicates found across the splits. class_names: in the order of
    `Pictures.classes`, where the pictures were loaded by class.
    """

    train: Pictures
    validation: Pictures
    calibration: Pictures
    test: Pictures
    spec: InputSpec
    skipped: list[tuple[str, str]]
    duplicates: DuplicateReport
    source: str
    seed: int
    calibration_share: float
    group_by: str | None
    class_names: tuple[str, ...] | None = None

    @property
    def calibration_groups(self) -> list[str] | None:
        """The group of each calibration picture; None where none belong together."""
        return group_keys(self.calibration.names, self.group_by)

    def to_json(self) -> dict:
        """What a run records: every name in every split, and how they came there."""
        return {
            "source": self.source,
            "spec": self.spec._asdict(),
            "seed": self.seed,
            "calibration_share": self.calibration_share,
            "group_by": self.group_by,
            "splits": {
                name: getattr(self, name).names
                for name in ("train", "validation", "calibration", "test")
            },
            "skipped": self.skipped,
            "duplicates": self.duplicates.to_json(),
            "classes": self.class_names and list(self.class_names),
        }

    def summary(self) -> list[str]:
        """Lines for a person."""
        spec = self.spec
        colour = "grey" if spec.channels == 1 else "RGB"
        if self.class_names:
            return self._summary_by_class()
        bad = int(self.test.labels.sum())
        lines = [
            f"{self.source}: {colour} pictures of {spec.height} x {spec.width} (height x width)",
            f"good pictures: {len(self.train)} to train, {len(self.validation)} to validate, "
            f"{len(self.calibration)} to calibrate"
            + (f", grouped by {self.group_by}" if self.group_by else ""),
            f"test pictures: {len(self.test) - bad} good, {bad} defective",
        ]
        return lines + self._remarks()

    def _summary_by_class(self) -> list[str]:
        spec, names = self.spec, self.class_names or ()
        colour = "grey" if spec.channels == 1 else "RGB"
        return [
            f"{self.source}: {colour} pictures of {spec.height} x {spec.width} (height x width)",
            f"{len(names)} classes: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}",
            f"pictures: {len(self.train)} to train, {len(self.validation)} to validate, "
            f"{len(self.calibration)} to verify, {len(self.test)} to test",
            *self._remarks(),
        ]

    def _remarks(self) -> list[str]:
        lines = []
        if self.skipped:
            shown = "; ".join(f"{name} ({reason})" for name, reason in self.skipped[:3])
            more = f"; {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""
            lines.append(f"skipped, unreadable: {len(self.skipped)}: {shown}{more}")
        for overlap in self.duplicates.overlaps:
            sampled = ", of a sample" if overlap.sampled else ""
            lines.append(
                f"near-duplicates: {overlap.count} of {overlap.checked} {overlap.second} pictures "
                f"({overlap.share:.1%}{sampled}) have one in {overlap.first}"
            )
        if self.duplicates.warning:
            lines.append(f"warning: {self.duplicates.warning}")
        return lines


def split_good(
    names: Sequence[str], group_by: str | None, calibration: float, seed: int, skipped: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deals good pictures out.

    names: of the pictures, relative to the source. group_by: "folder", or a regular expression
        searched in the name; pictures of one key stay on one side. calibration: share, 0 to 1.
    skipped: how many more could not be read, for the error message.
    Returns: rows to train, validate and calibrate with, each sorted, together every row once.
        Single pictures meet the shares to the picture, groups to within the largest group.
    Raises: DataError where there are too few pictures or groups.
    """
    if not 0 < calibration < 1:
        raise DataError(f"calibration: expected a share between 0 and 1, got {calibration}")
    if len(names) < MIN_GOOD:
        raise DataError(
            f"expected at least {MIN_GOOD} readable pictures of good parts, got {len(names)}"
            + (f"; {skipped} could not be read" if skipped else "")
            + "; add pictures"
        )
    groups = _groups(names, group_by)
    rng = np.random.default_rng([seed, 1])
    order = [groups[i] for i in rng.permutation(len(groups))]
    target = min(MAX_CALIBRATION, max(MIN_SIDE, round(calibration * len(names))))
    target = min(target, len(names) - MIN_SIDE)
    held, rest = _take(order, target, at_least=MIN_SIDE, leave=MIN_SIDE)
    if held is None:
        raise DataError(
            f"no split by {group_by} keeps {MIN_SIDE} pictures on either side: the largest of "
            f"{len(groups)} groups holds {max(map(len, groups))} of {len(names)} pictures"
        )
    left = sum(map(len, rest))
    checked = None
    if left >= MIN_FOR_VALIDATION:
        checked, remaining = _take(rest, round(VALIDATION * left), 1, leave=left // 2)
        rest = rest if checked is None else remaining
    return _rows(rest), _rows(checked or []), _rows(held)


def _groups(names: Sequence[str], group_by: str | None) -> list[list[int]]:
    try:
        keys = group_keys(names, group_by)
    except UserError as error:
        raise DataError(str(error)) from None
    if keys is None:
        return [[row] for row in range(len(names))]
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    if len(groups) < MIN_GROUPS:
        raise DataError(
            f"group by {group_by}: expected at least {MIN_GROUPS} groups, got {len(groups)} "
            f"({', '.join(sorted(groups))}); group by something finer, or not at all"
        )
    return list(groups.values())


def _take(groups: list[list[int]], target: int, at_least: int, leave: int):
    """Takes whole groups until they hold about `target` rows, and leaves at least `leave`.

    A group is taken where it brings the count nearer to the target than it was.
    Returns: (taken, rest), or (None, groups) where no choice was found.
    """
    total = sum(map(len, groups))
    taken, rest, count = [], [], 0
    for group in groups:
        size = len(group)
        if abs(count + size - target) < target - count and total - count - size >= leave:
            taken.append(group)
            count += size
        else:
            rest.append(group)
    if count < at_least:  # only large groups are left: the smallest does the least harm
        for group in sorted(rest, key=len):
            if count < at_least and total - count - len(group) >= leave:
                taken.append(group)
                rest.remove(group)
                count += len(group)
    return (taken, rest) if count >= at_least else (None, groups)


def _rows(groups: list[list[int]]) -> np.ndarray:
    return np.array(sorted(row for group in groups for row in group), np.int64)
