"""The bundle of a running station: which one to load, and how it proves itself."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

from edge.errors import BundleError, UserError
from edge.install.state import NEEDED, State
from edge.install.store import LOCAL, STATE, Store

_PATIENCE = 5.0  # seconds; a station starts rather than waits


def active_bundle(path) -> Path:
    """The folder of the bundle to load. Call it once a start: it counts the starts of a trial.

    path: a bundle's folder, which is then the answer, or a store.
    A version that had its starts and was not confirmed gives way to the one before it, and so does
    one that is damaged. Where the store cannot be written, the answer is the same, uncounted.
    Raises: BundleError where the store holds no bundle that works.
    """
    if not Store.is_one(path):
        return Path(path)
    store = Store(path)
    try:
        with store.lock(_PATIENCE):
            state = _started(store)
            if state != store.read():
                store.write(state)
            store.tidy(state)
    except BundleError:
        raise
    except UserError:  # read-only, full, or locked: what is there is used
        state = _started(store)
    return store.path(state.active)


def current_bundle(path) -> Path:
    """The same for a look at the bundle that is no start of a station: counts and changes nothing.

    Raises: BundleError where the store holds no bundle that works.
    """
    if not Store.is_one(path):
        return Path(path)
    store = Store(path)
    return store.path(store.working().active)


def _started(store: Store) -> State:
    settled = store.working()
    state = settled.started()
    if state.used_up:
        return store.rolled_back(state, f"{settled.starts} starts led to no confirmation")
    return state


class ActiveBundle:
    """`active_bundle` with what a running station tells of it. One thread at a time.

    folder: of the bundle to load. version: its name in the store; None without a store.
    rejected: the version that was last rolled back by itself, and why; None where none was.
    A plain bundle's folder serves as well: nothing then has to be proved, and nothing changes.
    """

    def __init__(self, path):
        self.folder = active_bundle(path)
        self._store = Store(path) if Store.is_one(path) else None
        self.version = self.folder.name if self._store else None
        self._stamp: object = None
        self._local_stamp = _stamp(self._store.folder / LOCAL) if self._store else None
        self._proved = self._store is None
        self._can_go_back = True
        state = self._store.read() if self._store else None
        self.rejected = state.rejected if state else None
        self._good = state.good_frames if state else 0
        self._needed = state.needed if state else NEEDED
        self._next = self._after(self._good)

    def report_frame(self, ok: bool, reason: str = "a frame could not be scored") -> None:
        """Tells of a frame that the bundle scored, or failed to: an error of the bundle's, not of
        the picture's. On trial, enough good frames confirm the bundle, and one error rolls it back;
        `changed` says so. Afterwards a call costs nothing.

        Raises: UserError where the store cannot be written; a later frame tries again.
        """
        if self._proved:
            return
        if not ok:
            if self._can_go_back:
                self._update(lambda state: self._without(state, reason))
            return
        self._good += 1
        if self._good >= self._next:
            self._next = self._after(self._good)
            self._update(lambda state: state.scored(self._good))

    def changed(self) -> bool:
        """Whether the store has another active version by now. Costs one look at a file's dates."""
        if self._store is None:
            return False
        stamp = _stamp(self._store.folder / STATE)
        if stamp is None or stamp == self._stamp:
            return False
        state = self._store.read()
        if state is not None and state.active != self.version:
            return True
        self._stamp = stamp
        return False

    def recalibrated(self) -> bool:
        """Whether thresholds were set on this device since the last call. As cheap as `changed`."""
        if self._store is None:
            return False
        before, self._local_stamp = self._local_stamp, _stamp(self._store.folder / LOCAL)
        return self._local_stamp != before

    def _after(self, good: int) -> int:
        # A few writes on the way to confirmation, so that a power cut costs few of the frames.
        later = good + max(1, self._needed // 4)
        return min(later, self._needed) if good < self._needed else later

    def _without(self, state: State, reason: str) -> State:
        assert self._store is not None
        back = self._store.rolled_back(state, reason)
        self._can_go_back = back.active != state.active
        return back

    def _update(self, change: Callable[[State], State]) -> None:
        assert self._store is not None
        with self._store.lock(_PATIENCE):
            state: Optional[State] = self._store.read()
            if state is None or state.active != self.version or state.confirmed:
                self._proved = True  # or replaced: either way no longer this one's to prove
                return
            new = change(state)
            if new != state:
                self._store.write(new)
            self._proved = new.confirmed


def _stamp(path: Path) -> Optional[tuple]:
    """What changes with a file's content; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
