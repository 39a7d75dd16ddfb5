"""Scores of the picture as a whole: how unusual it is among good ones, without a map."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edge.score import ScoreSpec
from vae_tf.data import Pictures
from vae_tf.density import OF_A_KIND, Density, fit_density, spread
from vae_tf.scores.base import Score, batched, no_map

INT8_STEPS = 255
_ENOUGH = 20  # held-out good pictures that tell more than those trained on
_SMALL = 1e-6  # beside a squared length
_KNEE = 1.0  # spreads above the middle of the good pictures


class _Whole(Score):
    """One number for the picture. arrays: "centre" and "unit" of that number for good ones."""

    has_map = False
    spec = ScoreSpec(window=1, top=1.0, knees={"value": 0.0})

    @property
    def ready(self) -> bool:
        return "unit" in self.arrays

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        results = batched(lambda image: {"value": self._value(image)}, self._good(good))
        values = np.concatenate([outputs["value"] for outputs in results])
        self.arrays = {
            "centre": np.array(np.median(values), np.float32),
            "unit": np.array(spread(values), np.float32),
        }
        return self

    def outputs(self, image):
        value = (self._value(image) - self.arrays["centre"]) / self.arrays["unit"]
        return {
            "reconstruction": self.vae.reconstruct(image),
            "anomaly_map": no_map(image),
            # A length is never negative; a picture that much better than good ones is not seen.
            "value": tf.nn.relu(value + 10.0)[:, None],
        }

    def _value(self, image) -> tf.Tensor:
        """(B,), higher means more anomalous."""
        raise NotImplementedError


class Elbo(_Whole):
    """At z_mean rather than at draws of z, so that scores repeat."""

    name = "elbo"

    def _value(self, image):
        vae = self.vae
        z_mean, z_log_var = vae.encode(image)
        x = tf.cast(image, tf.float32) / 255.0
        kl = 0.5 * (tf.square(z_mean) + tf.exp(z_log_var) - 1.0 - z_log_var)
        params = vae.decoder(z_mean, training=False)
        return tf.reduce_sum(kl, axis=-1) - vae.likelihood.log_prob(x, params)


class _Lengths(Score):
    """Lengths of whitened vectors, each beyond what good pictures commonly reach.

    arrays, for each vector: "NAME_mean" and the other fields of a `Density`, and "NAME_knee".
    """

    has_map = False
    vectors: tuple[str, ...] = ()
    of_a_kind = OF_A_KIND

    @property
    def ready(self) -> bool:
        fitted = {
            f"{name}_{array}" for name in self.vectors for array in (*Density._fields, "knee")
        }
        return fitted <= self.arrays.keys()

    @property
    def spec(self) -> ScoreSpec:
        knees = {n: float(self.arrays[f"{n}_knee"]) for n in self.vectors if self.ready}
        return ScoreSpec(window=1, top=1.0, knees=knees)

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        self._fit_vectors(*self._results(good, held_out))
        return self

    def _results(self, good: Pictures, held_out: Pictures | None) -> tuple[list[dict], list | None]:
        """What the model says of both; None for held-out ones that are too few."""
        look = tf.function(self._seen)
        seen = list(batched(look, self._good(good)))
        if held_out is None or len(held_out) < _ENOUGH:
            return seen, None
        return seen, list(batched(look, self._good(held_out)))

    def outputs(self, image):
        seen = self._seen(image)
        return {
            "reconstruction": seen["reconstruction"],
            "anomaly_map": no_map(image),
            **self._whitened(seen),
        }

    def _seen(self, image) -> dict[str, tf.Tensor]:
        """What the model says of pictures: the parts of the vectors, each (B, F_i)."""
        z_mean, _ = self.vae.encode(image)
        return {"reconstruction": self.vae.decode(z_mean), "z_mean": z_mean}

    def _fit_vectors(self, results: list[dict], held_out: list[dict] | None) -> None:
        for name in self.vectors:
            parts = [joined(results, part) for part in _PARTS[name]]
            # What int8 cannot tell apart must not decide: each part has one quantisation step.
            noise = [np.full(p.shape[1], np.ptp(p) / INT8_STEPS) for p in parts]
            unseen = None
            if held_out:
                unseen = np.concatenate([joined(held_out, p) for p in _PARTS[name]], axis=1)
            density, lengths = fit_density(
                np.concatenate(parts, axis=1),
                np.concatenate(noise),
                unseen,
                self.of_a_kind,
                np.cumsum([p.shape[1] for p in parts])[:-1],
            )
            self.arrays.update({f"{name}_{k}": v for k, v in density._asdict().items()})
            self.arrays[f"{name}_knee"] = knee(lengths)

    def _whitened(self, seen: dict) -> dict[str, tf.Tensor]:
        vectors = {}
        for name in self.vectors:
            density = Density(*(self.arrays[f"{name}_{field}"] for field in Density._fields))
            of_parts = (np.split(of, density.ends) for of in (density.mean, density.weights))
            products = [
                bounded(seen[part], tf.matmul, weights, float(density.bound), mean @ weights)
                for part, mean, weights in zip(_PARTS[name], *of_parts, strict=True)
            ]
            vectors[name] = _from_nearest(sum(products), density.centres, density.reach)
        return vectors


# What each vector is made of; in int8 every part has a quantisation step of its own.
_PARTS = {"latent": ("z_mean",), "features": ("means", "maxima", "z_mean")}


class LatentDensity(_Lengths):
    name = "latent-density"
    vectors = ("latent",)


class Features(_Lengths):
    name = "features"
    vectors: tuple[str, ...] = ("features",)

    def _seen(self, image):
        return self.vae.examine(image)


def bounded(x: tf.Tensor, product, matrix: np.ndarray, bound: float, usual=0.0) -> tf.Tensor:
    """What `product` gives for x and the matrix, less the usual, kept within `bound` either way.

    By a ReLU6, which becomes a part of the product: so int8 has 255 steps for what lies within.
    What is usual becomes its bias, which int8 holds finely.
    """
    half = 3.0 / bound
    bias = tf.constant(3.0 - half * usual, tf.float32)
    return (tf.nn.relu6(product(x, tf.constant(matrix * half)) + bias) - 3.0) * (1 / half)


def _from_nearest(x: tf.Tensor, centres: np.ndarray, reach: np.ndarray) -> tf.Tensor:
    """x, (B, F), less the nearest of the centres, (K, F), of each: see `Density.whitened`."""
    if len(centres) == 1:  # the mean, from which x is measured already
        return x
    square = tf.reduce_sum(x * x, axis=1, keepdims=True)
    within = x * tf.minimum(1.0, float(reach) * tf.math.rsqrt(square + _SMALL))
    near = tf.matmul(within, tf.constant(centres.T)) - np.square(centres).sum(axis=1) / 2
    return x - tf.gather(tf.constant(centres), tf.argmax(near, axis=1, output_type=tf.int32))


def joined(results: list[dict], name: str) -> np.ndarray:
    return np.concatenate([outputs[name] for outputs in results])


def knee(heights: np.ndarray) -> np.ndarray:
    """Where a part of the score begins to count; heights of good pictures, in their own spread."""
    return np.array(np.median(heights) + _KNEE, np.float32)
