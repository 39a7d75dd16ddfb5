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
import numbers
import random

import keras
from keras import layers

from vae_tf.layers import Bound

MIN_SIDE = 16
_COARSEST_SIDE = 8
_COARSEST_AREA = 160
# Channels between the picture part and the dense part, where most weights would otherwise be.
_NECK = 16
# Small data sets have few steps an epoch: Keras' 0.99 would still remember the initial statistics.
_BATCH_NORM_MOMENTUM = 0.9
_HEAD_SMALL = 48  # pixels; smaller pictures are not halved at once
_HEAD_WIDTH, _HEAD_WIDEST = 16, 96  # channels of the finest and the coarsest level
_HEAD_CHEAP = 100  # places of a level that has two convolutions whatever the picture's size
_HEAD_PLACES = 50  # that a map has at least in which places are told apart
_LOUD = 5.0  # as far as codes reach, so that int8 has one scale for both
_HEAD_COARSEST = 6  # pixels of the shorter side at which halving ends


def conv_encoder(shape, latent_dim, widths=None, seed=None):
    """Encoder for pictures.

    Args:
        shape: (H, W, C); H and W at least 16, odd or even, equal or not.
        latent_dim: number of latents.
        widths: channels after each halving of the picture, finest first; one halving for each.
            None: sized to the picture, see `default_widths`.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from (B, H, W, C) to a dict of `z_mean` and `z_log_var`, each (B, latent).

    Raises:
        ValueError: an argument is out of range.
    """
    shape, widths = _picture_arguments(shape, widths)
    latent_dim = _at_least_one("latent_dim", latent_dim)
    init = _initialisers(seed)
    x = inputs = keras.Input(shape, name="image")
    for width in widths:
        x = _conv_block(x, width, init, strides=2)
    x = _conv_block(x, _NECK, init, kernel_size=1)
    return keras.Model(inputs, _posterior(layers.Flatten()(x), latent_dim, init), name="encoder")


def conv_decoder(shape, latent_dim, widths=None, parameters=1, seed=None):
    """Decoder for pictures, the mirror of `conv_encoder` with the same arguments.

    Args:
        shape: (H, W, C) of the picture.
        latent_dim: number of latents.
        widths: as given to `conv_encoder`.
        parameters: maps for each channel, the `parameters` of the likelihood.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from (B, latent) to (B, H, W, C * parameters), without an activation.

    Raises:
        ValueError: an argument is out of range.
    """
    (height, width, channels), widths = _picture_arguments(shape, widths)
    latent_dim = _at_least_one("latent_dim", latent_dim)
    parameters = _at_least_one("parameters", parameters)
    init = _initialisers(seed)
    sizes = _sizes(height, width, len(widths))
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(math.prod(sizes[-1]) * _NECK, activation="relu", kernel_initializer=init())(
        inputs
    )
    x = layers.Reshape((*sizes[-1], _NECK))(x)
    x = _conv_block(x, widths[-1], init, kernel_size=1)
    for level in reversed(range(len(widths))):
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        surplus = [
            2 * small - large for small, large in zip(*sizes[level : level + 2][::-1], strict=True)
        ]
        if any(surplus):
            x = layers.Cropping2D(tuple((0, n) for n in surplus))(x)
        if level:
            x = _conv_block(x, widths[level - 1], init)
    outputs = layers.Conv2D(
        channels * parameters, 3, padding="same", kernel_initializer=init(), name="params"
    )(x)
    return keras.Model(inputs, outputs, name="decoder")


def discrepancy_head(shape, dropout=0.0, seed=None):
    """Marks where a picture differs from what it should look like: a small U-Net.

    The first halving comes at once, so that what follows is cheap at the resolution that thin
    defects need, and the coarsest level sees the whole picture, which tells a defect from texture.
    Pictures of 48 px and less keep their resolution.

    Args:
        shape: (H, W, C) of the picture; H and W at least 16.
        dropout: share of the feature maps dropped in training, where a level meets a finer one.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from (B, H, W, 2 C), the picture and its reconstruction, to a dict of
        `logits`, (B, ceil(H / s), ceil(W / s), 1), where s is 2, or 1 for small pictures, and
        of `means` and `maxima`, each (B, F): of every feature map on the way back from the
        coarsest level, in which detail and context have met; and of `places`, (B, h, w, P): the
        feature maps of the coarsest level that tells places apart.

    Raises:
        ValueError: an argument is out of range.
    """
    height, width, channels = _picture_shape(shape)
    init = _initialisers(seed)
    small = min(height, width) <= _HEAD_SMALL
    breadth = _HEAD_WIDTH
    x = inputs = keras.Input((height, width, 2 * channels), name="pictures")
    x = _conv_block(x, breadth, init, strides=1 if small else 2)
    levels = [x]
    while min(x.shape[1:3]) > _HEAD_COARSEST:
        breadth = min(2 * breadth, _HEAD_WIDEST)
        x = _conv_block(x, breadth, init, strides=2)
        if x.shape[1] * x.shape[2] <= height * width / 64 + _HEAD_CHEAP:
            x = _conv_block(x, breadth, init)
        levels.append(x)
    met = []
    for finer in reversed(levels[:-1]):
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        surplus = [big - want for big, want in zip(x.shape[1:3], finer.shape[1:3], strict=True)]
        if any(surplus):
            x = layers.Cropping2D(tuple((0, n) for n in surplus))(x)
        both = layers.Concatenate()([x, finer])
        if dropout:
            both = layers.SpatialDropout2D(dropout, seed=init().seed)(both)
        x = _conv_block(both, finer.shape[-1], init)
        met.append(x)
    # Defects are rare: the first steps need not find that out.
    rare = keras.initializers.Constant(-2.0)
    logits = layers.Conv2D(
        1, 3, padding="same", kernel_initializer=init(), bias_initializer=rare, name="logits"
    )(x)
    outputs = {
        "logits": logits,
        "means": _concatenated("means", [layers.GlobalAveragePooling2D()(level) for level in met]),
        "maxima": _concatenated("maxima", [layers.GlobalMaxPooling2D()(level) for level in met]),
        "places": next(
            level for level in (levels[-1], *met) if math.prod(level.shape[1:3]) >= _HEAD_PLACES
        ),
    }
    return keras.Model(inputs, outputs, name="head")


def told_encoder(encoder, shape, labels, seed=None):
    """An encoder that is told the class: it sees a further channel, a picture for each class.

    Args:
        encoder: `keras.Model` for (B, H, W, C + 1), see `conv_encoder`.
        shape: (H, W, C). labels: number of classes.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from [x, one-hot label], (B, H, W, C) and (B, labels), to the encoder's.
    """
    init = _initialisers(seed)
    x = keras.Input(shape, name="image")
    label = keras.Input((labels,), name="label")
    plane = layers.Dense(math.prod(shape[:2]), kernel_initializer=init())(label)
    plane = layers.Reshape((*shape[:2], 1))(plane)
    outputs = encoder(layers.Concatenate()([x, plane]))
    return keras.Model([x, label], outputs, name="told_encoder")


def told_decoder(decoder, latent_dim, labels):
    """A decoder that is told the class, beside the code.

    The class is told loudly: else the code, which could say it as well, is what is learnt to be
    listened to, and samples are not of their class.

    Args:
        decoder: `keras.Model` for (B, latent_dim + labels), see `conv_decoder`.

    Returns:
        A `keras.Model` from [z, one-hot label], (B, latent_dim) and (B, labels), to the decoder's.
    """
    z = keras.Input((latent_dim,), name="z")
    label = keras.Input((labels,), name="label")
    loud = layers.Rescaling(_LOUD)(label)
    return keras.Model([z, label], decoder(layers.Concatenate()([z, loud])), name="told_decoder")


def discriminator(latent_dim, hidden=(128, 128), seed=None):
    """Tells codes of data from draws of the prior: (B, latent) to a logit, (B, 1).

    Args:
        hidden: units of each hidden layer.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Raises:
        ValueError: an argument is out of range.
    """
    latent_dim = _at_least_one("latent_dim", latent_dim)
    init = _initialisers(seed)
    x = inputs = keras.Input((latent_dim,), name="z")
    for units in _whole_numbers("hidden", hidden):
        x = layers.Dense(units, kernel_initializer=init())(x)
        x = layers.LeakyReLU(0.2)(x)
    # Nothing to tell at first: the encoder is not pushed by what is not learnt yet.
    outputs = layers.Dense(1, kernel_initializer="zeros", name="logit")(x)
    return keras.Model(inputs, outputs, name="discriminator")


def _concatenated(name, tensors):
    return layers.Concatenate(name=name)(tensors)


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
    size = _at_least_one("size", size)
    latent_dim = _at_least_one("latent_dim", latent_dim)
    hidden = _whole_numbers("hidden", hidden)
    init = _initialisers(seed)
    x = inputs = keras.Input((size,), name="x")
    for units in hidden:
        x = layers.Dense(units, activation="relu", kernel_initializer=init())(x)
    return keras.Model(inputs, _posterior(x, latent_dim, init), name="encoder")


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
    size = _at_least_one("size", size)
    latent_dim = _at_least_one("latent_dim", latent_dim)
    hidden = _whole_numbers("hidden", hidden)
    parameters = _at_least_one("parameters", parameters)
    init = _initialisers(seed)
    x = inputs = keras.Input((latent_dim,), name="z")
    for units in reversed(hidden):
        x = layers.Dense(units, activation="relu", kernel_initializer=init())(x)
    outputs = layers.Dense(size * parameters, kernel_initializer=init(), name="params")(x)
    return keras.Model(inputs, outputs, name="decoder")


def default_widths(shape):
    """Channels for each halving of an (H, W, C) picture, finest first.

    Halves until the smaller side is at most 8 px, further for long pictures, and starts the
    narrower the larger the picture is, since the finest levels cost the most.
    """
    height, width, _ = _picture_shape(shape)
    levels = 0
    while True:
        levels += 1
        small = _sizes(height, width, levels)[-1]
        if min(small) <= 4:
            break
        if min(small) <= _COARSEST_SIDE and math.prod(small) <= _COARSEST_AREA:
            break
    first = {1: 32, 2: 32, 3: 24, 4: 16}.get(levels, 8)
    return tuple(min(first * 2**level, 96) for level in range(levels))


def _conv_block(x, width, init, kernel_size=3, strides=1):
    x = layers.Conv2D(
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


def _posterior(features, latent_dim, init):
    # Two heads rather than one cut in half: in int8 each has its own scale.
    mean = layers.Dense(latent_dim, kernel_initializer=init(), name="z_mean")
    log_var = layers.Dense(latent_dim, kernel_initializer=init(), name="z_log_var_raw")
    return {
        "z_mean": mean(features),
        "z_log_var": Bound(-12.0, 12.0, name="z_log_var")(log_var(features)),
    }


def _initialisers(seed):
    """A function that gives each layer an initialiser with a seed of its own."""
    # Python's generator is one of those that `keras.utils.set_random_seed` sets.
    seeds = random.Random(random.getrandbits(32) if seed is None else seed)
    return lambda: keras.initializers.GlorotUniform(seed=seeds.getrandbits(31))


def _sizes(height, width, levels):
    """Height and width before, and after each of, `levels` halvings; odd sides round up."""
    sizes = [(height, width)]
    for _ in range(levels):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def _picture_arguments(shape, widths):
    shape = _picture_shape(shape)
    if widths is None:
        return shape, default_widths(shape)
    widths = _whole_numbers("widths", widths)
    # The coarsest picture keeps at least 2 px a side.
    most = math.ceil(math.log2(min(shape[:2]))) - 1
    if not 1 <= len(widths) <= most:
        raise ValueError(
            f"`widths` must have 1 to {most} entries, one for each halving of a picture of shape "
            f"{shape}. Received: widths={widths}"
        )
    return shape, widths


def _picture_shape(shape):
    try:
        height, width, channels = _whole_numbers("shape", shape)
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


def _whole_numbers(name, values):
    if not isinstance(values, (tuple, list)):
        raise ValueError(f"`{name}` must be a tuple of whole numbers. Received: {name}={values!r}")
    return tuple(_at_least_one(name, value) for value in values)


def _at_least_one(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` must be a whole number, 1 or more. Received: {name}={value!r}")
    return int(value)
