"""How well a detector tells good from defective, on pictures that nothing was set on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import ndimage
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from edge.calibration import Calibration
from vae_tf.data import Pictures
from vae_tf.detector import Detector, Scored
from vae_tf.errors import DataError

GOOD = "good"
_MAX_PIXELS = 4_000_000  # ranked for the pixel AUROC; a sample tells the same beyond
_PRO_LIMIT = 0.3  # false-positive rate up to which PRO is averaged (Bergmann et al. 2021)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Test pictures, what the detector said of them, and the figures.

    limit: the height of a heat map that alone would reach the threshold.
    figures: JSON types; the keys of `evaluate --json`, see `image_figures` and `pixel_figures`.
    """

    pictures: Pictures
    scored: Scored
    calibration: Calibration
    limit: float
    figures: dict


def evaluate(detector: Detector, pictures: Pictures) -> Evaluation:
    """Scores labelled test pictures and measures.

    Raises: DataError unless there are good and defective ones.
    """
    require_both_kinds(pictures.kinds)
    scored = detector.examine(pictures)
    figures = image_figures(scored.scores, pictures.kinds, detector.calibrated)
    figures.update(pixel_figures(scored.heatmaps, pictures))
    limit = detector.score.limit(detector.calibrated.threshold)
    return Evaluation(pictures, scored, detector.calibrated, limit, figures)


def require_both_kinds(kinds: list[str]) -> None:
    """Raises: DataError unless good and defective pictures are among the kinds."""
    n_good = sum(kind == GOOD for kind in kinds)
    if not n_good or n_good == len(kinds):
        raise DataError(
            f"expected good and defective test pictures, got {n_good} good and "
            f"{len(kinds) - n_good} defective; lay them out as test/good and test/<kind of defect>"
        )


def image_figures(scores: np.ndarray, kinds: list[str], calibration: Calibration) -> dict:
    """Figures from one score a picture.

    scores: float (n,), higher means more anomalous. kinds: "good" or the kind of defect.
    Returns: image_auroc, average_precision, false_alarm_rate (share of good pictures that fail),
        miss_rate (share of defective ones that do not), threshold, by_kind (kind -> n, image_auroc
        against all good, miss_rate), n_good, n_bad.
    """
    named = np.asarray(kinds)
    bad = named != GOOD
    failed = np.array([calibration.label(s) == "fail" for s in scores])
    by_kind = {}
    for kind in sorted(set(kinds) - {GOOD}):
        of_kind = named == kind
        chosen = of_kind | ~bad
        by_kind[kind] = {
            "n": int(of_kind.sum()),
            "image_auroc": float(roc_auc_score(of_kind[chosen], scores[chosen])),
            "miss_rate": float(1 - failed[of_kind].mean()),
        }
    return {
        "image_auroc": float(roc_auc_score(bad, scores)),
        "average_precision": float(average_precision_score(bad, scores)),
        "false_alarm_rate": float(failed[~bad].mean()),
        "miss_rate": float(1 - failed[bad].mean()),
        "threshold": calibration.threshold,
        "calibration": calibration.note,
        "by_kind": by_kind,
        "n_good": int((~bad).sum()),
        "n_bad": int(bad.sum()),
    }


def pixel_figures(heatmaps: np.ndarray, pictures: Pictures) -> dict:
    """Figures from the heat maps against the masks, at the model's resolution.

    heatmaps: float (n, h, w). Defective pictures without a mask are left out.
    Returns: pixel_auroc and pixel_pro (per-region overlap up to 30 % false positives), None where
        no defective picture has a mask.
    """
    if pictures.masks is None:
        return {"pixel_auroc": None, "pixel_pro": None}
    known = np.ones(len(pictures), bool)
    if pictures.has_mask is not None:
        known = np.asarray(pictures.has_mask, bool)
    masks = np.asarray(pictures.masks[known], bool)
    if not masks.any():
        return {"pixel_auroc": None, "pixel_pro": None}
    heat = heatmaps[known]
    stride = -(-masks.size // _MAX_PIXELS)
    # A step that shares no factor with the width does not follow columns.
    while math.gcd(stride, masks.shape[2]) > 1:
        stride += 1
    auroc = roc_auc_score(masks.ravel()[::stride], heat.ravel()[::stride])
    return {"pixel_auroc": float(auroc), "pixel_pro": per_region_overlap(heat, masks)}


def per_region_overlap(heat: np.ndarray, masks: np.ndarray, limit: float = _PRO_LIMIT) -> float:
    """Area under the per-region-overlap curve up to a false-positive rate, scaled to 1.

    Each connected defect counts the same, however small (Bergmann et al. 2021).
    heat: float (n, h, w). masks: bool (n, h, w) with at least one true pixel.
    """
    normal = np.sort(heat[~masks])[::-1]
    rates = np.linspace(0, limit, 201)
    cuts = normal[np.minimum((rates * normal.size).astype(int), normal.size - 1)]
    overlaps = []
    for picture, mask in zip(heat, masks, strict=True):
        regions, count = ndimage.label(mask)
        for region in range(1, count + 1):
            values = np.sort(picture[regions == region])
            overlaps.append(1 - np.searchsorted(values, cuts, side="right") / values.size)
    return float(auc(rates, np.mean(overlaps, axis=0)) / limit)


def table(figures: dict) -> str:
    """The figures as lines for a person."""
    lines = [
        f"{figures['n_good']} good, {figures['n_bad']} defective pictures",
        f"image AUROC        {figures['image_auroc']:.3f}",
        f"average precision  {figures['average_precision']:.3f}",
    ]
    if figures["pixel_auroc"] is not None:
        lines.append(f"pixel AUROC        {figures['pixel_auroc']:.3f}")
        lines.append(f"pixel PRO          {figures['pixel_pro']:.3f}")
    lines += [
        f"false alarms       {figures['false_alarm_rate']:.1%}",
        f"misses             {figures['miss_rate']:.1%}",
        f"threshold          {figures['threshold']:.4g} ({figures['calibration']})",
        "",
        f"{'kind':<20}{'n':>6}{'AUROC':>8}{'missed':>9}",
    ]
    lines += [
        f"{kind:<20}{f['n']:>6}{f['image_auroc']:>8.3f}{f['miss_rate']:>9.1%}"
        for kind, f in figures["by_kind"].items()
    ]
    return "\n".join(lines)
