"""a - b + c on codes: what sets a apart from b, put onto c.

After Mikolov et al. (2013) on words; on pictures, the codes of several examples of a kind are
averaged, since a single one differs in more than what is meant (Radford et al., "DCGAN", 2016).
"""

from __future__ import annotations

import numpy as np

from vae_tf.errors import ArgumentError


def combine(a, b, c) -> np.ndarray:
    """The code mean(a) - mean(b) + mean(c), float32 (latent,).

    a, b, c: (latent,) or (n, latent), of which the mean is taken.
    """
    means = []
    for name, codes in {"a": a, "b": b, "c": c}.items():
        codes = np.asarray(codes, np.float64)
        if codes.ndim not in (1, 2) or not codes.size:
            raise ArgumentError(
                f"`{name}` must be a code, (latent,), or some, (n, latent). "
                f"Received: {name} of shape {codes.shape}"
            )
        means.append(codes.reshape(-1, codes.shape[-1]).mean(axis=0))
    if len({mean.shape for mean in means}) > 1:
        sizes = ", ".join(str(len(mean)) for mean in means)
        raise ArgumentError(f"`a`, `b` and `c` must have equally many latents. Received: {sizes}")
    return (means[0] - means[1] + means[2]).astype(np.float32)
