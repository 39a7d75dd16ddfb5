"""Synthetic defects on good pictures, a batch at a time, in TensorFlow operations.

What a detector is trained with where nobody has pictures of real defects. A damaged picture gets
some of these shapes, each filled with something that does not belong there: a region, a stroke,
spots, or shading over all of it. After CutPaste (Li et al. 2021: patches), DRAEM (Zavrtanik et al.
2021: noise-shaped masks) and NSA (Schlüter et al. 2022: patches of other pictures, fitted to their
surroundings). Sizes are in proportion to the picture, strengths to its own contrast, from faint to
plain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# How often each shape appears in a damaged picture, and what it is filled with.
_SHAPES = {"shading": 0.12, "region": 0.5, "stroke": 0.5, "spots": 0.35}
_FILLS = {
    "foreign": (0.0, 0.16, 0.02, 0.06),  # another good picture, moved and flipped
    "texture": (0.0, 0.16, 0.03, 0.04),  # its texture on the brightness found here
    "missing": (0.0, 0.16, 0.08, 0.08),  # a colour from elsewhere in this picture
    "plain": (0.0, 0.12, 0.34, 0.34),  # a smooth, darker or lighter patch
    "shifted": (0.5, 0.14, 0.20, 0.20),  # this picture, darker or lighter by a constant
    "scaled": (0.5, 0.18, 0.25, 0.22),  # this picture, darker or lighter by a factor
    "blurred": (0.0, 0.08, 0.0, 0.0),
    "noisy": (0.0, 0.06, 0.02, 0.02),
    "rough": (0.0, 0.10, 0.08, 0.06),  # grainy and of another brightness
}
_KNOTS = 9  # of a stroke
_SPOTS = 4
# Every defect weighs the same, whatever its area; a pixel of one of this share of the picture, or
# of this many pixels, whichever is more, weighs 1.
_TYPICAL_AREA, _TYPICAL_PIXELS = 0.01, 160
_LIGHTEST, _HEAVIEST = 0.03, 4.0  # weights of a pixel


class Damaged(NamedTuple):
    """Pictures with synthetic defects.

    pictures: float32 (B, H, W, C) in 0..1.
    weight: float32 (B, H, W, 1), 0 where nothing is visibly changed, elsewhere how much the pixel
        counts: the less, the larger the defect that it belongs to.
    """

    pictures: tf.Tensor
    weight: tf.Tensor


def damage(pictures: tf.Tensor, seed, clean: float = 0.0) -> Damaged:
    """Puts synthetic defects on all pictures but a share of them.

    pictures: float (B, H, W, C) in 0..1, H, W and C static; good ones, of which each also lends its
        texture to another.
    seed: integers (2,); the same seed gives the same defects. clean: share left as it is.
    """
    x = tf.cast(pictures, tf.float32)
    height, width = x.shape[1:3]
    draw = _Draw(seed, tf.shape(x)[0])
    fillings = tf.stack(_fillings(x, draw), axis=1)
    typical = max(_TYPICAL_AREA, _TYPICAL_PIXELS / (height * width))
    damaged, weight = x, tf.zeros_like(x[..., :1])
    shares = zip(*_FILLS.values(), strict=True)
    for (name, likely), fills in zip(_SHAPES.items(), shares, strict=True):
        mask = _DRAWN[name](draw, height, width)[..., None]
        chosen = draw.choice([math.log(max(share, 1e-6)) for share in fills])
        filling = tf.gather(fillings, chosen, axis=1, batch_dims=1)
        present = draw.chance(likely)
        strength = tf.where(present, draw.uniform(0.5, 1.0), 0.0)
        damaged = damaged + mask * strength * (filling - damaged)
        inside = tf.cast((mask > 0.2) & present, tf.float32)
        area = tf.reduce_mean(inside, axis=(1, 2, 3), keepdims=True)
        heavy = tf.clip_by_value(typical / (area + 1e-5), _LIGHTEST, _HEAVIEST)
        weight = tf.maximum(weight, inside * heavy)
    damaged = tf.where(draw.chance(clean), x, tf.clip_by_value(damaged, 0.0, 1.0))
    weight = _visible(x, damaged) * tf.maximum(_blur(weight, 5), _LIGHTEST)
    return Damaged(damaged, weight)


def with_defects(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Copies of pictures with synthetic defects on each.

    images: uint8 (n, H, W, C), n at least 1. Returns: uint8 (n, H, W, C), the same for one seed.
    """
    damaged = damage(tf.constant(images, tf.float32) / 255.0, [seed, 0]).pictures
    return np.rint(damaged.numpy() * 255).astype(np.uint8)


def _visible(x: tf.Tensor, damaged: tf.Tensor) -> tf.Tensor:
    """Where the change stands out from the picture's own fine noise: 1, elsewhere 0."""
    grain = tf.reduce_mean(tf.abs(x - _blur(x, 3)), axis=(1, 2, 3), keepdims=True)
    change = _blur(tf.reduce_mean(tf.abs(damaged - x), axis=-1, keepdims=True), 3)
    return tf.cast(change > 0.01 + 0.7 * tf.minimum(grain, 0.05), tf.float32)


class _Draw:
    """Random numbers for each picture of a batch, all of one seed."""

    def __init__(self, seed, batch: tf.Tensor):
        self._seed = tf.cast(seed, tf.int32)
        self._drawn = 0
        self.batch = batch

    def _next(self) -> tf.Tensor:
        self._drawn += 1
        return self._seed + tf.constant([0, self._drawn * 7919])

    def uniform(self, low, high, shape=(1, 1, 1)) -> tf.Tensor:
        return tf.random.stateless_uniform((self.batch, *shape), self._next(), low, high)

    def log_uniform(self, low, high, shape=(1, 1, 1)) -> tf.Tensor:
        return tf.exp(self.uniform(math.log(low), math.log(high), shape))

    def normal(self, shape=(1, 1, 1)) -> tf.Tensor:
        return tf.random.stateless_normal((self.batch, *shape), self._next())

    def chance(self, share: float, shape=(1, 1, 1)) -> tf.Tensor:
        return self.uniform(0.0, 1.0, shape) < share

    def choice(self, logits) -> tf.Tensor:
        """int32 (B,): one index for each picture. logits: of the indices, for all pictures."""
        return tf.random.stateless_categorical([logits], self.batch, self._next(), tf.int32)[0]

    def noise(self, height: int, width: int, rows: int, columns: int) -> tf.Tensor:
        """Smooth noise, (B, height, width), of `rows` x `columns` cells."""
        coarse = self.normal((rows, columns, 1))
        return tf.image.resize(coarse, (height, width), method="bicubic")[..., 0]


# Shapes: float32 (B, height, width), 1 inside and 0 outside. Lengths in pixels; "side" is the
# shorter side of the picture.


def _axes(height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    rows = tf.range(height, dtype=tf.float32)[None, :, None]
    return rows, tf.range(width, dtype=tf.float32)[None, None, :]


def _region(draw: _Draw, height: int, width: int) -> tf.Tensor:
    """Ellipses and boxes with smooth or ragged edges, up to bands and half planes."""
    side = float(min(height, width))
    one = (1, 1)
    radius, aspect = side * draw.log_uniform(0.03, 0.35, one), tf.exp(draw.uniform(-0.9, 0.9, one))
    free = draw.chance(0.35, one)
    a = tf.where(free, side * draw.log_uniform(0.04, 1.5, one), radius * aspect)
    b = tf.where(free, side * draw.log_uniform(0.04, 1.5, one), radius / aspect)
    angle = tf.where(draw.chance(0.5, one), 0.0, draw.uniform(0.0, math.pi, one))
    rows, columns = _axes(height, width)
    dy = rows - draw.uniform(-0.1, 1.1, one) * height
    dx = columns - draw.uniform(-0.1, 1.1, one) * width
    u = tf.abs(dx * tf.cos(angle) + dy * tf.sin(angle)) / a
    v = tf.abs(dy * tf.cos(angle) - dx * tf.sin(angle)) / b
    box = draw.chance(0.4, one)
    distance = tf.where(box, tf.maximum(u, v), tf.sqrt(u * u + v * v))
    raggedness = tf.where(draw.chance(0.3, one), 0.0, draw.uniform(0.0, 0.6, one))
    ragged = sum(
        draw.noise(height, width, *_cells(height, width, 6 * 2**octave)) / 2**octave
        for octave in range(3)
    )
    smaller = tf.minimum(a, b)
    softness = tf.minimum(draw.log_uniform(0.7, 8.0, one) * side / 128, smaller / 2) + 0.3
    return tf.sigmoid((1 - distance + raggedness * ragged) * smaller / softness * 2)


def _cells(height: int, width: int, count: int) -> tuple[int, int]:
    """Rows and columns of about square cells, `count` along the longer side."""
    longer = max(height, width)
    return max(2, round(count * height / longer)), max(2, round(count * width / longer))


def _stroke(draw: _Draw, height: int, width: int) -> tf.Tensor:
    """A thin curving line of changing width: scratch, crack, hair."""
    side = float(min(height, width))
    step = side * draw.log_uniform(0.12, 1.1, (1,)) / _KNOTS
    upright = tf.round(draw.uniform(0.0, 4.0, (1,))) * (math.pi / 2)
    start = tf.where(draw.chance(0.25, (1,)), upright, draw.uniform(0.0, 2 * math.pi, (1,)))
    turns = 0.12 * draw.normal((1,)) + draw.normal((_KNOTS,)) * draw.uniform(0.0, 0.5, (1,))
    angle = start + tf.cumsum(turns, axis=1)
    x = draw.uniform(-0.1, 1.1, (1,)) * width + tf.cumsum(step * tf.cos(angle), axis=1)
    y = draw.uniform(-0.1, 1.1, (1,)) * height + tf.cumsum(step * tf.sin(angle), axis=1)
    half_width = draw.log_uniform(0.4, max(0.9, 0.018 * side), (1,))
    half_width *= tf.exp(0.3 * draw.normal((_KNOTS - 1,)))
    rows, columns = _axes(height, width)
    inside = tf.fill((draw.batch, height, width), -1e3)
    for k in range(_KNOTS - 1):
        x0, y0, x1, y1, half = (
            v[:, None, None] for v in (x[:, k], y[:, k], x[:, k + 1], y[:, k + 1], half_width[:, k])
        )
        ex, ey = x1 - x0, y1 - y0
        along = ((columns - x0) * ex + (rows - y0) * ey) / (ex * ex + ey * ey + 1e-6)
        along = tf.clip_by_value(along, 0.0, 1.0)
        depth = half - tf.sqrt((columns - x0 - along * ex) ** 2 + (rows - y0 - along * ey) ** 2)
        inside = tf.maximum(inside, depth)
    return tf.sigmoid(3 * inside)


def _spots(draw: _Draw, height: int, width: int) -> tf.Tensor:
    """One to four pits or specks near each other."""
    side = float(min(height, width))
    one = (1, 1)
    count = draw.uniform(1.0, _SPOTS + 1.0, one)
    y0, x0 = draw.uniform(0.0, height, one), draw.uniform(0.0, width, one)
    spread = side * draw.uniform(0.03, 0.4, one)
    rows, columns = _axes(height, width)
    inside = tf.zeros((draw.batch, height, width))
    for k in range(_SPOTS):
        away = spread if k else 0.0
        dy = rows - y0 - away * draw.normal(one)
        dx = columns - x0 - away * draw.normal(one)
        radius = tf.maximum(side * draw.log_uniform(0.008, 0.06, one), 0.8)
        aspect = tf.exp(draw.uniform(-0.7, 0.7, one))
        depth = radius - tf.sqrt((dx * aspect) ** 2 + (dy / aspect) ** 2)
        present = tf.cast(count > k + 1.0 if k else count > 0.0, tf.float32)
        inside = tf.maximum(inside, present * tf.sigmoid(2 * depth))
    return inside


def _shading(draw: _Draw, height: int, width: int) -> tf.Tensor:
    """Smooth, over all of the picture: uneven light, haze, glare."""
    smooth = tf.abs(draw.noise(height, width, 3, 3))
    return smooth / (tf.reduce_max(smooth, axis=(1, 2), keepdims=True) + 1e-6)


_DRAWN = {"shading": _shading, "region": _region, "stroke": _stroke, "spots": _spots}


def _fillings(x: tf.Tensor, draw: _Draw) -> list[tf.Tensor]:
    """What each kind of filling would put everywhere, (B, H, W, C) each, in the order of _FILLS."""
    height, width, channels = map(int, x.shape[1:])
    foreign = _foreign(x, draw)
    side = min(height, width)
    both = _blur(tf.concat([x, foreign], axis=-1), 15 if side >= 48 else 7)
    here, there = both[..., :channels], both[..., channels:]
    sign = tf.where(draw.chance(0.6), -1.0, 1.0)
    tint = 1.0 + (0.4 * draw.normal((1, 1, channels)) if channels > 1 else 0.0)
    contrast = tf.math.reduce_std(x, axis=(1, 2, 3), keepdims=True) + 0.03
    amount = tf.where(
        draw.chance(0.5), draw.log_uniform(0.06, 0.7), contrast * draw.log_uniform(0.4, 4.0)
    )
    shift = sign * amount * tint
    factor = tf.exp(sign * draw.log_uniform(0.12, 1.8) * tint)
    grain = draw.normal((height, width, channels))
    extra = tf.where(draw.chance(0.5), 0.0, 0.5 * shift)
    row, column = draw.uniform(0.0, height, ()), draw.uniform(0.0, width, ())
    place = tf.cast(row, tf.int32) * width + tf.cast(column, tf.int32)
    colours = tf.reshape(here, (-1, height * width, channels))
    colour = tf.gather(colours, place, axis=1, batch_dims=1)[:, None, None, :]
    return [
        foreign,
        here + (foreign - there) * draw.uniform(0.7, 2.0) + extra,
        tf.broadcast_to(colour, tf.shape(x)),
        tf.where(draw.chance(0.5), here + shift, here * factor),
        x + shift,
        x * factor,
        here,
        x + grain * contrast * draw.uniform(0.3, 2.0),
        here + 3 * _blur(grain, 3) * contrast * draw.uniform(0.2, 1.2) + 0.3 * shift,
    ]


def _foreign(x: tf.Tensor, draw: _Draw) -> tf.Tensor:
    """For each picture the next one of the batch, moved and flipped."""
    _, height, width, _ = x.shape
    other = tf.roll(x, 1, axis=0)
    moved = tf.random.stateless_uniform((2,), draw._next(), 1, min(height, width), tf.int32)
    other = tf.where(draw.chance(0.7), tf.roll(other, moved, axis=(1, 2)), other)
    for axis in (1, 2):
        other = tf.where(draw.chance(0.5), tf.reverse(other, [axis]), other)
    return other


def _blur(x: tf.Tensor, window: int) -> tf.Tensor:
    """Mean over a window, an odd number of pixels a side."""
    reach = window // 2
    padded = tf.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode="SYMMETRIC")
    return _sums(_sums(padded, window, 1), window, 2) * (1 / window**2)


def _sums(x: tf.Tensor, window: int, axis: int) -> tf.Tensor:
    """Of `window` neighbours each along axis 1 or 2, where all are there.

    Sums of 1, 2, 4 … neighbours are doubled, and those that make up the window added: on a
    processor several times as quick as a convolution or pooling of so few channels.
    """

    def part(of: tf.Tensor, start: int, length: int) -> tf.Tensor:
        rows = slice(start, start + length)
        return of[:, rows] if axis == 1 else of[:, :, rows]

    length = x.shape[axis] - window + 1
    sums, size = x, 1
    total, done = 0.0, 0
    while done < window:
        if window & size:
            total, done = total + part(sums, done, length), done + size
        if done < window:
            rest = sums.shape[axis] - size
            sums, size = part(sums, 0, rest) + part(sums, size, rest), 2 * size
    return total
