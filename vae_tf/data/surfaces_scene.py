"""A machined plate on a bench, drawn with NumPy: outline, bores, grain, lathe marks, lettering.

No two plates are alike. Pose, grain, wear, number of bores and lettering vary from picture to
picture, so that neither texture nor the mere presence of something is a sign of a defect.

Lengths are in picture widths, angles in radians; x runs right, y down, both from the centre.
Luminance has no unit: roughly 0.25 for the bench and 0.6 for the plate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

PLATE = (0.40, 0.33)  # half width, half height
CORNER = 0.06
BOSS = (0.07, -0.02)
BORES = ((-0.29, -0.20), (-0.29, 0.20))
LETTERING = (0.0, 0.25)
LETTERING_REACH = (0.17, 0.08)  # half its width and height, with a margin

# The digits 0 to 9 in three columns and five rows: one octal figure a row.
_DIGITS = (
    *("75557", "26227", "71747", "71717", "55711"),
    *("74717", "74757", "71122", "75757", "75717"),
)


@dataclass(frozen=True)
class Pose:
    """Where the plate lies: plate coordinates are `matrix @ (x, y) + offset`."""

    matrix: np.ndarray  # (2, 2)
    offset: np.ndarray  # (2,)

    def to_plate(self, x, y):
        """Plate coordinates (p, q) of picture coordinates `x`, `y`, scalars or (H, W)."""
        (a, b), (c, d) = self.matrix.tolist()
        p, q = self.offset.tolist()
        return a * x + b * y + p, c * x + d * y + q

    def to_picture(self, p: float, q: float) -> tuple[float, float]:
        """Picture coordinates of the plate point (`p`, `q`)."""
        x, y = np.linalg.solve(self.matrix, np.array([p, q]) - self.offset)
        return float(x), float(y)


@dataclass(frozen=True)
class Scene:
    """The plate on the bench, before the light falls on it. Fields are (H, W)."""

    luminance: np.ndarray
    metal: np.ndarray  # share of the pixel that plate covers, bores left out
    bench: np.ndarray  # luminance of what lies behind
    outline: np.ndarray  # signed distance to the plate's outline, negative inside
    roughness: float  # standard deviation of the grain, as a share of the luminance
    light: np.ndarray  # (2,) unit vector towards the light
    pose: Pose

    @property
    def size(self) -> int:
        return self.luminance.shape[0]


@lru_cache(maxsize=4)
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as x (1, W) and y (H, 1)."""
    centres = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    return centres[None, :], centres[:, None]


@lru_cache(maxsize=4)
def _frequencies(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of `rfft2` in cycles per picture width: (1, W // 2 + 1) and (H, 1)."""
    fx, fy = np.fft.rfftfreq(size, 1 / size), np.fft.fftfreq(size, 1 / size)
    return fx[None, :].astype(np.float32), fy[:, None].astype(np.float32)


def filtered_noise(rng: np.random.Generator, response: np.ndarray, size: int) -> np.ndarray:
    """Noise (H, W) of mean 0 and deviation 1, shaped by `response` (H, W // 2 + 1).

    Peaks are bent back towards three deviations: a rare one would pass for a defect.
    """
    white = rng.standard_normal((size, size), dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * response, s=(size, size)).astype(np.float32)
    noise -= noise.mean()
    noise /= noise.std()
    return 2.5 * np.tanh(noise / 2.5)


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """1 where `distance` is well below 0, 0 well above, linear over `width` in between."""
    return np.clip(0.5 - distance / width, 0, 1)


def _draw_pose(rng: np.random.Generator) -> Pose:
    angle, scale = rng.normal(0, 0.045), rng.uniform(0.95, 1.03)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cos, sin], [-sin, cos]])
    return Pose(matrix, -matrix @ rng.uniform(-0.03, 0.03, 2))


def _outline(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Signed distance (H, W) to a rectangle with rounded corners."""
    across, down = np.abs(p) - PLATE[0] + CORNER, np.abs(q) - PLATE[1] + CORNER
    outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
    return outside + np.minimum(np.maximum(across, down), 0) - CORNER


def _bore_distance(rng: np.random.Generator, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Distance (H, W) to the nearest bore, negative inside; one or two, drilled to tolerance."""
    distances = []
    for centre in BORES[: rng.integers(1, 3)]:
        at = rng.normal(centre, 0.004)
        distances.append(np.hypot(p - at[0], q - at[1]) - rng.uniform(0.038, 0.046))
    return np.minimum.reduce(distances)


def _bevel(distance: np.ndarray, light: np.ndarray, width: float) -> np.ndarray:
    """Shading (H, W) of an edge, in [-1, 1]: bright where it falls away towards the light."""
    down, across = np.gradient(distance, 1 / distance.shape[0])
    band = np.clip(1 + distance / width, 0, 1) * (distance < width)
    return band * (across * light[0] + down * light[1])


def _grain(rng: np.random.Generator, size: int) -> tuple[np.ndarray, float]:
    """Brushed and cast texture (H, W) of the plate, and its standard deviation."""
    fx, fy = _frequencies(size)
    angle = rng.normal(0, 0.5) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    length, pitch = rng.uniform(0.03, 0.14), rng.uniform(0.004, 0.012)
    brushed = 1 / ((1 + (along * length) ** 2) * (1 + (across * pitch) ** 2))
    cast = (4 + fx**2 + fy**2) ** -rng.uniform(0.25, 0.6)
    strength, share = 0.012 * 6 ** rng.uniform(), rng.uniform(0.3, 0.85)
    grain = share * filtered_noise(rng, brushed, size)
    grain += np.sqrt(1 - share**2) * filtered_noise(rng, cast, size)
    return strength * grain, strength


def _lathe_marks(rng: np.random.Generator, p, q, light) -> np.ndarray:
    """Relative change (H, W) by faint rings on a turned boss, its edge and its sheen."""
    x, y = p - rng.normal(BOSS[0], 0.004), q - rng.normal(BOSS[1], 0.004)
    radius = np.hypot(x, y)
    boss = rng.uniform(0.155, 0.17)
    rings = np.sin(radius * rng.uniform(180, 330) + rng.uniform(0, 2 * np.pi))
    sheen = (x * light[0] + y * light[1]) ** 2 / (radius**2 + 1e-4)
    on_boss = rng.uniform(0.005, 0.025) * rings + rng.uniform(0, 0.10) * (sheen - 0.5)
    edge = _bevel(radius - boss, light, 0.012)
    return ramp(radius - boss, 0.01) * on_boss + rng.uniform(0.06, 0.14) * edge


def _smudges(rng: np.random.Generator, p, q) -> np.ndarray:
    """Relative change (H, W) by a few faint finger marks, a fifth of a stain's contrast."""
    change = np.zeros_like(p)
    for _ in range(rng.integers(0, 4)):
        at, radius = rng.uniform(-0.3, 0.3, 2), rng.uniform(0.03, 0.09)
        square = ((p - at[0]) ** 2 + (q - at[1]) ** 2) / radius**2
        change += rng.uniform(-0.045, 0.025) * np.exp(-square)
    return change


def _serial_number(rng: np.random.Generator) -> np.ndarray:
    """Five stamped digits as bits (7, 21), with a margin of one."""
    bits = np.zeros((7, 21), np.uint8)
    for place, digit in enumerate(rng.integers(0, 10, 5)):
        rows = np.array([[int(row) >> shift & 1 for shift in (2, 1, 0)] for row in _DIGITS[digit]])
        bits[1:6, 1 + 4 * place : 4 + 4 * place] = rows
    return bits


def _code(rng: np.random.Generator) -> np.ndarray:
    """A printed matrix code as bits (12, 12), with a margin of one and a solid L."""
    bits = np.zeros((12, 12), np.uint8)
    bits[1:11, 1:11] = rng.integers(0, 2, (10, 10))
    bits[1:11, 1] = bits[10, 1:11] = 1
    return bits


def _lettering(rng: np.random.Generator, pose: Pose, size: int) -> np.ndarray:
    """Ink (H, W) in [0, 1] of a serial number or a code at its nominal place."""
    digits = rng.random() < 0.6
    bits = _serial_number(rng) if digits else _code(rng)
    cell = rng.uniform(0.0125, 0.0145) * (1.0 if digits else 0.8)
    middle = np.array(bits.shape[::-1]) / 2
    to_bits = pose.matrix / cell
    corner = pose.to_plate(-0.5, -0.5) - rng.normal(LETTERING, 0.006)
    start = np.asarray(corner) / cell + middle
    (a, b), (c, d) = to_bits / size
    coefficients = (a, b, start[0], c, d, start[1])
    ink = Image.fromarray(bits * 255).transform(
        (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(ink, np.float32) / 255


def _bench(rng: np.random.Generator, size: int, outline: np.ndarray) -> np.ndarray:
    """Luminance (H, W) of the bench, darker in the plate's shadow."""
    fx, fy = _frequencies(size)
    rough = filtered_noise(rng, (9 + fx**2 + fy**2) ** -rng.uniform(0.2, 0.7), size)
    shadow = rng.uniform(0.15, 0.4) * ramp(np.maximum(outline, 0), rng.uniform(0.03, 0.09))
    return rng.uniform(0.15, 0.36) * (1 + rng.uniform(0.02, 0.08) * rough) * (1 - shadow)


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """A good plate on a bench; fields are (`size`, `size`)."""
    pose = _draw_pose(rng)
    p, q = pose.to_plate(*grid(size))
    turn = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(turn), np.sin(turn)])
    outline = _outline(p, q)
    solid = np.maximum(outline, -_bore_distance(rng, p, q))
    metal = ramp(solid, 1.4 / size)
    grain, roughness = _grain(rng, size)
    finish = (1 + grain) * (1 + _lathe_marks(rng, p, q, light)) * (1 + _smudges(rng, p, q))
    ink = rng.uniform(0.18, 0.5) * _lettering(rng, pose, size)
    edge = rng.uniform(0.12, 0.35) * _bevel(solid, light, 0.02)
    plate = rng.uniform(0.5, 0.7) * finish * (1 - ink) * (1 + edge)
    bench = _bench(rng, size, outline)
    behind = bench * np.where(outline < 0, 0.55, 1)
    luminance = metal * plate + (1 - metal) * behind
    return Scene(luminance.astype(np.float32), metal, bench, outline, roughness, light, pose)
