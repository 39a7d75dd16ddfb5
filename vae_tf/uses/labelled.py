"""Pictures with their classes, all of a source as arrays: for generating and embedding."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_tf.errors import DataError


class Labelled(NamedTuple):
    """x_train, x_test: uint8 (n, H, W, C). y_train, y_test: int (n,). names: of the classes."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    names: list[str]


def load_labelled(source, data_dir=None, limit: int | None = None) -> Labelled:
    """All pictures of a source with their classes, split as the source splits them.

    source: "tfds:NAME" with pictures of one size, or a .npz with `x_train`, `y_train`, `x_test` and
        `y_test`. data_dir: folder of TFDS sets. limit: pictures at most of each part.
    Raises: DataError, one line, for anything that the user can mend.
    """
    if str(source).startswith("tfds:"):
        return _from_tfds(str(source).removeprefix("tfds:"), data_dir, limit)
    if Path(source).suffix == ".npz":
        return _from_npz(Path(source), limit)
    raise DataError(f"{source}: expected tfds:NAME or a .npz of pictures with classes")


def _from_tfds(name: str, data_dir, limit) -> Labelled:
    from vae_tf.data.tfds_source import open_builder  # slow to import

    builder = open_builder(name, data_dir)
    features, splits = builder.info.features, builder.info.splits
    shape = features["image"].shape if "image" in features else (None,)
    if None in shape or "label" not in features or not {"train", "test"} <= splits.keys():
        raise DataError(
            f"tfds:{name}: expected pictures of one size with labels, split into train and test"
        )
    arrays = []
    for split in ("train", "test"):
        part = split if limit is None else f"{split}[:{limit}]"
        batches = list(builder.as_dataset(split=part, batch_size=10_000).as_numpy_iterator())
        arrays += [np.concatenate([batch[key] for batch in batches]) for key in ("image", "label")]
    x_train, y_train, x_test, y_test = arrays
    return Labelled(x_train, y_train, x_test, y_test, list(features["label"].names))


def _from_npz(path: Path, limit) -> Labelled:
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[key][:limit] for key in keys]
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path}: expected the arrays {', '.join(keys)} ({error})") from None
    for x, y in (arrays[:2], arrays[2:]):
        if x.dtype != np.uint8 or x.ndim not in (3, 4) or y.shape != (len(x),):
            raise DataError(
                f"{path}: expected uint8 pictures (n, H, W[, C]) with a class each, got {x.dtype} "
                f"of shape {x.shape} with {y.shape} classes"
            )
    x_train, y_train, x_test, y_test = arrays
    classes, numbers = np.unique(np.concatenate([y_train, y_test]), return_inverse=True)
    return Labelled(
        x_train[..., None] if x_train.ndim == 3 else x_train,
        numbers[: len(y_train)],
        x_test[..., None] if x_test.ndim == 3 else x_test,
        numbers[len(y_train) :],
        [str(name) for name in classes],
    )
