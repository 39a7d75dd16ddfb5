"""A run's splits from the decoded pictures that it keeps, whether or not their source is there."""

from __future__ import annotations

import os

from edge.preprocess import InputSpec
from vae_tf.data.cache import Loaded, read_caches
from vae_tf.data.classes import by_class
from vae_tf.data.duplicates import DuplicateReport, Overlap
from vae_tf.data.pictures import Pictures
from vae_tf.data.splits import Splits
from vae_tf.errors import RunError

_GOOD_SPLITS = ("train", "validation", "calibration")


def load_saved(cache_dir: str | os.PathLike, record: dict) -> Splits:
    """Undoes `Splits.to_json`. cache_dir: what `load_data` was given when it split them.

    Raises: RunError where the pictures of the record are not all there.
    """
    spec, names = InputSpec(**record["spec"]), record["splits"]
    caches = [c for c in read_caches(cache_dir) if c.spec == spec]
    good = _holding(caches, [n for split in _GOOD_SPLITS for n in names[split]], cache_dir)
    rows = {name: row for row, name in enumerate(good.names)}
    test = good.take([])
    if names["test"]:
        test = _holding(caches, names["test"], cache_dir)
    classes = record.get("classes")
    if classes:
        good, test = by_class(good, classes), by_class(test, classes)
    return Splits(
        **{split: good.take([rows[n] for n in names[split]]) for split in _GOOD_SPLITS},
        test=test,
        spec=spec,
        skipped=[(name, reason) for name, reason in record["skipped"]],
        duplicates=_report(record["duplicates"]),
        source=record["source"],
        seed=record["seed"],
        calibration_share=record["calibration_share"],
        group_by=record["group_by"],
        class_names=tuple(classes) if classes else None,
    )


def _holding(caches: list[Loaded], names: list[str], cache_dir) -> Pictures:
    """The pictures of the cache that holds just these names."""
    wanted = sorted(names)
    for cache in caches:
        if sorted(cache.pictures.names) == wanted:
            return cache.pictures
    raise RunError(
        f"{cache_dir}: {len(names)} pictures of the run are missing or damaged; "
        "train again, or copy the whole run directory"
    )


def _report(record: dict) -> DuplicateReport:
    overlaps = []
    for overlap in record["overlaps"]:
        known = {k: v for k, v in overlap.items() if k != "share"}
        overlaps.append(Overlap(**{**known, "worst": tuple(map(tuple, known["worst"]))}))
    return DuplicateReport(tuple(overlaps), record["threshold"])
