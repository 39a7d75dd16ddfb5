"""The discrepancy head: where a picture differs from what it should look like."""

from __future__ import annotations

import math

import keras
from keras import layers

from vae_tf.blocks import conv_block, grown, initialisers, picture_shape
from vae_tf.layers import ComparingConv2D

_SMALL = 48  # pixels; smaller pictures are not halved at once
_WIDTH, _WIDEST = 16, 96  # channels of the finest and the coarsest level
_CHEAP = 100  # places of a level that has two convolutions whatever the picture's size
_PLACES = 50  # that a map has at least in which places are told apart
_COARSEST = 6  # pixels of the shorter side at which halving ends


def discrepancy_head(shape, dropout=0.0, seed=None):
    """Marks where a picture differs from what it should look like: a small LinkNet.

    The first halving comes at once, so that what follows is cheap at the resolution that thin
    defects need, and the coarsest level sees the whole picture, which tells a defect from texture.
    Pictures of 48 px and less keep their resolution. Levels meet by addition (LinkNet: Chaurasia
    and Culurciello 2017): laid side by side (U-Net) they find no more and make most of a step.

    Args:
        shape: (H, W, C) of the picture; H and W at least 16.
        dropout: share of the feature maps dropped in training, where a level meets a finer one.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from (B, H, W, 2 C), the picture and its difference from the
        reconstruction, to a dict of `logits`, (B, ceil(H / s), ceil(W / s), 1), where s is 2, or 1
        for small pictures, and of `means` and `maxima`, each (B, F): of every feature map on the
        way back from the coarsest level, in which detail and context have met; and of `places`,
        (B, h, w, P): the feature maps of the coarsest level that tells places apart.

    Raises:
        ValueError: an argument is out of range.
    """
    height, width, channels = picture_shape(shape)
    init = initialisers(seed)
    small = min(height, width) <= _SMALL
    breadth = _WIDTH
    x = inputs = keras.Input((height, width, 2 * channels), name="pictures")
    x = conv_block(x, breadth, init, strides=1 if small else 2, convolution=ComparingConv2D)
    levels = [x]
    while min(x.shape[1:3]) > _COARSEST:
        breadth = min(2 * breadth, _WIDEST)
        x = conv_block(x, breadth, init, strides=2)
        if x.shape[1] * x.shape[2] <= height * width / 64 + _CHEAP:
            x = conv_block(x, breadth, init)
        levels.append(x)
    met = []
    for finer in reversed(levels[:-1]):
        width = finer.shape[-1]
        x = layers.Conv2D(width, 1, kernel_initializer=init())(x)
        both = layers.Add()([grown(x, finer.shape[1:3]), finer])
        if dropout:
            both = layers.SpatialDropout2D(dropout, seed=init().seed)(both)
        x = conv_block(both, width, init)
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
            level for level in (levels[-1], *met) if math.prod(level.shape[1:3]) >= _PLACES
        ),
    }
    return keras.Model(inputs, outputs, name="head")


def _concatenated(name, tensors):
    return layers.Concatenate(name=name)(tensors)
