"""How usual a vector of features is among those of good pictures.

One Gaussian over the features that a network has learnt from synthetic defects tells real defects
apart that the network itself was not trained to mark (CutPaste: Li et al. 2021). Good pictures come
in kinds, though, of which a Gaussian knows nothing; where there are many, it is their nearest kind
that a picture is measured from, as it is the nearest good picture in PatchCore (Roth et al. 2022).
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2

# Towards independent features of equal spread: few pictures, many features; and along directions in
# which good pictures hardly vary, the noise of int8 would be all that is seen.
_SHRINKAGE = 0.25
_FOLDS = 5
OF_A_KIND = 64  # good pictures that each kind rests on
_WITHIN_REACH = 99.0  # percent of the good pictures
_ROUNDS = 20  # of k-means
# Deviations. What lies so far off is no good part, however much further it is; left alone, the
# plainest defect would set the step in which int8 counts. Much less would squeeze defects together,
# and a threshold that few good pictures set might then be beyond them all.
_BOUND = 32.0


class Density(NamedTuple):
    """A map under which the features of good pictures have about the same spread every way.

    mean, scale: float32 (F,). matrix: float32 (F, F). centres: float32 (K, F), of the kinds of good
    pictures. `(features - mean) / scale @ matrix`, less the centre that is nearest to it, has, for
    a good picture, a length that varies by 1 or so from picture to picture: the Mahalanobis
    distance, in units of its own spread.
    ends: int32 (P - 1,), where the features are cut into parts, of which each gives its product
    with its rows of the matrix. bound: float32 (), within which each of these products is kept,
    either way, before they add up.
    reach: float32 (), a length from the mean that few good pictures exceed. For what lies further
    off, the nearest centre is that of the point at this distance on the way there: so how near the
    centres are is a number of limited range, and int8 can tell them apart.
    """

    mean: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray
    centres: np.ndarray
    reach: np.ndarray
    ends: np.ndarray
    bound: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray, noise: np.ndarray, ends=()) -> Density:
        """From a Gaussian: mean (F,), covariance (F, F). noise, (F,), and ends: see `fit_density`.

        The mean is its only centre.
        """
        scale = np.sqrt(np.diag(covariance) + np.square(noise) + 1e-12)
        correlation = covariance / np.outer(scale, scale)
        average = np.trace(correlation) / len(correlation)
        correlation *= 1 - _SHRINKAGE
        correlation.flat[:: len(correlation) + 1] += _SHRINKAGE * average + 1e-6
        matrix = np.linalg.cholesky(np.linalg.inv(correlation))
        weights = np.split(matrix / scale[:, None], ends)
        matrix = np.concatenate([_int8_rounded(of_part) for of_part in weights]) * scale[:, None]
        centre = np.zeros((1, len(mean)))
        return cls(
            mean, scale, matrix, centre, np.ones(()), np.array(ends, np.int32), np.array(_BOUND)
        )

    @property
    def weights(self) -> np.ndarray:
        """(F, F), the matrix for features as they are; of the steps that int8 has for each part."""
        return self.matrix / self.scale[:, None]

    def whitened(self, features: np.ndarray) -> np.ndarray:
        """float (n, F) or (F,) to the same, each from its nearest centre."""
        alike = np.split((features - self.mean) / self.scale, self.ends, axis=-1)
        products = zip(alike, np.split(self.matrix, self.ends), strict=True)
        x = sum(np.clip(part @ rows, -self.bound, self.bound) for part, rows in products)
        length = np.linalg.norm(x, axis=-1, keepdims=True)
        within = x * np.minimum(1, self.reach / np.maximum(length, 1e-12))
        # Half of |x|^2 - |x - c|^2 is most where the distance is least.
        near = within @ self.centres.T - np.square(self.centres).sum(axis=1) / 2
        return x - self.centres[near.argmax(axis=-1)]


def fit_density(
    features: np.ndarray,
    noise: np.ndarray,
    held_out: np.ndarray | None = None,
    of_a_kind: int = OF_A_KIND,
    ends=(),
) -> tuple[Density, np.ndarray]:
    """The density, and the lengths that good pictures have when they are not part of the fit.

    features: float (n, F) of good pictures, n at least 2.
    noise: float (F,), the uncertainty that each feature has anyhow, such as its quantisation step;
        what varies less than that tells nothing.
    held_out: float (m, F) of good pictures that nothing was trained on. None: the lengths are of
        `features`, each fifth by a density fitted to the others.
    of_a_kind: pictures that each kind rests on; with fewer than twice as many there is but one.
    ends: where the features are cut into parts, see `Density`; by default they are one.
    """
    x = np.asarray(features, np.float64)
    whole = _fitted(x, noise, of_a_kind, ends)
    if held_out is not None:
        lengths = _lengths(np.asarray(held_out, np.float64), whole)
    else:
        # Pictures that the Gaussian was fitted to lie closer to it than others do. Neighbours in
        # order may be shots of one part: they stay together.
        folds = np.arange(len(x)) * min(_FOLDS, len(x)) // len(x)
        lengths = np.zeros(len(x))
        for fold in np.unique(folds):
            lengths[folds == fold] = _lengths(
                x[folds == fold], _fitted(x[folds != fold], noise, of_a_kind, ends)
            )
    unit = spread(lengths)
    whole = whole._replace(
        **{name: getattr(whole, name) / unit for name in ("matrix", "centres", "reach", "bound")}
    )
    floats = (np.asarray(part, np.float32) for part in whole)
    return Density(*floats)._replace(ends=whole.ends), lengths / unit


def spread(scores: np.ndarray) -> float:
    """From the middle of the good pictures' scores to the highest few, about two deviations."""
    middle, high = np.percentile(scores, [50, 97])
    return float(max(high - middle, 1e-6))


def _int8_rounded(weights: np.ndarray) -> np.ndarray:
    """(F_i, F) rounded as int8 does for each column, so that every precision has the same."""
    step = np.abs(weights).max(axis=0) / 127
    return np.round(weights / np.where(step > 0, step, 1)) * step


def _lengths(x: np.ndarray, density: Density) -> np.ndarray:
    return np.linalg.norm(density.whitened(x), axis=1)


def _fitted(x: np.ndarray, noise: np.ndarray, of_a_kind: int, ends) -> Density:
    gaussian = Density.of(x.mean(axis=0), np.cov(x, rowvar=False, bias=True), noise, ends)
    count = len(x) // of_a_kind
    if count < 2:
        return gaussian
    whitened = gaussian.whitened(x)
    centres = _centres(whitened, count)
    reach = np.percentile(np.linalg.norm(whitened, axis=1), _WITHIN_REACH)
    return gaussian._replace(centres=centres, reach=reach)


def _centres(x: np.ndarray, count: int) -> np.ndarray:
    """Those of k-means, (count, F), of x, (n, F); the same each time."""
    from sklearn.cluster import kmeans_plusplus  # takes a second to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where rows are equal, some centres stay without any
        start, _ = kmeans_plusplus(x, count, random_state=0)
        return kmeans2(x, start, _ROUNDS, minit="matrix")[0]
