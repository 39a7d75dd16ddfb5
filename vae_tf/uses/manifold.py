"""The grid over two latents of the TensorFlow CVAE tutorial (Kingma & Welling 2014, figure 4)."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import decode, latent_index

_TAIL = 0.05  # share of the prior left out at either end of an axis


def manifold(vae, side: int = 20, latents=(0, 1), around=None, label=None) -> np.ndarray:
    """What a plane of codes decodes to, spaced so that each cell is equally likely in the prior.

    side: cells a side. latents: numbers of the two latents that span the plane, of a row from left
        to right and of a column upwards. around: (latent,) the code whose other latents stay; None
        for zeros.
    Returns: float32 (side, side, ...), the first row at the top.
    Raises: ArgumentError.
    """
    if side < 2:
        raise ArgumentError(f"`side` must be 2 or more. Received: side={side}")
    chosen = [latent_index(vae, latent) for latent in latents]
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ArgumentError(
            f"`latents` must be two different latents. Received: latents={tuple(latents)}"
        )
    z = np.zeros(vae.latent_dim) if around is None else np.asarray(around, np.float64)
    if z.shape != (vae.latent_dim,):
        raise ArgumentError(
            f"`around` must have shape ({vae.latent_dim},). Received: around of shape {z.shape}"
        )
    ticks = norm.ppf(np.linspace(_TAIL, 1 - _TAIL, side))
    codes = np.tile(z, (side, side, 1))
    codes[:, :, chosen[0]] = ticks[None, :]
    codes[:, :, chosen[1]] = ticks[::-1, None]
    x = decode(vae, codes.reshape(side * side, -1), label)
    return x.reshape(side, side, *x.shape[1:])
