"""The whole main job on the embedded data: train, export, check on the device, report."""

from __future__ import annotations

import io
from pathlib import Path

from edge.check import check
from edge.files import write_atomically
from edge.heatmap import png_bytes
from vae_tf.config import Config, DataConfig
from vae_tf.data import Pictures
from vae_tf.evaluate import evaluate
from vae_tf.results import bundle_rows, plot_evaluation, write_run_report
from vae_tf.run import make_folder
from vae_tf.train import train

_CHECKED_OF_EACH_KIND = 10
# So that a few checked parts show both kinds of error; a line would rather be told less often.
_FALSE_ALARM_RATE = 0.04
# A demonstration is waited for: of the 128 px that the parts have these show as much in half the
# time, which is better spent on more steps.
_SIZE, _STEPS = (80, 80), 1800
_RATE = 0.012  # so few steps find more at a short training's rate
_NOISE = 1.0  # making the parts smaller takes most of a camera's away


def demo(out, say=print, config: Config | None = None) -> Path:
    """Runs every step into `out`; what is there already from an earlier call is used again.

    config: another run than the embedded `surfaces` at 80 x 80 pixels, with 4 % false alarms.
    Returns: the report, `out`/report.html.
    """
    from export.bundle import export  # export builds on vae_tf, and only the demo needs it here

    out = Path(out)
    config = config or Config.for_preset(
        DataConfig("surfaces", size=_SIZE),
        "quick",
        steps=_STEPS,
        learning_rate=_RATE,
        camera_noise=_NOISE,
        false_alarm_rate=_FALSE_ALARM_RATE,
    )
    say("1/4 training on good parts")
    run = train(config, out / "run", resume=True, say=say)
    say("2/4 evaluating on parts it has not seen")
    splits = run.load_splits()
    detector = run.load_detector()
    evaluation = evaluate(detector, splits.test)
    plot_evaluation(evaluation, detector, run.folder / "plots")
    say("3/4 exporting and verifying the bundle")
    export(run.folder, out, name="surfaces", say=say)
    say("4/4 checking held-out parts as the device does")
    paths = _write_parts(splits.test, out / "parts")
    _check(out, paths)
    rows = bundle_rows(out / "bundle")
    write_run_report(out / "report.html", run, detector, evaluation, splits, rows)
    return out / "report.html"


def _write_parts(test: Pictures, folder: Path) -> list[Path]:
    """Some test pictures of each kind as the PNG files that a camera would give."""
    paths = []
    for kind in sorted(set(test.kinds)):
        rows = [i for i, k in enumerate(test.kinds) if k == kind][:_CHECKED_OF_EACH_KIND]
        make_folder(folder / kind)
        for row, picture in zip(rows, test.batch(rows), strict=True):
            paths.append(folder / kind / f"{row:04d}.png")
            write_atomically(paths[-1], png_bytes(picture))
    return paths


def _check(out: Path, paths: list[Path]) -> None:
    verdicts = io.StringIO()
    check(out / "bundle", paths, out / "heatmaps", out=verdicts)
    write_atomically(out / "verdicts.jsonl", verdicts.getvalue().encode())
