"""From pictures of good parts to a finished run directory."""

from __future__ import annotations

import json
import math
from pathlib import Path

import keras
import tensorflow as tf

from edge.calibration import DEFAULT_RATE
from edge.files import write_error
from vae_tf.building import built, model_shape, schedules
from vae_tf.callbacks import CollapseWarning
from vae_tf.checkpoint import Checkpoint
from vae_tf.config import Config
from vae_tf.data import Splits, load_data
from vae_tf.data.sequences import SequenceSplits, load_sequences
from vae_tf.detector import Detector
from vae_tf.errors import RunError, file_error
from vae_tf.memory import keep_freed_memory
from vae_tf.muon import Muon
from vae_tf.progress import ProgressBar
from vae_tf.restoring import RestoringVAE
from vae_tf.results import plot_training
from vae_tf.run import Run
from vae_tf.vae import VAE

# An epoch has about this many steps, however few the pictures: it is the grain of checkpoints,
# validation and early stopping.
_STEPS_PER_EPOCH = 50
_STEPS_PER_EXECUTION = 10
_WARM_UP = 100  # steps in which the learning rate rises


def train(config: Config, folder, resume: bool = False, callbacks=(), say=print) -> Run:
    """Trains, calibrates and saves; all that it makes lies in `folder`.

    config: everything that decides the run. folder: of the run, see `vae_tf.run`.
    resume: go on with the run in `folder` from its last epoch; a finished one is left as it is.
    callbacks: further Keras callbacks. say: takes the lines meant for a person.
    Raises: UserError (DataError, RunError) on what the user can mend; the run can then be resumed.
    """
    # Seeds and deterministic kernels: the same run twice gives the same weights on one machine.
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keep_freed_memory()
    if not resume:
        Run.require_none(folder)  # before its decoded pictures are replaced
    if Run.exists(folder):
        run = Run.open(folder)
        _check_same(run.config, config, folder)
        if run.finished:
            say(f"{folder} is finished already")
            return run
        splits = _splits_of(run)
    else:
        splits = load_splits(config, Path(folder) / "data")
        run = Run.create(folder, config, splits.spec)
    for line in splits.summary():
        say(line)
    run.write("splits.json", json.dumps(splits.to_json(), indent=1).encode())
    vae = fit(run, splits, callbacks, say)
    if not config.has_detector:
        _plot(run, vae, splits)
        run.save_vae(vae)
        return run
    detector = Detector(vae).fit(splits.train, splits.validation)
    calibrate(detector, config, splits)
    run.save_vae(vae)
    _plot(run, vae, splits)
    run.save_detector(detector)
    calibration = detector.calibrated
    say(
        f"threshold {calibration.threshold:.4g} for {calibration.rate:.1%} false alarms: "
        f"{calibration.note}"
    )
    if config.false_alarm_rate is None and calibration.rate > DEFAULT_RATE:
        say(
            f"{DEFAULT_RATE:.0%} would let nearly all defects pass with so few good pictures held "
            "out; take more, or ask for it with --false-alarm-rate"
        )
    return run


def calibrate(detector: Detector, config: Config, splits) -> Detector:
    """Sets the threshold as the config asks, or as the held-out good pictures of `splits` bear."""
    groups = splits.calibration_groups
    parts = len(set(groups or ())) or len(splits.calibration)
    return detector.calibrate(splits.calibration, config.planned_false_alarms(parts), groups)


def _plot(run: Run, vae: VAE, splits) -> None:
    shown = splits.validation if len(splits.validation) else splits.train
    plot_training(run, vae, shown.tiles(model_shape(run.config, splits.spec)))


def load_splits(config: Config, cache_dir, spec=None) -> Splits | SequenceSplits:
    """The pictures of a config, split as it says. spec: the model's input, where it is fixed."""
    data = config.data
    if config.model == "recurrent":
        return load_sequences(
            data.source,
            calibration=data.calibration,
            seed=config.seed,
            limit=data.limit,
            folder=cache_dir,
        )
    return load_data(
        data.source,
        size=(spec.height, spec.width) if spec else data.size,
        channels=spec.channels if spec else data.channels,
        data_dir=data.data_dir,
        normal_class=data.normal_class,
        group_by=data.group_by,
        calibration=data.calibration,
        seed=config.seed,
        cache_dir=cache_dir,
        limit=data.limit,
        tile=data.tile,
        by_class=config.model == "conditional",
    )


def _splits_of(run: Run) -> Splits | SequenceSplits:
    """The splits that the run was begun with, whatever has become of their source since."""
    if (run.folder / "splits.json").exists():
        return run.load_splits()
    return load_splits(run.config, run.data_folder, run.spec)


def fit(run: Run, splits: Splits | SequenceSplits, callbacks=(), say=print) -> VAE:
    """Trains the run's VAE from its last checkpoint on; returns it with its best weights."""
    config = run.config
    shape = model_shape(config, splits.spec)
    good, held_out = splits.train.tiles(shape), splits.validation.tiles(shape)
    batch = config.planned_batch(len(good))
    pass_steps = len(good) // batch
    passes = max(1, round(_STEPS_PER_EPOCH / pass_steps))
    planned = config.planned_steps(len(good))
    steps = min(passes * pass_steps, planned)
    epochs = math.ceil(planned / steps)

    vae = built(config, splits, shape, good, say)
    warm_up = min(_WARM_UP, epochs * steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        epochs * steps - warm_up,
        warmup_target=config.planned_rate(epochs * steps),
        warmup_steps=warm_up,
    )
    optimizer = Muon if config.objective == "restore" else keras.optimizers.Adam
    vae.compile(optimizer(schedule), steps_per_execution=_divisor(steps))
    vae.optimizer.build(vae.trainable_variables)
    monitor = "val_loss" if len(held_out) else "loss"
    checkpoint = Checkpoint(
        run.path("checkpoint", "state.json").parent,
        run.folder / "history.csv",
        monitor,
        # A restoring VAE sees new defects all the time; what it learns last is not overfitting.
        # Where the KL's weight changes, an early epoch's loss is low for that alone.
        patience=None
        if config.objective == "restore" or config.scheduled
        else max(5, math.ceil(epochs / 5)),
    )
    checkpoint.restore(vae)
    say(f"{vae.count_params():,} weights; at most {epochs} epochs of {steps} steps of {batch}")
    if checkpoint.epoch < epochs and not checkpoint.exhausted:
        bar = ProgressBar(checkpoint.epoch * steps, epochs * steps, steps)
        try:
            vae.fit(
                good.dataset(
                    batch, config.seed, start_epoch=checkpoint.epoch * passes, drop_remainder=True
                ),
                epochs=epochs,
                initial_epoch=checkpoint.epoch,
                shuffle=False,  # the dataset is shuffled, reproducibly
                steps_per_epoch=steps,
                validation_data=held_out.dataset(batch, epochs=1) if len(held_out) else None,
                callbacks=[
                    CollapseWarning(),
                    *schedules(config, epochs * steps),
                    bar,
                    keras.callbacks.TensorBoard(str(run.folder / "tensorboard"), write_graph=False),
                    *callbacks,
                    checkpoint,
                ],
                verbose=0,
            )
        except tf.errors.OpError as error:
            if "tfevents" not in error.message:
                raise
            raise write_error(run.folder / "tensorboard", file_error(error)) from error
        finally:
            bar.close()
    checkpoint.restore_best(vae)
    if isinstance(vae, RestoringVAE):
        vae.round_kernels()
    best = checkpoint.rows[checkpoint.best_epoch - 1]
    say(
        f"best epoch {checkpoint.best_epoch} of {checkpoint.epoch}: {monitor} {best[monitor]:.1f} "
        f"nats, {best['active_units']:.0f} of {vae.latent_dim} latents active"
    )
    return vae


def _divisor(steps: int) -> int:
    """The most steps an execution, up to ten, that an epoch is a multiple of."""
    return max(k for k in range(1, _STEPS_PER_EXECUTION + 1) if steps % k == 0)


def _check_same(old: Config, new: Config, folder) -> None:
    """A resumed run goes on as it was begun. Raises: RunError naming what differs."""
    differing = [
        f"{name} {old_value!r}, now {getattr(new, name)!r}"
        for name, old_value in vars(old).items()
        if name != "data" and old_value != getattr(new, name)
    ]
    differing += [
        f"{name} {old_value!r}, now {getattr(new.data, name)!r}"
        for name, old_value in vars(old.data).items()
        if old_value != getattr(new.data, name)
    ]
    if differing:
        raise RunError(
            f"{folder} was begun with {'; '.join(differing)}; resume with the same options, "
            "or train into another folder"
        )
