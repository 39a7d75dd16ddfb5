"""What encoders and decoders are built of, and the checks of what they are asked for."""

from __future__ import annotations

import math
import numbers
import random

import keras
from keras import layers

from vae_tf.layers import Bound

MIN_SIDE = 16
# Channels between the picture part and the dense part, where most weights would otherwise be.
_NARROWEST, _WIDEST = 16, 128
_DENSE_WEIGHTS = 640_000  # of encoder and decoder together, about
_COARSEST_SIDE = 8
_COARSEST_AREA = 160
# Small data sets have few steps an epoch: Keras' 0.99 would still remember the initial statistics.
_BATCH_NORM_MOMENTUM = 0.9


def conv_block(x, width, init, kernel_size=3, strides=1, convolution=layers.Conv2D):
    """Convolution, batch norm, ReLU: (B, H, W, C) to (B, ceil(H / s), ceil(W / s), width)."""
    x = convolution(
        width,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=init(),
    )(x)
    # Synchronised: else every replica has statistics of its own, and only the first's are saved.
    x = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, synchronized=True)(x)
    # Bounded: one rare, large activation would take the resolution of the int8 graph from all.
    return layers.ReLU(max_value=6.0)(x)


def grown(x, size):
    """x at twice its resolution, cut to (height, width)."""
    x = layers.UpSampling2D(2, interpolation="nearest")(x)
    surplus = [large - want for large, want in zip(x.shape[1:3], size, strict=True)]
    return layers.Cropping2D(tuple((0, n) for n in surplus))(x) if any(surplus) else x


def posterior(features, latent_dim, init):
    """`z_mean` and `z_log_var`, each (B, latent_dim), of features (B, F)."""
    # Two heads rather than one cut in half: in int8 each has its own scale.
    mean = layers.Dense(latent_dim, kernel_initializer=init(), name="z_mean")
    log_var = layers.Dense(latent_dim, kernel_initializer=init(), name="z_log_var_raw")
    return {
        "z_mean": mean(features),
        "z_log_var": Bound(-12.0, 12.0, name="z_log_var")(log_var(features)),
    }


def initialisers(seed):
    """A function that gives each layer an initialiser with a seed of its own."""
    # Python's generator is one of those that `keras.utils.set_random_seed` sets.
    seeds = random.Random(random.getrandbits(32) if seed is None else seed)
    return lambda: keras.initializers.GlorotUniform(seed=seeds.getrandbits(31))


def halved_sizes(height, width, levels):
    """Height and width before, and after each of, `levels` halvings; odd sides round up."""
    sizes = [(height, width)]
    for _ in range(levels):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def default_widths(shape):
    """Channels for each halving of an (H, W, C) picture, finest first.

    Halves until the smaller side is at most 8 px, further for long pictures, and starts the
    narrower the larger the picture is, since the finest levels cost the most.
    """
    height, width, _ = picture_shape(shape)
    levels = 0
    while True:
        levels += 1
        small = halved_sizes(height, width, levels)[-1]
        if min(small) <= 4:
            break
        if min(small) <= _COARSEST_SIDE and math.prod(small) <= _COARSEST_AREA:
            break
    first = {1: 32, 2: 32, 3: 24, 4: 16}.get(levels, 8)
    return tuple(min(first * 2**level, 96) for level in range(levels))


def default_neck(size, latent_dim):
    """Channels between a picture of size (height, width) and what is dense.

    As many as go with a model of less than a million weights: narrow ones cost likelihood, on
    Fashion-MNIST 6 nats (16 channels in place of 128).
    """
    weights = (
        3 * math.prod(size) * latent_dim
    )  # of a channel: two heads, and the decoder's first layer
    return max(_NARROWEST, min(_WIDEST, _DENSE_WEIGHTS // weights))


def picture_arguments(shape, widths):
    """shape and widths, checked; by default `default_widths`. Raises: ValueError."""
    shape = picture_shape(shape)
    if widths is None:
        return shape, default_widths(shape)
    widths = whole_numbers("widths", widths)
    # The coarsest picture keeps at least 2 px a side.
    most = math.ceil(math.log2(min(shape[:2]))) - 1
    if not 1 <= len(widths) <= most:
        raise ValueError(
            f"`widths` must have 1 to {most} entries, one for each halving of a picture of shape "
            f"{shape}. Received: widths={widths}"
        )
    return shape, widths


def picture_shape(shape):
    """shape, checked: three whole numbers. Raises: ValueError."""
    try:
        height, width, channels = whole_numbers("shape", shape)
    except ValueError:
        raise ValueError(
            f"`shape` must be (height, width, channels), whole numbers. Received: shape={shape}"
        ) from None
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"`shape` must have a height and a width of at least {MIN_SIDE} px. "
            f"Received: shape={shape}"
        )
    return height, width, channels


def whole_numbers(name, values):
    """values as a tuple of ints, 1 or more. Raises: ValueError."""
    if not isinstance(values, (tuple, list)):
        raise ValueError(f"`{name}` must be a tuple of whole numbers. Received: {name}={values!r}")
    return tuple(at_least_one(name, value) for value in values)


def at_least_one(name, value):
    """value as an int, 1 or more. Raises: ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` must be a whole number, 1 or more. Received: {name}={value!r}")
    return int(value)
