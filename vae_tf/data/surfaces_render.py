"""Pictures of a machined plate under a workshop camera, good or with one defect.

A picture is a scene, perhaps spoilt by a defect, seen through a camera: uneven light, exposure,
noise. Each of the three has a random stream of its own. So the good and the defective picture
from equal generators differ in the defect only, and the grey and the coloured one show the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vae_tf.data import surfaces_defects as defects
from vae_tf.data.surfaces_scene import Scene, draw_scene, grid

_DEFECTS = {
    "scratch": defects.scratch,
    "pit": defects.pit,
    "stain": defects.stain,
    "crack": defects.crack,
    "missing_edge": defects.missing_edge,
}
KINDS = ("good", *_DEFECTS)
_RUST = np.array([1.12, 0.98, 0.78], np.float32)


@dataclass(frozen=True)
class Camera:
    """What one shot adds to a scene; grey levels run from 0 to 255."""

    light: np.ndarray  # (H, W) grey levels for a luminance of 1
    black: float  # grey level of no light at all
    noise: np.ndarray  # (H, W, C) grey levels
    metal_tint: np.ndarray  # (3,) red, green, blue
    bench_tint: np.ndarray  # (3,)

    def grey(self, luminance: np.ndarray) -> np.ndarray:
        """The uint8 picture (H, W) of `luminance` (H, W)."""
        return _to_bytes(luminance * self.light + self.black + self.noise[..., 0])

    def rgb(self, luminance, metal: np.ndarray, stain: np.ndarray) -> np.ndarray:
        """The uint8 picture (H, W, 3) of `luminance`, tinted by `metal` and `stain`, all (H, W)."""
        tint = self.bench_tint + metal[..., None] * (self.metal_tint - self.bench_tint)
        tint = tint * (1 + stain[..., None] * (_RUST - 1))
        return _to_bytes((luminance * self.light)[..., None] * tint + self.black + self.noise)


def _to_bytes(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _draw_light(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grey levels (H, W) for a luminance of 1: a slope, vignetting and a soft highlight."""
    x, y = grid(size)
    slope = rng.normal(0, 0.18, 2)
    highlight, spread = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.1, 0.3, 2)
    square = ((x - highlight[0]) / spread[0]) ** 2 + ((y - highlight[1]) / spread[1]) ** 2
    light = 1 + slope[0] * x + slope[1] * y - rng.uniform(0, 0.5) * (x**2 + y**2)
    light += rng.uniform(0, 0.22) * np.exp(-square)
    return (255 * rng.uniform(0.75, 1.15) * light).astype(np.float32)


def _draw_camera(rng: np.random.Generator, size: int, channels: int) -> Camera:
    light = _draw_light(rng, size)
    black = rng.uniform(0, 16)
    metal_tint = 1 + rng.uniform(-1, 1) * np.array([0.05, 0.0, -0.06])
    bench_tint = np.array([0.9, 1.0, 1.08]) + rng.uniform(-0.06, 0.06, 3)
    deviation = rng.uniform(1.5, 4.0)
    noise = deviation * rng.standard_normal((size, size, channels), dtype=np.float32)
    tints = metal_tint.astype(np.float32), bench_tint.astype(np.float32)
    return Camera(light, black, noise, *tints)


def _no_defect(scene: Scene) -> defects.Defect:
    nothing = np.zeros_like(scene.metal)
    return defects.Defect(scene.luminance, nothing.astype(bool), nothing, scene.metal)


def render(
    kind: str, rng: np.random.Generator, size: int = 128, rgb: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one picture.

    Args:
        kind: one of `KINDS`.
        rng: decides everything else; equal generators give equal pictures.
        size: height and width in pixels.
        rgb: in colour rather than grey.

    Returns:
        The picture, uint8 of shape (size, size), or (size, size, 3) in colour, and the mask of its
        defect, bool of shape (size, size), which is all False for "good".

    Raises:
        ValueError: if `kind` is none of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Received: kind={kind!r}")
    seeds = rng.integers(2**63, size=3)
    scene_rng, camera_rng, defect_rng = map(np.random.default_rng, seeds)
    scene = draw_scene(scene_rng, size)
    camera = _draw_camera(camera_rng, size, 3 if rgb else 1)
    shown = _no_defect(scene) if kind == "good" else _DEFECTS[kind](defect_rng, scene)
    if rgb:
        return camera.rgb(shown.luminance, shown.metal, shown.stain), shown.mask
    return camera.grey(shown.luminance), shown.mask
