"""Trains, evaluates, exports and measures on every data set; prints the README's tables.

    python -m benchmarks.detection --data DATA --out OUT

DATA holds magnetic_tile/, infrared_solar/, aliens/ (MVTec layout) and tfds/ (with fashion_mnist);
what is absent is left out and said. `surfaces` needs nothing. It and infrared_solar are trained
with three seeds, the others with one, unless `--seeds` says which. OUT gets a run and a bundle of
each set and seed, which are used again where they are there, and results.json. PyOD's detectors
stand beside where it is installed (`pip install pyod`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.baselines import baselines
from edge.files import write_atomically
from export.bundle import export
from vae_tf.config import PRESETS, Config, DataConfig
from vae_tf.detector import Detector
from vae_tf.evaluate import evaluate
from vae_tf.results import bench_apart
from vae_tf.scores import scores_of
from vae_tf.train import train

# Title, key, and how it is written.
COLUMNS = (
    ("Keras", "keras", "{:.3f}"),
    ("float32", "float32", "{:.3f}"),
    ("int8", "int8", "{:.3f}"),
    ("pixel AUROC", "pixel_auroc", "{:.3f}"),
    ("false alarms at 1 %", "false_alarms_1", "{:.1%}"),
    ("at 5 %", "false_alarms_5", "{:.1%}"),
    ("missed at 1 %", "missed", "{:.1%}"),
    ("int8 KiB", "kib", "{:.0f}"),
    ("int8 ms", "ms", "{:.1f}"),
    ("training min", "minutes", "{:.1f}"),
)
FASHION = "fashion_mnist"
SEEDS = {"surfaces": (0, 1, 2), "infrared_solar": (0, 1, 2)}  # of the others 0


def data_sets(data: Path) -> dict[str, DataConfig]:
    """The sets by name. data: the folder that holds them."""
    fashion = {
        f"{FASHION} {k}": DataConfig(
            "tfds:fashion_mnist", data_dir=str(data / "tfds"), normal_class=str(k)
        )
        for k in range(10)
    }
    return {
        "surfaces": DataConfig("surfaces"),
        # Six exposures of each tile: they stay on one side of the calibration split.
        "magnetic_tile": DataConfig(str(data / "magnetic_tile"), group_by=r"tile\d+"),
        "infrared_solar": DataConfig(str(data / "infrared_solar")),
        "aliens": DataConfig(str(data / "aliens")),
        **fashion,
    }


def measure(name: str, data: DataConfig, preset: str, seed: int, out: Path) -> dict:
    """Everything that is said of one data set and seed."""
    folder = out / f"{name.replace(' ', '_')}-{preset}-{seed}"
    results = folder / "results.json"
    if results.exists():
        return json.loads(results.read_bytes())
    config = Config.for_preset(data, preset, seed=seed, false_alarm_rate=0.01)
    run = train(config, folder / "run", resume=True, say=_say)
    splits = run.load_splits()
    detector = run.load_detector()
    figures = evaluate(detector, splits.test).figures
    quality = export(run.folder, folder, name=name, say=lambda line: None)
    bench = bench_apart((folder / "bundle").resolve(), "int8")
    int8 = quality["int8"]
    five = Detector(detector.vae, detector.by).calibrate(
        splits.calibration, 0.05, splits.calibration_groups
    )
    good = splits.test.take(np.flatnonzero(splits.test.labels == 0))
    record = {
        "set": name,
        "seed": seed,
        "keras": figures["image_auroc"],
        "float32": quality["float32"]["image_auroc"],
        "int8": int8["image_auroc"],
        "pixel_auroc": figures["pixel_auroc"],
        "false_alarms_1": figures["false_alarm_rate"],
        "false_alarms_5": float(np.mean([v == "fail" for v in five.predict(good)])),
        "missed": figures["miss_rate"],
        "kib": (folder / "bundle" / "detector.int8.tflite").stat().st_size / 1024,
        "ms": bench["p50_ms"],
        "multiply_adds": int8["multiply_adds"],
        "minutes": run.training_seconds() / 60,
        "size": list(splits.spec.shape),
        "by_kind": figures["by_kind"],
        "methods": {**_scores(detector.vae, splits), **baselines(splits, seed)},
    }
    write_atomically(results, json.dumps(record, indent=1).encode())
    return record


def _scores(vae, splits) -> dict[str, float]:
    """Image AUROC by every way of scoring that the model can give."""
    return {
        name: evaluate_only(Detector(vae, name).fit(splits.train, splits.validation), splits)
        for name in scores_of(vae)
    }


def evaluate_only(detector: Detector, splits) -> float:
    """Image AUROC."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(splits.test.labels, detector.score_samples(splits.test)))


def summary(records: list[dict]) -> list[dict]:
    """A row a data set, mean and spread over seeds; Fashion-MNIST's classes in one row besides."""
    names = list(dict.fromkeys(record["set"] for record in records))
    rows = [_row(name, [r for r in records if r["set"] == name]) for name in names]
    classes = [r for r in records if r["set"].startswith(FASHION)]
    seeds = sorted({r["seed"] for r in classes})
    means = []
    for seed in seeds:
        of = [r for r in classes if r["seed"] == seed]
        if len(of) < 10:
            continue
        mean = {
            key: np.mean([r[key] for r in of]) for _, key, _ in COLUMNS if of[0][key] is not None
        }
        methods = {m: np.mean([r["methods"][m] for r in of]) for m in of[0]["methods"]}
        means.append({**dict.fromkeys(k for _, k, _ in COLUMNS), **mean, "methods": methods})
    if means:
        rows.append(_row(f"{FASHION}, mean of ten", means))
    return rows


def _row(name: str, records: list[dict]) -> dict:
    return {"set": name, "records": records}


def table(rows: list[dict]) -> str:
    """Markdown: a line a data set."""
    titles = ["data", "seeds", *(title for title, _, _ in COLUMNS)]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = [row["set"], str(len(row["records"]))]
        for _, key, form in COLUMNS:
            cells.append(_cell([r[key] for r in row["records"]], form))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def methods_table(rows: list[dict]) -> str:
    """Markdown: image AUROC, a line a method and a column a data set."""
    methods = list(dict.fromkeys(m for row in rows for r in row["records"] for m in r["methods"]))
    titles = ["method", *(row["set"] for row in rows)]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for method in methods:
        cells = [_cell([r["methods"].get(method) for r in row["records"]]) for row in rows]
        lines.append("| " + " | ".join([method, *cells]) + " |")
    return "\n".join(lines)


def _cell(values: list, form: str = "{:.3f}") -> str:
    if any(value is None for value in values):
        return ""
    mean = form.format(np.mean(values))
    if len(values) == 1 or form != "{:.3f}":
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.3f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("out/detection"))
    parser.add_argument("--preset", choices=tuple(PRESETS), default="standard")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--only", nargs="*", help="sets whose names begin so")
    options = parser.parse_args()
    records = []
    for name, data in data_sets(options.data).items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        where = Path(data.data_dir or data.source)
        if data.source != "surfaces" and not where.exists():
            _say(f"{name}: left out, {where} is absent")
            continue
        for seed in options.seeds or SEEDS.get(name, (0,)):
            records.append(measure(name, data, options.preset, seed, options.out))
            write_atomically(options.out / "results.json", json.dumps(records, indent=1).encode())
            _say(table(summary(records)))
    rows = summary(records)
    print(table(rows), methods_table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
