"""The worst misses and the worst false alarms of a run, laid out as one picture to look at.

    python -m benchmarks.failures RUN OUT.png

A row of good pictures that score highest; then, for each kind of defect, a row of those that score
lowest; under each its heat map, on the scale of the threshold, with the true defect outlined.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image, ImageDraw

from edge.errors import UserError
from edge.files import write_atomically
from edge.heatmap import png_bytes
from vae_tf.data.pictures import GOOD
from vae_tf.evaluate import evaluate
from vae_tf.plots import enlarge, heat_tile
from vae_tf.run import Run

_SIDE = 96  # pixels of a tile
_MARGIN = 4
_LINE = 14  # of text


def sheet(run_folder, count: int = 8) -> np.ndarray:
    """uint8 (H, W, 3). count: pictures a row."""
    run = Run.open(run_folder)
    test = run.load_splits().test
    detector = run.load_detector()
    evaluation = evaluate(detector, test)
    scores, kinds = evaluation.scored.scores, np.asarray(test.kinds, object)
    limit = detector.score.limit(detector.calibrated.threshold)
    rows = []
    for kind in [GOOD, *sorted(set(kinds) - {GOOD})]:
        found = np.flatnonzero(kinds == kind)
        order = found[np.argsort(scores[found], kind="stable")]
        title = f"worst false alarms: {GOOD}" if kind == GOOD else f"worst misses: {kind}"
        chosen = order[::-1][:count] if kind == GOOD else order[:count]
        tiles = [_tile(evaluation, int(i), limit) for i in chosen]
        rows.append(_row(f"{title}; threshold {detector.calibrated.threshold:.2f}", tiles))
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    )


def _tile(evaluation, i: int, limit: float) -> np.ndarray:
    """The picture, its heat map and its score, one above the other."""
    test, scored = evaluation.pictures, evaluation.scored
    picture = next(iter(test.take(np.array([i])).batches(1)))[0]
    mask = None if test.masks is None else np.asarray(test.masks[i])
    plain = enlarge(picture, _SIDE)
    plain = np.broadcast_to(plain, (*plain.shape[:2], 3))
    heat = heat_tile(picture, scored.heatmaps[i], limit, mask, _SIDE)
    text = Image.new("RGB", (plain.shape[1], _LINE), "white")
    ImageDraw.Draw(text).text((1, 1), f"{scored.scores[i]:.2f}", fill="black")
    return np.concatenate([plain, heat, np.asarray(text)])


def _row(title: str, tiles: list[np.ndarray]) -> np.ndarray:
    spaced = [np.pad(t, ((0, 0), (0, _MARGIN), (0, 0)), constant_values=255) for t in tiles]
    row = np.concatenate(spaced, axis=1)
    head = Image.new("RGB", (row.shape[1], _LINE + _MARGIN), "white")
    ImageDraw.Draw(head).text((1, _MARGIN), title, fill="black")
    return np.concatenate([np.asarray(head), row])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=8, help="pictures a row (8)")
    options = parser.parse_args()
    try:
        write_atomically(options.out, png_bytes(sheet(options.run, options.count)))
    except UserError as error:
        print(f"failures: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
