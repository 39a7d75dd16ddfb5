"""Sequences from a .npz, for the recurrent VAE: `sequences` (n, T, F) floating point.

NaN is what is not there; a sequence shorter than T is NaN from its end on, or `lengths` (n,) says
how many of its steps there are.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.files import write_atomically
from edge.manifest import SequenceSpec
from vae_tf.data.pictures import GOOD, Pictures
from vae_tf.data.splits import split_good
from vae_tf.errors import DataError

FILE = "sequences.npy"
_MIN_STEPS = 2


class Sequences(Pictures):
    """Sequences in the place of pictures: `images` is float32 (n, T, F) with NaN."""

    def __init__(self, sequences: np.ndarray):
        count = len(sequences)
        super().__init__(sequences, [str(i) for i in range(count)], [GOOD] * count)

    def tiles(self, model_shape) -> Pictures:
        return self


@dataclass(frozen=True)
class SequenceSplits:
    """A source of sequences, split; the parts as of `Splits`, the test empty."""

    train: Pictures
    validation: Pictures
    calibration: Pictures
    test: Pictures
    spec: SequenceSpec
    source: str
    class_names: None = None
    calibration_groups: None = None

    def to_json(self) -> dict:
        """What a run records: which row is in which split."""
        parts = ("train", "validation", "calibration")
        return {
            "source": self.source,
            "spec": self.spec._asdict(),
            "splits": {name: getattr(self, name).names for name in parts},
        }

    def summary(self) -> list[str]:
        """Lines for a person."""
        present = ~np.isnan(self.train.images)
        lengths = present.any(axis=-1).sum(axis=-1)
        return [
            f"{self.source}: sequences of {self.spec.features} values, "
            f"{lengths.min()} to {lengths.max()} steps",
            f"sequences: {len(self.train)} to train, {len(self.validation)} to validate, "
            f"{len(self.calibration)} to verify",
        ]


def load_sequences(source, *, calibration=0.2, seed=0, limit=None, folder=None) -> SequenceSplits:
    """Loads and splits sequences.

    source: the .npz. calibration: share held out to verify an export on. folder: where a copy is
        kept for `load_saved_sequences`; None for nowhere.
    Raises: DataError, one line, for anything that the user can mend.
    """
    path = Path(source)
    sequences = _read(path)[:limit]
    try:
        rows = split_good([str(i) for i in range(len(sequences))], None, calibration, seed)
    except DataError as error:
        raise DataError(f"{path}: {error}".replace("pictures of good parts", "sequences")) from None
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(folder) / FILE, _bytes(sequences))
    return _split(sequences, rows, str(source))


def load_saved_sequences(folder, record: dict) -> SequenceSplits:
    """Undoes `SequenceSplits.to_json`. folder: as given to `load_sequences`.

    Raises: OSError, ValueError or KeyError where the copy is missing or damaged.
    """
    sequences = np.load(Path(folder) / FILE, allow_pickle=False)
    names = record["splits"]
    rows = [np.array(names[p], np.int64) for p in ("train", "validation", "calibration")]
    return _split(sequences, rows, record["source"])


def _split(sequences: np.ndarray, rows, source: str) -> SequenceSplits:
    every = Sequences(sequences)
    train, validation, calibration = (every.take(r) for r in rows)
    spec = SequenceSpec(*sequences.shape[1:])
    return SequenceSplits(train, validation, calibration, every.take([]), spec, source)


def _read(path: Path) -> np.ndarray:
    if path.suffix.lower() != ".npz":
        raise DataError(
            f"{path}: expected a .npz with an array sequences (n, steps, features) for a recurrent "
            "model"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("sequences", "lengths") if name in archive}
            found = ", ".join(archive.files) or "nothing"
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a .npz file of sequences") from None
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise DataError(f"{path}: cannot be read ({error}); write it again") from None
    if "sequences" not in arrays:
        raise DataError(f"{path}: expected an array sequences (n, steps, features), found {found}")
    x = arrays["sequences"]
    if x.ndim != 3 or x.dtype.kind not in "fiu" or min(x.shape) < 1 or x.shape[1] < _MIN_STEPS:
        raise DataError(
            f"{path}: expected sequences as numbers of shape (n, steps, features), at least "
            f"{_MIN_STEPS} steps, got {x.dtype} of shape {x.shape}"
        )
    x = x.astype(np.float32)
    lengths = arrays.get("lengths")
    if lengths is not None:
        if lengths.shape != x.shape[:1] or lengths.dtype.kind not in "iu":
            raise DataError(
                f"{path}: expected lengths as {len(x)} whole numbers, one a sequence, got "
                f"{lengths.dtype} of shape {lengths.shape}"
            )
        if lengths.min() < 1 or lengths.max() > x.shape[1]:
            raise DataError(f"{path}: expected lengths from 1 to {x.shape[1]}")
        x[np.arange(x.shape[1]) >= lengths[:, None]] = np.nan
    if np.isinf(x).any():
        raise DataError(f"{path}: sequences hold infinity; give NaN for what is missing")
    empty = np.flatnonzero(np.isnan(x).all(axis=(1, 2)))
    if len(empty):
        raise DataError(
            f"{path}: all values of sequence {empty[0]} are missing"
            f"{f', and of {len(empty) - 1} more' if len(empty) > 1 else ''}; leave it out"
        )
    return x


def _bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
