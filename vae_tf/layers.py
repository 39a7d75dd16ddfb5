"""Layers that are particular to VAEs."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="vae_tf")
class Sampling(keras.layers.Layer):
    """z = z_mean + exp(z_log_var / 2) * eps, the reparameterised draw of Kingma & Welling (2014).

    Always random: where no noise is wanted, use `z_mean` instead. The state of the generator is
    saved with the weights, so a resumed run draws the noise that the uninterrupted one would have
    drawn.

    Args:
        seed: int, or None for one that follows `keras.utils.set_random_seed`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs, seed=None):
        """Draws z.

        Args:
            inputs: `(z_mean, z_log_var)`, each (B, latent).
            seed: int, or int32 tensor (2,), for a draw that leaves the layer's own generator
                untouched.

        Returns:
            (B, latent).
        """
        z_mean, z_log_var = inputs
        if tf.is_tensor(seed):  # as in a loop within a graph, which Keras has no seeds for
            eps = tf.random.stateless_normal(tf.shape(z_mean), seed, dtype=z_mean.dtype)
        else:
            seed = self.seed_generator if seed is None else seed
            eps = keras.random.normal(ops.shape(z_mean), dtype=z_mean.dtype, seed=seed)
        return z_mean + ops.exp(0.5 * z_log_var) * eps

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    # Keras leaves generators out of weight files.
    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["seed_generator_state"] = self.seed_generator.state

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed_generator_state"])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="vae_tf")
class Bound(keras.layers.Layer):
    """Clips to [low, high] and, while training, lets the gradient pass as if it did not.

    For log-variances, whose exponential must not overflow. A plain clip would hold a value outside
    for ever, as no gradient reaches it. A soft bound (tanh, softplus) would cost most of the steps
    of an int8 graph, where minimum and maximum cost none.
    """

    def __init__(self, low=-12.0, high=12.0, **kwargs):
        super().__init__(**kwargs)
        if not low < high:
            raise ValueError(f"`low` must be below `high`. Received: low={low}, high={high}")
        self.low = float(low)
        self.high = float(high)
        self.built = True

    def call(self, x, training=False):
        clipped = ops.clip(x, self.low, self.high)
        if not training:
            return clipped
        # The bracket is exactly zero, so both modes give the same values.
        return ops.stop_gradient(clipped) + (x - ops.stop_gradient(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "low": self.low, "high": self.high}


@keras.saving.register_keras_serializable(package="vae_tf")
class ComparingConv2D(keras.layers.Conv2D):
    """A `Conv2D` of two things side by side, given the first, and the first less the second.

    Of (B, H, W, 2 C) it gives, and so learns, what a `Conv2D` with its kernel would of the two
    themselves. But where small differences count, that kernel has large weights of either sign;
    rounded to int8, on pictures in full brightness, they would make differences where there are
    none. The weights that the graph holds have no more to do than they must.
    """

    def call(self, inputs):
        outputs = self.convolution_op(inputs, self.kernel_of_difference)
        return self.activation(outputs if self.bias is None else outputs + self.bias)

    @property
    def kernel_of_difference(self):
        """(h, w, 2 C, F), of the first and of the difference: the weights that the graph holds."""
        of_first, of_second = ops.split(self.kernel, 2, axis=2)
        return ops.concatenate([of_first + of_second, -of_second], axis=2)

    def round_kernel(self):
        """Rounds the weights that the graph holds to those that int8 will have, once trained."""
        of_first, of_difference = np.split(int8_rounded(self.kernel_of_difference), 2, axis=2)
        self.kernel.assign(np.concatenate([of_first + of_difference, -of_difference], axis=2))


def int8_rounded(kernel):
    """A kernel, (h, w, C, F), rounded as int8 does for each of F, but that windows keep their sums.

    Where filters look for small differences, weights of either sign cancel each other. Rounded one
    by one they no longer do, and brightness, which should not matter, comes through; by this alone
    int8 lost up to 0.006 of AUROC. So of each window's weights those that are the
    nearest to the next step go there instead, until its sum is the nearest that it can be.
    """
    kernel = np.asarray(kernel, np.float64)
    step = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    steps = (kernel / np.where(step > 0, step, 1)).reshape(-1, *kernel.shape[2:])
    whole = np.round(steps)
    surplus = np.round((whole - steps).sum(axis=0))
    # Those rounded furthest in the surplus' direction come first.
    order = np.argsort(-np.sign(surplus) * (whole - steps), axis=0, kind="stable")
    rank = np.argsort(order, axis=0)
    whole -= np.sign(surplus) * (rank < np.abs(surplus))
    return (whole.reshape(kernel.shape) * step).astype(np.float32)
