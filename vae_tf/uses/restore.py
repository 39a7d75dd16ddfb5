"""Denoise and restore: a damaged picture in, what it showed out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_tf.uses.codes import AT_ONCE, reconstruct
from vae_tf.uses.damages import Damage, with_damage
from vae_tf.uses.metrics import psnr, ssim


class Restoration(NamedTuple):
    """clean, damaged, restored: float32 (n, H, W, C) in 0..1. figures: means over the pictures.

    The figures are `psnr_before`, `psnr_after` (dB), `ssim_before`, `ssim_after`, `psnr_vae` and
    `ssim_vae` (what the VAE alone gives), `n` and `damage`.
    """

    clean: np.ndarray
    damaged: np.ndarray
    restored: np.ndarray
    figures: dict


def restore(vae, x, label=None) -> np.ndarray:
    """The clean pictures behind damaged ones, float32 (n, H, W, C) in 0..1.

    A `DenoisingVAE` does what it was trained for. Any other member gives its reconstruction, which
    shows what it learnt of good pictures and leaves out what it did not.

    x: (n, H, W, C), uint8 or in 0..1.
    """
    x = np.asarray(x)
    if not hasattr(vae, "restore"):
        return np.clip(reconstruct(vae, x, label), 0.0, 1.0)
    parts = [np.asarray(vae.restore(x[i : i + AT_ONCE])) for i in range(0, len(x), AT_ONCE)]
    return np.clip(np.concatenate(parts), 0.0, 1.0)


def before_and_after(vae, clean, how: Damage, seed: int = 0, label=None) -> Restoration:
    """Damages clean pictures and restores them.

    clean: (n, H, W, C), uint8 or in 0..1, that the model was not trained on. how: the damage.
    """
    hurt = with_damage(clean, how, seed)
    clean = np.asarray(clean)
    clean = clean.astype(np.float32) / 255.0 if clean.dtype == np.uint8 else clean
    restored = restore(vae, hurt, label)
    alone = np.clip(reconstruct(vae, hurt, label), 0.0, 1.0)
    figures: dict = {"n": len(clean), "damage": str(how)}
    for name, x in {"before": hurt, "after": restored, "vae": alone}.items():
        figures[f"psnr_{name}"] = float(np.mean(psnr(clean, x)))
        figures[f"ssim_{name}"] = float(np.mean(ssim(clean, x)))
    return Restoration(clean, hurt, restored, figures)
