"""Decoded pictures with names, kinds and masks, and their stream of batches for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from edge.tiles import Tiling, tiling

GOOD = "good"
_AHEAD = 2  # batches that wait for the training step


class Rows:
    """Chosen rows of an array on disk, gathered when they are asked for.

    `len`, `shape`, `dtype`, iteration, `np.asarray` and indexing along the first axis (a number,
    a slice, an array of numbers or of bool) work as on the array of those rows.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self._array = array
        self._rows = rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype
        self.ndim = array.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key) -> np.ndarray:
        return np.asarray(self._array[self._rows[key]])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError("the rows lie on disk and have to be copied")
        return np.asarray(self[:], dtype)


class Tiles(Rows):
    """Every tile of every picture, cut when it is asked for; of one picture after the other."""

    def __init__(self, pictures: np.ndarray | Rows, how: Tiling):
        self._pictures = pictures
        self._how = how
        self._corners = np.array(how.corners)
        shape = (len(pictures) * len(self._corners), how.tile_height, how.tile_width)
        self.shape = (*shape, *pictures.shape[3:])
        self.dtype = pictures.dtype
        self.ndim = pictures.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key) -> np.ndarray:
        chosen = np.arange(len(self))[key]
        if chosen.ndim == 0:
            return self._tile(int(chosen))
        if not len(chosen):
            return np.empty((0, *self.shape[1:]), self.dtype)
        return np.stack([self._tile(int(i)) for i in chosen])

    def _tile(self, i: int) -> np.ndarray:
        picture, tile = divmod(i, len(self._corners))
        y, x = self._corners[tile]
        how = self._how
        return self._pictures[picture][y : y + how.tile_height, x : x + how.tile_width]


class Pictures:
    """Pictures of one split.

    images: uint8 (n, H, W, C): an array, or `Rows` of a file where it is on disk.
    names: of each picture, relative to its source. kinds: "good" or the kind of defect of each.
    classes: int (n,), which class each is of, where the pictures were loaded by class, or None.
    masks: bool (n, H, W), True where defective, or None where the source has none. has_mask:
        bool (n,), False where a defective picture came without its mask, or None.
    skipped: (name, reason) of the files of the source that could not be read.
    """

    def __init__(
        self,
        images: np.ndarray | Rows,
        names: Sequence[str],
        kinds: Sequence[str],
        masks: np.ndarray | None = None,
        has_mask: np.ndarray | None = None,
        skipped: Sequence[tuple[str, str]] = (),
        classes: np.ndarray | None = None,
    ):
        self.images = _lazily(images)
        self.names = list(names)
        self.kinds = list(kinds)
        self.masks = None if masks is None else _lazily(masks)
        self.has_mask = has_mask
        self.skipped = list(skipped)
        self.classes = classes
        self._source = images, masks, np.arange(len(self.names))

    def take(self, rows) -> Pictures:
        """The pictures at `rows`, integers (m,). On disk nothing is copied."""
        rows = np.asarray(rows, np.int64)
        images, masks, mine = self._source
        chosen = type(self).__new__(type(self))
        chosen.names = [self.names[i] for i in rows]
        chosen.kinds = [self.kinds[i] for i in rows]
        chosen.has_mask = None if self.has_mask is None else self.has_mask[rows]
        chosen.skipped = []
        chosen.classes = None if self.classes is None else self.classes[rows]
        kept = mine[rows]
        if isinstance(images, np.memmap):
            chosen.images = Rows(images, kept)
            chosen.masks = None if masks is None else Rows(masks, kept)
        else:
            images, masks = images[kept], None if masks is None else masks[kept]
            chosen.images, chosen.masks, kept = images, masks, np.arange(len(rows))
        chosen._source = images, masks, kept
        return chosen

    def tiles(self, model_shape) -> Pictures:
        """What a model for `model_shape`, (H, W, C), sees: these pictures, or all their tiles.

        Tiles come without masks.
        """
        if not len(self) or tuple(self.images.shape[1:3]) == tuple(model_shape[:2]):
            return self
        how = tiling(self.images.shape[1:], model_shape)
        corners = how.corners
        names = [f"{name} at {y}, {x}" for name in self.names for y, x in corners]
        kinds = [kind for kind in self.kinds for _ in corners]
        return Pictures(Tiles(self.images, how), names, kinds)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> np.ndarray:
        """int (n,): 0 good, 1 defective."""
        return np.array([kind != GOOD for kind in self.kinds], np.int64)

    def batch(self, indices) -> np.ndarray:
        """The pictures at `indices`, uint8 (b, H, W, C), in that order."""
        return np.asarray(self.images[np.asarray(indices, np.int64)])

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """All pictures in order, uint8 (b, H, W, C) at a time; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            yield np.asarray(self.images[start : start + batch_size])

    def dataset(
        self,
        batch_size: int,
        seed: int | None = None,
        start_epoch: int = 0,
        epochs: int | None = None,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Batches of uint8 (b, H, W, C) for training; with classes, pairs with int32 (b,).

        seed: shuffles; the order of an epoch is a function of seed and epoch alone, so a run that
            is resumed at an epoch sees the batches that it would have seen. None keeps the order.
        start_epoch, epochs: as in `fit`, the passes start_epoch, ..., epochs - 1 are made. Where
            epochs is None, passes without end with a seed, one pass without.
        drop_remainder: drops the smaller last batch of each epoch.
        """
        count = len(self)
        if epochs is None:
            epochs = start_epoch + 1 if seed is None else np.iinfo(np.int64).max
        per_epoch = count // batch_size if drop_remainder else -(-count // batch_size)
        last = epochs if per_epoch else start_epoch

        def order(epoch: tf.Tensor) -> tf.data.Dataset:
            rows = tf.range(count, dtype=tf.int64)
            if seed is not None:
                key = tf.stack([tf.constant(seed, tf.int64), epoch])
                rows = tf.random.experimental.stateless_shuffle(rows, key)
            return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size, drop_remainder)

        with tf.device("CPU:0"):  # uint8 rows are gathered there; the device gets whole batches
            data = tf.data.Dataset.range(start_epoch, last).flat_map(order)
            data = data.map(self._gather(), num_parallel_calls=2, deterministic=True)
            total = per_epoch * max(0, last - start_epoch)
            endless = last == np.iinfo(np.int64).max
            data = data.apply(
                tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
                if endless
                else tf.data.experimental.assert_cardinality(total)
            )
            return data.prefetch(_AHEAD).with_options(_untuned())

    def _gather(self):
        if self.classes is not None:
            classes = tf.constant(self.classes, tf.int32)
            picture = self._gather_images()
            return lambda rows: (picture(rows), tf.gather(classes, rows))
        return self._gather_images()

    def _gather_images(self):
        images = self.images
        if isinstance(images, Rows):

            def gather(rows: tf.Tensor) -> tf.Tensor:
                kind = tf.as_dtype(images.dtype)
                batch = tf.numpy_function(images.__getitem__, [rows], kind, stateful=False)
                return tf.ensure_shape(batch, (rows.shape[0], *images.shape[1:]))

            return gather
        table = tf.constant(images)  # captured by the map, not written into its graph
        return lambda rows: tf.gather(table, rows)


def _untuned() -> tf.data.Options:
    """Without the thread that tunes buffers, which nothing here leaves to it.

    It sleeps twice as long each time, up to a minute, and the end of a pass waits until it wakes.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _lazily(array: np.ndarray | Rows) -> np.ndarray | Rows:
    return Rows(array, np.arange(len(array))) if isinstance(array, np.memmap) else array
