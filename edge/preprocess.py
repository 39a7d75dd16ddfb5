"""From a file or an array to the uint8 picture that the graphs take.

Training, export and device call this very code, so a picture cannot be prepared in two ways.
The steps are fixed and recorded in the manifest; nothing is guessed from the values of the data.
Resizing is Pillow's antialiased bilinear filter on 8-bit pictures, whose integer arithmetic is the
same on every machine; grey is ITU-R 601 luma, as Pillow's mode "L" computes it.
"""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple, Union

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.Image import Resampling, Transpose  # an ImportError before Pillow 9.1

from edge.errors import PictureError

MIN_SIDE = 8  # pixels; a smaller picture holds nothing to inspect and is a mistake of the capture
PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

_EXIF_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class InputSpec(NamedTuple):
    """What a graph takes: uint8 pictures of shape (height, width, channels).

    channels: 1 (grey) or 3 (RGB). resize: "stretch", each side scaled to the model's on its own.
    """

    height: int
    width: int
    channels: int
    resize: str = "stretch"

    @property
    def shape(self):
        """(height, width, channels)."""
        return self.height, self.width, self.channels


def read_picture(source: Union[str, os.PathLike, BinaryIO]) -> np.ndarray:
    """Reads one picture file, upright as its EXIF orientation says.

    Returns: uint8, (H, W) for grey or (H, W, 3) for RGB.
    Raises: PictureError for what cannot be decoded to that without a choice that is the user's
        to make: 16 bits a channel, CMYK, several frames, transparent pixels, under 8 pixels a side.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = str(source if is_path else getattr(source, "name", source))
    try:
        with _opened(source) as file, Image.open(file) as picture:
            _refuse_ambiguous(picture, name)
            return _decoded(picture, name)
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: expected a picture file, got a folder") from None
    except PermissionError:
        raise PictureError(f"{name}: no permission to read it") from None
    except UnidentifiedImageError:
        raise PictureError(
            f"{name}: expected a picture (PNG, JPEG, ...), got a file that is none or is damaged"
        ) from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name}: too many pixels; expected at most 178 million") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise PictureError(f"{name}: the picture is damaged or cut short ({error})") from None


def _opened(source):
    # Pillow maps a file that is opened by name, and scrambles a TIFF stored on its side. PNG and
    # JPEG are never mapped, and by name only their own plugin is imported: that saves 3 ms.
    if not isinstance(source, (str, os.PathLike)):
        return nullcontext(source)
    with Path(source).open("rb") as file:
        start = file.read(3)
    return nullcontext(source) if start in (b"\x89PN", b"\xff\xd8\xff") else Path(source).open("rb")


def _refuse_ambiguous(picture: Image.Image, name: str) -> None:
    frames = getattr(picture, "n_frames", 1)
    # Phones write MPO: a JPEG with a preview or gain map behind the picture, which comes first.
    if frames > 1 and picture.format != "MPO":
        raise PictureError(
            f"{name}: expected one picture, got {frames} frames; save each as a file"
        )
    # Pillow opens 16-bit colour as 8-bit "RGB" without a word; only the raw mode tells.
    if picture.mode.startswith(("I", "F")) or _has_wide_channels(picture):
        raise PictureError(
            f"{name}: expected 8 bits a channel, got more (16 bits or floating point); "
            "scale it to 8 bits first, the same way for every picture"
        )
    if picture.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        raise PictureError(f"{name}: expected grey or RGB, got {picture.mode}; convert it to RGB")
    if min(picture.size) < MIN_SIDE:
        raise PictureError(
            f"{name}: expected at least {MIN_SIDE} pixels a side, "
            f"got {picture.size[0]} x {picture.size[1]}"
        )


def _has_wide_channels(picture: Image.Image) -> bool:
    for codec, _, _, arguments in getattr(picture, "tile", ()):
        if codec.startswith("ppm") and isinstance(arguments, tuple):
            return arguments[1] > 255  # the value that is white
        # ";16" with its byte order; without one it is 16 bits a pixel, as in old BMP files.
        if re.search(";16[BLN]", str(arguments)):
            return True
    return False


def _decoded(picture: Image.Image, name: str) -> np.ndarray:
    picture.load()  # Pillow turns a TIFF upright here, and then forgets its orientation
    orientation = _TRANSPOSE.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA" if picture.mode not in ("LA", "La") else "LA")
        if np.asarray(picture.getchannel("A")).min() < 255:
            raise PictureError(
                f"{name}: expected an opaque picture, got transparent pixels; "
                "flatten it on a background, the same for every picture"
            )
    grey = picture.mode in ("1", "L", "LA")
    picture = picture.convert("L" if grey else "RGB")
    if orientation is not None:
        picture = picture.transpose(orientation)
    return np.asarray(picture)


def check_picture(picture) -> np.ndarray:
    """Returns the picture as an array, or raises PictureError saying what is wrong with it.

    picture: uint8, (H, W), (H, W, 1) or (H, W, 3), at least 8 pixels a side.
    """
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        hint = "scale it to 0..255 and cast it"
        if picture.dtype.kind == "f" and not np.isfinite(picture).all():
            hint = "it also holds NaN or infinity: mend the capture"
        raise PictureError(f"expected a picture of dtype uint8, got {picture.dtype}; {hint}")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3)):
        raise PictureError(
            f"expected a picture of shape (H, W), (H, W, 1) or (H, W, 3), got {picture.shape}; "
            "drop an alpha channel, and pass one picture at a time"
        )
    if min(picture.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"expected at least {MIN_SIDE} pixels a side, got shape {picture.shape[:2]}"
        )
    return picture


def preprocess(picture: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Converts colour and size to what the graphs take.

    picture: uint8, (H, W), (H, W, 1) or (H, W, 3), any size from 8 pixels a side.
    Returns: uint8, `spec.shape`.
    Raises: PictureError on another dtype, rank, number of channels, or a smaller picture.
    """
    picture = check_picture(picture)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.shape[:2] == (spec.height, spec.width) and _channels(picture) == spec.channels:
        return np.ascontiguousarray(picture).reshape(spec.shape)
    image = Image.fromarray(picture)
    mode = "L" if spec.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (spec.width, spec.height):
        # Each way on its own: Pillow 13 begins with the columns of tall pictures, others never do,
        # and the rounding between the two makes a grey level.
        image = image.resize((spec.width, image.height), Resampling.BILINEAR)
        image = image.resize((spec.width, spec.height), Resampling.BILINEAR)
    return np.asarray(image).reshape(spec.shape)


def _channels(picture: np.ndarray) -> int:
    return 1 if picture.ndim == 2 else picture.shape[2]
