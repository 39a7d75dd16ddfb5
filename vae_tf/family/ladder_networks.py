"""The parts of a convolutional ladder VAE; see `vae_tf.family.ladder`."""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from vae_tf.blocks import (
    at_least_one,
    conv_block,
    default_neck,
    default_widths,
    grown,
    halved_sizes,
    initialisers,
    picture_arguments,
    posterior,
)
from vae_tf.layers import Bound


class Plan(NamedTuple):
    """What a ladder is made of.

    sizes: (height, width) before, and after each of, the halvings. widths: channels after each
    halving. levels: of latents. top: latents of the top. channels: latents a place of the others.
    neck: channels between maps and what is dense.
    """

    shape: tuple[int, int, int]
    sizes: list[tuple[int, int]]
    widths: tuple[int, ...]
    levels: int
    top: int
    channels: int
    neck: int

    def size(self, level: int) -> tuple[int, int]:
        """Height and width of the state that a level's latents meet; the top's is level 1's."""
        return self.sizes[len(self.widths) - max(0, level - 1)]

    def width(self, level: int) -> int:
        """Channels of that state."""
        return self.widths[len(self.widths) - 1 - max(0, level - 1)]


def plan(shape, latent_dim, widths=None, levels=3, channels=1, neck=None) -> Plan:
    """Raises: ValueError where an argument is out of range."""
    levels = at_least_one("levels", levels)
    if levels < 2:
        raise ValueError(f"`levels` must be 2 or more. Received: levels={levels}")
    if widths is None:
        widths = default_widths(shape)
        widths = (*widths, *[widths[-1]] * (levels - 1 - len(widths)))
    shape, widths = picture_arguments(shape, widths)
    if len(widths) < levels - 1:
        raise ValueError(
            f"`widths` must have at least {levels - 1} entries for {levels} levels. "
            f"Received: widths={widths}"
        )
    sizes = halved_sizes(shape[0], shape[1], len(widths))
    top = at_least_one("latent_dim", latent_dim)
    if neck is None:
        neck = default_neck(sizes[-1], top)
    return Plan(
        shape,
        sizes,
        widths,
        levels,
        top,
        at_least_one("channels", channels),
        at_least_one("neck", neck),
    )


def encoder(of: Plan, seed=None):
    """(trunk, heads) as `ladder.BottomUp` takes them."""
    init = initialisers(seed)
    x = inputs = keras.Input(of.shape, name="image")
    found = []
    for width in of.widths:
        x = conv_block(x, width, init, strides=2)
        x = conv_block(x, width, init)
        found.append(x)
    found = found[::-1]
    features = [found[0], *found[: of.levels - 1]]
    trunk = keras.Model(inputs, features, name="trunk")
    return trunk, [_head(of, level, init) for level in range(of.levels)]


def _head(of: Plan, level: int, init):
    shape = (*of.size(level), of.width(level))
    features = keras.Input(shape, name="features")
    if level == 0:
        x = layers.Flatten()(conv_block(features, of.neck, init, kernel_size=1))
        return keras.Model(features, posterior(x, of.top, init), name="head_0")
    state = keras.Input(shape, name="state")
    x = conv_block(layers.Concatenate()([state, features]), of.width(level), init)

    def maps(name):
        # Near zero at first: the level starts at its prior.
        small = keras.initializers.RandomNormal(stddev=0.01, seed=init().seed)
        return layers.Flatten()(
            layers.Conv2D(of.channels, 1, kernel_initializer=small, name=name)(x)
        )

    outputs = {
        "z_mean": maps("z_mean_map"),
        "z_log_var": Bound(-12.0, 12.0)(maps("z_log_var_map")),
    }
    return keras.Model([state, features], outputs, name=f"head_{level}")


def decoder(of: Plan, parameters=1, seed=None):
    """(rungs, finish) as `ladder.TopDown` takes them."""
    init = initialisers(seed)
    rungs = [_rung(of, level, init) for level in range(of.levels)]
    last = of.levels - 1
    state = keras.Input((*of.size(last), of.width(last)), name="state")
    x = state
    for level in range(of.levels, len(of.widths) + 1):
        x = conv_block(grown(x, of.size(level)), of.width(level), init)
    x = grown(x, of.sizes[0])
    outputs = layers.Conv2D(
        of.shape[-1] * parameters, 3, padding="same", kernel_initializer=init(), name="params"
    )(x)
    return rungs, keras.Model(state, outputs, name="finish")


def _rung(of: Plan, level: int, init):
    height, width = of.size(level)
    if level == 0:
        inputs = u = keras.Input((of.top,), name="u")
        x = layers.Dense(height * width * of.neck, activation="relu", kernel_initializer=init())(u)
        x = layers.Reshape((height, width, of.neck))(x)
    else:
        state = keras.Input((height, width, of.width(level)), name="state")
        u = keras.Input((height * width * of.channels,), name="u")
        inputs = [state, u]
        x = layers.Concatenate()([state, layers.Reshape((height, width, of.channels))(u)])
    x = conv_block(x, of.width(level), init)
    if level + 1 < of.levels and of.size(level + 1) != (height, width):
        x = conv_block(grown(x, of.size(level + 1)), of.width(level + 1), init)
    return keras.Model(inputs, x, name=f"rung_{level}")
