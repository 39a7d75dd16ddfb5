"""The pictures and pages that the commands leave behind, from a run and its evaluation."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from edge.manifest import PRECISIONS, read_manifest
from vae_tf import plots
from vae_tf.data import Pictures, Splits
from vae_tf.detector import Detector
from vae_tf.errors import RunError
from vae_tf.evaluate import Evaluation
from vae_tf.report import select_cases, write_report
from vae_tf.run import Run, make_folder

_SHOWN = 8


def plot_training(run: Run, vae, pictures: Pictures) -> None:
    """Writes loss.png, reconstructions.png (of `pictures`) and samples.png to the run's plots/."""
    folder = run.folder / "plots"
    make_folder(folder)
    plots.save_figure(plots.loss_curves(run.history()), folder / "loss.png")
    if len(vae.data_shape) != 3:  # of sequences there is no picture to show
        return
    rows = np.arange(min(_SHOWN, len(pictures)))
    images = pictures.batch(rows)
    told = () if pictures.classes is None else (pictures.classes[rows],)
    reconstructed = _uint8(vae.reconstruct(images, *told))
    plots.save_figure(plots.reconstructions(images, reconstructed), folder / "reconstructions.png")
    count = 4 * _SHOWN
    label = np.arange(count) % vae.labels if vae.labels else None
    samples = _uint8(vae.sample(count, seed=run.config.seed, label=label))
    plots.save_figure(plots.picture_grid(samples), folder / "samples.png")


def plot_evaluation(evaluation: Evaluation, detector: Detector, folder) -> None:
    """Writes roc.png, histograms.png and sheets of the best and worst heat maps to `folder`."""
    folder = Path(folder)
    make_folder(folder)
    scores, pictures = evaluation.scored.scores, evaluation.pictures
    figures = evaluation.figures
    operating_point = figures["false_alarm_rate"], 1 - figures["miss_rate"]
    plots.save_figure(plots.roc(scores, pictures.labels, operating_point), folder / "roc.png")
    histograms = plots.histograms(scores, pictures.kinds, evaluation.calibration)
    plots.save_figure(histograms, folder / "histograms.png")
    for name, rows in select_cases(evaluation).items():
        sheet = folder / f"heatmaps_{name}.png"
        sheet.unlink(missing_ok=True)  # of an earlier evaluation that had such cases
        if len(rows):
            save_sheet(evaluation, detector, rows, sheet)


def save_sheet(evaluation: Evaluation, detector: Detector, rows, path) -> None:
    """Writes picture, reconstruction and heat map of the test pictures at `rows`."""
    pictures = evaluation.pictures.take(rows)
    scores = evaluation.scored.scores
    masks = None
    if pictures.masks is not None:
        masks = [m if np.any(m) else None for m in pictures.masks]
    sheet = plots.heatmap_sheet(
        list(pictures.batch(np.arange(len(pictures)))),
        list(evaluation.scored.heatmaps[rows]),
        evaluation.limit,
        [f"{pictures.kinds[i]}, {scores[row]:.2f}" for i, row in enumerate(rows)],
        reconstructions=list(detector.reconstruct(pictures)),
        masks=masks,
    )
    plots.save_figure(sheet, path)


def write_run_report(
    path,
    run: Run,
    detector: Detector,
    evaluation: Evaluation,
    splits: Splits | None = None,
    bundle: list[dict] | None = None,
) -> None:
    """Writes the HTML report of a run.

    splits: of the run; adds what was trained on. bundle: what `bundle_rows` says of its graphs.
    """
    write_report(
        path,
        evaluation,
        title=f"Defect detection: {run.config.data.source}",
        source=run.config.data.source,
        detector=detector,
        run=run,
        splits_summary=splits.summary() if splits else None,
        precisions=bundle,
        measured_on=f"{platform.machine()}, {platform.system()}, one thread" if bundle else None,
        training_seconds=run.training_seconds(),
    )


def bundle_rows(bundle) -> list[dict]:
    """What each precision of a bundle finds and costs, Keras first; a row of the report each.

    Latency and memory are measured here and now, in processes without TensorFlow.
    """
    manifest = read_manifest(bundle)
    rows = []
    for precision in ("keras", *PRECISIONS):
        row: dict = {"precision": "Keras" if precision == "keras" else precision}
        row.update(manifest.quality.get(precision, {}))
        if precision != "keras":
            row["detector_kib"] = manifest.graph("detector", precision).entry.size / 1024
            row.update(bench_apart(bundle, precision), precision=precision)
        rows.append(row)
    return rows


def bench_apart(bundle, precision: str) -> dict:
    """`edge bench` in a process of its own, so that memory and latency are the device's alone.

    Raises: RunError where it fails.
    """
    bundle = str(Path(bundle).resolve())
    command = [sys.executable, "-m", "edge", "bench", bundle, "--precision", precision]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"the bundle could not be timed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def _uint8(pictures) -> np.ndarray:
    return np.rint(np.clip(np.asarray(pictures), 0, 1) * 255).astype(np.uint8)
