"""The VAE's relatives, each a `VAE` that differs in one step; see the module of each."""

from vae_tf.family.adversarial import AdversarialAutoencoder
from vae_tf.family.conditional import ConditionalVAE
from vae_tf.family.denoising import DenoisingVAE
from vae_tf.family.importance import ImportanceWeightedVAE
from vae_tf.family.ladder import LadderVAE
from vae_tf.family.recurrent import RecurrentVAE

__all__ = [
    "AdversarialAutoencoder",
    "ConditionalVAE",
    "DenoisingVAE",
    "ImportanceWeightedVAE",
    "LadderVAE",
    "RecurrentVAE",
]
