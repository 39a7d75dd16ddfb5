"""What a station is told, section by section, as frozen values with their defaults.

Read and checked by `edge.station.settings`; `example.toml` names every key with its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Tuple

from edge.station.masks import Masks, Region
from edge.station.sinks import SinkOptions
from edge.station.sources.base import SourceOptions
from edge.station.tables import Secret


@dataclass(frozen=True)
class BundleSettings:
    """path: a bundle's folder or a bundle store. precision: None for the bundle's best."""

    path: str
    precision: Optional[str] = None
    threads: int = 1


@dataclass(frozen=True)
class SourceSettings:
    """open: what `open_source` takes, with these options."""

    open: str
    options: SourceOptions = field(default_factory=SourceOptions, repr=False)


@dataclass(frozen=True)
class SinkSettings:
    """to: what `open_sink` takes, with these options."""

    to: str
    options: SinkOptions = field(default_factory=SinkOptions, repr=False)


@dataclass(frozen=True)
class JudgementSettings:
    """Of `edge.station.judgement.Judgement`."""

    votes: int = 1
    of: int = 1
    release: int = 0
    gap: Optional[float] = None


@dataclass(frozen=True)
class MaskSettings:
    """Of `edge.station.masks.Masks`."""

    roi: Optional[Region] = None
    ignore: Tuple[Region, ...] = ()
    picture: Optional[str] = None

    def open(self) -> Masks:
        """Raises: UserError where the file is no picture."""
        return Masks(self.roi, self.ignore, self.picture)


@dataclass(frozen=True)
class DriftSettings:
    """watch: whether to. The others are of `edge.station.drift.DriftWatch`."""

    watch: bool = True
    window: int = 200
    every: float = 1.0
    false_warnings: float = 1.0
    defects: float = 0.2


@dataclass(frozen=True)
class StoreSettings:
    """Of `edge.station.store.Store`."""

    keep: int = 1_000_000
    sync_seconds: float = 1.0


@dataclass(frozen=True)
class FailureSettings:
    """save: whether to. The others are of `edge.station.sinks.failures.Failures`."""

    save: bool = True
    cap_mb: float = 200.0
    reserve_mb: float = 100.0
    form: str = "png"


@dataclass(frozen=True)
class PageSettings:
    """serve: whether the running station serves its page itself. token: None on loopback."""

    serve: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    token: Optional[Secret] = None


@dataclass(frozen=True)
class Settings:
    """A station. folder: that it keeps its store in. name: for services and files of health."""

    folder: Path
    name: str
    bundle: BundleSettings
    source: SourceSettings
    sinks: Tuple[SinkSettings, ...] = ()
    judgement: JudgementSettings = JudgementSettings()
    masks: MaskSettings = MaskSettings()
    drift: DriftSettings = DriftSettings()
    store: StoreSettings = StoreSettings()
    failures: FailureSettings = FailureSettings()
    page: PageSettings = PageSettings()
