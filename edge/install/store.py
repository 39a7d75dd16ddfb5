"""The folder of installed bundles: what lies where, who may change it now, what of it works."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Iterator, List, Optional

from edge.errors import BundleError, UserError
from edge.files import write_atomically, write_error
from edge.install.state import State, first, parse
from edge.install.verify import Verified, verify
from edge.manifest import MANIFEST

STATE = "state.json"
VERSIONS = "versions"
KEYS = "trusted_keys"
LOCAL = "calibration.local.json"
_LOCK = ".lock"
_PART = ".part-"
_OWN = {STATE, VERSIONS, KEYS, LOCAL, _LOCK, "lost+found"}
_PATIENCE = 60.0  # seconds to wait for the lock, which is held for a second or two


class Store:
    """A store's folder. Changes happen under `lock`; reading needs none."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.versions = self.folder / VERSIONS

    @staticmethod
    def is_one(folder) -> bool:
        """Whether there is a store in the folder, rather than a bundle or something else."""
        folder = Path(folder)
        return (folder / VERSIONS).is_dir() and not (folder / MANIFEST).exists()

    @classmethod
    def open(cls, folder) -> Store:
        """Raises: BundleError where there is none."""
        if not cls.is_one(folder):
            raise BundleError(
                f"{folder} is no bundle store: expected a folder that `edge install` made"
            )
        return cls(folder)

    @classmethod
    def create(cls, folder) -> Store:
        """Opens a store, made where there is none.

        Raises: UserError where the folder holds other things, or cannot be written.
        """
        store = cls(folder)
        if cls.is_one(folder):
            return store
        try:
            _make_folder(store.folder)
            there = {path.name for path in store.folder.iterdir()} - _OWN
            strange = sorted(name for name in there if not name.startswith(_PART))
            if strange:
                raise UserError(
                    f"{folder} holds {strange[0]!r:.100}: expected an empty folder or a bundle "
                    "store; name another"
                )
            store.versions.mkdir(exist_ok=True)
            _flush_one(store.folder)
        except OSError as error:
            raise write_error(folder, error) from None
        return store

    def path(self, version: str) -> Path:
        """The folder of a version."""
        return self.versions / version

    @contextlib.contextmanager
    def lock(self, patience: float = _PATIENCE) -> Iterator:
        """One process at a time; the system frees it when the process dies.

        Raises: UserError where another one keeps it for longer than `patience` seconds.
        """
        try:
            handle = os.open(self.folder / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise write_error(self.folder, error) from None
        try:
            deadline = time.monotonic() + patience
            while not _locked(handle):
                if time.monotonic() > deadline:
                    raise UserError(f"{self.folder} is being changed by another process; try again")
                time.sleep(0.02)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder in the store, gone afterwards unless it was moved into place.

        It is locked as long as this process lives, so that others can tell it from a leftover.
        """
        part = self.folder / f"{_PART}{secrets.token_hex(6)}"
        with self.lock():  # nobody may tidy up between the next two steps
            part.mkdir()
            handle = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
            os.close(handle)

    def read(self) -> Optional[State]:
        """What `state.json` says; None where it is missing or damaged."""
        try:
            return parse((self.folder / STATE).read_bytes())
        except OSError:
            return None

    def write(self, state: State) -> None:
        """Switches to a state. Raises: UserError where it cannot be written."""
        write_atomically(self.folder / STATE, state.to_bytes())

    def place(self, part: Path, bundle: Verified) -> None:
        """Moves a verified folder, flushed by `flush`, to its version's place.

        Raises: OSError; BundleError where another bundle has the same 12 digits.
        """
        there = self._verified(bundle.version)
        if there is not None:
            if there.digest != bundle.digest:
                raise BundleError(f"another bundle is installed as {bundle.version}; export again")
            return
        place = self.path(bundle.version)
        if place.exists():  # damaged: it does not verify
            shutil.rmtree(place)
        part.rename(place)
        _flush_one(self.versions)

    def works(self, version: Optional[str]) -> bool:
        """Whether a version is there and whole."""
        return version is not None and self._verified(version) is not None

    def _verified(self, version: str) -> Optional[Verified]:
        try:
            found = verify(self.path(version))
        except UserError:
            return None
        return found if found.version == version else None

    def settled(self) -> Optional[State]:
        """The state whose active version works; None where no version does.

        Where the active one is damaged, the previous one; where `state.json` is, the newest one
        that is whole, on trial again.
        """
        state = self.read()
        if state is not None:
            if self.works(state.active):
                return state
            if self.works(state.previous):
                return state.rolled_back("it is damaged or missing on this disk")
        whole = [version for version in self._newest_first() if self.works(version)][:2]
        if not whole:
            return None
        return first(whole[0])._replace(previous=whole[1] if whole[1:] else None)

    def working(self) -> State:
        """`settled`. Raises: BundleError where no version works."""
        state = self.settled()
        if state is None:
            raise BundleError(f"{self.folder} holds no bundle that works; install one")
        return state

    def _newest_first(self) -> List[str]:
        try:
            folders = [path for path in self.versions.iterdir() if path.is_dir()]
            return [path.name for path in sorted(folders, key=_modified, reverse=True)]
        except OSError:
            return []

    def rolled_back(self, state: State, reason: str) -> State:
        """The state with the previous version; as it was where there is none that works."""
        return state.rolled_back(reason) if self.works(state.previous) else state

    def tidy(self, state: State) -> None:
        """Removes what `state`, which is on disk, does not name, and what a power cut left.

        What cannot be removed now stays for the next time.
        """
        for version in self._newest_first():
            if version not in (state.active, state.previous):
                shutil.rmtree(self.path(version), ignore_errors=True)
        for path in self.folder.glob(f"{_PART}*"):
            if _is_leftover(path):
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            for path in list(self.folder.iterdir()):
                if re.fullmatch(r"\..+\.json\.\d+\.part", path.name):  # of `write_atomically`
                    path.unlink()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_leftover(part: Path) -> bool:
    """Whether nobody works in the folder any more."""
    try:
        handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _locked(handle)
    finally:
        os.close(handle)


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it, each on disk before what comes into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_one(folder.parent)


def flush(folder: Path) -> None:
    """Waits until a folder of files is on disk to the last byte."""
    for path in folder.iterdir():
        _flush_one(path)
    _flush_one(folder)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
