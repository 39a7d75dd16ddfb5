"""What each latent does: one is moved, the others stay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import decode, latent_index

REACH = 3.0  # standard deviations of the prior to either side


class Traversal(NamedTuple):
    """latents: the numbers of R latents. values: (S,) that each takes. x: float32 (R, S, ...)."""

    latents: tuple[int, ...]
    values: np.ndarray
    x: np.ndarray


def traverse(vae, z, latents=None, kl=None, count: int = 8, values=None, label=None) -> Traversal:
    """Moves one latent at a time through `values`.

    z: (latent,) the code to start from. latents: numbers of the latents to move; None takes
        the `count` with the most KL, most first, else the first ones.
    kl: (latent,) nats, see `codes.latent_kl`. values: (S,); None: -3 to 3.
    Raises: ArgumentError for a latent that does not exist.
    """
    z = np.asarray(z, np.float32)
    if z.shape != (vae.latent_dim,):
        raise ArgumentError(
            f"`z` must have shape ({vae.latent_dim},). Received: z of shape {z.shape}"
        )
    if latents is None:
        order = np.arange(vae.latent_dim) if kl is None else np.argsort(-np.asarray(kl))
        latents = order[:count].tolist()
    chosen = tuple(latent_index(vae, latent) for latent in latents)
    if not chosen:
        raise ArgumentError("`latents` must name one latent or more. Received: none")
    values = np.linspace(-REACH, REACH, 7) if values is None else np.asarray(values, np.float64)
    codes = np.tile(z, (len(chosen), len(values), 1))
    for row, latent in enumerate(chosen):
        codes[row, :, latent] = values
    x = decode(vae, codes.reshape(-1, vae.latent_dim), label)
    return Traversal(chosen, values, x.reshape(len(chosen), len(values), *x.shape[1:]))
