"""What a training step costs: the restoring VAE against the plain one; prints a table.

    python -m benchmarks.training

Each pair runs in turns in one process, the plain VAE first and last, so that a machine that slows
down meanwhile slows both.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from vae_tf.augment import Augmentation
from vae_tf.data.pictures import GOOD, Pictures
from vae_tf.memory import keep_freed_memory
from vae_tf.muon import Muon
from vae_tf.restoring import NECK, RestoringVAE
from vae_tf.vae import VAE

SHAPES = ((28, 28, 1), (40, 24, 1), (128, 128, 1), (192, 184, 1), (136, 192, 3))


def seconds(vae, data, steps: int) -> float:
    """Seconds a step."""
    start = time.perf_counter()
    vae.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)
    return (time.perf_counter() - start) / steps


def compare(shape, batch: int, steps: int) -> tuple[float, float]:
    """Median seconds a step of the plain and of the restoring VAE."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * batch, *shape), np.uint8)
    names = [str(i) for i in range(len(images))]
    data = Pictures(images, names, [GOOD] * len(images)).dataset(batch, 0, drop_remainder=True)
    augmentation = Augmentation(mirror=True, shift=0.02, brightness=0.1)
    models = (
        VAE.for_pictures(shape, neck=NECK),
        RestoringVAE.for_pictures(shape, augmentation=augmentation),
    )
    optimizers = keras.optimizers.Adam(1e-3), Muon(1e-3)  # as `train` has them
    for vae, optimizer in zip(models, optimizers, strict=True):
        vae.compile(optimizer, steps_per_execution=10)
        seconds(vae, data, 10)  # traces the graph
    times: tuple[list[float], list[float]] = ([], [])
    for turn in (0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0):
        times[turn].append(seconds(models[turn], data, steps))
    return float(np.median(times[0])), float(np.median(times[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument(
        "--give-back", action="store_true", help="freed memory to the system, as C libraries do"
    )
    options = parser.parse_args()
    if not options.give_back:
        keep_freed_memory()  # as `train` does
    print("| picture | plain ms a step | restoring ms a step | times |\n|---|---|---|---|")
    for shape in SHAPES:
        plain, restoring = compare(shape, options.batch, options.steps)
        size = " × ".join(map(str, shape))
        print(f"| {size} | {1e3 * plain:.0f} | {1e3 * restoring:.0f} | {restoring / plain:.1f} |")


if __name__ == "__main__":
    main()
