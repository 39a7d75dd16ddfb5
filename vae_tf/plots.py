"""Plots as matplotlib figures: made with the object API, so nothing global is touched.

Each function returns a Figure to show in a notebook or to save. Pictures are uint8; higher scores
mean more anomalous. Colours stay apart for colour-blind readers and in black and white.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve

from edge.calibration import Calibration
from edge.files import write_atomically
from edge.heatmap import overlay
from vae_tf.evaluate import GOOD

OUTLINE = (0, 150, 255)  # of a true defect: no colour of the heat map comes near it

_DPI = 160
_TILE = 240  # pixels that the longer side of a small picture is enlarged to, at least
_SKIPPED = 0.1  # share of the epochs whose large first losses do not set the scale
_LOG_RATIO = 20  # highest to lowest score from which the bins are logarithmic


class Theme(NamedTuple):
    """Colours of a figure."""

    paper: str
    ink: str
    grid: str
    good: str
    bad: str
    fail: str
    warn: str


LIGHT = Theme("#ffffff", "#25303b", "#dfe4e8", "#2f6fae", "#d1552b", "#a32020", "#8a6a00")
DARK = Theme("#191f25", "#d5dce2", "#333c45", "#6aa7e0", "#f08a5f", "#ff8b80", "#e0bd55")


def loss_curves(history: Mapping[str, Sequence[float]], theme: Theme = LIGHT) -> Figure:
    """Loss, its two terms and the active units over the epochs.

    history: column -> a value an epoch, as `Run.history` gives it: "loss", "reconstruction", "kl",
        "active_units", each also with "val_" in front; those that are missing are left out.
    """
    panels = [
        ("loss", "loss\n(nats a picture)"),
        ("reconstruction", "reconstruction\n(nats)"),
        ("kl", "KL (nats)"),
        ("active_units", "active latents"),
    ]
    panels = [p for p in panels if p[0] in history or f"val_{p[0]}" in history]
    if not panels:
        raise ValueError(
            f"`history` must have a column such as loss. Received: {', '.join(history) or 'none'}"
        )
    figure = _figure((5.4, 1.0 + 1.35 * len(panels)), theme)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for place, (name, label) in zip(axes, panels, strict=True):
        _style(place, theme)
        shown = {
            "training": (history.get(name), theme.good, "-"),
            "validation": (history.get(f"val_{name}"), theme.bad, "--"),
        }
        for of, (values, colour, line) in shown.items():
            if values is not None:
                epochs = np.arange(1, len(values) + 1)
                marker = "o" if len(values) < 3 else None
                place.plot(epochs, values, line, color=colour, label=of, marker=marker)
        limits = _limits([v for v, *_ in shown.values() if v is not None])
        if limits and name in ("loss", "reconstruction"):
            place.set_ylim(*limits)
        place.set_ylabel(label)
        place.yaxis.set_major_locator(MaxNLocator(4))
    figure.align_ylabels(axes)
    axes[-1].margins(x=0.01)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("epoch")
    if len(axes[0].get_legend_handles_labels()[1]) > 1:
        _legend(axes[0], theme)
    return figure


def _limits(columns: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Limits that the end of a curve can be read in, though it began far above."""
    kept = np.concatenate([np.asarray(c[int(_SKIPPED * len(c)) :], float) for c in columns])
    kept = kept[np.isfinite(kept)]
    if not kept.size or kept.max() == kept.min():
        return None
    margin = 0.08 * (kept.max() - kept.min())
    return kept.min() - margin, kept.max() + margin


def reconstructions(images: np.ndarray, reconstructed: np.ndarray, theme: Theme = LIGHT) -> Figure:
    """Originals above their reconstructions. images, reconstructed: uint8 (n, h, w, c)."""
    rows = [list(images), list(reconstructed)]
    return _mosaic(rows, ["original", "reconstruction"], theme)


def picture_grid(images: np.ndarray, columns: int = 8, theme: Theme = LIGHT) -> Figure:
    """Pictures in rows, such as samples from the prior. images: uint8 (n, h, w, c)."""
    rows = [list(images[i : i + columns]) for i in range(0, len(images), columns)]
    return _mosaic(rows, None, theme)


def _mosaic(rows: list[list[np.ndarray]], labels: list[str] | None, theme: Theme) -> Figure:
    if not rows or not rows[0]:
        raise ValueError("expected at least one picture, got none")
    columns = max(map(len, rows))
    tile = _tile_size(rows[0][0], min(1.1, 7.0 / columns))
    figure, grid = _tiles(len(rows), columns, tile, theme, left=0.22 if labels else 0.0)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            _show(grid[r][c], picture)
        if labels:
            grid[r][0].set_ylabel(labels[r], color=theme.ink, fontsize=8, labelpad=3)
    return figure


def roc(
    scores: np.ndarray,
    labels: np.ndarray,
    operating_point: tuple[float, float] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """The detection rate against the false-alarm rate over all thresholds.

    scores: float (n,). labels: bool (n,), True for defective; both kinds must occur.
    operating_point: (false-alarm rate, detection rate) at the threshold in use.
    """
    false_alarms, detections, _ = roc_curve(labels, scores)
    figure = _figure((5.4, 4.4), theme)
    axes = _style(figure.subplots(), theme)
    axes.plot([0, 1], [0, 1], ":", color=theme.ink, alpha=0.6, label="chance")
    auroc = roc_auc_score(labels, scores)
    axes.plot(false_alarms, detections, color=theme.good, lw=2, label=f"AUROC {auroc:.3f}")
    if operating_point is not None:
        x, y = operating_point
        label = f"at the threshold: {x:.1%} stopped,\n{y:.1%} found"
        axes.plot(x, y, "o", ms=9, color=theme.bad, mec=theme.paper, clip_on=False, label=label)
        axes.lines[-1].set_zorder(5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.set_xlabel("good parts stopped")
    axes.set_ylabel("defective parts found")
    _legend(axes, theme, loc="lower right")
    return figure


def histograms(
    scores: np.ndarray, kinds: Sequence[str], calibration: Calibration, theme: Theme = LIGHT
) -> Figure:
    """Scores of good and of defective pictures, with the thresholds.

    scores: float (n,). kinds: "good" or the kind of defect, n of them.
    """
    scores = np.asarray(scores, float)
    bad = np.asarray(kinds) != GOOD
    figure = _figure((5.4, 4.4), theme)
    axes = _style(figure.subplots(), theme)
    thresholds = (calibration.warn_threshold, calibration.threshold)
    edges, logarithmic = _bins(np.concatenate([scores[np.isfinite(scores)], thresholds]))
    if logarithmic:
        axes.set_xscale("log")
    groups = [
        ("good", ~bad, {"color": theme.good, "alpha": 0.55}),
        ("defective", bad, {"color": theme.bad, "histtype": "step", "lw": 2, "hatch": "///"}),
    ]
    for name, chosen, look in groups:
        values = scores[chosen & np.isfinite(scores)]
        if values.size:
            weights = np.full(values.size, 1 / values.size)
            axes.hist(values, edges, weights=weights, label=f"{name} ({values.size})", **look)
    warn, fail = thresholds
    if warn < fail:
        axes.axvline(warn, color=theme.warn, lw=1.8, ls="--", label=f"warn above {warn:.3g}")
    axes.axvline(fail, color=theme.fail, lw=1.8, label=f"fail above {fail:.3g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("anomaly score" + (" (logarithmic)" if logarithmic else ""))
    axes.set_ylabel("share of the pictures")
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(frameon=False, labelcolor=theme.ink, ncols=2, **place)
    return figure


def _bins(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Edges of the bins, and whether they are logarithmic."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > _LOG_RATIO:
        return np.geomspace(low, high, 41), True
    if high - low <= 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, 41), False


def heatmap_sheet(
    pictures: Sequence[np.ndarray],
    heatmaps: Sequence[np.ndarray],
    threshold: float,
    titles: Sequence[str],
    reconstructions: Sequence[np.ndarray] | None = None,
    masks: Sequence[np.ndarray | None] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """A row a picture: itself, its reconstruction, and the heat map with the true defect outlined.

    pictures, reconstructions: uint8 (h, w, c) each. heatmaps: float (h, w) each, in the scores'
    units, as is threshold. masks: bool (h, w) or None each.
    """
    n = len(pictures)
    if not n:
        raise ValueError("expected at least one picture, got none")
    heads = ["picture", *(["reconstruction"] if reconstructions is not None else []), "heat map"]
    tile = _tile_size(pictures[0], 1.9)
    figure, grid = _tiles(n, len(heads), tile, theme, above=0.26, top=0.26)
    for i, places in enumerate(grid):
        mask = masks[i] if masks is not None else None
        tiles = [enlarge(pictures[i]), heat_tile(pictures[i], heatmaps[i], threshold, mask)]
        if reconstructions is not None:
            tiles.insert(1, enlarge(reconstructions[i]))
        for place, shown in zip(places, tiles, strict=True):
            _show(place, shown)
        # File names may hold a dollar sign: no formulas.
        places[0].set_title(
            titles[i], loc="left", color=theme.ink, fontsize=9, pad=4, parse_math=False
        )
    for place, head in zip(grid[0], heads, strict=True):
        _note(place, (0.5, 1), (0, 20), head, theme.ink, ha="center")
    return figure


def heat_tile(
    picture: np.ndarray,
    heatmap: np.ndarray,
    threshold: float,
    mask: np.ndarray | None = None,
    side: int = _TILE,
) -> np.ndarray:
    """The heat map over the picture, enlarged, with the outline of the true defect.

    picture: uint8 (h, w, c). heatmap: float (h, w). mask: bool (h, w). side: see `enlarge`.
    Returns: uint8 (H, W, 3).
    """
    large = enlarge(picture, side)
    tile = overlay(large, heatmap, threshold)
    if mask is not None and np.any(mask):
        tile[_outline(np.asarray(mask, bool), tile.shape[:2])] = OUTLINE
    return tile


def enlarge(picture: np.ndarray, side: int = _TILE) -> np.ndarray:
    """A small picture by a whole factor, each pixel a square, until its longer side has `side`.

    picture: uint8 (h, w, c). Returns: uint8 (H, W, c); larger pictures are shrunk to twice `side`.
    """
    height, width = picture.shape[:2]
    longer = max(height, width)
    if longer > 2 * side:
        size = max(1, width * 2 * side // longer), max(1, height * 2 * side // longer)
        image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
        shrunk = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        return shrunk.reshape(*shrunk.shape[:2], picture.shape[2])
    factor = -(-side // longer)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _outline(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A line just outside the region, bool of `shape`, thick enough to be seen at a glance."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    region = np.asarray(image.resize(shape[::-1], Image.Resampling.NEAREST)) > 0
    grown = region
    for _ in range(max(1, round(max(shape) / 120))):
        padded = np.pad(grown, 1)
        rows = padded[:-2] | padded[1:-1] | padded[2:]
        grown = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return grown & ~region


def save_figure(figure: Figure, path) -> None:
    """Writes a PNG file, whole or not at all. Raises: UserError where it cannot be written."""
    write_atomically(path, figure_png(figure))


def figure_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A file name in letters that the font lacks shows boxes, and that is all it does.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _figure(size: tuple[float, float], theme: Theme) -> Figure:
    return Figure(figsize=size, layout="constrained", facecolor=theme.paper)


def _style(axes, theme: Theme):
    axes.set_facecolor(theme.paper)
    axes.grid(color=theme.grid, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.ink)
    axes.tick_params(which="both", colors=theme.ink)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    return axes


def _legend(axes, theme: Theme, **options) -> None:
    axes.legend(facecolor=theme.paper, edgecolor=theme.grid, labelcolor=theme.ink, **options)


def _note(axes, at, shift, text: str, colour: str, coords="axes fraction", **align) -> None:
    look = {"color": colour, "fontsize": 9, "fontweight": "bold"}
    axes.annotate(text, at, shift, xycoords=coords, textcoords="offset points", **look, **align)


def _tile_size(picture: np.ndarray, width: float) -> tuple[float, float]:
    """Inches (w, h) of a tile; a picture far from square does not make a strip or a tower."""
    aspect = picture.shape[0] / picture.shape[1]
    return width, width * min(max(aspect, 0.25), 2.5)


def _tiles(rows: int, columns: int, tile, theme: Theme, left=0.0, above=0.0, top=0.0):
    """A figure of axes without ticks for pictures, laid out by inches.

    left: beside the rows. above: over each row. top: over all.
    """
    gap = 0.05
    width = left + columns * (tile[0] + gap) + gap
    height = top + rows * (above + tile[1] + gap) + gap
    figure = Figure(figsize=(width, height), facecolor=theme.paper)
    grid = []
    for r in range(rows):
        bottom = height - top - (r + 1) * (above + tile[1] + gap)
        places = []
        for c in range(columns):
            x = left + gap + c * (tile[0] + gap)
            box = (x / width, bottom / height, tile[0] / width, tile[1] / height)
            place = figure.add_axes(box, xticks=[], yticks=[], facecolor="none")
            place.spines[:].set_visible(False)
            places.append(place)
        grid.append(places)
    return figure, grid


def _show(axes, picture: np.ndarray) -> None:
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    axes.imshow(picture, interpolation="antialiased")
