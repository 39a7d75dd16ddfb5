"""Posterior collapse and its remedies, side by side; prints a table.

    python -m benchmarks.collapse --data-dir DIR --out OUT

One net on Fashion-MNIST, one schedule; what changes is the remedy. The patient has a fixed sigma
that is too large, which weighs the KL too heavily (Lucas et al., "Don't Blame the ELBO!", 2019).
ELBO and NLL are of each model's own likelihood, so only rows of one sigma compare by them; error,
latents in use, the classes' accuracy and the Frechet distance compare throughout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from benchmarks.generative import Judge, begun, table, xla
from edge.files import write_atomically
from vae_tf.likelihoods import Gaussian
from vae_tf.schedules import CapacityRise, CyclicalAnnealing, WarmUp
from vae_tf.uses.codes import latent_kl
from vae_tf.vae import VAE

_LATENT, _SIGMA, _BATCH = 32, 1.0, 64
_SILENT = 0.1  # nats of KL below which a latent says nothing worth hearing
COLUMNS = (
    ("latents of 32 in use", "used", "{:.0f}"),
    ("KL", "kl", "{:.1f}"),
    ("ELBO", "elbo", "{:.1f}"),
    ("NLL", "nll", "{:.1f}"),
    ("RMSE", "rmse", "{:.4f}"),
    ("linear probe", "linear_probe", "{:.1%}"),
    ("Fréchet, prior", "frechet_prior", "{:.1f}"),
)


def remedies(steps: int) -> dict:
    """Name -> (arguments of the model, callbacks). steps: of the whole training."""
    return {
        "none": ({}, []),
        "warm-up": ({}, [WarmUp(max(1, steps // 2))]),
        "cyclical annealing": ({}, [CyclicalAnnealing(steps, min(4, steps))]),
        "free bits 0.5": ({"free_bits": 0.5}, []),
        "capacity 25": ({"capacity": 0.0}, [CapacityRise(max(1, steps // 2), 25.0)]),
        "beta 0.1": ({"beta": 0.1}, []),
        "learned sigma": ({"likelihood": Gaussian(_SIGMA)}, []),
        "learned sigma, warm-up": (
            {"likelihood": Gaussian(_SIGMA)},
            [WarmUp(max(1, steps // 2))],
        ),
    }


def measured(name: str, data, judge: Judge, seed: int, options) -> dict:
    """Trains with one remedy; kept in OUT."""
    path = options.out / f"{name.replace(' ', '_')}-{seed}.json"
    if path.exists():
        return json.loads(path.read_bytes())
    x = data["x_train"] if options.steps is None else data["x_train"][: _BATCH * options.steps]
    total = options.epochs * -(-len(x) // _BATCH)
    arguments, callbacks = remedies(total)[name]
    keras.utils.set_random_seed(seed)
    arguments = {"likelihood": Gaussian(_SIGMA, learned=False), **arguments}
    vae = VAE.for_pictures(x.shape[1:], _LATENT, seed=seed, **arguments)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, total)
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=8, jit_compile=xla(False))
    vae.fit(x, epochs=options.epochs, batch_size=_BATCH, verbose=0, callbacks=callbacks)
    kl = latent_kl(vae, data["x_test"])
    used = {"kl": float(kl.sum()), "used": int((kl > _SILENT).sum())}
    record = {"remedy": name, "seed": seed, **used, **judge.figures(vae, seed)}
    write_atomically(path, json.dumps(record, indent=1).encode())
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    options, data, judge = begun(parser, "out/collapse", samples=20)
    records = []
    for seed in options.seeds:
        for name in remedies(1):
            records.append(measured(name, data, judge, seed, options))
            print(table(records, COLUMNS, "remedy"), file=sys.stderr)
    print(table(records, COLUMNS, "remedy"))


if __name__ == "__main__":
    main()
