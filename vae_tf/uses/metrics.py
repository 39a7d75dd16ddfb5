"""How near one picture is to another, and whether intervals hold what they promise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from vae_tf.errors import ArgumentError

_SSIM_SIGMA, _SSIM_TRUNCATE = 1.5, 3.5  # a Gaussian window of 11 pixels, as in the paper


def psnr(x, y) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture in dB, (n,); higher is nearer, 100 is equal.

    x, y: uint8, or float in 0..1 (the peak is 1), (n, ...).
    """
    x, y = _alike(x, y)
    error = np.square(x - y).reshape(len(x), -1).mean(axis=1)
    return -10.0 * np.log10(np.maximum(error, 1e-10))


def ssim(x, y) -> np.ndarray:
    """Structural similarity of each picture, (n,); 1 is equal (Wang et al. 2004).

    Local means and variances under a Gaussian of 1.5 pixels, averaged over places and channels.
    x, y: uint8, or float in 0..1, (n, H, W, C).
    """
    x, y = _alike(x, y)
    if x.ndim != 4:
        raise ArgumentError(f"`x` must have shape (n, H, W, C). Received: x of shape {x.shape}")

    def smooth(values):
        sigma = (0, _SSIM_SIGMA, _SSIM_SIGMA, 0)
        return gaussian_filter(values, sigma, truncate=_SSIM_TRUNCATE, mode="reflect")

    mean_x, mean_y = smooth(x), smooth(y)
    var_x = smooth(x * x) - mean_x**2
    var_y = smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    alike /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return alike.mean(axis=(1, 2, 3))


def rmse(x, y, where=None) -> float:
    """Root mean squared error over all elements, or those where `where` is true."""
    x, y = _alike(x, y)
    error = np.square(x - y)
    return float(np.sqrt(error.mean() if where is None else error[where].mean()))


def coverage(low, high, x, where=None) -> float:
    """Share of the elements of x that lie within [low, high], ends included.

    low, high, x: float, shapes alike. where: bool, shaped so, of the elements that count.
    """
    inside = (np.asarray(low) <= x) & (np.asarray(x) <= high)
    return float(inside.mean() if where is None else inside[where].mean())


def _alike(x, y):
    """Both as float64 in 0..1. Raises: ArgumentError where their shapes differ."""
    x, y = (
        v / 255.0 if v.dtype == np.uint8 else v.astype(np.float64) for v in map(np.asarray, (x, y))
    )
    if x.shape != y.shape:
        raise ArgumentError(f"`x` and `y` must have one shape. Received: {x.shape} and {y.shape}")
    return x, y
