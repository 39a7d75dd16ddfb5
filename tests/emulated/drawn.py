"""Pictures of the built-in `surfaces`, in the layout of MVTec AD, and a bundle made from them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from emulated import UnavailableError

ROOT = Path(__file__).resolve().parents[2]

# (part, kind, count)
FOR_TESTS = (
    ("train", "good", 72),
    ("test", "good", 16),
    ("test", "stain", 8),
    ("test", "missing_edge", 8),
)
TO_COMPARE = (
    ("test", "good", 100),
    *(("test", kind, 20) for kind in ("scratch", "pit", "stain", "crack", "missing_edge")),
)
# What the tests of `edge` expect of their bundle: as `conftest.py` makes it.
_TRAINING = ("--preset", "quick", "--steps", "200", "--size", "32", "--latent-dim", "16")


def make_bundle(folder, pictures) -> Path:
    """Trains for a minute on pictures of FOR_TESTS, in `folder`. Returns: the bundle's folder.

    Raises: UnavailableError where that does not work.
    """
    folder = Path(folder)
    run = str(folder / "run")
    for command in (
        ["-m", "vae_tf", "train", str(pictures), run, *_TRAINING],
        ["-m", "export", run, str(folder)],
    ):
        print(f"`python {' '.join(command)}` ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip().splitlines()
            raise UnavailableError(
                f"making a bundle for the tests: {said[-1] if said else 'nothing was said'}; "
                "give one with --bundle-for-tests"
            )
    return folder / "bundle"


def draw(folder, plan, size: int) -> Path:
    """Draws the pictures of a plan, `size` pixels a side, with masks for the defective ones.

    Equal plans and sizes give equal pictures. Raises: UnavailableError without the framework.
    """
    if str(ROOT) not in sys.path:  # a script has only its own folder there
        sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from vae_tf.quiet import quiet

        with quiet():
            from vae_tf.data.surfaces_render import render
    except ImportError as error:
        raise UnavailableError(
            f"drawing pictures: {error}; run `pip install -r requirements.txt`"
        ) from None

    folder = Path(folder)
    for number, (part, kind, count) in enumerate(plan):
        (folder / part / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = render(kind, np.random.default_rng([number, i]), size=size)
            Image.fromarray(image).save(folder / part / kind / f"{i:03d}.png")
            if kind != "good":
                truth = folder / "ground_truth" / kind
                truth.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(truth / f"{i:03d}_mask.png")
    return folder
