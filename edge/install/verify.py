"""Is a folder a whole bundle, for this program, from somebody trusted? Asked before it is tried."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import NamedTuple, Optional

from edge.calibration import CONFORMAL, MIN_SCORES, TAIL, Calibration, check_rate
from edge.errors import BundleError, UserError
from edge.install.signature import SIGNATURE, SIGNATURE_BYTES, check_signature
from edge.manifest import MANIFEST, Manifest, read_entry, read_manifest

VERSION = "0.1.0"  # of this program; a manifest may ask for a later one, by "needs_edge"
_MAX_NAME = 200
_MAX_MANIFEST_BYTES = 4 * 2**20  # read as JSON, it takes twenty times as much memory


class Verified(NamedTuple):
    """A bundle that is whole. digest: its manifest's. signed_by: the key's file; None unchecked."""

    manifest: Manifest
    digest: str
    signed_by: Optional[str]

    @property
    def version(self) -> str:
        """The first 12 digits of the digest, by which records and folders name a bundle."""
        return self.digest[:12]


def verify(bundle, keys: Optional[dict] = None) -> Verified:
    """Checks everything that can be told without running a graph.

    keys: name -> public key; with any, the signature is checked before a byte is interpreted.
    Raises: BundleError with the first fault.
    """
    bundle = Path(bundle)
    signed_by = _check_signature(bundle, keys) if keys else None
    try:
        if (bundle / MANIFEST).is_file():
            _check_size((bundle / MANIFEST).stat().st_size)
        manifest = read_manifest(bundle)
        record = json.loads((bundle / MANIFEST).read_bytes())
        _check_facts(manifest)
    except UserError:
        raise
    except Exception as error:  # a hostile field breaks the reader in more ways than can be named
        raise BundleError(f"{bundle / MANIFEST} misstates a field: {error!r:.200}") from None
    _check_version(record.get("needs_edge"))
    _check_names(bundle, manifest)
    for entry in manifest.entries():
        read_entry(bundle, entry)
    return Verified(manifest, record["digest"], signed_by)


def _check_signature(bundle: Path, keys: dict) -> str:
    try:
        content = (bundle / MANIFEST).read_bytes()
        signature = None
        if (bundle / SIGNATURE).exists():
            signature = (bundle / SIGNATURE).read_bytes()
    except OSError as error:
        raise BundleError(f"{bundle} is not a bundle: {MANIFEST}: {error.strerror}") from None
    if signature is not None and len(signature) != SIGNATURE_BYTES:
        raise BundleError(f"{SIGNATURE} has {len(signature)} bytes, a signature {SIGNATURE_BYTES}")
    return check_signature(content, signature, keys)


def _check_size(size: int) -> None:
    if size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST} is larger than 4 MiB, which no manifest is")


def _check_version(needed) -> None:
    if needed is None:
        return
    if not (isinstance(needed, str) and re.fullmatch(r"\d{1,4}(\.\d{1,4}){0,3}", needed)):
        raise BundleError(f'{MANIFEST}: expected "needs_edge" as in "0.1.0", got {needed!r:.60}')
    if _numbers(needed) > _numbers(VERSION):
        raise BundleError(f"the bundle needs edge {needed}, this is {VERSION}; update the program")


def _numbers(version: str) -> tuple:
    numbers = [int(n) for n in version.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _check_names(bundle: Path, manifest: Manifest) -> None:
    named = {entry.file for entry in manifest.entries()}
    for own in (MANIFEST, SIGNATURE):
        if own in named:
            raise BundleError(f"{MANIFEST} names {own} as a file of its own list")
    there = {path.name for path in bundle.iterdir()} - {MANIFEST, SIGNATURE}
    if named - there:
        raise BundleError(f"the bundle lacks {min(named - there)!r:.100}; copy it again")
    if there - named:
        raise BundleError(f"the bundle holds {min(there - named)!r:.100}, not in its {MANIFEST}")


def _check_facts(manifest: Manifest) -> None:
    name = manifest.name
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= _MAX_NAME):
        raise BundleError(f"{MANIFEST}: expected a name of one line, got {name!r:.60}")
    if not isinstance(manifest.created, str) or not isinstance(manifest.made_from, dict):
        raise BundleError(f'{MANIFEST}: "created" or "made_from" is of another kind')
    for precision in manifest.graphs["detector"]:
        if precision not in manifest.calibrations:
            raise BundleError(f"{MANIFEST}: no calibration for {precision!r:.60}")
    for precision, calibration in manifest.calibrations.items():
        try:
            check_calibration(calibration)
        except UserError as error:
            raise BundleError(f"{MANIFEST}: calibration of {precision!r:.60}: {error}") from None


def check_calibration(calibration: Calibration) -> None:
    """Raises: UserError on one that could not have come from `calibrate`."""
    scores, *numbers = calibration[:4]
    if calibration.method not in (CONFORMAL, TAIL):
        raise BundleError(f"unknown method {calibration.method!r:.60}")
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in [*scores, *numbers]):
        raise BundleError("expected finite numbers")
    check_rate(calibration.rate)
    if len(scores) < MIN_SCORES or list(scores) != sorted(scores):
        raise BundleError(f"expected at least {MIN_SCORES} scores, in ascending order")
    if calibration.groups and len(calibration.groups) != len(scores):
        raise BundleError(f"expected a group for each of {len(scores)} scores")
    if calibration.warn_threshold > calibration.threshold:
        raise BundleError("the threshold for a warning lies above that for a failure")
