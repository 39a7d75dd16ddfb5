"""Encoders and decoders that are told a class besides."""

from __future__ import annotations

import math

import keras
from keras import layers

from vae_tf.blocks import initialisers

_LOUD = 5.0  # as far as codes reach, so that int8 has one scale for both


def told_encoder(encoder, shape, labels, seed=None):
    """An encoder that is told the class: it sees a further channel, a picture for each class.

    Args:
        encoder: `keras.Model` for (B, H, W, C + 1), see `networks.conv_encoder`.
        shape: (H, W, C). labels: number of classes.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Returns:
        A `keras.Model` from [x, one-hot label], (B, H, W, C) and (B, labels), to the encoder's.
    """
    init = initialisers(seed)
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
        decoder: `keras.Model` for (B, latent_dim + labels), see `networks.conv_decoder`.

    Returns:
        A `keras.Model` from [z, one-hot label], (B, latent_dim) and (B, labels), to the decoder's.
    """
    z = keras.Input((latent_dim,), name="z")
    label = keras.Input((labels,), name="label")
    loud = layers.Rescaling(_LOUD)(label)
    return keras.Model([z, label], decoder(layers.Concatenate()([z, loud])), name="told_decoder")
