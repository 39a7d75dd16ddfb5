"""Figures of the uses, in the look of `vae_tf.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vae_tf.plots import LIGHT, Theme
from vae_tf.uses.compress import Point

_LOOKS = (("o-", "good"), ("s--", "bad"), ("^:", "warn"))


def rate_distortion_figure(curves: Mapping[str, Sequence[Point]], theme: Theme = LIGHT) -> Figure:
    """PSNR and SSIM over bits a pixel, a line a codec; left and up is better."""
    figure = Figure(figsize=(7.6, 3.4), layout="constrained", facecolor=theme.paper)
    for axes, key in zip(figure.subplots(1, 2), ("psnr", "ssim"), strict=True):
        axes.set_facecolor(theme.paper)
        axes.grid(color=theme.grid, lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=theme.ink)
        for (name, points), (line, colour) in zip(curves.items(), _LOOKS, strict=False):
            rates, values = [p.rate for p in points], [getattr(p, key) for p in points]
            axes.plot(rates, values, line, color=getattr(theme, colour), label=name, ms=4)
        axes.set_xscale("log")
        axes.set_xlabel("bits a pixel", color=theme.ink)
        axes.set_ylabel("PSNR (dB)" if key == "psnr" else "SSIM", color=theme.ink)
    axes.legend(frameon=False, labelcolor=theme.ink)
    return figure


def kl_figure(kl, theme: Theme = LIGHT) -> Figure:
    """The KL of each latent, the most first. kl: (latent,) nats."""
    ordered = sorted(map(float, kl), reverse=True)
    figure = Figure(figsize=(5.4, 2.6), layout="constrained", facecolor=theme.paper)
    axes = figure.subplots()
    axes.set_facecolor(theme.paper)
    axes.bar(range(1, len(ordered) + 1), ordered, color=theme.good)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=theme.ink)
    axes.set_xlabel("latents, by KL", color=theme.ink)
    axes.set_ylabel("KL (nats)", color=theme.ink)
    return figure
