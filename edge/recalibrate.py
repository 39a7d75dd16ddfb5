"""`edge calibrate`: a new threshold from good pictures taken on the device; no retraining."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import List, Optional

from edge.calibration import calibrate, check_rate
from edge.errors import CalibrationError, PictureError
from edge.groups import group_keys
from edge.manifest import MANIFEST, PRECISIONS, Manifest, read_manifest, write_manifest
from edge.preprocess import read_picture
from edge.runner import Runner
from edge.sources import picture_files

_IDS = 100  # of earlier calibrations that are kept


def recalibrate(
    bundle, folder, rate: Optional[float] = None, masks=None, group_by: Optional[str] = None
) -> dict:
    """Scores the good pictures below `folder` with each precision and replaces the thresholds.

    rate: the false-alarm rate; by default the one that the bundle has. masks: the station's
        `edge.station.masks.Masks`, where it has any: a threshold holds for what is looked at.
    group_by: "folder", or a regular expression in the name below `folder`: pictures of one key
        count as one, as exposures of one part should.
    Returns: precision -> old and new threshold, method and number of pictures; and "skipped",
        the pictures that could not be read, each with its reason.
    Raises: CalibrationError on a rate outside (0, 0.5], or where fewer than 8 pictures could be
        read, UserError on a pattern that a name does not match; nothing is then changed.
    """
    if rate is not None:
        check_rate(rate)
    manifest = read_manifest(bundle)
    runners = {p: Runner(bundle, p) for p in manifest.graphs.get("detector", PRECISIONS)}
    scores: dict = {p: [] for p in runners}
    skipped = []
    files = picture_files(folder)
    names = [Path(os.path.relpath(file, folder)).as_posix() for file in files]
    keys = group_keys(names, group_by)
    read = []
    for number, file in enumerate(files):
        try:
            picture, ignore = read_picture(file), None
            if masks is not None:
                picture, _, ignore = masks.view(picture, manifest.input)
            for precision, runner in runners.items():
                scores[precision].append(runner.check(picture, ignore).score)
            read.append(number)
        except PictureError as error:
            skipped.append(str(error))
    groups = keys and [keys[number] for number in read]
    try:
        new = {
            p: calibrate(s, runners[p].calibration.rate if rate is None else rate, groups)
            for p, s in scores.items()
        }
    except CalibrationError as error:
        unread = f" ({len(skipped)} more could not be read)" if skipped else ""
        raise CalibrationError(f"{folder}: {error}{unread}") from None
    recalibrated = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "folder": Path(folder).resolve().name,
        "before": same_graphs(bundle, manifest),
    }
    made_from = {**manifest.made_from, "recalibrated": recalibrated}
    write_manifest(bundle, manifest._replace(calibrations=new, made_from=made_from))
    report: dict = {p: _change(runners[p].calibration, c) for p, c in new.items()}
    return {**report, "skipped": skipped}


def same_graphs(bundle, manifest: Manifest) -> List[str]:
    """Ids of this bundle's folder and of what it was before its calibrations: the same graphs.

    A manifest with another calibration has another digest, whose start is the id that records bear.
    """
    digest = json.loads((Path(bundle) / MANIFEST).read_bytes())["digest"]
    facts = manifest.made_from.get("recalibrated")
    before = facts.get("before", []) if isinstance(facts, dict) else []
    return [digest[:12], *before][:_IDS]


def _change(old, new) -> dict:
    return {
        "old_threshold": old.threshold,
        "threshold": new.threshold,
        "false_alarm_rate": new.rate,
        "pictures": len(new.scores),
        "calibration": new.note,
    }
