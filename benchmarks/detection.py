"""Trains, evaluates, exports and measures on every data set; prints the README's table.

    python -m benchmarks.detection --data DATA --out OUT

DATA holds magnetic_tile/, infrared_solar/, aliens/ (MVTec layout) and tfds/ (with fashion_mnist);
what is absent is left out and said. `surfaces` needs nothing. OUT gets a run and a bundle of each
set, which are used again where they are there, and results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.baselines import pca_auroc, squared_error_auroc
from edge.files import write_atomically
from export.bundle import export
from vae_tf.config import PRESETS, Config, DataConfig
from vae_tf.detector import Detector
from vae_tf.evaluate import evaluate
from vae_tf.results import bench_apart
from vae_tf.train import train

COLUMNS = (
    ("data", "set"),
    ("PCA", "pca"),
    ("squared error", "squared_error"),
    ("Keras", "keras"),
    ("float32", "float32"),
    ("int8", "int8"),
    ("pixel AUROC", "pixel_auroc"),
    ("false alarms at 1 %", "false_alarms"),
    ("missed", "missed"),
    ("int8 KiB", "kib"),
    ("int8 ms", "ms"),
    ("training min", "minutes"),
)


def data_sets(data: Path) -> dict[str, DataConfig]:
    """The sets by name. data: the folder that holds them."""
    return {
        "surfaces": DataConfig("surfaces"),
        # Six exposures of each tile: they stay on one side of the calibration split.
        "magnetic_tile": DataConfig(str(data / "magnetic_tile"), group_by=r"tile\d+"),
        "infrared_solar": DataConfig(str(data / "infrared_solar")),
        "aliens": DataConfig(str(data / "aliens")),
        "fashion_mnist, class 7": DataConfig(
            "tfds:fashion_mnist", data_dir=str(data / "tfds"), normal_class="7"
        ),
    }


def measure(name: str, data: DataConfig, preset: str, seed: int, out: Path) -> dict:
    """One row: everything that is said of one data set."""
    folder = out / f"{name.split(',')[0]}-{preset}-{seed}"
    run = train(Config.for_preset(data, preset, seed=seed), folder / "run", resume=True, say=_say)
    splits = run.load_splits()
    detector: Detector = run.load_detector()
    figures = evaluate(detector, splits.test).figures
    quality = export(run.folder, folder, name=name, say=lambda line: None)
    bench = bench_apart((folder / "bundle").resolve(), "int8")
    int8 = quality["int8"]
    return {
        "set": name,
        "pca": pca_auroc(splits, seed),
        "squared_error": squared_error_auroc(detector, splits.test),
        "keras": figures["image_auroc"],
        "float32": quality["float32"]["image_auroc"],
        "int8": int8["image_auroc"],
        "pixel_auroc": figures["pixel_auroc"],
        "false_alarms": int8["false_alarm_rate"],
        "missed": int8["miss_rate"],
        "kib": (folder / "bundle" / "detector.int8.tflite").stat().st_size / 1024,
        "ms": bench["p50_ms"],
        "minutes": run.training_seconds() / 60,
        "size": list(splits.spec.shape),
        "by_kind": figures["by_kind"],
    }


def table(rows: list[dict]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(title for title, _ in COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(_cell(row, key) for _, key in COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


def _cell(row: dict, key: str) -> str:
    value = row[key]
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if key in ("false_alarms", "missed"):
        return f"{value:.1%}"
    if key in ("kib", "ms", "minutes"):
        return f"{value:.0f}" if key == "kib" else f"{value:.1f}"
    return f"{value:.3f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("out/detection"))
    parser.add_argument("--preset", choices=tuple(PRESETS), default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of sets")
    options = parser.parse_args()
    rows = []
    for name, data in data_sets(options.data).items():
        if options.only and name.split(",")[0] not in options.only:
            continue
        where = Path(data.data_dir or data.source)
        if data.source != "surfaces" and not where.exists():
            _say(f"{name}: left out, {where} is absent")
            continue
        rows.append(measure(name, data, options.preset, options.seed, options.out))
        results = json.dumps(rows, indent=1).encode()
        write_atomically(options.out / "results.json", results)
        _say(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
