"""A Gaussian mixture in code space: where the codes of data really are.

Codes drawn from the prior often fall where no data ever was, as the posteriors of all data together
(the aggregate posterior) are not the prior. A density fitted to them afterwards closes the gap
(Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020).
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
    whose products with their transposes are the covariances."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

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
        """The mixture of a model's aggregate posterior over data x, (n, ...)."""
        return cls.fit(draw(*encode(vae, x, label), seed=seed), components, seed)

    def sample(self, n: int, seed=None, temperature: float = 1.0) -> np.ndarray:
        """n codes, float32 (n, latent). temperature: of each Gaussian's deviation."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.weights), n, p=self.weights / self.weights.sum())
        noise = temperature * rng.standard_normal((n, self.means.shape[1]))
        z = self.means[chosen] + np.einsum("nij,nj->ni", self.factors[chosen], noise)
        return z.astype(np.float32)
