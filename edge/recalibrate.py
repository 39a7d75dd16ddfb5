"""`edge calibrate`: a new threshold from good pictures taken on the device; no retraining."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional

from edge.calibration import calibrate, check_rate
from edge.errors import CalibrationError, PictureError
from edge.manifest import PRECISIONS, read_manifest, write_manifest
from edge.preprocess import read_picture
from edge.runner import Runner
from edge.sources import picture_files


def recalibrate(bundle, folder, rate: Optional[float] = None) -> dict:
    """Scores the good pictures below `folder` with each precision and replaces the thresholds.

    rate: the false-alarm rate; by default the one that the bundle has.
    Returns: precision -> old and new threshold, method and number of pictures; and "skipped",
        the pictures that could not be read, each with its reason.
    Raises: CalibrationError on a rate outside (0, 0.5], or where fewer than 8 pictures could be
        read; nothing is then changed.
    """
    if rate is not None:
        check_rate(rate)
    manifest = read_manifest(bundle)
    runners = {p: Runner(bundle, p) for p in manifest.graphs.get("detector", PRECISIONS)}
    scores: dict = {p: [] for p in runners}
    skipped = []
    for file in picture_files(folder):
        try:
            picture = read_picture(file)
            for precision, runner in runners.items():
                scores[precision].append(runner.check(picture).score)
        except PictureError as error:
            skipped.append(str(error))
    try:
        new = {
            p: calibrate(s, runners[p].calibration.rate if rate is None else rate)
            for p, s in scores.items()
        }
    except CalibrationError as error:
        unread = f" ({len(skipped)} more could not be read)" if skipped else ""
        raise CalibrationError(f"{folder}: {error}{unread}") from None
    recalibrated = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "folder": Path(folder).resolve().name,
    }
    made_from = {**manifest.made_from, "recalibrated": recalibrated}
    write_manifest(bundle, manifest._replace(calibrations=new, made_from=made_from))
    report: dict = {p: _change(runners[p].calibration, c) for p, c in new.items()}
    return {**report, "skipped": skipped}


def _change(old, new) -> dict:
    return {
        "old_threshold": old.threshold,
        "threshold": new.threshold,
        "false_alarm_rate": new.rate,
        "pictures": len(new.scores),
        "calibration": new.note,
    }
