"""TensorFlow Datasets: any image set by name, and the built-in `surfaces`.

Pictures are decoded by Pillow, as on the device, not by TensorFlow, whose JPEG decoder rounds
differently and ignores the orientation that a camera noted.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import socket
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from edge.preprocess import read_picture
from vae_tf.data import surfaces
from vae_tf.data.parts import Entry, Part, named_bytes, read_mask
from vae_tf.data.pictures import GOOD
from vae_tf.errors import DataError

_NAME_FEATURES = ("name", "file_name", "filename", "image/filename")
_BATCH = 256  # records fetched at once


def open_builder(name: str, data_dir):
    """The prepared builder of a set, downloaded where it is not under `data_dir`.

    name: "fashion_mnist", "set/config", "surfaces" or "surfaces/rgb".
    Raises: DataError for an unknown name, no network, or a full disk.
    """
    family, _, config = name.partition("/")
    if family == "surfaces":
        if config not in ("", "grey", "rgb"):
            raise DataError(f"surfaces/{config}: expected surfaces, surfaces/grey or surfaces/rgb")
        try:
            return surfaces.prepare(config=config or "grey", data_dir=data_dir)
        except OSError as error:
            raise DataError(
                f"{name}: cannot be written under {data_dir or '~/tensorflow_datasets'} "
                f"({error.strerror or error}); free space or give another --data-dir"
            ) from None
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        raise DataError(f"tfds:{name}: no TensorFlow dataset of that name") from None
    except (ValueError, TypeError, AssertionError) as error:
        raise DataError(f"tfds:{name}: {_first_line(error)}") from None
    if not builder.is_prepared():
        _download(builder, name)
    return builder


def _download(builder, name: str) -> None:
    if not _network():  # TFDS would try for minutes, with pages of warnings
        raise _unavailable(name, builder, "there is no network")
    try:
        builder.download_and_prepare()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"tfds:{name}: the disk is full under {_root(builder)}; "
                "free space or give another --data-dir"
            ) from None
        raise _unavailable(name, builder, _first_line(error)) from None
    except Exception as error:  # each set's script raises its own
        raise _unavailable(name, builder, _first_line(error)) from None


def _network() -> bool:
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo("storage.googleapis.com", 443)
    except OSError:
        return False
    return True


def _unavailable(name: str, builder, cause: str) -> DataError:
    return DataError(
        f"tfds:{name}: not under {_root(builder)} and could not be downloaded ({cause}); "
        "give the folder that holds it with --data-dir"
    )


def _root(builder) -> str:
    return str(getattr(builder, "_data_dir_root", None) or builder.data_dir)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


class TfdsSource:
    """The parts of one prepared set.

    normal_class: class (number or name) whose pictures are good, against the rest. None: the
        class named "good" where there is one, else every picture is good.
    by_class: every picture is trained on, and its kind is the name of its class.
    """

    def __init__(self, name: str, data_dir=None, normal_class=None, by_class: bool = False):
        self.name = name
        self.builder = open_builder(name, data_dir)
        features = self.builder.info.features
        self.image = self._image_feature(features)
        self.label = self._label_feature(features)
        self.masked = "mask" in features
        self.names = next((f for f in _NAME_FEATURES if f in features), None)
        self.by_class = by_class
        if by_class and self.label is None:
            raise DataError(f"tfds:{name}: a model of classes needs labels; the set has none")
        self.normal = None if by_class else self._normal(normal_class)

    def train_part(self, limit: int | None) -> Part:
        """The good pictures of the split train. Raises: DataError."""
        return self._part(self._split("train"), True, limit)

    def test_part(self, limit: int | None, required: bool) -> Part | None:
        """The split test (else validation), or None where there is none and it is not required.

        Raises: DataError.
        """
        splits = self.builder.info.splits
        found = next((s for s in ("test", "validation") if s in splits), None)
        if found is None and not required:
            return None
        return self._part(self._split(found or "test"), False, limit)

    def _split(self, split: str) -> str:
        splits = self.builder.info.splits
        if split not in splits:
            raise DataError(
                f"tfds:{self.name}: expected a split {split}, found {', '.join(sorted(splits))}"
            )
        return split

    def _image_feature(self, features) -> str:
        images = [k for k, v in features.items() if type(v) is tfds.features.Image and k != "mask"]
        if "image" in images:
            images = ["image"]
        if len(images) != 1:
            raise DataError(
                f"tfds:{self.name}: expected a set of pictures with a feature image, "
                f"found {', '.join(features)}"
            )
        if np.dtype(features[images[0]].np_dtype) != np.uint8:
            raise DataError(
                f"tfds:{self.name}: expected uint8 pictures, "
                f"got {np.dtype(features[images[0]].np_dtype)}"
            )
        return images[0]

    def _label_feature(self, features) -> str | None:
        labels = [k for k, v in features.items() if isinstance(v, tfds.features.ClassLabel)]
        return "label" if "label" in labels else next(iter(labels), None)

    def _normal(self, wanted) -> int | None:
        if self.label is None:
            if wanted is not None:
                raise DataError(f"tfds:{self.name}: a normal class needs labels; the set has none")
            return None
        names = self.builder.info.features[self.label].names
        if wanted is None:
            return names.index(GOOD) if GOOD in names else None
        if str(wanted) in names:
            return names.index(str(wanted))
        if str(wanted).isdigit() and int(wanted) < len(names):
            return int(wanted)
        raise DataError(
            f"tfds:{self.name}: no class {wanted}; expected 0 to {len(names) - 1} or one of "
            f"{', '.join(names[:20])}"
        )

    def _part(self, split: str, good_only: bool, limit: int | None) -> Part:
        info = self.builder.info.splits[split]
        digest = hashlib.sha256()
        for path in info.filepaths:
            stat = Path(os.fspath(path)).stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())

        def entries() -> Iterator[Entry]:
            return itertools.islice(self._entries(split, good_only), limit)

        return Part(
            identity=f"tfds {self.builder.data_dir} {split} {self.normal} {good_only} {limit}"
            + (" by class" if self.by_class else ""),
            fingerprint=digest.hexdigest(),
            count=min(info.num_examples, limit or info.num_examples),
            entries=entries,
            sample=lambda count: itertools.islice(entries(), count),
            masked=self.masked and not good_only,
        )

    def _entries(self, split: str, good_only: bool) -> Iterator[Entry]:
        wanted = [self.image, self.label, self.names, "mask" if self.masked else None]
        skip = tfds.decode.SkipDecoding()
        decoders = {self.image: skip} | ({"mask": skip} if self.masked else {})
        records = self.builder.as_dataset(
            split=split, decoders=decoders, read_config=tfds.ReadConfig(try_autocache=False)
        ).map(lambda record: {key: record[key] for key in wanted if key})
        if good_only and self.normal is not None:
            records = records.filter(lambda record: record[self.label] == self.normal)
        names = self.builder.info.features[self.label].names if self.label else []
        seen: set[str] = set()
        for index, record in enumerate(self._unbatched(records.batch(_BATCH))):
            name = f"{split}/{index:06d}"
            if self.names:
                name = f"{split}/{record[self.names].decode(errors='replace')}"
                if name in seen:
                    name = f"{name}#{index}"
                seen.add(name)
            kind = GOOD
            if self.by_class or (self.normal is not None and record[self.label] != self.normal):
                kind = names[record[self.label]]
            mask = partial(_decode_mask, record["mask"], name) if self.masked else None
            yield Entry(name, kind, partial(_decode_picture, record[self.image], name), mask)

    def _unbatched(self, batches: tf.data.Dataset) -> Iterator[dict]:
        """Record by record, fetched many at a time, which is several times faster."""
        try:
            for batch in batches.as_numpy_iterator():
                for values in zip(*batch.values(), strict=True):
                    yield dict(zip(batch, values, strict=True))
        except tf.errors.OpError as error:
            raise DataError(
                f"tfds:{self.name}: the prepared files are damaged ({_first_line(error)}); "
                f"delete {self.builder.data_dir} and prepare the set again"
            ) from None


def _decode_picture(data: bytes, name: str):
    return read_picture(named_bytes(data, name))


def _decode_mask(data: bytes, name: str):
    return read_mask(named_bytes(data, name))
