"""Defects of a machined plate: scratch, pit, stain, crack, missing edge.

Each function takes a good `Scene` and returns it spoilt. The change is exactly zero outside its
mask, and its contrast grows with the roughness of the plate, so that a person finds it in any
grain. Lengths are in picture widths; they are given for a picture of 128 pixels as `n * PIXEL`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vae_tf.data.surfaces_scene import LETTERING, LETTERING_REACH, PLATE, Scene, grid, ramp

PIXEL = 1 / 128
_OVERSAMPLING = 4
_VISIBLE = 0.15  # weaker parts of a defect than this share of its peak are left out
_ATTEMPTS = 50


@dataclass(frozen=True)
class Defect:
    """What a defect does to the luminance of a scene. Fields are (H, W)."""

    luminance: np.ndarray  # the spoilt scene
    mask: np.ndarray  # bool, where it is spoilt
    stain: np.ndarray  # share of foreign matter that colours the plate
    metal: np.ndarray  # share of plate that is left


def _contrast(rng: np.random.Generator, scene: Scene, low: float, high: float) -> float:
    """A relative contrast that stands out from the plate's own grain."""
    return rng.uniform(low, high) + 1.5 * scene.roughness


def _on_plate(rng: np.random.Generator, scene: Scene, margin: float) -> tuple[float, float]:
    """A random picture point on bare metal, at least `margin` from the outline."""
    reach = np.array(PLATE) - margin
    for _ in range(_ATTEMPTS):
        p, q = rng.uniform(-reach, reach)
        x, y = scene.pose.to_picture(p, q)
        column, row = int((x + 0.5) * scene.size), int((y + 0.5) * scene.size)
        lettered = np.all(np.abs(np.subtract((p, q), LETTERING)) < LETTERING_REACH)
        if scene.metal[row, column] == 1 and not lettered:
            break
    return x, y


def _relative(scene: Scene, change: np.ndarray, extent: np.ndarray, stain=None) -> Defect:
    """Multiplies the plate by 1 + `change` where `extent` (H, W), in [0, 1], is visible."""
    mask = (extent > _VISIBLE) & (scene.metal > 0.5)
    luminance = np.where(mask, scene.luminance * (1 + change), scene.luminance)
    stain = np.zeros_like(scene.metal) if stain is None else np.where(mask, stain, 0)
    return Defect(luminance.astype(np.float32), mask, stain, scene.metal)


def _draw_lines(scene: Scene, lines: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Ink (H, W) in [0, 1] of polylines: points (N, 2) and widths (N - 1,) for each."""
    fine = scene.size * _OVERSAMPLING
    canvas = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(canvas)
    for points, widths in lines:
        corners = ((points + 0.5) * fine).tolist()
        for start, end, width in zip(corners, corners[1:], widths * fine, strict=False):
            pen.line([*start, *end], fill=255, width=max(1, round(width)))
    return np.asarray(canvas.reduce(_OVERSAMPLING), np.float32) / 255


def _shifted(field: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """`field` (H, W) moved by one pixel of 128 along the nearest of eight directions."""
    step = np.round(direction * max(1, round(field.shape[0] * PIXEL))).astype(int)
    return np.roll(field, (step[1], step[0]), (0, 1))


def _arc(rng: np.random.Generator, middle: tuple[float, float], length: float) -> np.ndarray:
    """Points (12, 2) of a slightly bent stroke around `middle`."""
    t = np.linspace(-0.5, 0.5, 12)
    heading = rng.uniform(0, np.pi) + rng.normal(0, 0.3) * t
    steps = length / 11 * np.stack([np.cos(heading), np.sin(heading)], -1)
    points = np.cumsum(steps, 0)
    return points - points.mean(0) + middle


def scratch(rng: np.random.Generator, scene: Scene) -> Defect:
    """A groove, 1 to 2 pixels wide and 20 to 90 long, with one bright and one dark flank."""
    points = _arc(rng, _on_plate(rng, scene, 14 * PIXEL), rng.uniform(24, 90) * PIXEL)
    taper = np.sin(np.linspace(0.25, np.pi - 0.25, 11)) ** 0.5
    groove = _draw_lines(scene, [(points, rng.uniform(1.1, 1.9) * PIXEL * taper)])
    flank = _shifted(groove, scene.light)
    sign = rng.choice([-1, 1])
    contrast = sign * _contrast(rng, scene, 0.18, 0.42)
    change = contrast * (groove - 0.5 * np.maximum(flank - groove, 0))
    return _relative(scene, change, np.maximum(groove, 0.5 * flank))


def pit(rng: np.random.Generator, scene: Scene) -> Defect:
    """One to three dents of 2 to 6 pixels radius, dark towards the light, bright opposite."""
    extent, change = np.zeros_like(scene.metal), np.zeros_like(scene.metal)
    contrast = _contrast(rng, scene, 0.3, 0.6)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, radius = _on_plate(rng, scene, 7 * PIXEL), rng.uniform(2.2, 6) * PIXEL
        x, y = grid(scene.size)[0] - at[0], grid(scene.size)[1] - at[1]
        angle = np.arctan2(y, x)
        rim = radius * (1 + 0.15 * np.sin(rng.integers(2, 5) * angle + rng.uniform(0, 6)))
        depth = ramp(np.hypot(x, y) - rim, 1.5 * PIXEL)
        towards_light = (x * scene.light[0] + y * scene.light[1]) / radius
        change += depth * (-0.5 - 0.6 * np.clip(towards_light, -1, 1))
        extent = np.maximum(extent, depth)
    return _relative(scene, contrast * np.clip(change, -1.1, 0.4), extent)


def stain(rng: np.random.Generator, scene: Scene) -> Defect:
    """A soft dark blob, 10 to 25 pixels across, of a few drops run together."""
    middle, across = np.array(_on_plate(rng, scene, 9 * PIXEL)), rng.uniform(12, 25) * PIXEL
    x, y = grid(scene.size)
    amount = np.zeros_like(scene.metal)
    for _ in range(rng.integers(2, 6)):
        at, radius = middle + rng.normal(0, 0.18 * across, 2), rng.uniform(0.3, 0.45) * across
        amount += np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / radius**2))
    amount = np.clip(1.6 * amount / amount.max() - 0.35, 0, 1)
    contrast = _contrast(rng, scene, 0.15, 0.35)
    return _relative(scene, -contrast * amount, amount, stain=amount)


def _wander(rng: np.random.Generator, start: np.ndarray, heading: float, steps: int) -> np.ndarray:
    """Points (steps + 1, 2) of a jagged walk, 2.5 pixels a step."""
    headings = heading + np.cumsum(rng.normal(0, 0.25, steps)) + rng.normal(0, 0.35, steps)
    moves = 2.5 * PIXEL * np.stack([np.cos(headings), np.sin(headings)], -1)
    return np.concatenate([[start], start + np.cumsum(moves, 0)])


def crack(rng: np.random.Generator, scene: Scene) -> Defect:
    """A thin dark line that wanders and branches."""
    steps, heading = int(rng.integers(10, 26)), rng.uniform(0, 2 * np.pi)
    start = np.array(_on_plate(rng, scene, 20 * PIXEL))
    trunk = _wander(rng, start, heading, steps)
    walks = [trunk]
    for joint in rng.integers(2, steps - 2, rng.integers(1, 4)):
        fork = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        walks.append(_wander(rng, trunk[joint], fork, int(rng.integers(4, 10))))
    lines = [(walk, np.linspace(1.6, 0.7, len(walk) - 1) * PIXEL) for walk in walks]
    ink = _draw_lines(scene, lines)
    return _relative(scene, -min(0.85, _contrast(rng, scene, 0.35, 0.65)) * ink, ink)


def _ragged_disc(rng: np.random.Generator, scene: Scene, at, radius: float) -> np.ndarray:
    """Share (H, W) of each pixel inside a polygon of wandering radius around `at`."""
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    reach = radius * rng.uniform(0.75, 1.2, angles.size)
    points = np.stack([np.cos(angles), np.sin(angles)], -1) * reach[:, None] + at
    fine = scene.size * _OVERSAMPLING
    canvas = Image.new("L", (fine, fine))
    ImageDraw.Draw(canvas).polygon([*((points + 0.5) * fine).ravel().tolist()], fill=255)
    return np.asarray(canvas.reduce(_OVERSAMPLING), np.float32) / 255


def _rim_point(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """A picture point (2,) on the plate's border: a corner as often as a side."""
    p, q = rng.choice([-1, 1], 2) * (np.array(PLATE) - 0.02)
    if rng.random() < 0.5:
        along = rng.uniform(-0.85, 0.85)
        p, q = (along * PLATE[0], q) if rng.random() < 0.5 else (p, along * PLATE[1])
    return np.array(scene.pose.to_picture(p, q))


def missing_edge(rng: np.random.Generator, scene: Scene) -> Defect:
    """A ragged bite out of the border, the bench behind it and a bright line of fracture."""
    at, radius = _rim_point(rng, scene), rng.uniform(5, 11) * PIXEL
    bite = _ragged_disc(rng, scene, at, radius)
    fracture = np.clip(4 * bite * (1 - bite), 0, 1) * rng.uniform(0.1, 0.5)
    mask = (bite > _VISIBLE) & (scene.outline < 0.5 / scene.size)
    broken = (1 - bite) * scene.luminance * (1 + fracture) + bite * scene.bench
    luminance = np.where(mask, broken, scene.luminance)
    metal = np.where(mask, scene.metal * (1 - bite), scene.metal)
    return Defect(luminance.astype(np.float32), mask, np.zeros_like(metal), metal)
