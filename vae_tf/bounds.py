"""How likely data are to a model: log p(x) by importance weighting (Burda et al., "Importance
Weighted Autoencoders", 2016).

    log p(x) >= E log (1/K) sum_k p(x, z_k) / q(z_k | x),   z_k drawn from q

The bound is the ELBO for K = 1, never falls as K grows, and reaches log p(x); what lies between is
the encoder's error. Draws are taken one after the other and summed as they come, so that memory
does not grow with K.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from keras import ops

_LOG_2PI = math.log(2.0 * math.pi)
_BATCH = 500


def log_weight(terms):
    """log p(x, z) - log q(z | x) of a draw, (B,) nats. terms: what `VAE.draw` gave."""
    z, z_mean, z_log_var = terms["z"], terms["z_mean"], terms["z_log_var"]
    prior = -0.5 * (ops.square(z) + _LOG_2PI)
    deviation = ops.square(z - z_mean) * ops.exp(-z_log_var)
    posterior = -0.5 * (deviation + z_log_var + _LOG_2PI)
    return ops.sum(prior - posterior, axis=-1) - terms["reconstruction"]


def log_likelihood(vae, x, samples=200, seed=0, label=None, batch_size=_BATCH):
    """The importance-weighted bound of log p(x), in nats; its negative is the "NLL" of papers.

    Args:
        vae: a `VAE` of any kind.
        x: (n, ...) array, uint8 or in the likelihood's units.
        samples: draws of z for each example.
        seed: int; the same draws each time.
        label: where the model takes one: int, or (n,).
        batch_size: examples at a time; memory is that of one draw for these.

    Returns:
        (n,) float64.

    Raises:
        ValueError: an argument is out of range, or the data or labels do not fit the model.
    """
    for name, value in {"samples": samples, "batch_size": batch_size}.items():
        if not (isinstance(value, (int, np.integer)) and value >= 1):
            raise ValueError(f"`{name}` must be a whole number, 1 or more. Received: {value}")
    x = np.asarray(x)
    vae.encode(x[:1], *_first(label))  # says at once, and in one line, what does not fit
    label = None if label is None else np.broadcast_to(np.asarray(label), len(x))

    @tf.function(reduce_retracing=True)
    def bound(rows, label, seed):
        rows = vae.to_units(rows)
        given = vae._given(label, rows)
        posterior = vae.infer(rows, given)
        total = tf.fill(tf.shape(rows)[:1], -math.inf)
        for k in tf.range(samples):
            terms = vae.draw(rows, posterior, given, seed=tf.stack([seed, k]))
            weight = log_weight(terms)
            higher = tf.maximum(total, weight)
            total = higher + tf.math.log(tf.exp(total - higher) + tf.exp(weight - higher))
        return total - math.log(samples)

    found = []
    for number, start in enumerate(range(0, len(x), batch_size)):
        rows = slice(start, start + batch_size)
        told = None if label is None else tf.constant(label[rows])
        stream = tf.constant((seed * 1_000_003 + number) % (2**31), tf.int32)
        found.append(bound(tf.constant(x[rows]), told, stream).numpy())
    return np.concatenate(found or [np.zeros(0)]).astype(np.float64)


def _first(label):
    if label is None:
        return ()
    label = np.asarray(label)
    return (label if label.ndim == 0 else label[:1],)
