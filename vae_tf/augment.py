"""Changes that keep a good part good, so that few pictures show more of what is normal.

Which changes those are, only the part can tell: a mirrored bolt is a bolt, a mirrored label is a
misprint. `suggest` takes what the good pictures themselves bear out; a user who knows better says
so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from edge.errors import UserError
from vae_tf.data import Pictures

_SAMPLE = 1000  # pictures that `suggest` looks at
_THUMBNAIL = 24  # pixels a side
_COMPONENTS = 16
_MIRRORED_ERROR = 1.25  # of the error of pictures as they are, up to which mirrored ones are good
_SHIFT, _FARTHEST = 0.02, 0.1
_LONGER_SIDE = 48  # pixels of the pictures that are laid over one another
_SAME_PART = 0.8  # correlation with the mean, from which on pictures show one part in one pose
_SPREADS = 2.0  # of where parts lie, that they may be moved by
_SHARE_OF_SPREAD = 0.5  # of the brightness seen, that is added to each picture's own
_ENOUGH = 100  # pictures, from which on they show themselves how they vary


class Augmentation(NamedTuple):
    """What may be done to a good picture at random.

    mirror: left and right. flip: top and bottom. rotation: degrees at most, either way.
    shift: at most, as a share of the shorter side. brightness: standard deviation of the logarithm
    of a factor on the brightness.
    """

    mirror: bool = False
    flip: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """From a list as on the command line: "mirror,rotation=5", or "none".

        Raises: UserError naming what is known, where a word or a number is not.
        """
        if text == "none":
            return cls()
        values: dict[str, Any] = {}
        for word in text.split(","):
            name, _, number = word.strip().partition("=")
            if name in ("mirror", "flip") and not number:
                values[name] = True
                continue
            if name not in _DEFAULTS:
                raise UserError(
                    "augmentation: expected auto, none, or a list of mirror, flip, rotation=DEGREES"
                    f", shift=SHARE and brightness=SPREAD, got {word.strip()!r}"
                )
            try:
                values[name] = float(number) if number else _DEFAULTS[name]
            except ValueError:
                raise UserError(
                    f"augmentation: expected a number in {word.strip()!r}, as {name}="
                    f"{_DEFAULTS[name]:g}"
                ) from None
            if not 0 <= values[name] <= _LARGEST[name]:
                raise UserError(
                    f"augmentation: expected {name} from 0 to {_LARGEST[name]:g}, got {number}"
                )
        return cls(**values)

    def __str__(self) -> str:
        words = [name for name in ("mirror", "flip") if getattr(self, name)]
        words += [f"{n}={getattr(self, n):.2g}" for n in _DEFAULTS if getattr(self, n)]
        return ",".join(words) or "none"


_DEFAULTS = {"rotation": 5.0, "shift": _SHIFT, "brightness": 0.1}
_LARGEST = {"rotation": 180.0, "shift": 0.5, "brightness": 1.0}


def suggest(good: Pictures) -> Augmentation:
    """What the good pictures bear out.

    Mirrored pictures count as good where what half of the pictures teach (their principal
    components) explains the other half mirrored about as well as unmirrored. Brightness varies by
    half as much again as it does from picture to picture, and parts lie as far aside as they can
    be seen to lie, at least a little; both by less the more pictures there are.
    """
    rows = np.linspace(0, len(good) - 1, min(len(good), _SAMPLE)).astype(int)
    images = good.batch(np.unique(rows))
    share = min(1.0, (_ENOUGH / len(good)) ** 0.5)
    brightness = np.log(images.mean(axis=(1, 2, 3), dtype=np.float64) / 255 + 0.02)
    return Augmentation(
        mirror=_as_good(images, images[:, :, ::-1]),
        flip=_as_good(images, images[:, ::-1]),
        shift=round(float(np.clip(share * _SPREADS * _displaced(images), _SHIFT, _FARTHEST)), 3),
        brightness=round(share * _SHARE_OF_SPREAD * float(brightness.std()), 3),
    )


def _displaced(images: np.ndarray) -> float:
    """Spread of where the part lies, as a share of the shorter side; 0 where that cannot be told.

    Each picture is laid over the mean of the others where it correlates best with it.
    """
    height, width = images.shape[1:3]
    scale = _LONGER_SIDE / max(height, width)
    h, w = max(8, round(height * scale)), max(8, round(width * scale))
    grey = images.mean(axis=3).astype(np.uint8)[..., None]
    small = _thumbnails(grey, (w, h)).reshape(-1, h, w)
    if len(small) < 8:
        return 0.0
    others = (small.sum(axis=0) - small) / (len(small) - 1)
    # Padded, so that nothing comes in again at the other side.
    spectra = (np.fft.rfft2(x, (2 * h, 2 * w)) for x in (small, others))
    product = next(spectra) * np.conj(next(spectra))
    overlaps = np.fft.fftshift(np.fft.irfft2(product, (2 * h, 2 * w)), axes=(1, 2))
    near = overlaps[:, h - h // 4 : h + h // 4 + 1, w - w // 4 : w + w // 4 + 1]
    best = near.reshape(len(near), -1).argmax(axis=1)
    norms = [np.sqrt(np.square(x).sum(axis=(1, 2))) for x in (small, others)]
    alike = near.max(axis=(1, 2)) / (norms[0] * norms[1] + 1e-6)
    if np.median(alike) < _SAME_PART:
        return 0.0
    places = np.unravel_index(best, near.shape[1:])
    return max(float(np.std(of)) for of in places) / min(h, w)


def _as_good(images: np.ndarray, changed: np.ndarray) -> bool:
    if len(images) < 8:
        return False
    plain, other = _thumbnails(images), _thumbnails(changed)
    half = len(plain) // 2  # by name, so that shots of one part stay together
    errors = np.zeros(2)
    for learnt, asked in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        mean = plain[learnt].mean(axis=0)
        basis = np.linalg.svd(plain[learnt] - mean, full_matrices=False)[2]
        basis = basis[: min(_COMPONENTS, half // 2)]
        for i, pictures in enumerate((plain, other)):
            away = pictures[asked] - mean
            errors[i] += np.square(away - away @ basis.T @ basis).sum(axis=1).mean()
    return bool(errors[1] <= _MIRRORED_ERROR * errors[0])


def _thumbnails(images: np.ndarray, size=(_THUMBNAIL, _THUMBNAIL)) -> np.ndarray:
    """float (n, values), without each picture's own brightness and contrast.

    size: width and height.
    """
    small = [
        np.asarray(
            Image.fromarray(i[..., 0] if i.shape[2] == 1 else i).resize(size, Image.Resampling.BOX),
            np.float32,
        ).ravel()
        for i in images
    ]
    values = np.stack(small)
    values -= values.mean(axis=1, keepdims=True)
    return values / (values.std(axis=1, keepdims=True) + 8)  # 8 grey levels: flat ones stay flat


def augment(pictures: tf.Tensor, seed, how: Augmentation) -> tf.Tensor:
    """Changes each picture at random; a function of the seed.

    pictures: float (B, H, W, C) in 0..1. seed: integers (2,).
    """
    x = pictures
    batch = tf.shape(x)[0]
    height, width = x.shape[1:3]

    def uniform(number: int, low: float, high: float) -> tf.Tensor:
        key = tf.cast(seed, tf.int32) + tf.constant([0, 104729 * number])
        return tf.random.stateless_uniform((batch,), key, low, high)

    for number, (wanted, axis) in enumerate(((how.mirror, 2), (how.flip, 1)), 1):
        if wanted:
            at_random = uniform(number, 0.0, 1.0)[:, None, None, None] < 0.5
            x = tf.where(at_random, tf.reverse(x, [axis]), x)
    if how.rotation:
        x = _rotate(x, uniform(3, -how.rotation, how.rotation) * (np.pi / 180))
    reach = round(how.shift * min(height, width))
    if reach:
        # By whole pixels: interpolation would teach the model that good pictures are soft.
        padded = tf.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode="SYMMETRIC")
        rows = tf.cast(uniform(4, 0.0, 2.0 * reach + 1.0), tf.int32)[:, None] + tf.range(height)
        columns = tf.cast(uniform(5, 0.0, 2.0 * reach + 1.0), tf.int32)[:, None] + tf.range(width)
        x = tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
        x = tf.ensure_shape(x, pictures.shape)
    if how.brightness:
        key = tf.cast(seed, tf.int32) + tf.constant([0, 104729 * 6])
        factor = tf.exp(how.brightness * tf.random.stateless_normal((batch, 1, 1, 1), key))
        x = tf.clip_by_value(x * factor, 0.0, 1.0)
    return x


def _rotate(x: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """About the middle, angle (B,) in radians; what comes in at the corners is mirrored."""
    height, width = x.shape[1:3]
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    my, mx = (height - 1) / 2, (width - 1) / 2
    transforms = tf.stack(
        [cos, -sin, mx - mx * cos + my * sin, sin, cos, my - mx * sin - my * cos, zero, zero], 1
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=transforms,
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
