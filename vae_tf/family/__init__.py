"""The VAE's relatives, each a `VAE` that differs in one step; see the module of each."""

from vae_tf.family.conditional import ConditionalVAE

__all__ = ["ConditionalVAE"]
