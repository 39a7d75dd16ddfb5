"""Training that can be killed at any moment and goes on as if it had not been."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path

import keras

from edge.files import write_atomically, write_error
from vae_tf.errors import RunError

STATE = "state.json"


class Checkpoint(keras.callbacks.Callback):
    """Keeps the last and the best epoch on disk, and stops when the best is long past.

    A checkpoint is the model's weights with the optimiser's and the random generators' state. The
    file is written beside and renamed, then `state.json`, which names it, is replaced: a kill at
    any point leaves the state of one whole epoch.

    folder: of the checkpoints. history: the CSV file, a line an epoch.
    monitor: the metric that decides which epoch is best, lower is better.
    patience: epochs without a better one before training stops.
    """

    def __init__(self, folder: Path, history: Path, monitor: str, patience: int):
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
        return self.epoch - self.best_epoch >= self.patience

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
            model.load_weights(self._weights(self.epoch))
        except Exception as error:  # HDF5 and Keras raise many kinds on damage
            raise RunError(f"{path}: the checkpoint is damaged ({error}); train again") from None

    def restore_best(self, model) -> None:
        """Loads the best epoch's weights."""
        model.load_weights(self._weights(self.best_epoch))

    def on_train_begin(self, logs=None):
        self._since = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(row["loss"]):
            raise RunError(
                f"training diverged in epoch {epoch + 1} (loss {row['loss']}); "
                "lower --learning-rate"
            )
        self.rows.append(row)
        if row[self.monitor] <= min(r[self.monitor] for r in self.rows):
            self.best_epoch = self.epoch
        self._save()
        if self.exhausted:
            self.model.stop_training = True

    def _save(self) -> None:
        path = self._weights(self.epoch)
        beside = path.with_name(f".part-{path.name}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.model.save_weights(beside)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise write_error(path, error) from error
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        state = {"rows": self.rows, "best_epoch": self.best_epoch, "seconds": self.seconds}
        write_atomically(self.folder / STATE, json.dumps(state).encode())
        write_atomically(self._history, self._csv())
        keep = {self._weights(self.epoch), self._weights(self.best_epoch)}
        for old in set(self.folder.glob("*.weights.h5")) - keep:
            old.unlink(missing_ok=True)

    def _csv(self) -> bytes:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, ["epoch", *self.rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": i + 1, **row} for i, row in enumerate(self.rows))
        return buffer.getvalue().encode()

    def _weights(self, epoch: int) -> Path:
        return self.folder / f"{epoch:05d}.weights.h5"
