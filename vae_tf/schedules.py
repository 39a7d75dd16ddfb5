"""The KL's weight over training, against posterior collapse: callbacks for `fit`.

Early in training the decoder makes nothing of the code yet, and the KL drives the posterior to the
prior, where it may stay. A schedule gives reconstruction a start. Each depends on the optimiser's
step alone, so a run that is resumed goes on as if it had not stopped. While a schedule is on, the
loss of one epoch is not that of the next: choose no "best" epoch by it.
"""

from __future__ import annotations

import keras


class _Schedule(keras.callbacks.Callback):
    """Assigns `value(step)` to a variable of the model before each execution of steps."""

    knob = "beta"

    def value(self, step: int) -> float:
        """The variable's value at optimiser step `step`, from 0."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        if getattr(self.model, self.knob, None) is None:
            raise ValueError(
                f"{type(self).__name__} needs a model with the variable `{self.knob}`: make it "
                f"with `{self.knob}=0.0`. Received: a {type(self.model).__name__} without it"
            )

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
        getattr(self.model, self.knob).assign(self.value(step))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs[self.knob] = float(getattr(self.model, self.knob))


class WarmUp(_Schedule):
    """beta rises evenly from 0 to its full weight (Bowman et al., 2016; Sønderby et al., 2016).

    Args:
        steps: optimiser steps that the rise takes.
        beta: the full weight.
    """

    def __init__(self, steps, beta=1.0):
        super().__init__()
        _check_steps(steps)
        self.steps = steps
        self.beta = beta

    def value(self, step):
        return self.beta * min(1.0, step / self.steps)


class CyclicalAnnealing(_Schedule):
    """beta rises from 0 again and again (Fu et al., "Cyclical Annealing Schedule", 2019).

    Args:
        steps: optimiser steps of the whole training; after them beta stays at its full weight.
        cycles: into which they are divided.
        rise: share of a cycle in which beta rises; in the rest it is at its full weight.
        beta: the full weight.
    """

    def __init__(self, steps, cycles=4, rise=0.5, beta=1.0):
        super().__init__()
        _check_steps(steps)
        if not 1 <= cycles <= steps:
            raise ValueError(f"`cycles` must be from 1 to `steps`. Received: cycles={cycles}")
        if not 0.0 < rise <= 1.0:
            raise ValueError(f"`rise` must be above 0 and at most 1. Received: rise={rise}")
        self.steps = steps
        self.cycles = cycles
        self.rise = rise
        self.beta = beta

    def value(self, step):
        if step >= self.steps:
            return self.beta
        length = self.steps / self.cycles
        return self.beta * min(1.0, (step % length) / (self.rise * length))


class CapacityRise(_Schedule):
    """The KL's target rises evenly from 0 (Burgess et al., 2018). The model needs `capacity`.

    Latents are then taken into use one after the other, those that gain the most first.

    Args:
        steps: optimiser steps that the rise takes.
        nats: where it ends.
    """

    knob = "capacity"

    def __init__(self, steps, nats):
        super().__init__()
        _check_steps(steps)
        if not nats >= 0.0:
            raise ValueError(f"`nats` must be 0 or more. Received: nats={nats}")
        self.steps = steps
        self.nats = nats

    def value(self, step):
        return self.nats * min(1.0, step / self.steps)


def _check_steps(steps):
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"`steps` must be a whole number, 1 or more. Received: steps={steps!r}")
