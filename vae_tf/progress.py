"""One progress bar for the whole training, with the time left."""

from __future__ import annotations

import sys

import keras
from tqdm import tqdm


class ProgressBar(keras.callbacks.Callback):
    """Counts optimiser steps on standard error.

    done, total: steps. Where nobody watches (a log file), a line every 15 s at most.
    """

    def __init__(self, done: int, total: int, steps_per_epoch: int):
        super().__init__()
        self._done = done
        self._total = total
        self._steps_per_epoch = steps_per_epoch
        self._bar: tqdm = tqdm(disable=True)

    def on_train_begin(self, logs=None):
        watched = sys.stderr.isatty() or "ipykernel" in sys.modules
        interval = 0.5 if watched else 15.0
        self._bar = tqdm(
            desc="training",
            total=self._total,
            initial=self._done,
            unit="step",
            mininterval=interval,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def on_train_batch_end(self, batch, logs=None):
        # `batch` is the last step of an execution of several.
        at = self._done + batch + 1
        self._bar.update(at - self._bar.n)

    def on_epoch_end(self, epoch, logs=None):
        self._done = (epoch + 1) * self._steps_per_epoch
        shown = {k: v for k, v in (logs or {}).items() if k in ("loss", "val_loss")}
        self._bar.set_postfix({k: f"{float(v):.1f}" for k, v in shown.items()}, refresh=False)

    def on_train_end(self, logs=None):
        self.close()

    def close(self) -> None:
        """Ends the bar's line, whether or not training has come to its end."""
        self._bar.close()
