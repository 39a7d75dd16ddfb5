"""A VAE as a codec: what its codes cost, and what is left of the picture at that cost.

The negative ELBO is what the model would need to send data without loss, by bits-back coding
(Hinton & van Camp 1993; Townsend et al. 2019). Lossy, only the code is sent: z_mean, rounded to
multiples of a step, each latent under a Gaussian of its own; coarser steps cost fewer bits.
"""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.stats import norm

from vae_tf.errors import ArgumentError
from vae_tf.likelihoods import Bernoulli, Gaussian, PixelGaussian
from vae_tf.uses.codes import AT_ONCE, decode, encode, labels_for
from vae_tf.uses.metrics import ssim
from vae_tf.uses.sheet import to_uint8

STEPS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # in standard deviations of the posterior
_DENSITIES = (Gaussian, PixelGaussian)
_LEVELS = 255.0  # that a unit of a picture has
_SMALLEST = 1e-12  # probability of a code word, as the tails are cut off


class Point(NamedTuple):
    """Of a rate-distortion curve. rate: bits a pixel. psnr: dB. ssim: 1 is equal."""

    setting: float
    rate: float
    psnr: float
    ssim: float


def bits_per_dimension(vae, x, samples: int = 1, seed: int = 0, label=None) -> float:
    """Bits that each byte of x costs without loss; 8 is no gain.

    x: uint8 (n, ...). A likelihood that is a density is evaluated on bytes spread evenly over their
    cells (Theis et al., "A note on the evaluation of generative models", 2016), so the figure is an
    upper bound as well. A Bernoulli likelihood knows black and white alone: x is drawn so.
    Raises: ArgumentError where x is not uint8.
    """
    x = np.asarray(x)
    if x.dtype != np.uint8:
        raise ArgumentError(f"`x` must be uint8, as the bytes are what costs. Received: {x.dtype}")
    labels = labels_for(vae, label, len(x))
    rng = np.random.default_rng(seed)
    total = 0.0
    for start in range(0, len(x), AT_ONCE):
        part = x[start : start + AT_ONCE] / np.float32(_LEVELS)
        if isinstance(vae.likelihood, Bernoulli):
            part = (rng.random(part.shape) < part).astype(np.float32)
        elif isinstance(vae.likelihood, _DENSITIES):
            part = part + (rng.random(part.shape, np.float32) - 0.5) / np.float32(_LEVELS)
        given = {} if labels is None else {"label": labels[start : start + AT_ONCE]}
        total += float(np.sum(vae.elbo(part, samples=samples, seed=seed + start, **given)))
    nats = -total / x.size
    if isinstance(vae.likelihood, _DENSITIES):
        nats += math.log(_LEVELS)  # the density of a cell times its width is its probability
    return nats / math.log(2.0)


def rate_distortion(vae, x, reference, steps=STEPS, label=None) -> list[Point]:
    """What is left of pictures at each step of rounding.

    x: uint8 (n, H, W, C) that the model was not trained on. reference: uint8 (m, H, W, C) that
        tell each latent's mean and spread, which sender and receiver share.
    steps: in standard deviations of each latent's typical posterior. label: of a conditional model,
        for x and reference alike a single class; it is sent as well, and not counted.
    """
    mean, _ = encode(vae, reference, label)
    centre, spread = mean.mean(axis=0), np.maximum(mean.std(axis=0), 1e-6)
    z_mean, z_log_var = encode(vae, x, label)
    width = np.exp(0.5 * z_log_var.mean(axis=0))
    clean = np.asarray(x) / _LEVELS
    pixels = int(np.prod(vae.data_shape[:2]))
    points = []
    for step in steps:
        cell = step * width
        k = np.rint((z_mean - centre) / cell)
        low, high = (norm.cdf((k + side) * cell / spread) for side in (-0.5, 0.5))
        bits = -np.log2(np.maximum(high - low, _SMALLEST)).sum(axis=1)
        back = to_uint8(decode(vae, centre + k * cell, label)) / _LEVELS
        points.append(_point(step, bits.mean() / pixels, clean, back))
    return points


def jpeg_curve(x, qualities=(2, 5, 10, 20, 40, 70)) -> list[Point]:
    """The same of JPEG, of all pictures as one, so that no header is counted to each.

    x: uint8 (n, H, W, C), C 1 or 3.
    """
    x = np.asarray(x)
    n, height, width, channels = x.shape
    tall, wide = (-(-side // 16) * 16 for side in (height, width))
    padded = np.pad(x, ((0, 0), (0, tall - height), (0, wide - width), (0, 0)), "edge")
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    padded = np.pad(padded, ((0, rows * columns - n), (0, 0), (0, 0), (0, 0)))
    mosaic = padded.reshape(rows, columns, tall, wide, channels).swapaxes(1, 2)
    mosaic = mosaic.reshape(rows * tall, columns * wide, channels)
    image = Image.fromarray(mosaic[:, :, 0] if channels == 1 else mosaic)
    points = []
    for quality in qualities:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        buffer.seek(0)
        back = np.asarray(Image.open(buffer)).reshape(rows, tall, columns, wide, channels)
        back = back.swapaxes(1, 2).reshape(-1, tall, wide, channels)[:n, :height, :width]
        rate = 8 * len(buffer.getvalue()) / (n * height * width)
        points.append(_point(quality, rate, x / _LEVELS, back / _LEVELS))
    return points


def _point(setting, rate, clean, back) -> Point:
    # The mean error's PSNR: single pictures without any error would make the mean infinite.
    noise = max(float(np.square(clean - back).mean()), 1e-12)
    return Point(
        float(setting), float(rate), -10 * math.log10(noise), float(ssim(clean, back).mean())
    )
