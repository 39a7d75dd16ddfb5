"""A VAE that learns to restore damaged pictures, and a small net that puts the detail back.

The VAE sees a damaged picture and is asked for the clean one (denoising VAE: Im et al., "Denoising
Criterion for Variational Auto-Encoding Framework", AAAI 2017). It knows what such pictures look
like, but its code has no room for every edge. A refiner therefore sees the damaged picture beside
the VAE's and corrects the latter by what is still to be read in the former.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers, ops

from vae_tf.uses.damages import Damage, damaged
from vae_tf.vae import VAE

_VALIDATION = 2**31 - 1  # in place of the number of the step
_WIDTHS = (24, 48, 64)  # of the refiner's levels, finest first


@keras.saving.register_keras_serializable(package="vae_tf")
class DenoisingVAE(VAE):
    """A `VAE` that `fit` trains on clean pictures alone, damaging them itself, anew in every step.

    Everything that a `VAE` does, it does as well. Logged besides: `refined`, the squared error of
    what `restore` gives, a pixel.

    Args:
        encoder, decoder, likelihood and further ones: as for `VAE`, for pictures (H, W, C).
        refiner: `keras.Model` from (B, H, W, 2 C), the damaged picture and the VAE's, to
            (B, H, W, C), what is added to the latter; see `refiner`.
        damage: a `Damage`, or words for one such as "noise=0.3", see `Damage.parse`.
    """

    def __init__(
        self, encoder, decoder, refiner, likelihood="gaussian", damage="noise=0.3", **kwargs
    ):
        super().__init__(encoder, decoder, likelihood, **kwargs)
        self.refiner = refiner
        self.damage = Damage.parse(damage) if isinstance(damage, str) else damage
        self.refined_tracker = keras.metrics.Mean(name="refined")

    @classmethod
    def for_pictures(
        cls,
        shape,
        latent_dim=64,
        likelihood="gaussian",
        widths=None,
        seed=None,
        neck=None,
        **kwargs,
    ):
        """A convolutional one for (H, W, C) pictures; arguments as for `VAE.for_pictures`."""
        net = refiner(shape, None if seed is None else seed + 2)
        return super().for_pictures(
            shape, latent_dim, likelihood, widths, seed, neck, refiner=net, **kwargs
        )

    def restore(self, x):
        """The clean picture behind a damaged one.

        x: (B, H, W, C), uint8 or in the likelihood's units, a missing pixel as `damages.FILL`.
        Returns: (B, H, W, C) float32.
        """
        x = self.to_units(x)
        return self.refine(x, self.reconstruct(x))

    def refine(self, x, restored, training=False):
        """What a damaged picture and a restored one, (B, H, W, C) each, say together: alike."""
        return restored + self.refiner(ops.concatenate([x, restored], axis=-1), training=training)

    def _loss_and_metrics(self, data, training):
        x, target, label = self._unpacked(data)
        if target is not None:
            raise ValueError(
                "DenoisingVAE takes clean pictures alone and damages them itself: call `fit(x)`. "
                "Received: pairs of x and target"
            )
        clean = self.to_units(x)
        seen = damaged(clean, self.damage, self._noise_seed(training), vary=True)
        losses, terms = self._example_losses(seen, clean, training, label)
        # The refiner is no part of the ELBO: what it needs must not bend the codes.
        restored = ops.stop_gradient(self.likelihood.mean(terms["params"]))
        errors = ops.mean(ops.square(self.refine(seen, restored, training) - clean), axis=(1, 2, 3))
        self.refined_tracker.update_state(errors)
        return ops.mean(losses) + ops.mean(errors)  # of each other's scale Adam knows nothing

    def _noise_seed(self, training):
        step = tf.cast(self.optimizer.iterations, tf.int32) if training else _VALIDATION
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.stack([(self.seed or 0) + 1000003 * replica, step])

    @property
    def metrics(self):
        return [*super().metrics, self.refined_tracker]

    def get_config(self):
        return {
            **super().get_config(),
            "refiner": keras.saving.serialize_keras_object(self.refiner),
            "damage": str(self.damage),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        net = keras.saving.deserialize_keras_object(
            config["refiner"], custom_objects=custom_objects
        )
        return super().from_config({**config, "refiner": net}, custom_objects)


def refiner(shape, seed=None) -> keras.Model:
    """A small U-Net from (B, H, W, 2 C) to (B, H, W, C), at first all zeros.

    shape: (H, W, C) of the picture. seed: int for the initial weights.
    """
    height, width, channels = shape
    seeds = keras.random.SeedGenerator(seed)
    x = inputs = keras.Input((height, width, 2 * channels), name="pictures")
    levels = []
    for level, breadth in enumerate(_WIDTHS):
        x = _block(x, breadth, seeds, strides=2 if level else 1)
        x = _block(x, breadth, seeds)
        levels.append(x)
    for finer in reversed(levels[:-1]):
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        surplus = [big - want for big, want in zip(x.shape[1:3], finer.shape[1:3], strict=True)]
        if any(surplus):
            x = layers.Cropping2D(tuple((0, n) for n in surplus))(x)
        x = layers.Concatenate()([x, finer])
        x = _block(x, finer.shape[-1], seeds)
    outputs = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model(inputs, outputs, name="refiner")


def _block(x, width, seeds, strides=1):
    init = keras.initializers.GlorotUniform(seed=int(seeds.next()[0]) % 2**31)
    x = layers.Conv2D(
        width, 3, strides=strides, padding="same", use_bias=False, kernel_initializer=init
    )(x)
    x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    return layers.ReLU(max_value=6.0)(x)
