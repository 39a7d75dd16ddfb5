"""What a run is made with; saved in the run directory and read back by whatever follows."""

from __future__ import annotations

import dataclasses

from edge.calibration import DEFAULT_RATE
from edge.errors import UserError

PRESETS = {
    # steps of training at most; early stopping may end sooner
    "quick": {"steps": 500},
    "standard": {"steps": 2000},
    "best": {"steps": 8000},
}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the pictures come from and how they are split; see `vae_tf.load_data`."""

    source: str
    data_dir: str | None = None
    normal_class: str | None = None
    group_by: str | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    calibration: float = 0.2
    limit: int | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run besides the pictures themselves.

    steps: optimiser steps at most, of `batch_size` pictures each.
    false_alarm_rate: share of good pictures that may fail, for the threshold.
    """

    data: DataConfig
    preset: str = "standard"
    likelihood: str = "gaussian"
    latent_dim: int = 64
    beta: float = 1.0
    batch_size: int = 32
    steps: int = 2000
    learning_rate: float = 1e-3
    false_alarm_rate: float = DEFAULT_RATE
    seed: int = 0

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise UserError(f"expected a preset of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.likelihood not in ("gaussian", "bernoulli"):
            raise UserError(f"expected a likelihood gaussian or bernoulli, got {self.likelihood!r}")
        for name in ("latent_dim", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise UserError(f"expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "beta"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"expected {name} above 0, got {getattr(self, name)}")
        if not 0 < self.false_alarm_rate <= 0.5:
            raise UserError(f"expected a false-alarm rate in (0, 0.5], got {self.false_alarm_rate}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"expected a seed from 0 to 2^31 - 1, got {self.seed}")

    @classmethod
    def for_preset(cls, data: DataConfig, preset: str = "standard", **changes) -> Config:
        """A preset's values, with those of `changes` that are not None in their place."""
        if preset not in PRESETS:
            raise UserError(f"expected a preset of {', '.join(PRESETS)}, got {preset!r}")
        chosen = {**PRESETS[preset], **{k: v for k, v in changes.items() if v is not None}}
        return cls(data=data, preset=preset, **chosen)

    def to_dict(self) -> dict:
        """Plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> Config:
        """Undoes `to_dict`. Raises: KeyError or TypeError on a record of another shape."""
        data = dict(record["data"])
        data["size"] = tuple(data["size"]) if data["size"] else None
        return cls(**{**record, "data": DataConfig(**data)})
