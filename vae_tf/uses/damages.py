"""What befalls pictures and can be learnt to be undone: noise, blur, age, missing pixels.

In TensorFlow operations, a batch at a time, so that training sees new damage in every step. Not to
be mistaken for `vae_tf.defects`, which draws what a part, not its picture, may suffer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vae_tf.errors import ArgumentError

FILL = 0.5  # stands for a pixel that is missing: an encoder has no other word for it
_LEAST = 0.5  # of the strength, where it varies
_SCRATCHES, _SPECKS = 5, 12
_LIMITS = {"noise": 1.0, "blur": 10.0, "photo": 1.0, "missing": 1.0}
_DEFAULTS = {"noise": 0.3, "blur": 1.5, "photo": 1.0, "missing": 0.5}


class Damage(NamedTuple):
    """Kinds of damage and their strength; 0 for none.

    noise: standard deviation, of 1 for black to white. blur: standard deviation in pixels.
    photo: how aged, 0 to 1: stains, scratches, specks, fading, grain. missing: share of the pixels,
    each alone, replaced by grey.
    """

    noise: float = 0.0
    blur: float = 0.0
    photo: float = 0.0
    missing: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Damage:
        """From a list as on the command line: "noise=0.3,blur", or "photo".

        Raises: ArgumentError naming what is known, where a word or a number is not.
        """
        values = {}
        for word in text.split(","):
            name, _, number = word.strip().partition("=")
            if name not in _DEFAULTS:
                raise ArgumentError(
                    f"damage: expected a list of noise=SIGMA, blur=PIXELS, photo=0..1 and "
                    f"missing=SHARE, got {word.strip()!r}"
                )
            try:
                values[name] = float(number) if number else _DEFAULTS[name]
            except ValueError:
                raise ArgumentError(
                    f"damage: expected a number in {word.strip()!r}, as {name}={_DEFAULTS[name]:g}"
                ) from None
            if not 0 < values[name] <= _LIMITS[name]:
                raise ArgumentError(
                    f"damage: expected {name} above 0, up to {_LIMITS[name]:g}, got {number}"
                )
        return cls(**values)

    def __str__(self) -> str:
        return ",".join(f"{n}={v:g}" for n, v in self._asdict().items() if v) or "none"


def damaged(x, how: Damage, seed, vary: bool = False) -> tf.Tensor:
    """Pictures with damage, clipped to 0..1 as a file would be.

    x: float (B, H, W, C) in 0..1, H, W and C static. seed: integers (2,); the same seed, the same
    damage. vary: each picture's strength is between half and all of it.
    Returns: float32 (B, H, W, C).
    """
    x = tf.cast(x, tf.float32)
    draws = _Draws(seed, tf.shape(x)[0])
    strength = draws.uniform(_LEAST, 1.0) if vary else tf.ones((tf.shape(x)[0], 1, 1, 1))
    if how.blur:
        x = _blurred(x, how.blur, strength if vary else None)
    if how.photo:
        x = _aged(x, how.photo * strength, draws)
    if how.noise:
        x = x + how.noise * strength * draws.normal(x.shape[1:])
    x = tf.clip_by_value(x, 0.0, 1.0)
    if how.missing:
        share = tf.minimum(how.missing * (strength + (0.25 if vary else 0.0)), 1.0)
        x = tf.where(draws.uniform(0.0, 1.0, (*x.shape[1:3], 1)) < share, FILL, x)
    return x


def with_damage(x, how: Damage, seed: int = 0) -> np.ndarray:
    """`damaged` for arrays. x: uint8, or float in 0..1, (n, H, W, C). Returns: float32, alike."""
    x = np.asarray(x)
    x = x.astype(np.float32) / 255.0 if x.dtype == np.uint8 else x.astype(np.float32)
    return damaged(tf.constant(x), how, [seed, 1]).numpy()


class _Draws:
    """Random numbers for each picture of a batch, all of one seed."""

    def __init__(self, seed, n):
        self._seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
        self._n = n
        self._count = 0

    def uniform(self, low, high, shape=(1, 1, 1)):
        return tf.random.stateless_uniform((self._n, *shape), self._next(), low, high)

    def normal(self, shape):
        return tf.random.stateless_normal((self._n, *shape), self._next())

    def _next(self):
        self._count += 1
        return self._seed + tf.constant([7919 * self._count, 104729 * self._count])


def _blurred(x, sigma: float, strength=None):
    """Gaussian blur; with `strength`, (B, 1, 1, 1), between the picture and its blurred self."""
    reach = max(1, math.ceil(3 * sigma))
    reach = min(reach, min(x.shape[1:3]) - 1)  # a reflected border has no more to give
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    window = (window / window.sum()).astype(np.float32)
    channels = x.shape[3]
    kernel = np.tile(window[:, None, None, None], (1, 1, channels, 1))
    y = tf.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]], "REFLECT")
    y = tf.nn.depthwise_conv2d(y, kernel, [1, 1, 1, 1], "VALID")
    y = tf.nn.depthwise_conv2d(y, kernel.transpose(1, 0, 2, 3), [1, 1, 1, 1], "VALID")
    return y if strength is None else x + strength * (y - x)


def _aged(x, age, draws: _Draws):
    """An old photograph. age: (B, 1, 1, 1), 0 to 1."""
    height, width = x.shape[1:3]
    # Faded: the darks rise, the lights sink.
    low, high = age * draws.uniform(0.05, 0.25), 1 - age * draws.uniform(0.0, 0.2)
    x = low + x * (high - low)
    # Stained: soft patches, darker or lighter.
    coarse = tf.image.resize(draws.normal((4, 4, 1)), (height, width), "bicubic")
    x = x + age * 0.12 * tf.clip_by_value(coarse, -1.5, 1.5)
    rows = tf.linspace(0.0, 1.0, height)[None, :, None, None]
    columns = tf.linspace(0.0, 1.0, width)[None, None, :, None]
    thin = 0.6 / min(height, width)
    for _ in range(_SCRATCHES):  # from top to bottom rather than across, as on film
        top, lean = draws.uniform(0.0, 1.0), draws.uniform(-0.4, 0.4)
        bend = draws.uniform(-0.15, 0.15)
        at = top + lean * rows + bend * tf.sin(math.pi * rows)
        begin = draws.uniform(-0.5, 0.7)
        end = begin + draws.uniform(0.3, 1.0)
        there = tf.cast((rows > begin) & (rows < end), tf.float32)
        line = there * tf.exp(-0.5 * tf.square((columns - at) / (thin * draws.uniform(0.7, 1.6))))
        shade = tf.where(draws.uniform(0.0, 1.0) < 0.75, 1.0, 0.0)  # most lay the paper bare
        opacity = tf.where(draws.uniform(0.0, 1.0) < age * 0.7, draws.uniform(0.5, 1.0), 0.0)
        x = x + line * opacity * (shade - x)
    for _ in range(_SPECKS):
        y0, x0, size = draws.uniform(0.0, 1.0), draws.uniform(0.0, 1.0), draws.uniform(0.8, 2.5)
        distance = tf.square(rows - y0) + tf.square((columns - x0) * width / height)
        spot = tf.exp(-distance / (2 * tf.square(thin * size)))
        shade = tf.where(draws.uniform(0.0, 1.0) < 0.5, 1.0, 0.0)
        opacity = tf.where(draws.uniform(0.0, 1.0) < age * 0.6, draws.uniform(0.5, 1.0), 0.0)
        x = x + spot * opacity * (shade - x)
    return x + age * 0.05 * draws.normal((height, width, 1))
