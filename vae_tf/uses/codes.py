"""Between data and codes, some hundreds at a time, with labels where the model takes them."""

from __future__ import annotations

import numbers

import keras
import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.vae import kl_divergence

AT_ONCE = 256  # examples; the memory of a pass is that of so many


def encode(vae, x, label=None) -> tuple[np.ndarray, np.ndarray]:
    """The posterior of each example.

    x: (n, ...) uint8 or in the likelihood's units. label: see `labels_for`.
    Returns: z_mean and z_log_var, float32 (n, latent) each.
    """
    x = np.asarray(x)
    label = labels_for(vae, label, len(x))
    parts = [vae.encode(x[rows], *given) for rows, given in _slices(len(x), label)]
    if not parts:
        return (np.empty((0, vae.latent_dim), np.float32),) * 2
    z_mean, z_log_var = ([_numpy(part[i]) for part in parts] for i in (0, 1))
    return np.concatenate(z_mean), np.concatenate(z_log_var)


def decode(vae, z, label=None) -> np.ndarray:
    """The data that codes stand for. z: (n, latent). Returns: float32 (n, ...)."""
    z = np.asarray(z, np.float32)
    if z.ndim != 2 or z.shape[1] != vae.latent_dim:
        raise ArgumentError(
            f"`z` must have shape (n, {vae.latent_dim}), the model's latents. "
            f"Received: z of shape {z.shape}"
        )
    label = labels_for(vae, label, len(z))
    parts = [
        _numpy(vae.decode(keras.ops.convert_to_tensor(z[rows]), *given))
        for rows, given in _slices(len(z), label)
    ]
    return np.concatenate(parts) if parts else np.empty((0, *vae.data_shape), np.float32)


def reconstruct(vae, x, label=None) -> np.ndarray:
    """`decode` of z_mean, float32 (n, ...)."""
    return decode(vae, encode(vae, x, label)[0], label)


def draw(z_mean, z_log_var, seed=None) -> np.ndarray:
    """One draw from each posterior, float32 (n, latent). seed: int, or None for a new one."""
    noise = np.random.default_rng(seed).standard_normal(np.shape(z_mean), np.float32)
    return np.asarray(z_mean) + np.exp(0.5 * np.asarray(z_log_var)) * noise


def latent_kl(vae, x, label=None) -> np.ndarray:
    """KL of each latent from a standard normal, in nats, averaged over x: (latent,).

    What a latent tells about the data; near 0 where the posterior collapsed. Of a ladder VAE it is
    that of the whole code against a standard normal, not against its levels' own priors.
    """
    return _numpy(kl_divergence(*encode(vae, x, label))).mean(axis=0)


def labels_for(vae, label, n: int) -> np.ndarray | None:
    """Labels as the model takes them, int32 (n,), or None for a model without labels.

    label: a whole number for all, or n of them; None for a model without labels.
    Raises: ArgumentError where the model wants none, or others.
    """
    count = getattr(vae, "labels", None)
    if count is None:
        if label is not None:
            raise ArgumentError(
                "`label` must be None for a model that was trained without labels. "
                f"Received: label={label}"
            )
        return None
    if label is None:
        raise ArgumentError(
            f"`label` must be given to a conditional model, 0 to {count - 1}. Received: label=None"
        )
    labels = np.asarray(label)
    whole = labels.dtype.kind in "iu" or isinstance(label, numbers.Integral)
    if not whole or labels.shape not in ((), (n,)):
        raise ArgumentError(
            f"`label` must be a whole number, or one for each of {n} examples. "
            f"Received: label of shape {labels.shape} and type {labels.dtype}"
        )
    wrong = labels[(labels < 0) | (labels >= count)] if labels.ndim else labels
    if np.any((labels < 0) | (labels >= count)):
        raise ArgumentError(
            f"`label` must be 0 to {count - 1}. Received: label={np.ravel(wrong)[0]}"
        )
    return np.broadcast_to(labels, n).astype(np.int32)


def latent_index(vae, latent) -> int:
    """A latent's number, checked. Raises: ArgumentError where there is none of that number."""
    if not isinstance(latent, numbers.Integral) or not 0 <= int(latent) < vae.latent_dim:
        raise ArgumentError(
            f"`latent` must be 0 to {vae.latent_dim - 1}: the model has {vae.latent_dim} latents. "
            f"Received: latent={latent}"
        )
    return int(latent)


def _slices(n: int, label):
    """Rows of each pass, and the labels of those rows as further arguments."""
    for start in range(0, n, AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        yield rows, () if label is None else (label[rows],)


def _numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)
