"""Pictures with the class that each is of, for models that are told it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from vae_tf.data.pictures import GOOD, Pictures
from vae_tf.errors import DataError


def class_names(source: str, pictures: Pictures, folder: bool) -> tuple[str, ...]:
    """The classes that occur, in order. folder: whether a picture's class is its sub-folder.

    Raises: DataError where there are fewer than two.
    """
    found = sorted({_class(pictures, i, folder) for i in range(len(pictures))}, key=_order)
    if len(found) < 2:
        raise DataError(
            f"{source}: expected pictures of at least 2 classes, found {', '.join(found)}; "
            + (
                "put those of each class into a sub-folder of its name"
                if folder
                else "train without --model conditional"
            )
        )
    return tuple(found)


def by_class(pictures: Pictures, names: Sequence[str]) -> Pictures:
    """The pictures, all of them good, with their classes as numbers.

    Pictures of a class that is not among `names` are left out. The class is the kind, or, where
    the kind is none of the names, the sub-folder.
    """
    number = {name: i for i, name in enumerate(names)}
    folder = not any(kind in number for kind in pictures.kinds)
    classes = [number.get(_class(pictures, i, folder), -1) for i in range(len(pictures))]
    rows = np.flatnonzero(np.array(classes, np.int64) >= 0)
    chosen = pictures.take(rows)
    chosen.classes = np.array(classes, np.int32)[rows]
    chosen.kinds = [GOOD] * len(rows)
    return chosen


def _class(pictures: Pictures, i: int, folder: bool) -> str:
    return PurePosixPath(pictures.names[i]).parent.name if folder else pictures.kinds[i]


def _order(name: str) -> tuple:
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)
