"""The report: one HTML file that tells whoever pays for the parts how well their defects are found.

It needs nothing but itself: pictures and plots are inside, there is no script, nothing is fetched.
What is weak is said first and in plain words; the figures are those of the `Evaluation`.
"""

from __future__ import annotations

import base64
import datetime
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import betabinom, binomtest

from edge.calibration import Calibration
from edge.files import write_atomically
from edge.heatmap import overlay, png_bytes
from vae_tf import plots
from vae_tf.cases import (
    best_finds,
    is_bad,
    labels_of,
    typical_good,
    worst_false_alarms,
    worst_misses,
)
from vae_tf.detector import Detector
from vae_tf.evaluate import Evaluation
from vae_tf.run import Run, versions

_TEMPLATE = "report.html.jinja"
_TILE_BUDGET = 2_400_000  # bytes of PNG for all cases together; the page stays under 4 MB
_TILE_SIDES = (240, 160, 96, 64)  # the first whose tiles stay within the budget
_SHOWN = {"finds": 6, "misses": 6, "false_alarms": 4, "good": 2}
_MOSAIC = 6  # pictures beside each other under training
_SURPRISING = 0.01  # chance below which more false alarms than agreed are no accident


class Counts(NamedTuple):
    """How many of the test pictures met which verdict."""

    good: int
    stopped: int
    good_warned: int
    bad: int
    found: int
    bad_warned: int

    @property
    def missed(self) -> int:
        """Defective ones that did not fail, warned of or not."""
        return self.bad - self.found


class Verdict(NamedTuple):
    """What the report opens with. level: "good", "fair" or "poor"."""

    level: str
    headline: str
    remarks: list[str]


def write_report(
    path,
    evaluation: Evaluation,
    *,
    title: str,
    source: str | None = None,
    detector: Detector | None = None,
    run: Run | None = None,
    history: Mapping[str, Sequence[float]] | None = None,
    splits_summary: Sequence[str] | None = None,
    precisions: Sequence[Mapping] | None = None,
    measured_on: str | None = None,
    training_seconds: float | None = None,
) -> None:
    """Writes the report as one HTML file, whole or not at all. Whatever is None is left out.

    title: heading of the page. source: where the test pictures come from.
    detector: adds reconstructions to the heat maps, and samples from the prior.
    run: adds its settings, and its history where `history` is None.
    splits_summary: `Splits.summary()`; lines that begin with "warning:" stand out.
    precisions: a row for each, "precision" and the keys of `_PRECISION_COLUMNS`; values may be
        None. measured_on: the machine that latency and memory were measured on.
    Raises: UserError where the file cannot be written.
    """
    counts = count_verdicts(evaluation)
    if history is None and run is not None:
        history = run.history()
    context = {
        "title": title,
        "source": source,
        "date": datetime.date.today().isoformat(),
        "counts": counts,
        "figures": evaluation.figures,
        "calibration": evaluation.calibration,
        "verdict": judge(counts, evaluation.figures, evaluation.calibration),
        "intervals": {
            "found": _interval(counts.found, counts.bad),
            "stopped": _interval(counts.stopped, counts.good),
        },
        "cases": _cases(evaluation, detector),
        "scale": _scale_uri(),
        "top": detector.score.top if detector is not None else None,
        "masks": evaluation.pictures.masks is not None,
        "roc": _plot(lambda theme: _roc(evaluation, theme)),
        "histograms": _plot(lambda theme: _histograms(evaluation, theme)),
        "kinds": _kind_rows(evaluation),
        "data": _data(splits_summary),
        "losses": _plot(lambda theme: plots.loss_curves(history, theme)) if history else None,
        "epochs": max(map(len, history.values())) if history else 0,
        "mosaics": _mosaics(evaluation, detector),
        "duration": duration(training_seconds) if training_seconds is not None else None,
        "precisions": _precision_table(precisions or ()),
        "measured_on": measured_on,
        "settings": _settings(run),
        "versions": versions(),
    }
    page = _environment().get_template(_TEMPLATE).render(context)
    # File names may hold bytes that are no text.
    write_atomically(path, page.encode("utf-8", "replace"))


def count_verdicts(evaluation: Evaluation) -> Counts:
    """Counts the verdicts among good and among defective pictures."""
    labels = labels_of(evaluation.scored.scores, evaluation.calibration)
    bad = is_bad(evaluation.pictures.kinds)
    return Counts(
        good=int((~bad).sum()),
        stopped=int((labels[~bad] == "fail").sum()),
        good_warned=int((labels[~bad] == "warn").sum()),
        bad=int(bad.sum()),
        found=int((labels[bad] == "fail").sum()),
        bad_warned=int((labels[bad] == "warn").sum()),
    )


def judge(counts: Counts, figures: Mapping, calibration: Calibration) -> Verdict:
    """The verdict on the detector, in plain words. figures: `Evaluation.figures`."""
    found, auroc = counts.found / counts.bad, figures["image_auroc"]
    remarks = []
    too_many = stops_too_many(counts, calibration)
    if too_many:
        remarks.append(
            f"It was set to stop at most {percent(calibration.rate)} of the good parts and stopped "
            f"{percent(counts.stopped / counts.good)}: the good parts tested here differ from "
            "those that set the threshold. Set it again with good parts as they come now."
        )
    if auroc < 0.6:
        remarks.append("Its scores tell defective parts from good ones hardly better than chance.")
    elif auroc < 0.75:
        remarks.append("Its scores tell defective parts from good ones only poorly.")
    if counts.missed and counts.bad_warned:
        caught, bothered = counts.found + counts.bad_warned, counts.stopped + counts.good_warned
        remarks.append(
            f"Counting its warnings as well, it noticed {_of(caught, counts.bad)} of the defective "
            f"parts, at the price of {_of(bothered, counts.good)} of the good ones."
        )
    level, headline = _headline(found, auroc, too_many)
    return Verdict(level, headline, remarks)


def _headline(found: float, auroc: float, too_many: bool) -> tuple[str, str]:
    if found < 0.5:
        return "poor", "This detector misses most of the defective parts. Do not rely on it."
    if auroc < 0.75:
        return "poor", "This detector confuses good and defective parts. Do not rely on it."
    if too_many:
        return "poor", "This detector stops more good parts than agreed. Do not use it as it is."
    if found < 0.8:
        return "fair", (
            "This detector finds many of the defective parts and misses many. "
            "Use it beside your inspection, not in place of it."
        )
    if found < 0.95:
        return "fair", (
            "This detector finds most of the defective parts, not all. "
            "Keep a second inspection where a missed one is costly."
        )
    return "good", "This detector finds nearly all of the defective parts it was tested on."


def stops_too_many(counts: Counts, calibration: Calibration) -> bool:
    """Whether more good parts fail than the rate asked for and chance explain.

    For good pictures drawn like the calibration ones the number that fail is beta-binomial, since
    the threshold is itself one of their scores.
    """
    places = calibration.parts + 1
    a = max(1.0, calibration.rate * places)
    chance = betabinom.sf(counts.stopped - 1, counts.good, a, max(1.0, places - a))
    return counts.stopped / counts.good > calibration.rate and chance < _SURPRISING


def select_cases(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Indices of the pictures to show: "finds", "misses", "false_alarms" and "good" ones."""
    scores, kinds = evaluation.scored.scores, evaluation.pictures.kinds
    of = scores, kinds, evaluation.calibration
    return {
        "finds": best_finds(*of, _SHOWN["finds"]),
        "misses": worst_misses(*of, _SHOWN["misses"]),
        "false_alarms": worst_false_alarms(*of, _SHOWN["false_alarms"]),
        "good": typical_good(scores, kinds, _SHOWN["good"]),
    }


class _Tile(NamedTuple):
    caption: str
    png: bytes
    size: tuple[int, int]  # width, height

    @property
    def uri(self) -> str:
        return data_uri(self.png)


class _Case(NamedTuple):
    """A test picture with its heat map. times: the score in thresholds."""

    name: str
    kind: str
    label: str
    score: float
    times: float
    tiles: list[_Tile]


def _cases(evaluation: Evaluation, detector: Detector | None) -> dict[str, list[_Case]]:
    chosen = select_cases(evaluation)
    needed = np.unique(np.concatenate(list(chosen.values()))).astype(int)
    pictures = dict(zip(needed.tolist(), evaluation.pictures.batch(needed), strict=True))
    reconstructed = {}
    if detector is not None and len(needed):
        outputs = _reconstruct(detector, np.stack(list(pictures.values())))
        reconstructed = dict(zip(needed.tolist(), outputs, strict=True))
    cases: dict[str, list[_Case]] = {}
    for side in _TILE_SIDES:
        tiles = {i: _tiles(evaluation, i, pictures, reconstructed, side) for i in pictures}
        cases = {
            group: [_case(evaluation, i, tiles[i]) for i in map(int, indices)]
            for group, indices in chosen.items()
        }
        if sum(len(tile.png) for of in tiles.values() for tile in of) <= _TILE_BUDGET:
            break
    return cases


def _case(evaluation: Evaluation, index: int, tiles: list[_Tile]) -> _Case:
    score, calibration = float(evaluation.scored.scores[index]), evaluation.calibration
    return _Case(
        name=evaluation.pictures.names[index],
        kind=evaluation.pictures.kinds[index],
        label=calibration.label(score),
        score=score,
        times=score / calibration.threshold if calibration.threshold > 0 else float("nan"),
        tiles=tiles,
    )


def _tiles(
    evaluation: Evaluation, index: int, pictures: dict, reconstructed: dict, side: int
) -> list[_Tile]:
    picture, known = pictures[index], evaluation.pictures
    mask = None
    if known.masks is not None and known.has_mask is not None and known.has_mask[index]:
        mask = np.asarray(known.masks[index], bool)
    heatmap, limit = evaluation.scored.heatmaps[index], evaluation.limit
    tiles = [_tile("picture", plots.enlarge(picture, side))]
    if index in reconstructed:
        tiles.append(_tile("expected", plots.enlarge(reconstructed[index], side)))
    tiles.append(_tile("heat map", plots.heat_tile(picture, heatmap, limit, mask, side)))
    return tiles


def _tile(caption: str, picture: np.ndarray) -> _Tile:
    return _Tile(caption, png_bytes(picture), (picture.shape[1], picture.shape[0]))


def _reconstruct(detector: Detector, pictures: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, c): what the heat maps compare the pictures with."""
    return _as_picture(np.asarray(detector.outputs(pictures)["reconstruction"]))


def _as_picture(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _mosaics(evaluation: Evaluation, detector: Detector | None) -> dict[str, list[_Tile]]:
    """Good pictures, their reconstructions, and samples from the prior."""
    if detector is None:
        return {}
    rows = typical_good(evaluation.scored.scores, evaluation.pictures.kinds, _MOSAIC)
    good = evaluation.pictures.batch(rows)
    samples = _as_picture(np.asarray(detector.vae.sample(_MOSAIC, seed=0)))
    pictures = {"good": good, "expected": _reconstruct(detector, good), "samples": samples}
    return {n: [_tile("", plots.enlarge(p, 96)) for p in of] for n, of in pictures.items()}


class _Plot(NamedTuple):
    """A figure for white and for dark paper. size: width and height in CSS pixels."""

    light: str
    dark: str
    size: tuple[int, int]


def _plot(draw: Callable[[plots.Theme], Figure]) -> _Plot:
    light, dark = (plots.figure_png(draw(theme)) for theme in (plots.LIGHT, plots.DARK))
    with Image.open(io.BytesIO(light)) as picture:
        size = picture.size
    return _Plot(data_uri(light), data_uri(dark), size)


def _roc(evaluation: Evaluation, theme: plots.Theme) -> Figure:
    figures = evaluation.figures
    point = figures["false_alarm_rate"], 1 - figures["miss_rate"]
    return plots.roc(evaluation.scored.scores, is_bad(evaluation.pictures.kinds), point, theme)


def _histograms(evaluation: Evaluation, theme: plots.Theme) -> Figure:
    kinds = evaluation.pictures.kinds
    return plots.histograms(evaluation.scored.scores, kinds, evaluation.calibration, theme)


def _scale_uri() -> str:
    """The colours of the heat map from 0 to twice the threshold, from the heat map's own code."""
    grey = np.full((12, 480), 150, np.uint8)
    return data_uri(png_bytes(overlay(grey, np.linspace(0, 2, 480)[None].repeat(12, 0), 1.0)))


def data_uri(png: bytes) -> str:
    """The bytes of a PNG file as an address that holds them."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _kind_rows(evaluation: Evaluation) -> list[dict]:
    labels = labels_of(evaluation.scored.scores, evaluation.calibration)
    kinds = np.asarray(evaluation.pictures.kinds, object)
    rows = []
    for kind, figures in evaluation.figures["by_kind"].items():
        of_kind = labels[kinds == kind]
        counts = {label: int((of_kind == label).sum()) for label in ("fail", "warn", "pass")}
        rows.append({"kind": kind, **figures, **counts})
    return sorted(rows, key=lambda row: (-row["miss_rate"], row["kind"]))


def _data(summary: Sequence[str] | None) -> dict[str, list[str]]:
    marker = "warning:"
    lines = list(summary or ())
    return {
        "lines": [line for line in lines if not line.startswith(marker)],
        "warnings": [line[len(marker) :].strip() for line in lines if line.startswith(marker)],
    }


# key -> heading, and how a value is written
_PRECISION_COLUMNS: dict[str, tuple[str, Callable]] = {
    "image_auroc": ("AUROC", "{:.3f}".format),
    "false_alarm_rate": ("good parts stopped", lambda v: percent(v)),
    "miss_rate": ("defective missed", lambda v: percent(v)),
    "detector_kib": ("file", "{:,.0f} KiB".format),
    "p50_ms": ("time a picture", "{:.1f} ms".format),
    "interpreter_p50_ms": ("of it the network", "{:.1f} ms".format),
    "peak_rss_mb": ("memory", "{:.0f} MB".format),
}


def _precision_table(rows: Sequence[Mapping]) -> dict[str, list]:
    """Headings, and a row of texts a precision; columns without any value are left out."""
    keys = [k for k in _PRECISION_COLUMNS if any(row.get(k) is not None for row in rows)]
    texts = [
        [row["precision"]]
        + ["–" if row.get(k) is None else _PRECISION_COLUMNS[k][1](row[k]) for k in keys]
        for row in rows
    ]
    return {"heads": [_PRECISION_COLUMNS[k][0] for k in keys], "rows": texts}


def _settings(run: Run | None) -> dict[str, str]:
    if run is None:
        return {}
    record = run.config.to_dict()
    record.update({f"data {name}": value for name, value in record.pop("data").items()})
    record["input"] = " x ".join(map(str, run.spec.shape))
    return {k.replace("_", " "): f"{v}" for k, v in record.items() if v is not None}


def percent(share: float) -> str:
    """0.655 as "65.5 %", 0.66 as "66 %"."""
    return f"{100 * share:.1f}".removesuffix(".0") + "\N{NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """Seconds as "48 s", "3 min 20 s" or "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _of(k: int, n: int) -> str:
    return f"{k} of {n} ({percent(k / n)})"


def _interval(k: int, n: int) -> str:
    """What the share may be on other parts, from so few: Wilson's 95 % interval."""
    low, high = binomtest(k, n).proportion_ci(method="wilson")
    return f"{percent(low)} to {percent(high)}".replace("\N{NO-BREAK SPACE}% to", " to")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["words"] = lambda text: str(text).replace("_", " ")
    environment.globals["share_of"] = _of
    return environment
