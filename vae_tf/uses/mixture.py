"""A Gaussian mixture in code space: where the codes of data really are.

Codes drawn from the prior often fall where no data ever was, as the posteriors of all data together
(the aggregate posterior) are not the prior. A density fitted to them afterwards closes the gap
(Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020). A conditional model's
codes need not lie alike for every class either, so each class has Gaussians of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import draw, encode

COMPONENTS = 20
_REGULARISATION = 1e-4  # variance added to every direction, in the prior's units


@dataclass(frozen=True)
class LatentMixture:
    """weights: (K,), sum 1. means: (K, latent). factors: (K, latent, latent), lower triangular,
    whose products with their transposes are the covariances. labels: (K,), the class that each
    Gaussian is of, or None."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def fit(cls, z, components: int = COMPONENTS, seed: int = 0) -> LatentMixture:
        """Fits a mixture of full Gaussians by expectation-maximisation.

        z: (n, latent) codes, drawn from the posteriors rather than their means, or the mixture is
            narrower than the aggregate posterior. components: at most, fewer where n is small.
        Raises: ArgumentError where there are too few codes for a single component.
        """
        from sklearn.mixture import GaussianMixture  # takes a second to import

        z = np.asarray(z, np.float64)
        if components < 1:
            raise ArgumentError(f"`components` must be 1 or more. Received: {components}")
        if z.ndim != 2 or len(z) <= z.shape[1]:
            raise ArgumentError(
                "`z` must have shape (n, latent) with n above latent, to tell a covariance. "
                f"Received: z of shape {z.shape}"
            )
        # Each component's covariance should rest on some times as many codes as it has rows.
        components = min(components, max(1, len(z) // (4 * z.shape[1])))
        mixture = GaussianMixture(
            components, random_state=seed, reg_covar=_REGULARISATION, max_iter=100, tol=1e-2
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short of convergence it is a mixture all the same
            mixture.fit(z)
        factors = np.linalg.cholesky(mixture.covariances_)
        return cls(mixture.weights_, mixture.means_, factors)

    @classmethod
    def of(cls, vae, x, label=None, components: int = COMPONENTS, seed: int = 0) -> LatentMixture:
        """The mixture of a model's aggregate posterior over data x, (n, ...).

        label: of a conditional model. (n,): each class has `components` Gaussians of its own, where
            it has codes enough to fit them to.
        """
        z = draw(*encode(vae, x, label), seed=seed)
        labels = np.asarray(label)
        if label is None or not labels.ndim:
            return cls.fit(z, components, seed)
        known, counts = np.unique(labels, return_counts=True)
        parts = [
            (k, count / len(z), cls.fit(z[labels == k], components, seed))
            for k, count in zip(known, counts, strict=True)
            if count > z.shape[1]
        ]
        if not parts:
            return cls.fit(z, components, seed)
        weights = np.concatenate([share * part.weights for _, share, part in parts])
        return cls(
            weights / weights.sum(),
            np.concatenate([part.means for _, _, part in parts]),
            np.concatenate([part.factors for _, _, part in parts]),
            np.concatenate([np.full(len(part.weights), k) for k, _, part in parts]),
        )

    def sample(self, n: int, seed=None, temperature: float = 1.0, label=None) -> np.ndarray:
        """n codes, float32 (n, latent).

        temperature: of each Gaussian's deviation. label: int or (n,), the classes to draw codes of;
            a class without Gaussians of its own is drawn from all.
        """
        rng = np.random.default_rng(seed)
        chosen = np.empty(n, int)
        wanted = np.broadcast_to(-1 if label is None or self.labels is None else label, (n,))
        for k in np.unique(wanted):
            mask = wanted == k
            chosen[mask] = rng.choice(len(self.weights), mask.sum(), p=self._weights_of(k))
        noise = temperature * rng.standard_normal((n, self.means.shape[1]))
        z = self.means[chosen] + np.einsum("nij,nj->ni", self.factors[chosen], noise)
        return z.astype(np.float32)

    def _weights_of(self, label) -> np.ndarray:
        """(K,), sum 1: the weights, those of other classes' Gaussians 0."""
        own = None if self.labels is None else self.weights * (self.labels == label)
        weights = self.weights if own is None or not own.any() else own
        return weights / weights.sum()
