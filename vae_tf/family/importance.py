"""The importance-weighted autoencoder (Burda et al., "Importance Weighted Autoencoders", 2016).

Trained on a bound with several draws for each example, which is the tighter the more there are. An
encoder that is a poor fit in places is then punished less, so the posterior may be richer than the
Gaussian that it is drawn from. `vae_tf.bounds` measures any model by the same bound.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from vae_tf.bounds import log_weight
from vae_tf.vae import VAE


@keras.saving.register_keras_serializable(package="vae_tf")
class ImportanceWeightedVAE(VAE):
    """A `VAE` whose loss is the negative IWAE bound of `samples` draws, with beta = 1.

    Logged as for a `VAE`: `reconstruction` and `kl` are averages over the draws.

    Args:
        samples: draws for each example; 1 gives the ELBO. The time of a step grows with them.
        the rest: as for `VAE`, without `beta`, `free_bits` and `capacity`: the bound has no KL to
            weigh.
    """

    def __init__(self, encoder, decoder, likelihood="gaussian", samples=5, **kwargs):
        if kwargs.get("beta", 1.0) != 1.0 or kwargs.get("free_bits") or kwargs.get("capacity"):
            raise ValueError(
                "`beta`, `free_bits` and `capacity` must be left out: the bound of an "
                "importance-weighted VAE has no KL to weigh."
            )
        if not (isinstance(samples, int) and samples >= 1):
            raise ValueError(
                f"`samples` must be a whole number, 1 or more. Received: samples={samples}"
            )
        super().__init__(encoder, decoder, likelihood, **kwargs)
        self.samples = samples

    def _example_losses(self, x, target, training, label=None):
        x = self.to_units(x)
        target = x if target is None else self.to_units(target, "target")
        given = self._given(label, x)
        posterior = self.infer(x, given, training)
        draws = [self.draw(target, posterior, given, training) for _ in range(self.samples)]
        weights = ops.stack([log_weight(terms) for terms in draws])
        losses = math.log(self.samples) - ops.logsumexp(weights, axis=0)
        terms = dict(draws[0])
        for name in ("reconstruction", "kl"):
            terms[name] = sum(of[name] for of in draws) / self.samples
        self._track(losses, terms)
        return losses, terms

    def get_config(self):
        config = super().get_config()
        del config["beta"], config["free_bits"], config["capacity"]
        return {**config, "samples": self.samples}
