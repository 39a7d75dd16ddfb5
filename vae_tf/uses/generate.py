"""New data: from the prior, or from a mixture fitted to the codes of real data."""

from __future__ import annotations

import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import AT_ONCE, decode, labels_for
from vae_tf.uses.mixture import LatentMixture

_HOTTEST = 10.0


def generate(
    vae,
    n: int,
    seed: int | None = None,
    label=None,
    mixture: LatentMixture | None = None,
    temperature: float = 1.0,
) -> np.ndarray:
    """Means of n new examples.

    seed: the same for the same examples. label: of a conditional model: a class for all, or n
        classes; None takes the classes in turn.
    mixture: to draw codes from in place of the prior, see `LatentMixture.of`.
    temperature: of the deviation of the prior's, or of each Gaussian's, draws (Kingma & Dhariwal,
        "Glow", 2018): below 1 the examples are more typical and less various.
    Returns: float32 (n, ...) in the likelihood's units.
    Raises: ArgumentError.
    """
    if n < 1:
        raise ArgumentError(f"`n` must be 1 or more. Received: n={n}")
    if not 0 <= temperature <= _HOTTEST:
        raise ArgumentError(
            f"`temperature` must be from 0 to {_HOTTEST:g}. Received: temperature={temperature}"
        )
    count = getattr(vae, "labels", None)
    labels = labels_for(vae, np.arange(n) % count if label is None and count else label, n)
    if mixture is not None:
        return decode(vae, mixture.sample(n, seed, temperature, labels), labels)
    parts = []
    starts = range(0, n, AT_ONCE)
    seeds = np.random.SeedSequence(seed).generate_state(len(starts))
    for start, part in zip(starts, seeds, strict=True):
        of = None if labels is None else labels[start : start + AT_ONCE]
        size = min(AT_ONCE, n - start)
        parts.append(np.asarray(vae.sample(size, int(part) % 2**31, of, temperature)))
    return np.concatenate(parts)
