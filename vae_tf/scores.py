"""From a trained model to an anomaly map: the ways of scoring, behind one interface.

    name                  what it measures                                          needs
    squared-error         mean squared error of the reconstruction                  VAE
    normalised-error      error in units of what good pictures show at that place   VAE
    ssim                  structural dissimilarity (Wang et al. 2004)               VAE
    gradient              dissimilarity of edges (RIAD: Zavrtanik et al. 2021)      VAE
    reconstruction-probability  expected -log p(x|z), sigma per pixel (An & Cho 2015)     VAE
    elbo                  negative ELBO                                             VAE
    latent-density        Mahalanobis distance of z_mean                            VAE
    head                  what the discrepancy head marks                           RestoringVAE
    features              Mahalanobis distance of z_mean and the head's features    RestoringVAE
    combined              head and features (the default)                           RestoringVAE

Higher means more anomalous, everywhere. What is learnt is learnt from good pictures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from edge.errors import UserError
from edge.score import MAP, ScoreSpec, smooth
from vae_tf.data import Pictures
from vae_tf.density import fit_density, spread
from vae_tf.restoring import RestoringVAE

BATCH = 32
_FITTED = 2000  # good pictures that are enough to learn from
_PRIOR_PICTURES = 30  # how many pictures' worth the picture-wide error weighs at each place
_HEAD_TOP = 0.003  # share of the picture; a defect may be that small,
_HEAD_TOP_PIXELS = 20  # but it takes some pixels of the head's map to outweigh noise
_COARSE = 0.2  # of the shorter side of the head's map
_INT8_STEPS = 255
_ENOUGH = 20  # held-out good pictures that tell more than those trained on
_KNEE = 1.0  # spreads above the middle of the good pictures


class Score:
    """A way of scoring.

    vae: the trained model. arrays: what `fit` learns, by name, as `detector.npz` keeps it.
    """

    name = ""
    has_map = True  # or only a number for the whole picture

    def __init__(self, vae, arrays: dict[str, np.ndarray] | None = None):
        self.vae = vae
        self.arrays = dict(arrays or {})

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of pictures and maps."""
        height, width = self.vae.encoder.input_shape[1:3]
        return height, width

    @property
    def spec(self) -> ScoreSpec:
        """How the map becomes a number: by default a defect's size in proportion to the picture."""
        return ScoreSpec(window=self._window, top=0.02)

    @property
    def _window(self) -> int:
        window = max(1, round(min(self.size) / 16))
        return window + 1 - window % 2

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        """Learns from good pictures: those that the model was trained on and, where there are
        enough, held-out ones that tell what scores good pictures commonly reach.
        """
        return self

    @property
    def ready(self) -> bool:
        """Whether it can score; some ways have to be fitted first."""
        return True

    def outputs(self, image: tf.Tensor) -> dict:
        """The detector graph, in TensorFlow operations; exported as it stands.

        image: uint8 (B, H, W, C). Returns: "reconstruction", (B, H, W, C), in [0, 1] but for the
        model's rounding; "anomaly_map", (B, H, W), non-negative; and the vectors, (B, F), that
        spec.knees names.
        """
        raise NotImplementedError

    def _good(self, good: Pictures) -> Pictures:
        rows = np.unique(np.linspace(0, len(good) - 1, min(len(good), _FITTED)).astype(int))
        return good.take(rows)


class _ByPlace(Score):
    """Errors in units of what good pictures show at each place.

    arrays: "scale", float32 (H, W), the typical error; ones before `fit`.
    """

    @property
    def scale(self) -> np.ndarray:
        return self.arrays.get("scale", np.ones(self.size, np.float32))

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        good = self._good(good)
        total = np.zeros(self.size)
        for outputs in batched(lambda image: {"error": self._errors(image)[1]}, good):
            total += np.square(outputs["error"], dtype=np.float64).sum(axis=0)
        mean = np.sqrt(total / len(good))
        local = np.square(smooth(mean, self._window), dtype=np.float64)
        # A few pictures do not tell one place from another; the whole picture then counts for more.
        overall = local.mean()
        rms = np.sqrt(
            (len(good) * local + _PRIOR_PICTURES * overall) / (len(good) + _PRIOR_PICTURES)
        )
        # Where good pictures never differ (a white background), the error is next to nothing; the
        # floor keeps a grey level of noise there from counting as a defect.
        floor = max(0.2 * np.sqrt(overall), 0.5 / 255)
        self.arrays["scale"] = np.maximum(rms, floor).astype(np.float32)
        return self

    def _errors(self, image) -> tuple[tf.Tensor, tf.Tensor]:
        """The reconstruction, and how far each pixel is from it on average over the channels."""
        reconstruction = self.vae.reconstruct(image)
        error = tf.abs(tf.cast(image, tf.float32) / 255.0 - reconstruction)
        return reconstruction, tf.reduce_mean(error, axis=-1)

    def _inverse(self) -> tf.Tensor:
        # As a constant: a product quantises better than a quotient.
        return tf.constant(1 / self.scale[None])


class NormalisedError(_ByPlace):
    name = "normalised-error"

    def outputs(self, image):
        reconstruction, error = self._errors(image)
        return {"reconstruction": reconstruction, "anomaly_map": error * self._inverse()}


class SquaredError(Score):
    name = "squared-error"
    spec = ScoreSpec(window=1, top=1.0)

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        error = tf.square(tf.cast(image, tf.float32) / 255.0 - reconstruction)
        return {
            "reconstruction": reconstruction,
            "anomaly_map": tf.reduce_mean(error, axis=-1),
        }


class Ssim(Score):
    name = "ssim"

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        x = tf.cast(image, tf.float32) / 255.0
        mean_x, mean_y = _box(x), _box(reconstruction)
        var_x = _box(x * x) - mean_x * mean_x
        var_y = _box(reconstruction * reconstruction) - mean_y * mean_y
        both = _box(x * reconstruction) - mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2  # as in the paper, for pictures in 0..1
        alike = (2 * mean_x * mean_y + c1) * (2 * both + c2)
        alike /= (mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2)
        unlike = tf.nn.relu(1 - tf.reduce_mean(alike, axis=-1))
        return {"reconstruction": reconstruction, "anomaly_map": unlike}


class Gradient(Score):
    name = "gradient"

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        a, b = _edges(tf.cast(image, tf.float32) / 255.0), _edges(reconstruction)
        c = 0.0026  # of RIAD and of Xue et al. 2014, for pictures in 0..1
        alike = (2 * a * b + c) / (a * a + b * b + c)
        return {
            "reconstruction": reconstruction,
            "anomaly_map": tf.nn.relu(1 - tf.reduce_mean(alike, axis=-1)),
        }


class ReconstructionProbability(_ByPlace):
    """Averaged over draws of z that are the same for every picture, so that scores repeat.

    sigma of each pixel is the one most likely for the errors of good pictures there.
    """

    name = "reconstruction-probability"
    spec = ScoreSpec(window=1, top=1.0)
    draws = 8

    def outputs(self, image):
        vae = self.vae
        z_mean, z_log_var = vae.encode(image)
        rng = np.random.default_rng(0)
        x = tf.cast(image, tf.float32) / 255.0
        surprise = 0.0
        for eps in rng.normal(size=(self.draws, vae.latent_dim)).astype(np.float32):
            decoded = vae.decode(z_mean + tf.exp(0.5 * z_log_var) * eps)
            error = tf.reduce_mean(tf.square(x - decoded), axis=-1)
            surprise += 0.5 * error * tf.square(self._inverse()) / self.draws
        return {"reconstruction": vae.decode(z_mean), "anomaly_map": surprise}


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
            "anomaly_map": _no_map(image),
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

    arrays, for each vector: "NAME_matrix" (F, F), "NAME_offset" (F,) and "NAME_knee".
    """

    has_map = False
    vectors: tuple[str, ...] = ()
    weight = 1.0  # of the vectors, against the map

    @property
    def ready(self) -> bool:
        return all(f"{name}_knee" in self.arrays for name in self.vectors)

    @property
    def spec(self) -> ScoreSpec:
        knees = {n: float(self.arrays[f"{n}_knee"]) for n in self.vectors if self.ready}
        return ScoreSpec(window=1, top=1.0, knees=knees)

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        self._fit_vectors(*self._results(good, held_out))
        return self

    def _results(self, good: Pictures, held_out: Pictures | None) -> tuple[list[dict], list | None]:
        """What the model says of both; None for held-out ones that are too few."""
        seen = list(batched(self._seen, self._good(good)))
        if held_out is None or len(held_out) < _ENOUGH:
            return seen, None
        return seen, list(batched(self._seen, self._good(held_out)))

    def outputs(self, image):
        seen = self._seen(image)
        return {
            "reconstruction": seen["reconstruction"],
            "anomaly_map": _no_map(image),
            **self._whitened(seen),
        }

    def _seen(self, image) -> dict[str, tf.Tensor]:
        """What the model says of pictures: the parts of the vectors, each (B, F_i)."""
        z_mean, _ = self.vae.encode(image)
        return {"reconstruction": self.vae.decode(z_mean), "z_mean": z_mean}

    def _fit_vectors(self, results: list[dict], held_out: list[dict] | None) -> None:
        for name in self.vectors:
            parts = [_joined(results, part) for part in _PARTS[name]]
            # What int8 cannot tell apart must not decide: each part has one quantisation step.
            noise = [np.full(p.shape[1], np.ptp(p) / _INT8_STEPS) for p in parts]
            unseen = None
            if held_out:
                unseen = np.concatenate([_joined(held_out, p) for p in _PARTS[name]], axis=1)
            density, lengths = fit_density(
                np.concatenate(parts, axis=1), np.concatenate(noise), unseen
            )
            self.arrays[f"{name}_matrix"] = self.weight * density.matrix
            self.arrays[f"{name}_offset"] = self.weight * density.offset
            self.arrays[f"{name}_knee"] = self.weight * _knee(lengths)

    def _whitened(self, seen: dict) -> dict[str, tf.Tensor]:
        vectors = {}
        for name in self.vectors:
            parts = [seen[part] for part in _PARTS[name]]
            ends = np.cumsum([part.shape[-1] for part in parts])[:-1]
            matrices = np.split(self.arrays[f"{name}_matrix"], ends)
            whitened = -tf.constant(self.arrays[f"{name}_offset"])
            for part, matrix in zip(parts, matrices, strict=True):
                whitened += tf.matmul(part, tf.constant(matrix))
            vectors[name] = whitened
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


class Combined(Features):
    """What the head marks, and how unusual the picture is as a whole, to the head and the VAE.

    A scratch stands out by a few high logits, a shadow by many that are a little high; so the map
    is the higher of the logits and of their means over a wide window, each in units of how high
    good pictures reach.

    arrays: besides those of the vectors, for the two scales "centres" and "units", (2,), of the
    heights of good pictures; "lowest", below which the map is 0; and "map_knee".
    """

    name = "combined"
    has_map = True
    weight = 3.0

    @property
    def ready(self) -> bool:
        return "map_knee" in self.arrays and super().ready

    @property
    def spec(self) -> ScoreSpec:
        knees = super().spec.knees
        knee = {MAP: float(self.arrays["map_knee"])} if self.ready else {}
        return ScoreSpec(window=1, top=self._top, knees={**knee, **knees})

    @property
    def _top(self) -> float:
        height, width = self.vae.head_size
        return max(_HEAD_TOP, _HEAD_TOP_PIXELS / (height * width))

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        results, unseen = self._results(good, held_out)
        scales = [_joined(unseen or results, name) for name in ("logits", "coarse")]
        heights = np.stack([self._heights(scale) for scale in scales])
        centres = np.median(heights, axis=1)
        units = np.array([spread(of) for of in heights])
        both = np.max([(s - c) / u for s, c, u in zip(scales, centres, units, strict=True)], axis=0)
        reached = self._heights(both)
        units *= spread(reached)
        both /= spread(reached)
        # Low enough that the map keeps the order of all but the plainest pixels.
        lowest = both.mean(dtype=np.float64) - 3 * both.std(dtype=np.float64)
        self.arrays["centres"] = centres.astype(np.float32)
        self.arrays["units"] = units.astype(np.float32)
        self.arrays["lowest"] = np.array(lowest, np.float32)
        self.arrays["map_knee"] = _knee(self._heights(np.maximum(both - lowest, 0)))
        self._fit_vectors(results, unseen)
        return self

    def outputs(self, image):
        seen = self._seen(image)
        centres, units = self.arrays["centres"], self.arrays["units"]
        fine, coarse = (
            seen[name] * tf.constant(1 / units[i]) - tf.constant(centres[i] / units[i])
            for i, name in enumerate(("logits", "coarse"))
        )
        anomaly_map = tf.nn.relu(tf.maximum(fine, coarse) - self.arrays["lowest"])[..., None]
        return {
            "reconstruction": seen["reconstruction"],
            "anomaly_map": tf.image.resize(anomaly_map, self.size)[..., 0],
            **self._whitened(seen),
        }

    def _seen(self, image):
        seen = super()._seen(image)
        return {**seen, "coarse": self._coarse(seen["logits"])}

    def _coarse(self, logits: tf.Tensor) -> tf.Tensor:
        """Means over a window about each place; (B, h, w) to the same."""
        size = self.vae.head_size
        cell = max(1, round(_COARSE * min(size)))
        # Of cells, then of neighbouring cells: a window at every place would take far longer.
        x = tf.nn.avg_pool2d(logits[..., None], cell, cell, "SAME")
        x = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        return tf.image.resize(x, size)[..., 0]

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


def _joined(results: list[dict], name: str) -> np.ndarray:
    return np.concatenate([outputs[name] for outputs in results])


def _knee(heights: np.ndarray) -> np.ndarray:
    """Where a part of the score begins to count; heights of good pictures, in their own spread."""
    return np.array(np.median(heights) + _KNEE, np.float32)


_ALL = (
    SquaredError,
    NormalisedError,
    Ssim,
    Gradient,
    ReconstructionProbability,
    Elbo,
    LatentDensity,
    Head,
    Features,
    Combined,
)
SCORES: dict[str, type[Score]] = {kind.name: kind for kind in _ALL}


def scores_of(vae) -> list[str]:
    """The names of the scores that a model can give, the default last."""
    if isinstance(vae, RestoringVAE):
        return list(SCORES)
    plain = [name for name in SCORES if name not in ("head", "features", "combined")]
    return sorted(plain, key=lambda name: name == NormalisedError.name)


def make_score(vae, name: str | None = None, arrays=None) -> Score:
    """A way of scoring by its name; None for the best without labels that the model can give.

    Raises: UserError naming those that it can give.
    """
    able = scores_of(vae)
    name = name or able[-1]
    if name not in able:
        raise UserError(f"expected a score of {', '.join(able)}, got {name!r}")
    return SCORES[name](vae, arrays)


def batched(compute: Callable, pictures: Pictures) -> Iterator[dict[str, np.ndarray]]:
    """What `compute`, in TensorFlow operations, gives for each batch of pictures.

    compute: from uint8 (B, H, W, C) to a dict of tensors (B, ...).
    """
    graph = tf.function(compute)
    for batch in pictures.batches(BATCH):
        # One shape for all batches: a last, shorter one would trace the graph again.
        padded = np.concatenate([batch, np.zeros((BATCH - len(batch), *batch.shape[1:]), np.uint8)])
        yield {name: value.numpy()[: len(batch)] for name, value in graph(padded).items()}


def _no_map(image: tf.Tensor) -> tf.Tensor:
    # Made from the picture, so that it has its batch.
    return tf.reduce_mean(tf.cast(image, tf.float32), axis=-1) * 0.0


def _box(x: tf.Tensor, window: int = 7) -> tf.Tensor:
    """Mean over a window, at the border over what lies inside."""
    return tf.nn.avg_pool2d(x, window, 1, "SAME")


def _edges(x: tf.Tensor) -> tf.Tensor:
    """Gradient magnitude by Prewitt's kernels, as the papers have it."""
    channels = x.shape[-1]
    kernel = np.repeat([[1.0, 0.0, -1.0]], 3, axis=0) / 3
    kernels = np.stack([kernel, kernel.T], axis=-1)[:, :, None, :].astype(np.float32)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    both = tf.nn.depthwise_conv2d(padded, np.repeat(kernels, channels, 2), [1, 1, 1, 1], "VALID")
    across, down = tf.unstack(tf.reshape(both, (-1, *x.shape[1:], 2)), axis=-1)
    return tf.sqrt(across * across + down * down + 1e-12)
