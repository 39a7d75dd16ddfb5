"""`edge install` and `edge rollback`: a new bundle becomes the active one, or nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from edge.errors import BundleError, UserError
from edge.files import write_error
from edge.install.archive import MAX_BYTES, fetch, require
from edge.install.signature import SIGNATURE, trusted_keys
from edge.install.state import NEEDED, first
from edge.install.store import KEYS, LOCAL, Store, flush
from edge.install.trial import try_out
from edge.install.verify import Verified, verify


def install(
    source,
    store,
    needed: int = NEEDED,
    limit: int = MAX_BYTES,
    trial: Callable[[Path], None] = try_out,
) -> dict:
    """Verifies, tries and activates a bundle.

    source: an archive or a folder. store: the store's folder, made where there is none.
    needed: good frames that confirm the bundle; 0 confirms it at once. limit: bytes unpacked.
    trial: raises BundleError on a folder that should not run here.
    Returns: "version", "name", "created", "digest", "signed_by" (None where no key is trusted and
        none was asked for), "installed" (False where it was the active one already), "previous",
        "state".
    Raises: BundleError where the bundle is refused; UserError where the store cannot be written.
        The store is then as it was.
    """
    require(source)
    folder = Path(store)
    keys = trusted_keys(folder / KEYS)
    try:
        with Store.create(folder).staging() as part:
            fetch(source, part, limit)
            try:
                bundle = verify(part, keys)
                trial(part)
            except BundleError as error:
                # Named as the user knows it; and a hostile field may be as long as the manifest.
                text = str(error).replace(str(part), str(source))
                raise BundleError(f"{text:.600}") from None
            flush(part)
            return _activate(Store(folder), part, bundle, needed)
    except OSError as error:
        raise write_error(store, error) from None


def _activate(store: Store, part: Path, bundle: Verified, needed: int) -> dict:
    with store.lock():
        before = store.settled()
        new = before is None or before.active != bundle.version
        state = before
        if state is None:
            state = first(bundle.version, needed)
        elif new:
            state = state.installed(bundle.version, needed)
        if new:
            store.place(part, bundle)
        if state != store.read():
            store.write(state)
        store.tidy(state)
    return {
        "version": bundle.version,
        "name": bundle.manifest.name,
        "created": bundle.manifest.created,
        "digest": bundle.digest,
        "signed_by": bundle.signed_by,
        "installed": new,
        "previous": state.previous,
        "state": state.state,
    }


def rollback(store) -> dict:
    """Goes back to the previous version by hand; once more, and it goes forward again.

    Returns: "active" and "left", both versions.
    Raises: BundleError where there is no previous version that works.
    """
    opened = Store.open(store)
    with opened.lock():
        state = opened.working()
        if not opened.works(state.previous):
            raise BundleError(f"{store} has no previous version to go back to; install one")
        opened.write(state.swapped())
    return {"active": state.previous, "left": state.active}


def status(store) -> dict:
    """What the store holds, for a person: changes nothing, and counts as no start.

    Returns: "active" with the "name" and "created" of its bundle, "signed", "previous", "state",
        "starts", "good_frames", "needed", "rejected" (version and reason, or None),
        "trusted_keys", "local_calibration", and "problem" (None, or one line).
    Raises: BundleError where no version works.
    """
    opened = Store.open(store)
    state = opened.working()
    bundle = opened.path(state.active)
    manifest = verify(bundle).manifest
    problem = None
    try:
        keys = sorted(trusted_keys(opened.folder / KEYS))
    except UserError as error:
        keys, problem = [], str(error)
    return {
        **state._asdict(),
        "name": manifest.name,
        "created": manifest.created,
        "signed": (bundle / SIGNATURE).exists(),
        "trusted_keys": keys,
        "local_calibration": (opened.folder / LOCAL).exists(),
        "problem": problem,
    }
