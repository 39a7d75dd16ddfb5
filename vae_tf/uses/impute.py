"""What is missing, drawn from what is there, several times over, with intervals.

A `DenoisingVAE` that learnt to fill gaps does it at once: its encoder was taught the posterior of
what is observed. For any other member there are three ways. "variational": a posterior is fitted to
what is observed of each example, by some steps of gradient descent on its mean and variance (as in
semi-amortised VAEs: Kim et al., ICML 2018). "gibbs": z is drawn from the posterior of the filled-in
data, the gaps are filled from z, and so on (pseudo-Gibbs: Rezende et al., "Stochastic
Backpropagation", 2014, section F); quick, but slow to leave its first filling where much is
missing. "importance": from there, many codes are drawn and weighed by how well they explain what is
observed, and one is taken for each draw (MIWAE: Mattei & Frellsen, ICML 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vae_tf.bounds import log_weight
from vae_tf.errors import ArgumentError
from vae_tf.uses import codes
from vae_tf.uses.damages import FILL
from vae_tf.vae import kl_divergence

WAYS = ("variational", "gibbs", "importance")
ROUNDS = 30
_FITTING, _RATE = 80, 0.1  # steps, and their learning rate at first
_PROPOSALS = 20  # codes that are weighed for each draw
_LEAST_SPREAD = 0.02  # in the data's units, so that draws that agree do not promise certainty


class Imputation(NamedTuple):
    """x: float32 (n, ...), the gaps filled by the mean of the draws. draws: (draws, n, ...), the
    gaps filled by each. spread: (n, ...), how the draws differ, 0 where observed. missing: bool
    (n, ...)."""

    x: np.ndarray
    draws: np.ndarray
    spread: np.ndarray
    missing: np.ndarray

    def interval(self, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest value of each element, (n, ...) each, see `interval_factor`."""
        reach = factor * (self.spread + _LEAST_SPREAD) * self.missing
        return self.x - reach, self.x + reach


def impute(
    vae,
    x,
    missing=None,
    draws: int = 8,
    how: str | None = None,
    rounds: int = ROUNDS,
    label=None,
    seed: int = 0,
) -> Imputation:
    """Fills what is missing.

    x: (n, ...), uint8 or floating point in the likelihood's units; NaN is missing.
    missing: bool, True where missing: (n, ...), or without the last axis (all channels of a pixel),
        or without the first (the same for all); None where NaN says it all.
    draws: how often the gaps are filled. how: one of `WAYS`; None for what the model
        learnt, or "variational" where it did not learn to fill gaps. rounds: of Gibbs.
    Raises: ArgumentError.
    """
    if draws < 1:
        raise ArgumentError(f"`draws` must be 1 or more. Received: draws={draws}")
    if how not in (None, *WAYS):
        raise ArgumentError(f"`how` must be one of {', '.join(WAYS)}. Received: how={how!r}")
    x, gaps = _with_gaps(vae, x, missing)
    labels = codes.labels_for(vae, label, len(x))
    if rounds < 1:
        raise ArgumentError(f"`rounds` must be 1 or more. Received: rounds={rounds}")
    step = max(1, codes.AT_ONCE // draws)
    parts = []
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        given = None if labels is None else labels[rows]
        parts.append(_filled(vae, x[rows], gaps[rows], draws, how, rounds, given, [seed, start]))
    filled = np.concatenate(parts, axis=1)
    return Imputation(
        filled.mean(axis=0), filled, filled.std(axis=0) if draws > 1 else np.zeros_like(x), gaps
    )


def interval_factor(imputed: Imputation, truth, level: float = 0.9) -> float:
    """How many spreads to either side hold a share `level` of the truth, over missing elements.

    imputed: of data that neither training nor judgement sees. truth: (n, ...), uint8 or in units;
        NaN where nobody knows.
    The split-conformal factor with a scale of its own for each element (Lei et al. 2018), as draws
    alone are seldom honest: they know nothing of what the model cannot express.
    """
    if not 0.0 < level < 1.0:
        raise ArgumentError(f"`level` must be between 0 and 1. Received: level={level}")
    truth = to_units(truth)
    if truth.shape != imputed.x.shape or not imputed.missing.any():
        raise ArgumentError(
            "`truth` must be shaped as what was imputed, with something missing. "
            f"Received: {truth.shape} for {imputed.x.shape}, {imputed.missing.sum()} missing"
        )
    scale = imputed.spread + _LEAST_SPREAD
    ratios = (np.abs(truth - imputed.x) / scale)[imputed.missing & np.isfinite(truth)]
    return float(np.quantile(ratios, min(1.0, level * (1 + 1 / len(ratios))), method="higher"))


def _filled(vae, x, gaps, draws, how, rounds, label, seed) -> np.ndarray:
    """float32 (draws, n, ...). x: (n, ...), 0 in the gaps. label: (n,) or None."""
    known, gap = (np.tile(v, (draws, *(1,) * (v.ndim - 1))) for v in (x, gaps))
    label = None if label is None else np.tile(label, draws)
    chain = _Chain(vae, known, gap, label, seed)
    if how is None and _learnt(vae):
        state = chain.restored()
    elif how in (None, "variational"):
        state = chain.fill(chain.decoded(chain.fitted(draws)))
    else:
        state = chain.fill(chain.decoded(np.zeros((len(known), vae.latent_dim), np.float32)))
        for _ in range(rounds):
            state = chain.fill(chain.decoded(chain.draw(state)["z"]))
    if how == "importance":
        state = chain.fill(chain.decoded(chain.weighed(state)))
    return state.reshape(draws, *x.shape)


def _learnt(vae) -> bool:
    """Whether the model was trained to fill gaps."""
    return getattr(getattr(vae, "damage", None), "missing", 0.0) > 0.0


class _Chain:
    """Many examples with gaps, each on its own way. Arrays are float32 (N, ...)."""

    def __init__(self, vae, known, gap, label, seed):
        self.vae, self.known, self.gap, self.label = vae, known, gap, label
        self._random = np.random.default_rng(seed)

    def fill(self, values) -> np.ndarray:
        return np.where(self.gap, keras.ops.convert_to_numpy(values), self.known)

    def decoded(self, z):
        return self.vae.decode(keras.ops.convert_to_tensor(z, "float32"), self.label)

    def draw(self, state) -> dict:
        """What `VAE.draw` says of filled-in data. Means fill the gaps, without the noise of single
        pixels: the encoder never saw such noise in some pixels alone."""
        x = self.vae.to_units(state)
        given = self.vae._given(self.label, x)
        posterior = self.vae.infer(x, given)
        return self.vae.draw(x, posterior, given, seed=int(self._random.integers(2**31)))

    def restored(self) -> np.ndarray:
        seen = self.fill(FILL)
        return self.fill(self.vae.refine(seen, self.decoded(self.draw(seen)["z"])))

    def fitted(self, draws: int) -> np.ndarray:
        """Codes of a posterior that is fitted to each example; the examples are there `draws` times
        over, and each is fitted once."""
        vae, n = self.vae, len(self.known) // draws
        known, seen = vae.to_units(self.known[:n]), ~self.gap[:n]
        label = None if self.label is None else self.label[:n]
        given = vae._given(label, known)
        codes_of = [keras.Variable(np.zeros((n, vae.latent_dim), np.float32)) for _ in range(2)]
        z_mean, z_log_var = (variable.value for variable in codes_of)
        adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, _FITTING))
        for _ in range(_FITTING):
            noise = self._random.standard_normal((n, vae.latent_dim), np.float32)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([z_mean, z_log_var])
                z = z_mean + tf.exp(0.5 * z_log_var) * noise
                log_prob = vae.likelihood.log_prob(known, vae.params(z, given), seen)
                kl = tf.reduce_sum(kl_divergence(z_mean, z_log_var), axis=-1)
                loss = tf.reduce_sum(
                    kl - log_prob
                )  # examples are apart: Adam scales each by itself
            gradients = tape.gradient(loss, [z_mean, z_log_var])
            adam.apply_gradients(zip(gradients, codes_of, strict=True))
        noise = self._random.standard_normal((draws, n, vae.latent_dim), np.float32)
        z = z_mean.numpy() + np.exp(0.5 * z_log_var.numpy()) * noise
        return z.reshape(draws * n, -1)

    def weighed(self, state) -> np.ndarray:
        """One of many codes each, drawn in proportion to its importance weight (Gumbel's way)."""
        best = np.full(len(state), -np.inf)
        chosen = np.zeros((len(state), self.vae.latent_dim), np.float32)
        for _ in range(_PROPOSALS):
            terms = self.draw(state)
            # What fills the gaps is no evidence.
            known = self.vae.to_units(self.known)
            log_prob = self.vae.likelihood.log_prob(known, terms["params"], ~self.gap)
            weight = keras.ops.convert_to_numpy(log_weight({**terms, "reconstruction": -log_prob}))
            weight = weight + self._random.gumbel(size=len(weight))
            better = weight > best
            chosen[better] = keras.ops.convert_to_numpy(terms["z"])[better]
            best = np.maximum(best, weight)
        return chosen


def _with_gaps(vae, x, missing) -> tuple[np.ndarray, np.ndarray]:
    """x as float32 in units, gaps as 0; and where they are. Both (n, ...)."""
    x = to_units(x)
    if x.shape[1:] != vae.data_shape:
        raise ArgumentError(
            f"`x` must have shape (n, {', '.join(map(str, vae.data_shape))}). "
            f"Received: x of shape {x.shape}"
        )
    gaps = np.isnan(x)
    if missing is not None:
        gaps = gaps | _mask(missing, x.shape)
    flat = gaps.reshape(len(x), -1)
    if flat.all(axis=1).any():
        which = int(np.flatnonzero(flat.all(axis=1))[0])
        raise ArgumentError(
            f"`missing` must leave something to go by: every value of example {which} is missing. "
            "Generate one in its place"
        )
    return np.where(gaps, 0.0, x).astype(np.float32), gaps


def _mask(missing, shape) -> np.ndarray:
    mask = np.asarray(missing)
    if mask.dtype != bool:
        raise ArgumentError(f"`missing` must be bool, True where missing. Received: {mask.dtype}")
    full = tuple(shape)
    # As they are; the same for all; of all channels; both.
    for fits, seen in (
        (full, mask.shape),
        (full[1:], (1, *mask.shape)),
        (full[:-1], (*mask.shape, 1)),
        (full[1:-1], (1, *mask.shape, 1)),
    ):
        if mask.shape == fits:
            return np.broadcast_to(mask.reshape(seen), full)
    raise ArgumentError(
        f"`missing` must have shape {shape}, or that without its first or last axis. "
        f"Received: missing of shape {mask.shape}"
    )


def to_units(x) -> np.ndarray:
    """As `VAE.to_units` for arrays of any kind: bytes are divided by 255, floats are kept."""
    x = np.asarray(x)
    return x.astype(np.float32) / 255.0 if x.dtype == np.uint8 else x.astype(np.float32)
