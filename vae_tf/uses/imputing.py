"""`impute` on pictures of a run: what to look at, and the figures beside simple methods."""

from __future__ import annotations

import numpy as np

from vae_tf.data.parts import read_mask, resize_mask
from vae_tf.errors import ArgumentError
from vae_tf.uses import sheet
from vae_tf.uses.impute import Imputation, impute, interval_factor, to_units
from vae_tf.uses.metrics import coverage, rmse
from vae_tf.uses.subject import Subject

_SHOWN = 6  # pictures
_SHOWN_DRAWS = 3
_GAP_COLOUR = np.array((0.85, 0.2, 0.45), np.float32)  # no colour of a part
_NEIGHBOURS, _ROWS = 5, 2000  # of kNN imputation: neighbours, and pictures to find them among


def of_held_out(subject: Subject, options, label) -> tuple[np.ndarray, dict]:
    """Half of the held-out pictures set the intervals, the other half is measured on."""
    if not 0.0 < options.missing < 1.0:
        raise ArgumentError(f"--missing {options.missing:g}: expected a share between 0 and 1")
    x = subject.first(options.number)
    if len(x) < 4:
        raise ArgumentError(f"--number {options.number}: expected 4 pictures or more")
    rng = np.random.default_rng(options.seed)
    missing = rng.random(x.shape[:3]) < options.missing
    half = len(x) // 2
    how = {"draws": options.draws, "how": options.how, "label": label, "seed": options.seed}
    first = impute(subject.vae, x[:half], missing[:half], **how)
    factor = interval_factor(first, x[:half], options.level)
    done = impute(subject.vae, x[half:], missing[half:], **how)
    truth = to_units(x[half:])
    low, high = done.interval(factor)
    reference, _ = subject.reference(label)
    judged = done.missing & np.isfinite(truth)  # a sequence may have had gaps before
    figures = {
        "n": len(truth),
        "missing": options.missing,
        "rmse": rmse(done.x, truth, judged),
        **baselines(truth, judged, to_units(reference[-_ROWS:])),
        "level": options.level,
        "coverage": coverage(low, high, truth, judged),
        "mean_width": float((high - low)[judged].mean()),
    }
    return picture(done, factor, truth), figures


def of_pictures(subject: Subject, options, label) -> tuple[np.ndarray, dict]:
    """Pictures of the user's, with gaps where a mask is white."""
    if not options.mask:
        raise ArgumentError(
            "--mask FILE: expected a picture that is white where pixels are missing"
        )
    x = subject.pictures(options.pictures)
    mask = resize_mask(read_mask(options.mask), *x.shape[1:3])
    done = impute(subject.vae, x, mask, options.draws, options.how, label=label, seed=options.seed)
    return picture(done), {"n": len(x), "missing": float(mask.mean())}


def baselines(truth, missing, reference) -> dict[str, float]:
    """Errors of simple methods: the mean of each element, and of its nearest neighbours.

    truth: float (n, ...). missing: bool, alike. reference: float (m, ...), whole examples.
    Returns: `rmse_mean` and `rmse_knn` (scikit-learn's KNNImputer, 5 neighbours).
    """
    from sklearn.impute import KNNImputer

    mean = np.where(missing, np.nanmean(reference, axis=0), truth)
    # It drops columns that are missing everywhere; the reference has them all.
    knn = KNNImputer(n_neighbors=min(_NEIGHBOURS, len(reference)), keep_empty_features=True)
    knn.fit(reference.reshape(len(reference), -1))
    gappy = np.where(missing, np.nan, truth).reshape(len(truth), -1)
    filled = knn.transform(gappy).reshape(truth.shape)
    return {"rmse_mean": rmse(mean, truth, missing), "rmse_knn": rmse(filled, truth, missing)}


def picture(done: Imputation, factor: float | None = None, truth=None) -> np.ndarray:
    """A column a picture: with gaps, filled, single draws, how wide the interval is, the truth."""
    shown = slice(_SHOWN)
    gappy = np.where(done.missing[shown], np.nan, done.x[shown])
    limits = float(done.x.min()), float(done.x.max())
    if gappy.ndim == 4:
        gone = done.missing[shown].any(axis=-1, keepdims=True)
        gappy = np.where(gone, _GAP_COLOUR, np.broadcast_to(gappy, (*gappy.shape[:3], 3)))
    rows, words = [gappy, done.x[shown]], ["given", "filled in"]
    for i, draw in enumerate(done.draws[:_SHOWN_DRAWS]):
        rows.append(draw[shown])
        words.append(f"draw {i + 1}")
    width = done.spread if factor is None else (done.interval(factor)[1] - done.x) * done.missing
    rows.append(width[shown] / max(float(width[shown].max()), 1e-9))
    words.append("how unsure")
    if truth is not None:
        rows.append(truth[shown])
        words.append("the original")
    return sheet.rows_of([sheet.tiles(row, limits, side=96) for row in rows], words)
