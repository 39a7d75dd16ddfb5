"""What is restored of damaged pictures, and filled in of missing ones; prints the README's tables.

    python -m benchmarks.restoration --data-dir DIR --out OUT

On Fashion-MNIST: a `DenoisingVAE` for each kind of damage, judged on test pictures by PSNR and
SSIM; then half of the pixels missing, filled in by a model that learnt to and by one that did not,
beside the mean and scikit-learn's nearest neighbours, with the share that 50 % and 90 % intervals
hold. The intervals are set on other test pictures than those that they are judged on.
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

from benchmarks.generative import load, xla
from edge.files import write_atomically
from vae_tf.family import DenoisingVAE
from vae_tf.uses import imputing, sheet
from vae_tf.uses.damages import Damage
from vae_tf.uses.impute import impute, interval_factor
from vae_tf.uses.metrics import coverage, rmse
from vae_tf.uses.restore import before_and_after
from vae_tf.vae import VAE

DAMAGES = ("noise=0.3", "blur=1.5", "photo=1", "blur=0.7,photo=1", "missing=0.5")
_SET, _NEIGHBOURS_AMONG = 500, 5000  # pictures that set intervals; that kNN looks among
_DRAWS = 8


def fitted(vae, data, epochs: int, steps):
    """Trains either model; steps: an epoch at most, for a try."""
    x = data["x_train"] if steps is None else data["x_train"][: 64 * steps]
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-len(x) // 64))
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=16, jit_compile=xla(False))
    vae.fit(x, epochs=epochs, batch_size=64, verbose=0)
    return vae


def restored(data, damage: str, seed: int, options) -> dict:
    """Figures of one kind of damage; the sheet goes to OUT."""
    vae = _denoiser(data, damage, seed, options)
    done = before_and_after(vae, data["x_test"][: options.test], Damage.parse(damage), seed)
    rows = [sheet.tiles(v[:8]) for v in (done.damaged, done.restored, done.clean)]
    picture = sheet.rows_of(rows, ["damaged", "restored", "the original"])
    sheet.save_png(options.out / f"{damage.replace(',', '-').replace('=', '')}-{seed}.png", picture)
    return {"seed": seed, **done.figures}


def filled(data, seed: int, options) -> list[dict]:
    """A row a method."""
    x, other = data["x_test"][: options.test], data["x_test"][-_SET:]
    rng = np.random.default_rng(seed)
    gaps, other_gaps = (rng.random(v.shape[:3]) < 0.5 for v in (x, other))
    truth = x / np.float32(255)
    plain = fitted(
        VAE.for_pictures(x.shape[1:], 32, seed=seed), data, options.epochs, options.steps
    )
    learnt = _denoiser(data, "missing=0.5", seed, options)
    ways = {
        "learnt to fill gaps": (learnt, None),
        "plain, variational": (plain, "variational"),
        "plain, pseudo-Gibbs": (plain, "gibbs"),
        "plain, importance": (plain, "importance"),
    }
    rows = []
    for name, (vae, how) in ways.items():
        done = impute(vae, x, gaps, _DRAWS, how, seed=seed)
        set_on = impute(vae, other, other_gaps, _DRAWS, how, seed=seed)
        row = {"method": name, "seed": seed, "rmse": rmse(done.x, truth, done.missing)}
        for level in (0.5, 0.9):
            low, high = done.interval(interval_factor(set_on, other, level))
            row[f"held_{level:.0%}"] = coverage(low, high, truth, done.missing)
        rows.append(row)
    known = data["x_train"][:_NEIGHBOURS_AMONG] / np.float32(255)
    simple = imputing.baselines(truth, np.broadcast_to(gaps[..., None], x.shape), known)
    for name, error in simple.items():
        rows.append({"method": name.removeprefix("rmse_"), "seed": seed, "rmse": error})
    return rows


def _denoiser(data, damage: str, seed: int, options) -> DenoisingVAE:
    path = options.out / f"{damage.replace(',', '-').replace('=', '')}-{seed}.keras"
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(seed)
    shape = data["x_train"].shape[1:]
    vae = DenoisingVAE.for_pictures(shape, 32, seed=seed, damage=damage)
    fitted(vae, data, options.epochs, options.steps).save(path)
    return vae


def _table(rows: list[dict], key: str, columns: dict[str, str]) -> str:
    """Markdown: a line for each value of `key`, means over seeds. columns: name -> format."""
    titles = [key, *(name.replace("_", " ").replace("psnr", "PSNR") for name in columns)]
    titles = [title.replace("ssim", "SSIM").replace("rmse", "RMSE") for title in titles]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for name in dict.fromkeys(row[key] for row in rows):
        of = [row for row in rows if row[key] == name]
        cells = [
            form.format(np.mean([r[column] for r in of])) if column in of[0] else ""
            for column, form in columns.items()
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="where TFDS data sets are")
    parser.add_argument("--out", type=Path, default=Path("out/restoration"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, help="an epoch, for a try")
    parser.add_argument("--test", type=int, default=1000, help="test pictures (1000)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.data_dir)
    records: dict[str, list[dict]] = {"restored": [], "filled": []}
    for seed in options.seeds:
        for damage in DAMAGES:
            records["restored"].append(restored(data, damage, seed, options))
            print(records["restored"][-1], file=sys.stderr)
        records["filled"] += filled(data, seed, options)
        write_atomically(options.out / "results.json", json.dumps(records, indent=1).encode())
    forms = {
        f"{m}_{at}": f
        for m, f in (("psnr", "{:.1f}"), ("ssim", "{:.3f}"))
        for at in ("before", "vae", "after")
    }
    print(_table(records["restored"], "damage", forms), "", sep="\n")
    forms = {"rmse": "{:.4f}", "held_50%": "{:.1%}", "held_90%": "{:.1%}"}
    print(_table(records["filled"], "method", forms))


if __name__ == "__main__":
    main()
