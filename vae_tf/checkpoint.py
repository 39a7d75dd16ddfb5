"""Training that can be killed at any moment and goes on as if it had not been."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path

import keras
import numpy as np

from edge.files import write_atomically
from vae_tf.errors import RunError

STATE = "state.json"


class Checkpoint(keras.callbacks.Callback):
    """Keeps the last and the best epoch on disk, and stops when the best is long past.

    A checkpoint is the model's weights with the optimiser's and the random generators' state. It is
    whole on disk before `state.json`, which names it, is replaced: a kill at any point leaves the
    state of one whole epoch. It is no HDF5 file, for HDF5 crashes the process on a full disk.

    folder: of the checkpoints. history: the CSV file, a line an epoch.
    monitor: the metric that decides which epoch is best, lower is better.
    patience: epochs without a better one before training stops. None: it never does, and the last
        epoch counts as the best, as it does where the learning rate runs down to nothing.
    """

    def __init__(self, folder: Path, history: Path, monitor: str, patience: int | None):
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.patience = patience
        self.rows: list[dict[str, float]] = []
        self.best_epoch = 0
        self.seconds = 0.0  # of training, over all resumptions
        self._since = time.monotonic()
        self._history = history

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.rows)

    @property
    def exhausted(self) -> bool:
        """Whether the best epoch lies `patience` epochs back."""
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience

    def restore(self, model) -> None:
        """Loads the last state into a compiled model, where there is one.

        Raises: RunError where the files are damaged.
        """
        path = self.folder / STATE
        if not path.exists():
            return
        try:
            state = json.loads(path.read_bytes())
            self.rows, self.best_epoch = state["rows"], state["best_epoch"]
            self.seconds = state["seconds"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error!r}); train again") from None
        self._load(model, self.epoch)
        # A kill may have come between the state and the history.
        write_atomically(self._history, self._csv())

    def restore_best(self, model) -> None:
        """Loads the best epoch's weights. Raises: RunError where the file is damaged."""
        self._load(model, self.best_epoch)

    def on_train_begin(self, logs=None):
        self._since = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in (logs or {}).items()}
        for name in ("loss", self.monitor):
            if not math.isfinite(row[name]):
                raise RunError(
                    f"training diverged in epoch {epoch + 1} ({name} {row[name]}); "
                    "lower --learning-rate"
                )
        self.rows.append(row)
        best = min(r[self.monitor] for r in self.rows)
        if self.patience is None or row[self.monitor] <= best:
            self.best_epoch = self.epoch
        self._save()
        if self.exhausted:
            self.model.stop_training = True

    def _save(self) -> None:
        buffer = io.BytesIO()
        values = [keras.ops.convert_to_numpy(v) for v in _variables(self.model)]
        np.savez(buffer, *values)
        write_atomically(self._weights(self.epoch), buffer.getvalue())
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        state = {"rows": self.rows, "best_epoch": self.best_epoch, "seconds": self.seconds}
        write_atomically(self.folder / STATE, json.dumps(state).encode())
        write_atomically(self._history, self._csv())
        keep = {self._weights(self.epoch), self._weights(self.best_epoch)}
        left = {*self.folder.glob("*.npz"), *self.folder.glob(".*.part")}  # the latter by kills
        for old in left - keep:
            old.unlink(missing_ok=True)

    def _load(self, model, epoch: int) -> None:
        path = self._weights(epoch)
        try:
            with np.load(path, allow_pickle=False) as archive:
                values = [archive[f"arr_{i}"] for i in range(len(archive.files))]
            for variable, value in zip(_variables(model), values, strict=True):
                variable.assign(value)
        except Exception as error:  # zipfile, NumPy and Keras raise many kinds on damage
            raise RunError(f"{path} is missing or damaged ({error}); train again") from None

    def _csv(self) -> bytes:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, ["epoch", *self.rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": i + 1, **row} for i, row in enumerate(self.rows))
        return buffer.getvalue().encode()

    def _weights(self, epoch: int) -> Path:
        return self.folder / f"{epoch:05d}.npz"


def _variables(model) -> list:
    return [*model.variables, *model.optimizer.variables]
