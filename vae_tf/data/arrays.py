"""Pictures in a .npz file, read row by row, so that the file may be larger than the memory.

Keys: `images` (n, H, W[, C]) uint8 with `labels` (n,) and `masks` (n, H, W), both optional; or
Keras style `x_train`, `x_test`, `y_train`, `y_test`.
"""

from __future__ import annotations

import hashlib
import itertools
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.preprocess import MIN_SIDE
from vae_tf.data.folder import spread
from vae_tf.data.parts import Entry, Part
from vae_tf.data.pictures import GOOD
from vae_tf.errors import DataError

_CHUNK = 1 << 22  # bytes read at once


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


def train_part(path: Path, normal_class, limit: int | None, by_class: bool = False) -> Part:
    """The good pictures: all, or those that the labels call good. Raises: DataError.

    by_class: every picture, its label as its kind.
    """
    keys = _keys(path)
    x, y = ("x_train", "y_train") if "x_train" in keys else ("images", "labels")
    if by_class and y not in keys:
        raise DataError(f"{path}: a model of classes needs labels; expected an array {y}")
    kinds = _kinds(path, x, y, keys, normal_class, by_class)
    rows = [i for i, kind in enumerate(kinds) if by_class or kind == GOOD]
    return _part(
        path, f"train{' by class' if by_class else ''}", x, kinds, rows, None, limit, normal_class
    )


def test_part(
    path: Path, normal_class, limit: int | None, required: bool, by_class: bool = False
) -> Part | None:
    """The test pictures: `x_test`, or `images`.

    Of `images`, `required` (a file given to be tested) takes every row, else (a file given to
    train on) only the defective ones, since the good ones are trained on.
    Returns: None where there are none and `required` is false. Raises: DataError.
    """
    keys = _keys(path)
    if "x_test" in keys:
        kinds = _kinds(path, "x_test", "y_test", keys, normal_class, by_class)
        part = f"test{' by class' if by_class else ''}"
        return _part(path, part, "x_test", kinds, range(len(kinds)), None, limit, normal_class)
    if by_class or "labels" not in keys or "images" not in keys:
        if not required:
            return None
        raise DataError(f"{path}: expected labels beside images, or x_test, to test on")
    kinds = _kinds(path, "images", "labels", keys, normal_class)
    rows = [i for i, kind in enumerate(kinds) if required or kind != GOOD]
    if not rows:
        return None
    masks = "masks" if "masks" in keys else None
    return _part(path, f"test {required}", "images", kinds, rows, masks, limit, normal_class)


def _keys(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            keys = {Path(name).stem for name in archive.namelist() if name.endswith(".npy")}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a .npz file of pictures") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: expected a .npz file, got one that is damaged ({error})"
        ) from None
    if not keys & {"images", "x_train", "x_test"}:
        found = ", ".join(sorted(keys)) or "nothing"
        raise DataError(f"{path}: expected an array images, or x_train and x_test; found {found}")
    return keys


def _kinds(
    path: Path, x: str, y: str, keys: set[str], normal_class, by_class: bool = False
) -> list[str]:
    """The kind of every row of `x`: "good", or what its label says; always that, if `by_class`."""
    if x not in keys:
        raise DataError(f"{path}: expected an array {x}, found {', '.join(sorted(keys))}")
    count = _header(path, x).shape[0]
    if y not in keys:
        if normal_class is not None:
            raise DataError(f"{path}: a normal class needs labels; expected an array {y}")
        return [GOOD] * count
    labels = _small(path, y)
    if labels.ndim == 2 and labels.shape[1] == 1:  # as in keras.datasets.cifar10
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biuU":
        raise DataError(
            f"{path}: expected {y} as whole numbers or words of shape (n,), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if len(labels) != count:
        raise DataError(f"{path}: expected as many {y} as {x}, got {len(labels)} and {count}")
    if labels.dtype.kind == "b":
        labels = labels.astype(np.uint8)
    words = [str(label) for label in labels]
    if by_class:
        return words
    if normal_class is not None:
        if str(normal_class) not in words:
            raise DataError(
                f"{path}: no {y} of class {normal_class}; "
                f"found {', '.join(sorted(set(words))[:20])}"
            )
        return [GOOD if word == str(normal_class) else word for word in words]
    if labels.dtype.kind == "U":
        return words
    return [GOOD if word == "0" else "defect" for word in words]


def _small(path: Path, key: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[key]
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise DataError(f"{path}: the array {key} cannot be read ({error})") from None


def _part(path, part, x, kinds, rows, masks, limit, normal_class) -> Part:
    _check_images(path, x)
    if masks:
        shape, wanted = _header(path, masks).shape, _header(path, x).shape
        if shape[:3] != wanted[:3] or shape[3:] not in ((), (1,)):
            raise DataError(
                f"{path}: expected masks of shape {wanted[:3]}, one a picture, got {shape}"
            )
        if _header(path, masks).dtype not in (np.uint8, np.bool_):
            raise DataError(f"{path}: expected masks of bool or uint8")
    rows = rows if limit is None else spread(rows, limit)
    stat = path.stat()
    state = f"{stat.st_size} {stat.st_mtime_ns} {normal_class}"

    def entries() -> Iterator[Entry]:
        wanted = set(rows)
        pictures = _rows(path, x)
        areas = _rows(path, masks) if masks else itertools.repeat(None)
        for i, (picture, area) in enumerate(zip(pictures, areas, strict=False)):
            if i in wanted:
                mask = None if area is None else partial(_mask, area)
                yield Entry(f"{x}/{i:06d}", kinds[i], partial(np.asarray, picture), mask)

    return Part(
        identity=f"npz {path.resolve()} {part} {normal_class} {limit}",
        fingerprint=hashlib.sha256(state.encode()).hexdigest(),
        count=len(rows),
        entries=entries,
        sample=lambda count: itertools.islice(entries(), count),
        masked=masks is not None,
    )


def _mask(area: np.ndarray) -> np.ndarray:
    return area.reshape(area.shape[:2]) > 0


def _check_images(path: Path, key: str) -> None:
    shape, _, dtype = _header(path, key)
    if dtype != np.uint8:
        hint = "scale them to 0..255 and cast them"
        if dtype.kind == "f" and any(not np.isfinite(row).all() for row in _rows(path, key)):
            hint = "they also hold NaN or infinity: mend the capture"
        raise DataError(f"{path}: expected {key} as uint8 0..255, got {dtype}; {hint}")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise DataError(
            f"{path}: expected {key} of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), got {shape}"
        )
    if min(shape[1:3]) < MIN_SIDE:
        raise DataError(
            f"{path}: expected pictures of at least {MIN_SIDE} pixels a side, got {shape[1:3]}"
        )


def _header(path: Path, key: str) -> _Header:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            header = _read_header(member)
    except Exception as error:
        raise DataError(f"{path}: the array {key} cannot be read ({error})") from None
    if header.dtype.hasobject:
        raise DataError(
            f"{path}: the array {key} holds Python objects, which are never loaded; "
            "save it as plain numbers of one shape"
        )
    if not header.shape:
        raise DataError(f"{path}: expected an array {key}, got a single number")
    return header


def _read_header(member) -> _Header:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    return _Header(*read(member))


def _rows(path: Path, key: str) -> Iterator[np.ndarray]:
    """Yields the array row by row, each of shape (H, W[, C]), without holding it whole."""
    shape, fortran, dtype = _header(path, key)
    if fortran:  # its rows are not contiguous
        yield from _small(path, key)
        return
    width = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    step = max(1, _CHUNK // max(width, 1))
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            _read_header(member)
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                data = member.read(count * width)
                if len(data) != count * width:
                    raise ValueError("it is cut short")
                yield from np.frombuffer(data, dtype).reshape(count, *shape[1:])
    except Exception as error:
        raise DataError(f"{path}: the array {key} cannot be read ({error})") from None
