"""What a run is made with; saved in the run directory and read back by whatever follows."""

from __future__ import annotations

import dataclasses

from edge.calibration import DEFAULT_RATE
from edge.errors import UserError

PRESETS = {
    # steps of training, of 8 pictures; where the VAE is plain, early stopping may end sooner
    "quick": {"restore": 1000, "plain": 1400},
    "standard": {"restore": 2500, "plain": 4000},
    "best": {"restore": 8000, "plain": 12000},
}
_FEW = 1000  # pictures, for which a preset's steps are meant
# Small batches find more with the same pictures seen; where there are many, they gain nothing.
_BATCH, _LARGE_BATCH, _MANY = 8, 16, 2000
_RATE_OF_FEW = 0.05  # of false alarms, where there are too few pictures for the default
_MOST_TIMES = 3.0  # that many steps for many pictures
OBJECTIVES = ("restore", "plain")
_RATE_PLAIN = 3e-3  # of Adam
_RATE_RESTORE, _SHORT = 0.012, 1000  # of Muon; what more steps move than so many stays the same
MODELS = (
    *("vae", "conditional", "adversarial", "importance", "ladder", "recurrent"),
    "denoising",
)
_DAMAGE = "noise=0.3"
CAMERA_NOISE = 2.0  # grey levels
_MOST_NOISE = 64.0  # grey levels; of a picture with more little is left
LIKELIHOODS = (
    *("gaussian", "gaussian-fixed", "gaussian-pixel"),
    *("bernoulli", "discretised-logistic"),
)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the pictures come from and how they are split; see `vae_tf.load_data`.

    tile: side in pixels of what the model sees at once of larger pictures; None for all of it.
    """

    source: str
    data_dir: str | None = None
    normal_class: str | None = None
    group_by: str | None = None
    size: tuple[int, int] | None = None
    tile: int | None = None
    channels: int | None = None
    calibration: float = 0.2
    limit: int | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run besides the pictures themselves.

    objective: "restore" trains `RestoringVAE` to find defects; "plain" a model of the family alone.
    model: which one, see `vae_tf.family`; only "vae" has a detector besides.
    likelihood: see `vae_tf.likelihoods`. sigma: of its Gaussian ones; None for their default.
    warm_up: steps in which beta rises to its weight, or capacity to its nats; 0 for none.
    cycles: of beta over the whole training, in place of a warm-up; 0 for none.
    free_bits: nats that each latent has for nothing. capacity: nats that the KL is drawn to.
    samples: draws of an importance-weighted model.
    damage: what a denoising model learns to undo, see `uses.damages.Damage.parse`.
    batch_size: pictures a step; None for 8, or 16 where there are 2,000 to train on.
    learning_rate: at its highest; None for what suits the objective and the number of steps.
    steps: optimiser steps; None for the preset's, which are meant for batches of 8 and are more
        where there are many pictures, see `planned_steps`.
    augmentation: "auto" for what the pictures bear out, else as `Augmentation.parse` takes it.
    camera_noise: deviation at most, in grey levels of 255, of the noise that is trained with.
    false_alarm_rate: share of good pictures that may fail, for the threshold; None for what the
        held-out ones bear, see `planned_false_alarms`.
    """

    data: DataConfig
    preset: str = "standard"
    objective: str = "restore"
    likelihood: str = "gaussian"
    latent_dim: int = 64
    beta: float = 1.0
    model: str = "vae"
    sigma: float | None = None
    warm_up: int = 0
    cycles: int = 0
    free_bits: float = 0.0
    capacity: float | None = None
    samples: int = 5
    damage: str | None = None
    batch_size: int | None = None
    steps: int | None = None
    learning_rate: float | None = None
    augmentation: str = "auto"
    camera_noise: float = CAMERA_NOISE
    false_alarm_rate: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise UserError(f"expected a preset of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.objective not in OBJECTIVES:
            raise UserError(
                f"expected an objective of {', '.join(OBJECTIVES)}, got {self.objective!r}"
            )
        for name, known in {"likelihood": LIKELIHOODS, "model": MODELS}.items():
            if getattr(self, name) not in known:
                raise UserError(
                    f"expected a {name} of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        self._check_family()
        for name in ("latent_dim", "batch_size", "steps", "samples"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "beta"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"expected {name} above 0, got {value}")
        if not 0 <= self.camera_noise <= _MOST_NOISE:
            raise UserError(
                f"expected camera_noise of 0 to {_MOST_NOISE:g} grey levels, "
                f"got {self.camera_noise}"
            )
        if self.augmentation != "auto":
            from vae_tf.augment import Augmentation  # needs TensorFlow

            Augmentation.parse(self.augmentation)
        if self.false_alarm_rate is not None and not 0 < self.false_alarm_rate <= 0.5:
            raise UserError(f"expected a false-alarm rate in (0, 0.5], got {self.false_alarm_rate}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"expected a seed from 0 to 2^31 - 1, got {self.seed}")

    def _check_family(self) -> None:
        """Raises: UserError where options do not go together."""
        if self.model != "vae" and self.objective != "plain":
            raise UserError(
                f"a {self.model} model is trained with the objective plain, got {self.objective!r}"
            )
        if self.model != "vae" and self.data.tile is not None:
            raise UserError(f"a {self.model} model sees a picture whole; leave --tile out")
        for name in ("warm_up", "cycles", "free_bits"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"expected {name} of 0 or more, got {getattr(self, name)}")
        if self.capacity is not None and not 0 <= self.capacity < float("inf"):
            raise UserError(f"expected capacity of 0 or more, got {self.capacity}")
        if (self.damage is not None) != (self.model == "denoising"):
            raise UserError(f"a {self.model} model and damage {self.damage!r} do not go together")
        if self.damage is not None:
            from vae_tf.uses.damages import Damage  # needs TensorFlow

            Damage.parse(self.damage)
        if self.sigma is not None:
            if not self.likelihood.startswith("gaussian"):
                raise UserError(f"a {self.likelihood} likelihood has no sigma; leave it out")
            if not 0.05 <= self.sigma < float("inf"):
                raise UserError(f"expected sigma of at least 0.05, got {self.sigma}")
        if self.warm_up and self.cycles:
            raise UserError("expected a warm-up or cycles of beta, got both")
        if self.cycles and self.capacity is not None:
            raise UserError("expected a capacity or cycles of beta, got both")
        if self.model == "importance" and (
            self.beta != 1 or self.warm_up or self.cycles or self.free_bits or self.capacity
        ):
            raise UserError(
                "an importance model has no KL to weigh; leave beta, warm-up, cycles, free bits "
                "and capacity out"
            )
        if self.model == "adversarial" and (self.free_bits or self.capacity is not None):
            raise UserError(
                "an adversarial model has no KL to weigh; leave free bits and capacity out"
            )

    @property
    def has_detector(self) -> bool:
        """Whether the run ends with a detector and a threshold, or generates alone."""
        return self.model == "vae"

    @property
    def scheduled(self) -> bool:
        """Whether the loss is weighed otherwise from one epoch to the next."""
        return bool(self.warm_up or self.cycles)

    @classmethod
    def for_preset(cls, data: DataConfig, preset: str = "standard", **changes) -> Config:
        """A preset's values, with those of `changes` that are not None in their place."""
        if preset not in PRESETS:
            raise UserError(f"expected a preset of {', '.join(PRESETS)}, got {preset!r}")
        chosen = {k: v for k, v in changes.items() if v is not None}
        if "damage" in chosen:
            chosen.setdefault("model", "denoising")
        if chosen.get("model") == "denoising":
            chosen.setdefault("damage", _DAMAGE)
        if chosen.get("model", "vae") != "vae":
            chosen.setdefault("objective", "plain")
        return cls(data=data, preset=preset, **chosen)

    def planned_batch(self, pictures: int) -> int:
        """How many of so many training pictures a step takes."""
        if self.batch_size is None:
            return _LARGE_BATCH if pictures >= _MANY else min(_BATCH, pictures)
        return min(self.batch_size, pictures)

    def planned_steps(self, pictures: int) -> int:
        """The steps that so many training pictures are worth, where the preset says how many.

        Few pictures are learnt by heart, and good ones that were not among them then raise alarms;
        many go on teaching.
        """
        if self.steps is not None:
            return self.steps
        times = min(max(1.0, pictures / _FEW), _MOST_TIMES)
        if self.batch_size is None and pictures >= _MANY:
            times *= _BATCH / _LARGE_BATCH  # as many pictures in all
        return round(PRESETS[self.preset][self.objective] * times)

    def planned_false_alarms(self, parts: int) -> float:
        """The share of good pictures that may fail, where so many held-out ones tell.

        parts: good pictures, or groups of them. Where nobody asked for a share: 1 %, or 5 % where
            they are too few to show 1 %, for which nearly all defects would have to pass as well.
        """
        if self.false_alarm_rate is not None:
            return self.false_alarm_rate
        return DEFAULT_RATE if parts >= round(1 / DEFAULT_RATE) - 1 else _RATE_OF_FEW

    def planned_rate(self, steps: int) -> float:
        """The learning rate at its highest, of a training of so many steps."""
        if self.learning_rate is not None or self.objective != "restore":
            return self.learning_rate or _RATE_PLAIN
        return _RATE_RESTORE * min(1.0, (_SHORT / steps) ** 0.5)

    def to_dict(self) -> dict:
        """Plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> Config:
        """Undoes `to_dict`. Raises: KeyError or TypeError on a record of another shape."""
        data = dict(record["data"])
        data["size"] = tuple(data["size"]) if data["size"] else None
        return cls(**{**record, "data": DataConfig(**data)})
