"""Encoders and decoders: small, and made of layers that fold and quantise well.

Pictures go through strided convolutions and come back through nearest resizing and convolutions,
never through transposed ones, which leave checkerboards (Odena et al., "Deconvolution and
Checkerboard Artifacts", 2016) and are harder on int8. Every function returns a `keras.Model` whose
variables exist.

An encoder maps x to `{"z_mean": (B, latent), "z_log_var": (B, latent)}`; a decoder maps z, (B,
latent), to the parameters of the likelihood, (B, ..., channels * parameters).
"""

from __future__ import annotations

import math

import keras
from keras import layers

from vae_tf.blocks import (
    at_least_one,
    conv_block,
    default_neck,
    grown,
    halved_sizes,
    initialisers,
    picture_arguments,
    posterior,
    whole_numbers,
)


def conv_encoder(shape, latent_dim, widths=None, seed=None, neck=None):
    """Encoder for pictures.

    Args:
        shape: (H, W, C); H and W at least 16, odd or even, equal or not.
        latent_dim: number of latents.
        widths: channels after each halving of the picture, finest first; one halving for each.
            None: sized to the picture, see `blocks.default_widths`.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.
        neck: channels that the coarsest picture is brought down to before the dense part. None:
            as many as go with its size, see `blocks.default_neck`.

    Returns:
        A `keras.Model` from (B, H, W, C) to a dict of `z_mean` and `z_log_var`, each (B, latent).

    Raises:
        ValueError: an argument is out of range.
    """
    shape, widths = picture_arguments(shape, widths)
    latent_dim = at_least_one("latent_dim", latent_dim)
    neck = _neck(neck, shape[0], shape[1], widths, latent_dim)
    init = initialisers(seed)
    x = inputs = keras.Input(shape, name="image")
    for width in widths:
        x = conv_block(x, width, init, strides=2)
    x = conv_block(x, neck, init, kernel_size=1)
    return keras.Model(inputs, posterior(layers.Flatten()(x), latent_dim, init), name="encoder")


def conv_decoder(shape, latent_dim, widths=None, parameters=1, seed=None, neck=None):
    """Decoder for pictures, the mirror of `conv_encoder` with the same arguments.

    Args:
        shape: (H, W, C) of the picture.
        latent_dim: number of latents.
        widths, neck: as given to `conv_encoder`.
        parameters: maps for each channel, the `parameters` of the likelihood.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from (B, latent) to (B, H, W, C * parameters), without an activation.

    Raises:
        ValueError: an argument is out of range.
    """
    (height, width, channels), widths = picture_arguments(shape, widths)
    latent_dim = at_least_one("latent_dim", latent_dim)
    parameters = at_least_one("parameters", parameters)
    neck = _neck(neck, height, width, widths, latent_dim)
    init = initialisers(seed)
    sizes = halved_sizes(height, width, len(widths))
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(math.prod(sizes[-1]) * neck, activation="relu", kernel_initializer=init())(
        inputs
    )
    x = layers.Reshape((*sizes[-1], neck))(x)
    x = conv_block(x, widths[-1], init, kernel_size=1)
    for level in reversed(range(len(widths))):
        x = grown(x, sizes[level])
        if level:
            x = conv_block(x, widths[level - 1], init)
    outputs = layers.Conv2D(
        channels * parameters, 3, padding="same", kernel_initializer=init(), name="params"
    )(x)
    return keras.Model(inputs, outputs, name="decoder")


def _neck(neck, height, width, widths, latent_dim):
    if neck is None:
        coarsest = halved_sizes(height, width, len(widths))[-1]
        return default_neck(coarsest, latent_dim)
    return at_least_one("neck", neck)


def dense_encoder(size, latent_dim, hidden=(400,), seed=None):
    """Encoder for vectors, (B, size) to a dict of `z_mean` and `z_log_var`, each (B, latent).

    Args:
        size: length of a vector.
        latent_dim: number of latents.
        hidden: units of each hidden layer, from the data inwards.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Raises:
        ValueError: an argument is out of range.
    """
    size = at_least_one("size", size)
    latent_dim = at_least_one("latent_dim", latent_dim)
    hidden = whole_numbers("hidden", hidden)
    init = initialisers(seed)
    x = inputs = keras.Input((size,), name="x")
    for units in hidden:
        x = layers.Dense(units, activation="relu", kernel_initializer=init())(x)
    return keras.Model(inputs, posterior(x, latent_dim, init), name="encoder")


def dense_decoder(size, latent_dim, hidden=(400,), parameters=1, seed=None):
    """Decoder for vectors, (B, latent) to (B, size * parameters), the mirror of `dense_encoder`.

    Args:
        size: length of a vector.
        latent_dim: number of latents.
        hidden: as given to `dense_encoder`.
        parameters: outputs for each element, the `parameters` of the likelihood.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Raises:
        ValueError: an argument is out of range.
    """
    size = at_least_one("size", size)
    latent_dim = at_least_one("latent_dim", latent_dim)
    hidden = whole_numbers("hidden", hidden)
    parameters = at_least_one("parameters", parameters)
    init = initialisers(seed)
    x = inputs = keras.Input((latent_dim,), name="z")
    for units in reversed(hidden):
        x = layers.Dense(units, activation="relu", kernel_initializer=init())(x)
    outputs = layers.Dense(size * parameters, kernel_initializer=init(), name="params")(x)
    return keras.Model(inputs, outputs, name="decoder")
