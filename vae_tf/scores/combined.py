"""The default: what the head marks, and how unusual the picture is as a whole."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from edge.score import MAP, ScoreSpec
from vae_tf.data import Pictures
from vae_tf.defects import with_defects
from vae_tf.density import Density, spread
from vae_tf.scores.base import Score, batched
from vae_tf.scores.density import INT8_STEPS, Features, bounded, joined, knee

_HEAD_TOP = 0.003  # share of the picture; a defect may be that small,
_HEAD_TOP_PIXELS = 20  # but it takes some pixels of the head's map to outweigh noise
_COARSE = 0.2  # of the shorter side of the head's map
_GAUSSIAN = ("mean", "scale", "matrix")
_ADDED, _LIMIT = 0.5, 0.25  # to the map, for a spread of good pictures, and at most
_SMALL = 1e-3  # beside the 1 that the square is on good pictures
_EVEN_ODDS = 5.0  # the vector's weight where the map finds half of the synthetic defects
_TRIED, _TRIED_AT_ONCE = 300, 16  # good pictures that are damaged to find out
_PLACE_BOUND = 4.0  # deviations, as in `Density`; here fewer find more
_PLACE_NOISE = 6.0 / INT8_STEPS  # of features that reach from 0 to 6, see `blocks.conv_block`


class Combined(Features):
    """What the head marks, and how unusual the picture is as a whole, to the head and the VAE.

    A scratch stands out by a few high logits, a shadow by many that are a little high; so the map
    is the higher of the logits and of their means over a wide window. What the head was never shown
    stands out by features that no place of a good picture has: their Mahalanobis distance at each
    place (PaDiM: Defard et al. 2021), over as wide a window, adds to it, up to a limit, as it tells
    less surely and less sharply than logits. Each is in units of how high good pictures reach.

    arrays: besides those of the vector, "place_mean", "place_scale" and "place_matrix" of a
    `Density`; for the three scales "centres" and "units", (3,), of the heights of good pictures;
    "limit", the most that features add; "lowest", below which the map is 0; "map_knee"; and
    "vector_weight", against the map: the less surely the map finds synthetic defects on good
    pictures, the more the vector counts.
    """

    name = "combined"
    has_map = True
    marks: tuple[str, ...] = ("logits", "coarse")  # of which the highest counts
    adding: tuple[str, ...] = ("unusual",)

    @property
    def ready(self) -> bool:
        return {"map_knee", "limit"} <= self.arrays.keys() and super().ready

    @property
    def spec(self) -> ScoreSpec:
        knees = super().spec.knees
        weights = {name: float(self.arrays["vector_weight"]) for name in knees}
        if self.ready:
            knees = {MAP: float(self.arrays["map_knee"]), **knees}
        return ScoreSpec(window=1, top=self._top, knees=knees, weights=weights)

    @property
    def _top(self) -> float:
        height, width = self.vae.head_size
        return max(_HEAD_TOP, _HEAD_TOP_PIXELS / (height * width))

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        self._fit_places(self._good(good))
        results, unseen = self._results(good, held_out)
        names = self.marks + self.adding
        scales = {name: joined(unseen or results, name) for name in names}
        heights = np.stack([self._heights(scale) for scale in scales.values()])
        centres = np.median(heights, axis=1)
        units = np.array([spread(of) for of in heights])
        units[len(self.marks) :] /= _ADDED
        self._set(centres=centres, units=units, limit=_LIMIT)
        reached = spread(self._heights(self._together(scales).numpy()))
        self._set(units=units * reached, limit=_LIMIT / reached)
        together = self._together(scales).numpy()
        # Low enough that the map keeps the order of all but the plainest pixels.
        lowest = together.mean(dtype=np.float64) - 3 * together.std(dtype=np.float64)
        self._set(lowest=lowest, map_knee=knee(self._heights(np.maximum(together - lowest, 0))))
        self._fit_vectors(results, unseen)
        if self.vectors:
            self._fit_weight(self._good(held_out if held_out and unseen else good))
        return self

    def _fit_weight(self, good: Pictures) -> None:
        found = 0
        rows = np.unique(np.linspace(0, len(good) - 1, min(len(good), _TRIED)).astype(int))
        beyond = self.arrays["map_knee"]
        for seed, batch in enumerate(good.take(rows).batches(_TRIED_AT_ONCE)):
            damaged = tf.constant(with_defects(batch, seed))
            found += (self._heights(self._highest(self._seen(damaged)).numpy()) > beyond).sum()
        odds = (found + 1) / (len(rows) - found + 1)
        self._set(vector_weight=np.clip(_EVEN_ODDS / odds, 2.0, 10.0))

    def outputs(self, image):
        seen = self._seen(image)
        return {
            "reconstruction": seen["reconstruction"],
            "anomaly_map": tf.image.resize(self._highest(seen)[..., None], self.size)[..., 0],
            **self._whitened(seen),
        }

    def _highest(self, seen: dict) -> tf.Tensor:
        """The map at the head's size, (B, h, w), non-negative."""
        return tf.nn.relu(self._together(seen) - self.arrays["lowest"])

    def _together(self, seen: dict) -> tf.Tensor:
        """What the scales say together, (B, h, w), of what each says."""
        centres, units = self.arrays["centres"], self.arrays["units"]
        scales = [
            seen[name] * tf.constant(1 / units[i]) - tf.constant(centres[i] / units[i])
            for i, name in enumerate(self.marks + self.adding)
        ]
        together = functools.reduce(tf.maximum, scales[: len(self.marks)])
        for adding in scales[len(self.marks) :]:
            together += tf.minimum(adding, self.arrays["limit"])
        return together

    def _seen(self, image):
        seen = super()._seen(image)
        unusual = self._unusual(seen.pop("places"))
        return {**seen, "coarse": self._wide(seen["logits"]), "unusual": self._wide(unusual)}

    def _wide(self, x: tf.Tensor) -> tf.Tensor:
        """Means over a window about each place; (B, h, w) to the same at the head's size."""
        cell = max(1, round(_COARSE * min(x.shape[1:])))
        # Of cells, then of neighbouring cells: a window at every place would take far longer.
        x = tf.nn.avg_pool2d(x[..., None], cell, cell, "SAME")
        x = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        return tf.image.resize(x, self.vae.head_size)[..., 0]

    def _unusual(self, places: tf.Tensor) -> tf.Tensor:
        """How far the features of each place are from good ones; (B, h, w, P) to (B, h, w)."""
        mean, scale, matrix = (self.arrays[f"place_{field}"] for field in _GAUSSIAN)
        alike = (tf.minimum(places, mean + _PLACE_BOUND * scale) - mean) * (1 / scale)
        # A convolution quantises better than a product of matrices: a scale for each feature.
        product = functools.partial(tf.nn.conv2d, strides=1, padding="SAME")
        whitened = bounded(alike, product, matrix[None, None], _PLACE_BOUND)
        square = tf.reduce_mean(whitened * whitened, axis=-1, keepdims=True)
        # Its root; of that itself, tflite-runtime has no int8 form.
        return (square * tf.math.rsqrt(square + _SMALL))[..., 0]

    def _fit_places(self, good: Pictures) -> None:
        count = 0.0
        total, products = np.zeros(1), np.zeros(1)
        for sums in batched(self._place_sums, good):
            count += sums["count"].sum()
            total = total + sums["total"].sum(axis=0, dtype=np.float64)
            products = products + sums["products"].sum(axis=0, dtype=np.float64)
        mean = total / count
        covariance = products / count - np.outer(mean, mean)
        density = Density.of(mean, covariance, np.full(len(mean), _PLACE_NOISE))
        self._set(**{f"place_{field}": getattr(density, field) for field in _GAUSSIAN})

    def _place_sums(self, image) -> dict[str, tf.Tensor]:
        """Of each picture's places: their number, and the sums of features and of products."""
        places = self.vae.examine(image)["places"]
        rows = tf.reshape(places, (-1, places.shape[1] * places.shape[2], places.shape[3]))
        return {
            "count": tf.reduce_sum(tf.ones_like(rows[..., 0]), axis=1),
            "total": tf.reduce_sum(rows, axis=1),
            "products": tf.matmul(rows, rows, transpose_a=True),
        }

    def _set(self, **arrays) -> None:
        self.arrays.update({name: np.asarray(x, np.float32) for name, x in arrays.items()})

    def _heights(self, maps: np.ndarray) -> np.ndarray:
        """How high each map, (n, h, w), reaches, (n,): the mean of its highest places."""
        count = max(1, round(self._top * maps[0].size))
        flat = maps.reshape(len(maps), -1)
        highest = np.partition(flat, flat.shape[1] - count, axis=1)[:, -count:]
        return highest.mean(axis=1, dtype=np.float64)


class Head(Combined):
    """The head's map alone."""

    name = "head"
    vectors = ()
    adding = ()
