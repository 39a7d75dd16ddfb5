"""From the name of a source to its splits: the two doors of `vae_tf.data`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import PictureError
from edge.preprocess import InputSpec
from vae_tf.data import arrays, folder
from vae_tf.data.cache import load_part
from vae_tf.data.classes import by_class as classed
from vae_tf.data.classes import class_names
from vae_tf.data.duplicates import find_duplicates
from vae_tf.data.parts import SAMPLE, Part
from vae_tf.data.pictures import Pictures
from vae_tf.data.splits import Splits, split_good
from vae_tf.errors import DataError

MIN_PICTURE = 16  # pixels a side of what the networks take
LONGER_SIDE = 192  # pixels, where the data tell the size
LONGER_SIDE_TILED = 2048  # and the model sees a tile at a time
_STEP = 8  # sides are a multiple of this where pictures are shrunk


class _Source(NamedTuple):
    """train(limit) and test(limit, required) give the parts."""

    name: str
    train: Callable[[int | None], Part]
    test: Callable[[int | None, bool], Part | None]
    folder: bool = False


def load_data(
    source: str | os.PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    tile: int | None = None,
    channels: int | None = None,
    data_dir: str | os.PathLike | None = None,
    normal_class: int | str | None = None,
    group_by: str | None = None,
    calibration: float = 0.2,
    seed: int = 0,
    cache_dir: str | os.PathLike | None = None,
    limit: int | None = None,
    by_class: bool = False,
) -> Splits:
    """Loads a source to train on and splits its good pictures.

    source: a folder in MVTec layout or a flat one (all good), "tfds:NAME[/config]", "surfaces" or
        "surfaces/rgb", or a .npz file. A folder named surfaces is "./surfaces".
    size: pixels, one side of a square or (H, W). None: the median of the good pictures, at most
        192 on the longer side, or 2048 in tiles; pictures no larger than that keep their size.
    tile: side of the tiles in which the pictures will be looked at. None: whole.
    channels: 1 or 3. None: 3 where a good picture has colour in it, else 1.
    data_dir: folder of TFDS sets. normal_class: the class of a TFDS set or .npz that is good.
    group_by: "folder", or a regular expression in the name; shots with one key stay together.
    calibration: share of the good pictures held out to set the threshold; at least 8, at most 2000.
    seed: of the split. limit: pictures at most of each part, evenly spaced or the first ones.
    cache_dir: folder where decoded pictures are kept for the next time. None: memory, or from
        256 MB on a temporary file.
    by_class: every picture is good, whatever its class, and `Pictures.classes` says which that is:
        of a TFDS set or .npz its label, of a folder its sub-folder.
    Raises: DataError, one line, for anything that the user can mend.
    """
    _check_limit(limit)
    chosen, given = _check_size(size), _check_channels(channels)
    longest = LONGER_SIDE if _check_tile(tile) is None else LONGER_SIDE_TILED
    of = _open(source, data_dir, normal_class, by_class)
    part = of.train(limit)
    pictures, spec = load_part(
        part,
        f"{chosen} {given} {longest}",
        lambda: _resolve(of.name, part, chosen, given, longest),
        cache_dir,
    )
    _require_any(of.name, pictures, "good")
    names = None
    if by_class:
        names = class_names(of.name, pictures, of.folder)
        skipped, pictures = pictures.skipped, classed(pictures, names)
        pictures.skipped = skipped
    try:
        rows = split_good(pictures.names, group_by, calibration, seed, len(pictures.skipped))
    except DataError as error:
        raise DataError(f"{of.name}: {error}") from None
    train, validation, held_out = (pictures.take(r) for r in rows)
    test_part = of.test(limit, False)
    test = _empty(spec)
    if test_part is not None:
        test = load_part(test_part, str(tuple(spec)), lambda: spec, cache_dir).pictures
        if names:
            test = classed(test, names)
    seen = pictures.take(np.concatenate(rows[:2]))
    return Splits(
        train=train,
        validation=validation,
        calibration=held_out,
        test=test,
        spec=spec,
        skipped=[*pictures.skipped, *test.skipped],
        duplicates=find_duplicates(seen, held_out, test, seed),
        source=of.name,
        seed=seed,
        calibration_share=calibration,
        group_by=group_by,
        class_names=names,
    )


def load_test(
    source: str | os.PathLike,
    spec: InputSpec,
    *,
    data_dir: str | os.PathLike | None = None,
    normal_class: int | str | None = None,
    cache_dir: str | os.PathLike | None = None,
    limit: int | None = None,
) -> Pictures:
    """Loads the test pictures of a source, prepared as the model takes them.

    source: as for `load_data`; a folder has `test/<kind>`, or is that folder `test`. Of a .npz
        with `images` every row is tested, so give another file than the one trained on.
    spec: of the model, `Splits.spec`. The rest: as for `load_data`.
    Raises: DataError.
    """
    _check_limit(limit)
    of = _open(source, data_dir, normal_class)
    part = of.test(limit, True)
    if part is None:
        raise DataError(f"{of.name}: found nothing to test on")
    pictures = load_part(part, str(tuple(spec)), lambda: spec, cache_dir).pictures
    _require_any(of.name, pictures, "test")
    return pictures


def _open(source: str | os.PathLike, data_dir, normal_class, by_class: bool = False) -> _Source:
    name = os.fspath(source)
    if by_class and normal_class is not None:
        raise DataError(f"{name}: a normal class leaves one class; a model of classes needs all")
    if name.startswith("tfds:") or name.split("/")[0] == "surfaces":
        from vae_tf.data.tfds_source import TfdsSource  # slow to import, and folders do without

        of = TfdsSource(name.removeprefix("tfds:"), data_dir, normal_class, by_class)
        return _Source(name, of.train_part, of.test_part)
    path = Path(name)
    if path.suffix.lower() == ".csv":
        raise DataError(f"{name}: tables are not supported yet by this version; give pictures")
    if path.suffix.lower() == ".npz":
        return _Source(
            name,
            lambda limit: arrays.train_part(path, normal_class, limit, by_class),
            lambda limit, required: arrays.test_part(path, normal_class, limit, required, by_class),
        )
    if path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar") and path.is_file():
        raise DataError(f"{name}: expected a folder of pictures, got an archive; unpack it first")
    if normal_class is not None:
        raise DataError(
            f"{name}: a normal class is for tfds:NAME and .npz; "
            "the good pictures of a folder lie in train/good"
        )
    return _Source(
        name,
        lambda limit: folder.train_part(path, limit),
        lambda limit, required: None if by_class else folder.test_part(path, limit, required),
        folder=True,
    )


def _resolve(
    name: str, part: Part, size: tuple[int, int] | None, channels: int | None, longest: int
) -> InputSpec:
    """The spec, told by a sample of good pictures where it was not given."""
    if size and channels:
        return InputSpec(*size, channels)
    sample = _readable(part.sample(SAMPLE)) or _readable(part.entries(), 1)
    if not sample:
        raise DataError(_none_readable(name, "good", part))
    if channels is None:
        channels = 3 if any(map(_coloured, sample)) else 1
    if size is None:
        height, width = np.median([picture.shape[:2] for picture in sample], axis=0)
        size = _model_size(height, width, longest)
    return InputSpec(*size, channels)


def _model_size(height: float, width: float, longest: int) -> tuple[int, int]:
    """Small pictures keep their size; larger ones shrink to the longest side, in steps of 8."""
    longer = max(height, width)
    if longer <= longest and min(height, width) >= MIN_PICTURE:
        return int(height), int(width)
    scale = min(1.0, longest / longer)
    tall, wide = (max(MIN_PICTURE, _STEP * round(s * scale / _STEP)) for s in (height, width))
    return tall, wide


def _readable(entries, enough: int = SAMPLE) -> list[np.ndarray]:
    pictures = []
    for entry in entries:
        try:
            pictures.append(entry.picture())
        except PictureError:
            continue
        if len(pictures) == enough:
            break
    return pictures


def _coloured(picture: np.ndarray) -> bool:
    if picture.ndim == 2 or picture.shape[2] == 1:
        return False
    return bool(
        (picture[..., 0] != picture[..., 1]).any() or (picture[..., 1] != picture[..., 2]).any()
    )


def _require_any(name: str, pictures: Pictures, what: str) -> None:
    if not len(pictures) and pictures.skipped:
        first, reason = pictures.skipped[0]
        raise DataError(
            f"{name}: none of {len(pictures.skipped)} {what} pictures can be read; "
            f"the first: {first} ({reason})"
        )


def _none_readable(name: str, what: str, part: Part) -> str:
    for entry in part.entries():
        try:
            entry.picture()
        except PictureError as error:
            return f"{name}: none of {part.count} {what} pictures can be read; the first: {error}"
    return f"{name}: expected {what} pictures, found none"


def _empty(spec: InputSpec) -> Pictures:
    return Pictures(np.empty((0, *spec.shape), np.uint8), [], [])


def _check_size(size) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(int(s) != s or s < MIN_PICTURE for s in sides):
        raise DataError(
            f"size: expected a side or (height, width) of at least {MIN_PICTURE} pixels, got {size}"
        )
    return int(sides[0]), int(sides[1])


def _check_tile(tile: int | None) -> int | None:
    if tile is not None and tile < 2 * MIN_PICTURE:
        raise DataError(f"tile: expected a side of at least {2 * MIN_PICTURE} pixels, got {tile}")
    return tile


def _check_channels(channels: int | None) -> int | None:
    if channels not in (None, 1, 3):
        raise DataError(f"channels: expected 1 (grey) or 3 (RGB), got {channels}")
    return channels


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise DataError(f"limit: expected at least 1 picture, got {limit}")
