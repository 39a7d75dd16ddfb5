"""Each picture is decoded once, into one uint8 array: in memory, or on disk where it is large.

A cache folder is written beside its place and renamed into it, so it is whole or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import PIL

from edge.preprocess import InputSpec
from vae_tf.data.parts import Part, decode
from vae_tf.data.pictures import GOOD, Pictures
from vae_tf.errors import DataError

IN_MEMORY = 256 << 20  # bytes; a larger array goes to disk

_VERSION = 1
_PARTIAL = ".partial"
_ABANDONED = 3600  # seconds without a write, after which a partial folder is nobody's


class Loaded(NamedTuple):
    """A decoded part. skipped: (name, reason) of what could not be read."""

    pictures: Pictures
    spec: InputSpec


def load_part(
    part: Part, request: str, resolve: Callable[[], InputSpec], cache_dir: str | os.PathLike | None
) -> Loaded:
    """Decodes a part, or maps its cache where that is still true.

    request: the size and colour that were asked for, as words; with the part it names the cache.
    resolve: tells the spec; not called where the cache knows it.
    cache_dir: folder of caches. None keeps the pictures in memory, or from 256 MB on in a
        temporary file that vanishes with the process.
    Raises: DataError where the disk is full or cannot be written.
    """
    if cache_dir is None:
        spec = resolve()
        large = part.count * int(np.prod(spec.shape)) > IN_MEMORY
        with _writing(tempfile.gettempdir(), part, spec):
            return _decode_away(part, spec, large)
    wanted = f"{_VERSION} {PIL.__version__} {part.identity} {request} {part.fingerprint}"
    key = hashlib.sha256(f"{part.identity} {request}".encode()).hexdigest()[:16]
    words = re.sub(r"[^A-Za-z0-9]+", "-", part.identity).strip("-")[-40:]
    folder = Path(cache_dir, f"{words}-{key}")
    return _mapped(folder, wanted) or _decode_to(folder, part, resolve(), wanted)


def read_caches(cache_dir: str | os.PathLike) -> list[Loaded]:
    """Every whole cache below `cache_dir`, whatever became of its source."""
    found = (_mapped(path.parent) for path in sorted(Path(cache_dir).glob("*/index.json")))
    return [loaded for loaded in found if loaded is not None]


def _mapped(folder: Path, wanted: str | None = None) -> Loaded | None:
    """The cache in `folder`, or None where there is none, an older one, or a damaged one.

    wanted: the state of the source that it must be of; None takes any.
    """
    try:
        index = json.loads((folder / "index.json").read_bytes())
        if wanted not in (None, index["source"]):
            return None
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = np.load(folder / "masks.npy", mmap_mode="r") if index["masked"] else None
        spec = InputSpec(*index["spec"])
        if images.shape != (len(index["names"]), *spec.shape):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Loaded(_pictures(index, images, masks), spec)


def _pictures(index: dict, images, masks) -> Pictures:
    has_mask = None if masks is None else np.array(index["has_mask"], bool)
    skipped = [(name, reason) for name, reason in index["skipped"]]
    return Pictures(images, index["names"], index["kinds"], masks, has_mask, skipped=skipped)


def _decode_to(folder: Path, part: Part, spec: InputSpec, wanted: str) -> Loaded:
    with _writing(folder.parent, part, spec):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        stage = Path(tempfile.mkdtemp(_PARTIAL, folder.name, folder.parent))
        try:
            with (stage / "images.npy").open("wb") as images, (stage / "masks.npy").open("wb") as m:
                index = _write(part, spec, images, m)
                for stream in (images, m):
                    stream.flush()
                    os.fsync(stream.fileno())
            index["source"] = wanted
            (stage / "index.json").write_text(json.dumps(index))
            _replace(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    loaded = _mapped(folder, wanted)
    if loaded is None:
        raise DataError(f"{folder}: the picture cache was changed while it was written; try again")
    return loaded


def _replace(stage: Path, folder: Path) -> None:
    if folder.exists():  # of an older state of the source
        old = Path(tempfile.mkdtemp(_PARTIAL, folder.name, folder.parent))
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            folder.rename(old / "old")
        shutil.rmtree(old, ignore_errors=True)
    stage.rename(folder)


def _sweep(folder: Path) -> None:
    """Removes what a killed process left."""
    for stage in folder.parent.glob(f"{folder.name}*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            written = max(p.stat().st_mtime for p in [stage, *stage.iterdir()])
            if time.time() - written > _ABANDONED:
                shutil.rmtree(stage, ignore_errors=True)


def _decode_away(part: Part, spec: InputSpec, large: bool) -> Loaded:
    """Into memory, or into files that have no name and are gone when the arrays are."""
    new = tempfile.TemporaryFile if large else io.BytesIO
    images, masks = new(), new()
    index = _write(part, spec, images, masks)
    shapes = _shapes(index, spec)
    image_array = _array(images, np.uint8, shapes[0])
    mask_array = _array(masks, np.bool_, shapes[1]) if index["masked"] else None
    return Loaded(_pictures(index, image_array, mask_array), spec)


def _array(stream: BinaryIO, dtype, shape: tuple[int, ...]) -> np.ndarray:
    start = _data_start(stream)
    if not shape[0]:
        return np.empty(shape, dtype)
    if isinstance(stream, io.BytesIO):
        return np.frombuffer(stream.getbuffer(), dtype, offset=start).reshape(shape)
    with stream:  # the map keeps the file
        return np.memmap(stream, dtype, "r", start, shape)


def _shapes(index: dict, spec: InputSpec):
    """Of the arrays of images and of masks."""
    count = len(index["names"])
    return (count, *spec.shape), (count if index["masked"] else 0, spec.height, spec.width)


def _write(part: Part, spec: InputSpec, images: BinaryIO, masks: BinaryIO) -> dict:
    """Streams the decoded part into two .npy files; returns the index that goes beside them."""
    index: dict = {"spec": list(spec), "masked": part.masked, "skipped": list(part.refused)}
    names, kinds, has_mask = (index.setdefault(k, []) for k in ("names", "kinds", "has_mask"))
    no_mask = np.zeros((spec.height, spec.width), bool)
    _write_headers(images, masks, _shapes(index, spec))
    for item in decode(part.entries(), spec):
        index["skipped"] += item.faults
        if item.picture is None:
            continue
        names.append(item.name)
        kinds.append(item.kind)
        images.write(item.picture.tobytes())
        if part.masked:
            has_mask.append(item.mask is not None or item.kind == GOOD)
            masks.write((no_mask if item.mask is None else item.mask).tobytes())
    _write_headers(images, masks, _shapes(index, spec))
    return index


def _write_headers(images: BinaryIO, masks: BinaryIO, shapes) -> None:
    """NumPy leaves room in a header for the first axis to grow, so that it can be rewritten."""
    for stream, descr, shape in zip((images, masks), ("|u1", "|b1"), shapes, strict=True):
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        stream.seek(0)
        np.lib.format.write_array_header_1_0(stream, header)
        stream.flush()


def _data_start(stream: BinaryIO) -> int:
    stream.seek(0)
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    return stream.tell()


@contextlib.contextmanager
def _writing(where, part: Part, spec: InputSpec):
    try:
        yield
    except OSError as error:
        megabytes = part.count * int(np.prod(spec.shape)) / 1e6
        raise DataError(
            f"{where}: cannot write the decoded pictures, about {megabytes:.0f} MB "
            f"({error.strerror or error}); free space or give another cache folder"
        ) from None
