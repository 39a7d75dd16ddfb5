"""A VAE that learns to restore good pictures from damaged ones, and a head that marks the damage.

A VAE alone is a weak detector: it blurs good texture as much as defects, and what it never learnt
to take away it rebuilds. Here it sees pictures with synthetic defects and is asked for the clean
ones, as in a denoising VAE (Im et al. 2017), and a discrepancy head learns, from picture and
reconstruction, where the damage was (DRAEM: Zavrtanik et al. 2021).
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from vae_tf.augment import Augmentation, augment
from vae_tf.config import CAMERA_NOISE
from vae_tf.defects import damage
from vae_tf.head import discrepancy_head
from vae_tf.layers import ComparingConv2D
from vae_tf.muon import Muon  # noqa: F401, saved models name it, and are opened with this module
from vae_tf.vae import VAE

CLEAN = 0.15  # share of training pictures without a synthetic defect
NECK = 16  # enough to restore good parts by; a wider one makes the device's graph larger
# Deviation at most. Without it, what one grey level changes is what the head lives by: the noise
# that synthetic defects lack, and int8 cannot hold.
NOISE = CAMERA_NOISE / 255.0
_VALIDATION = 2**31 - 1  # in place of the number of the step
_DAMAGED_WEIGHT = 3.0  # of a damaged pixel of a small defect, against a good one


@keras.saving.register_keras_serializable(package="vae_tf")
class RestoringVAE(VAE):
    """A `VAE` that `fit` trains on good pictures alone, damaging them itself on the way.

    Everything that a `VAE` does, it does as well. Logged besides: `head`, the loss of the head.

    Args:
        encoder, decoder, likelihood, beta, seed: as for `VAE`, for pictures (H, W, C).
        head: `keras.Model` from (B, H, W, 2 C), what `seen_by_head` gives, to a dict of
            `logits`, (B, h, w, 1), `means` and `maxima`, (B, F), and `places`, (B, h, w, P); see
            `head.discrepancy_head`.
        augmentation: an `Augmentation`, what keeps a good picture good.
        noise: deviation at most, in units of the pictures' [0, 1], of the noise that they get.
    """

    def __init__(
        self,
        encoder,
        decoder,
        head,
        likelihood="gaussian",
        augmentation=None,
        noise=NOISE,
        **kwargs,
    ):
        super().__init__(encoder, decoder, likelihood, **kwargs)
        self.head = head
        self.augmentation = augmentation or Augmentation()
        self.noise = noise
        self.head_tracker = keras.metrics.Mean(name="head")

    @classmethod
    def for_pictures(
        cls,
        shape,
        latent_dim=64,
        likelihood="gaussian",
        widths=None,
        seed=None,
        neck=NECK,
        dropout=0.0,
        **kwargs,
    ):
        """A convolutional one for (H, W, C) pictures; arguments as for `VAE.for_pictures`.

        dropout: in the head, see `head.discrepancy_head`.
        """
        head = discrepancy_head(shape, dropout, None if seed is None else seed + 2)
        return super().for_pictures(
            shape, latent_dim, likelihood, widths, seed, neck, head=head, **kwargs
        )

    @property
    def head_size(self):
        """Height and width of the head's map."""
        # `output_shape` forgets the names.
        return tuple(self.head.compute_output_shape(self.head.input_shape)["logits"][1:3])

    def examine(self, x):
        """What the head says of pictures.

        Args:
            x: (B, H, W, C), uint8 or in the likelihood's units.

        Returns:
            dict of `reconstruction`, (B, H, W, C), and `z_mean`, (B, latent), as a VAE gives them;
            `logits`, (B, h, w), above 0 where damage is likelier than not; `means`, `maxima` and
            `places` as the head gives them.
        """
        x = self.to_units(x)
        z_mean, _ = self.encode(x)
        reconstruction = self.decode(z_mean)
        seen = self.head(self.seen_by_head(x, reconstruction), training=False)
        return {
            "reconstruction": reconstruction,
            "z_mean": z_mean,
            "logits": seen["logits"][..., 0],
            "means": seen["means"],
            "maxima": seen["maxima"],
            "places": seen["places"],
        }

    def seen_by_head(self, x, restored):
        """The head's input, (B, H, W, 2 C), from pictures and reconstructions, (B, H, W, C)."""
        return ops.concatenate([x, x - restored], axis=-1)

    def round_kernels(self):
        """To be called once trained: the weights that int8 would change most are as it has them.

        Those are the first of the head, which alone find small differences in bright pictures. All
        that follows, from the features' density to the float32 graph, is then of the same network
        as the int8 graph.
        """
        for layer in self.head.layers:
            if isinstance(layer, ComparingConv2D):
                layer.round_kernel()

    def head_losses(self, seen, weight):
        """The head's loss for each picture, (B,). seen: its output; weight: see `head_loss`."""
        return head_loss(seen["logits"], weight)

    def _loss_and_metrics(self, data, training):
        x, target, _ = self._unpacked(data)
        if target is not None:
            raise ValueError(
                "RestoringVAE takes good pictures alone and damages them itself: call `fit(x)`. "
                "Received: pairs of x and target"
            )
        clean, damaged = self._prepare(x, training)
        losses, terms = super()._example_losses(damaged.pictures, clean, training)
        # The reconstruction as it is: it must not turn into what the head finds easy.
        restored = ops.stop_gradient(self.likelihood.mean(terms["params"]))
        seen = self.head(self.seen_by_head(damaged.pictures, restored), training=training)
        head_losses = self.head_losses(seen, damaged.weight)
        self.head_tracker.update_state(head_losses)
        # Neither part's gradient reaches the other, and the optimiser forgets the scale of each.
        return ops.mean(losses) + ops.mean(head_losses)

    def _prepare(self, x, training):
        """Good pictures as they are to be restored, and damaged; a function of seed and step."""
        step = tf.cast(self.optimizer.iterations, tf.int32) if training else _VALIDATION
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.stack([(self.seed or 0) + 1000003 * replica, step])
        clean = self.to_units(x)
        if training:
            clean = augment(clean, seed, self.augmentation)
        damaged = damage(clean, seed, CLEAN)
        return clean, damaged._replace(pictures=_noisy(damaged.pictures, seed, self.noise))

    @property
    def metrics(self):
        return [*super().metrics, self.head_tracker]

    def get_config(self):
        return {
            **super().get_config(),
            "head": keras.saving.serialize_keras_object(self.head),
            "augmentation": self.augmentation._asdict(),
            "noise": self.noise,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        head = keras.saving.deserialize_keras_object(config["head"], custom_objects=custom_objects)
        augmentation = Augmentation(**config["augmentation"])
        return super().from_config(
            {**config, "head": head, "augmentation": augmentation}, custom_objects
        )


def _noisy(pictures, seed, most):
    """Pictures with noise such as a camera's, in each of a deviation up to `most`; (B, H, W, C)."""
    if not most:
        return pictures
    deviation = tf.random.stateless_uniform((tf.shape(pictures)[0], 1, 1, 1), seed + 11, 0.0, most)
    noise = tf.random.stateless_normal(tf.shape(pictures), seed + 13)
    return tf.clip_by_value(pictures + deviation * noise, 0.0, 1.0)


def head_loss(logits, weight):
    """How badly the head marks the damage, (B,): cross-entropy and Dice (Milletari et al. 2016).

    A pixel of a small defect weighs more than one of a large defect. With equal weights the large
    ones, whose insides cannot be told from good surface, would be nearly all of the loss, and a
    scratch would be learnt last.

    Args:
        logits: (B, h, w, 1). weight: (B, H, W, 1), 0 where undamaged, see `defects.damage`.
    """
    stride = round(weight.shape[1] / logits.shape[1])
    weight = ops.max_pool(weight, stride, stride, padding="same")
    damaged = ops.cast(weight > 0.0, "float32")
    logits = ops.cast(logits, "float32")
    probability = ops.sigmoid(logits)
    # max(x, 0) - x y + log(1 + exp(-|x|)), which cannot overflow
    entropy = ops.relu(logits) - logits * damaged + ops.softplus(-ops.abs(logits))
    axes = (1, 2, 3)
    entropy = ops.mean(entropy * (_DAMAGED_WEIGHT * weight + 1.0 - damaged), axis=axes)
    hit = ops.sum(probability * weight, axis=axes)
    marked = ops.sum(probability * (weight + 1.0 - damaged), axis=axes)
    dice = (2.0 * hit + 1.0) / (marked + ops.sum(weight, axis=axes) + 1.0)
    return 2.0 * entropy + 0.5 * (1.0 - dice)
