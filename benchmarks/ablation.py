"""What each ingredient of the detector is worth: one is changed at a time; prints a table.

    python -m benchmarks.ablation --data DATA --out OUT

Image AUROC on three data sets after `--steps` steps, by default those of the quick preset. OUT gets
ablation.json, which is added to and used again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from benchmarks.detection import data_sets
from edge.files import write_atomically
from vae_tf.augment import Augmentation, suggest
from vae_tf.building import head_dropout
from vae_tf.config import PRESETS, Config
from vae_tf.detector import Detector
from vae_tf.muon import Muon
from vae_tf.restoring import NECK, RestoringVAE
from vae_tf.scores.combined import Combined
from vae_tf.train import load_splits
from vae_tf.vae import VAE

SETS = ("surfaces", "infrared_solar", "fashion_mnist 6")


class Blind(RestoringVAE):
    """The head sees the picture alone, as if it were its own reconstruction."""

    def seen_by_head(self, x, restored):
        return keras.ops.concatenate([x, keras.ops.zeros_like(x)], axis=-1)


class Even(RestoringVAE):
    """Every damaged pixel weighs the same, in a small defect or a large one."""

    def head_losses(self, seen, weight):
        return super().head_losses(seen, tf.cast(weight > 0, tf.float32))


class WithoutPlaces(Combined):
    """The map is of the head's logits alone."""

    adding = ()


class OneScale(Combined):
    """The map is the head's, as it is."""

    marks, adding = ("logits",), ()


class OneKind(Combined):
    """Good pictures are all of one kind, to the vector."""

    of_a_kind = 10**9


class FixedWeight(Combined):
    """The vector weighs as much as the map, however much that finds."""

    def _fit_weight(self, good):
        self.arrays["vector_weight"] = np.array(1.0, np.float32)


# Variant -> what is trained, with what changed, and the scores that it is judged by.
VARIANTS: dict[str, tuple] = {
    "plain VAE": (VAE, {}, {"squared-error": "squared error", "normalised-error": "by place"}),
    "restoring VAE": (
        RestoringVAE,
        {},
        {
            "normalised-error": "error by place",
            "head": "head",
            "features": "features",
            "combined": "combined: the default",
            OneScale: "combined, map at one scale",
            WithoutPlaces: "combined, without features by place",
            OneKind: "combined, good pictures all of one kind",
            FixedWeight: "combined, map and vector weigh the same",
        },
    ),
    "head blind to the reconstruction": (Blind, {}, {"head": "head", "combined": "combined"}),
    "every damaged pixel weighs the same": (Even, {}, {"combined": "combined"}),
    "no camera's noise": (RestoringVAE, {"noise": 0.0}, {"combined": "combined"}),
    "no augmentation": (
        RestoringVAE,
        {"augmentation": Augmentation.parse("none")},
        {"combined": "combined"},
    ),
}


def measure(variant: str, data, steps: int, seed: int) -> dict[str, float]:
    """Image AUROC by the variant's ways of scoring."""
    kind, changed, scores = VARIANTS[variant]
    keras.utils.set_random_seed(seed)
    config = Config(data=data, seed=seed)
    splits = load_splits(config, None)
    arguments: dict = {"neck": NECK}
    if kind is not VAE:
        arguments["augmentation"] = suggest(splits.train)
        arguments["dropout"] = head_dropout(len(splits.train))
    vae = kind.for_pictures(splits.spec.shape, seed=seed, **{**arguments, **changed})
    optimizer, rate = keras.optimizers.Adam, 1e-3
    if kind is not VAE:
        optimizer, rate = Muon, config.planned_rate(steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - 100, warmup_target=rate, warmup_steps=100
    )
    vae.compile(optimizer(schedule), steps_per_execution=10)
    batches = splits.train.dataset(min(8, len(splits.train)), seed, drop_remainder=True)
    vae.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    results = {}
    for score, title in scores.items():
        by = score if isinstance(score, str) else score(vae)
        detector = Detector(vae, by).fit(splits.train, splits.validation)
        auroc = roc_auc_score(splits.test.labels, detector.score_samples(splits.test))
        results[f"{variant}, {title}"] = float(auroc)
    return results


def table(results: dict[str, dict[str, float]]) -> str:
    """Markdown. results: data set -> ingredient -> image AUROC."""
    rows = list(dict.fromkeys(name for of in results.values() for name in of))
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for name in rows:
        cells = [f"{of[name]:.3f}" if name in of else "" for of in results.values()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("out/ablation"))
    parser.add_argument("--steps", type=int, default=PRESETS["quick"]["restore"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kept = options.out / "ablation.json"
    done = json.loads(kept.read_bytes()) if kept.exists() else {}
    for variant in VARIANTS:
        for name in SETS:
            key = f"{variant}/{name}/{options.steps}/{options.seed}"
            if key not in done:
                data = data_sets(options.data)[name]
                done[key] = measure(variant, data, options.steps, options.seed)
                options.out.mkdir(parents=True, exist_ok=True)
                write_atomically(kept, json.dumps(done, indent=1).encode())
                print(key, done[key], file=sys.stderr)
    results: dict[str, dict[str, float]] = {name: {} for name in SETS}
    for variant in VARIANTS:
        for name in SETS:
            results[name].update(done[f"{variant}/{name}/{options.steps}/{options.seed}"])
    print(table(results))


if __name__ == "__main__":
    main()
