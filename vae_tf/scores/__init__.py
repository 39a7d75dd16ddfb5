"""From a trained model to an anomaly map: the ways of scoring, behind one interface.

    name                  what it measures                                          needs
    squared-error         mean squared error of the reconstruction                  VAE
    normalised-error      error in units of what good pictures show at that place   VAE
    ssim                  structural dissimilarity (Wang et al. 2004)               VAE
    gradient              dissimilarity of edges (RIAD: Zavrtanik et al. 2021)      VAE
    reconstruction-probability  expected -log p(x|z), sigma per pixel (An & Cho 2015)     VAE
    elbo                  negative ELBO                                             VAE
    latent-density        distance of z_mean from the nearest kind of good picture  VAE
    head                  what the discrepancy head marks                           RestoringVAE
    features              likewise, of z_mean and the head's features               RestoringVAE
    combined              head and features (the default)                           RestoringVAE

Higher means more anomalous, everywhere. What is learnt is learnt from good pictures alone.
"""

from __future__ import annotations

from edge.errors import UserError
from vae_tf.restoring import RestoringVAE
from vae_tf.scores.base import BATCH, Score, batched
from vae_tf.scores.combined import Combined, Head
from vae_tf.scores.density import Elbo, Features, LatentDensity
from vae_tf.scores.errors import (
    Gradient,
    NormalisedError,
    ReconstructionProbability,
    SquaredError,
    Ssim,
)

__all__ = ["BATCH", "SCORES", "NormalisedError", "Score", "batched", "make_score", "scores_of"]

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
