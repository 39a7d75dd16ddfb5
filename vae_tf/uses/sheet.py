"""Data laid out to be looked at: grids, strips, rows under words, and moving pictures.

Everything is uint8 (H, W, 3) and written by Pillow, so that a pixel of the data stays a square.
What is no picture, such as a sequence or a row of numbers, is drawn as lines.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge.files import write_atomically
from edge.heatmap import png_bytes
from vae_tf.errors import ArgumentError

PAPER, INK = (255, 255, 255), (37, 48, 59)
_LINES = ((47, 111, 174), (209, 85, 43), (138, 106, 0), (64, 145, 108), (120, 94, 160))
_GAP = 2  # pixels between pictures, before they are enlarged
_SIDE = 64  # pixels that a picture's longer side is enlarged to, at least
_PLOT = (64, 96)  # height and width of a drawn sequence
_HEAD, _TEXT = 18, 12  # pixels of a line of words, and of its letters


def to_uint8(x) -> np.ndarray:
    """Data in 0..1 as bytes, clipped. x: float (...). Returns: uint8 (...)."""
    return np.rint(np.clip(np.asarray(x, np.float32), 0.0, 1.0) * 255).astype(np.uint8)


def tiles(x, limits=None, side: int = _SIDE) -> np.ndarray:
    """One picture an example, uint8 (n, H, W, 3), small ones enlarged by a whole factor.

    x: pictures, uint8 or float in 0..1 (n, H, W, C), C 1 or 3; or anything else, (n, T, D) or
        (n, D), which is drawn as D lines over T, or one over D. limits: lowest and highest value
        of what is drawn as lines; None for those of x.
    """
    x = np.asarray(x)
    if x.ndim == 4 and x.shape[3] in (1, 3):
        pictures = x if x.dtype == np.uint8 else to_uint8(x)
        pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
    else:
        rows = x.reshape(len(x), x.shape[1], -1).astype(float)
        if limits is None:
            limits = np.nanmin(rows), np.nanmax(rows)
        pictures = np.stack([_lines(row, *limits) for row in rows])
    factor = max(1, -(-side // max(pictures.shape[1:3])))
    return pictures.repeat(factor, axis=1).repeat(factor, axis=2)


def grid(pictures, columns: int | None = None, gap: int = _GAP) -> np.ndarray:
    """Tiles in rows, uint8 (H, W, 3).

    pictures: uint8 (n, h, w, 3), see `tiles`. columns: None for about as many as rows.
    """
    pictures = np.asarray(pictures)
    if not len(pictures):
        raise ArgumentError("`pictures` must hold one or more. Received: none")
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    h, w = pictures.shape[1:3]
    canvas = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        canvas[y : y + h, x : x + w] = picture
    return canvas


def rows_of(rows, labels, heads=None, gap: int = _GAP) -> np.ndarray:
    """Rows of tiles, each with words before it, uint8 (H, W, 3).

    rows: R arrays, uint8 (n, h, w, 3), h and w alike. labels: R words.
    heads: words over the columns; None for none.
    """
    body = [grid(row, len(row), gap) for row in rows]
    width = max(strip.shape[1] for strip in body)
    left = max((_width(label) for label in labels), default=0) + 8
    lines = []
    for strip, label in zip(body, labels, strict=True):
        line = np.full((strip.shape[0], left + width, 3), PAPER, np.uint8)
        line[:, left : left + strip.shape[1]] = strip
        lines.append(_write(line, label, 4, (strip.shape[0] - _TEXT) // 2 - 2))
    if heads is not None:
        top = np.full((_HEAD, left + width, 3), PAPER, np.uint8)
        step = gap + np.asarray(rows[0]).shape[2]
        for i, head in enumerate(heads):
            at = left + gap + i * step + (step - gap - _width(head)) // 2
            top = _write(top, head, max(0, at), 1)
        lines.insert(0, top)
    return np.concatenate(lines)


def save_png(path, picture) -> None:
    """Writes uint8 (H, W, 3), whole or not at all. Raises: UserError where it cannot."""
    write_atomically(path, png_bytes(np.asarray(picture)))


def save_gif(path, frames, milliseconds: int = 80, back: bool = True) -> None:
    """Writes a moving picture that goes on for ever.

    frames: uint8 (n, H, W, 3). back: and back again, so that it has no jump.
    Raises: UserError where it cannot be written.
    """
    frames = list(frames)
    shown = frames + frames[-2:0:-1] if back else frames
    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in shown]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0
    )
    write_atomically(path, buffer.getvalue())


def _lines(row: np.ndarray, low: float, high: float) -> np.ndarray:
    """float (T, D) as D lines over T on white."""
    height, width = _PLOT
    image = Image.new("RGB", (2 * width, 2 * height), PAPER)
    pen = ImageDraw.Draw(image)
    span = max(high - low, 1e-9)
    x = np.linspace(4, 2 * width - 5, len(row))
    for i, values in enumerate(row.T):
        y = 2 * height - 5 - (values - low) / span * (2 * height - 9)
        points = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
        if len(points) > 1:
            pen.line(points, fill=_LINES[i % len(_LINES)], width=3)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _font():
    return ImageFont.load_default(_TEXT)


def _width(text: str) -> int:
    return int(_font().getlength(text)) + 1


def _write(canvas: np.ndarray, text: str, x: int, y: int) -> np.ndarray:
    image = Image.fromarray(canvas)
    ImageDraw.Draw(image).text((x, y), text, fill=INK, font=_font())
    return np.asarray(image)
