"""The bundle that a station judges with: loaded, exchanged while it runs, and what it says.

A new version in a bundle store, and a threshold that `edge calibrate` has set, are taken up within
a second or so, between two frames. A plain bundle's folder is looked at in the same way. What
cannot be loaded is told, and the one before goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from edge.errors import BundleError, PictureError, UserError
from edge.install.active import ActiveBundle
from edge.install.local import local_calibrations
from edge.manifest import MANIFEST
from edge.recalibrate import same_graphs
from edge.runner import Runner, Verdict
from edge.station.log import Log
from edge.station.masks import Masks, View
from edge.station.sections import BundleSettings

_TRIALS = 3  # of a store's versions, before none is taken to work


class Judged(NamedTuple):
    """One frame's picture as the model saw it, and what came of it.

    view: None where no mask fits the picture. verdict: None where the frame could not be judged,
    for the reason that `error` gives.
    """

    view: Optional[View] = None
    verdict: Optional[Verdict] = None
    error: Optional[str] = None


class Model:
    """Loads a bundle.

    Raises: UserError where no version of it can be loaded.
    """

    def __init__(self, settings: BundleSettings, masks: Masks, log: Log) -> None:
        self._settings, self._masks, self._log = settings, masks, log
        self._load()

    @property
    def id(self) -> str:
        """First 12 digits of the digest of the manifest in use."""
        return self._id

    @property
    def calibration(self):
        """In use."""
        return self._runner.calibration

    @property
    def rejected(self) -> Optional[str]:
        """Which version was last rolled back by itself, and why; one line."""
        gone = self._active.rejected
        return None if gone is None else f"version {gone['version']}: {gone['reason']}"

    def judge(self, picture: np.ndarray) -> Judged:
        """Judges one picture, uint8 (H, W) or (H, W, 3)."""
        view = None
        try:
            view = self._masks.view(picture, self._runner.manifest.input)
            verdict = self._runner.check(view.picture, view.ignore)
        except PictureError as error:
            return Judged(view, error=str(error))
        except Exception as error:  # of the interpreter, of any kind: the frame is lost, no more
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._report(False, reason)
            return Judged(view, error=reason)
        self._report(True)
        return Judged(view, verdict)

    def refresh(self) -> Optional[str]:
        """Takes up what changed on disk. Returns one line where something did."""
        try:
            if self._active.changed() or self._manifest_changed():
                before = self._id
                self._load()
                return None if self._id == before else f"now {self._id}, before it {before}"
            if self._active.recalibrated():
                self._set_local()
                return f"threshold {self.calibration.threshold:.4g}, set on this device"
        except UserError as error:
            self._log.error(f"bundle: {error}; the one before goes on", kind="bundle")
        return None

    def _load(self) -> None:
        for trial in range(_TRIALS):
            active = ActiveBundle(self._settings.path)
            # Looked at before it is read: what is written meanwhile is then seen as a change.
            self._stamp = _stamp(active.folder)
            try:
                runner = Runner(active.folder, self._settings.precision, self._settings.threads)
                self._id = same_graphs(active.folder, runner.manifest)[0]
            except UserError as error:
                active.report_frame(False, f"it cannot be loaded: {error}")
                if trial == _TRIALS - 1 or not active.changed():
                    raise
                self._log.error(f"bundle {active.version}: {error}; back to the one before")
            else:
                break
        self._active, self._runner = active, runner
        self._set_local()

    def _set_local(self) -> None:
        try:
            there = local_calibrations(self._active.folder)
        except BundleError as error:
            self._log.error(f"{error}; the bundle's own thresholds hold")
            there = {}
        runner = self._runner
        own = runner.manifest.calibrations[runner.precision]
        runner.calibration = there.get(runner.precision, own)

    def _manifest_changed(self) -> bool:
        # Of a store's version nothing changes in place.
        if self._active.version is not None:
            return False
        now = _stamp(self._active.folder)
        if now is None or now == self._stamp:
            return False
        self._stamp = now  # where it cannot be loaded, it is not tried again and again
        return True

    def _report(self, ok: bool, reason: str = "") -> None:
        try:
            self._active.report_frame(ok, reason)
        except UserError as error:
            self._log.warning(f"bundle store: {error}", kind="bundle store")


def _stamp(folder: Path) -> Optional[tuple]:
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
