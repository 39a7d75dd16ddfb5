"""Thresholds set on this device, for the bundles of a store.

They lie beside the bundles, in `calibration.local.json`, by version and precision: a bundle stays
as it was exported and signed, and going back to it finds its own thresholds again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Dict, Optional

from edge.calibration import Calibration
from edge.errors import BundleError, UserError
from edge.files import write_atomically, write_error
from edge.install.store import LOCAL, VERSIONS, Store
from edge.install.verify import check_calibration
from edge.manifest import read_manifest


def local_calibrations(bundle) -> Dict[str, Calibration]:
    """What was set on this device for a bundle's folder: precision -> Calibration; mostly empty.

    Raises: BundleError where the file is damaged. The bundle's own thresholds still hold then, but
        that is for the caller to say aloud.
    """
    bundle = Path(bundle).resolve()
    if bundle.parent.name != VERSIONS:
        return {}
    record = _read(bundle.parent.parent / LOCAL).get(bundle.name, {})
    return record["calibration"] if record else {}


def recalibrate_store(
    store, folder, rate: Optional[float] = None, masks=None, group_by: Optional[str] = None
) -> dict:
    """`edge.recalibrate.recalibrate` for a store's active bundle. Raises the same."""
    from edge.recalibrate import recalibrate

    opened = Store.open(store)
    state = opened.working()
    with opened.staging() as part:
        try:
            shutil.copytree(opened.path(state.active), part, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise _copy_error(store, error) from None
        report = recalibrate(part, folder, rate, masks, group_by)
        manifest = read_manifest(part)
    save_calibrations(store, state.active, manifest.calibrations, manifest.made_from)
    return report


def save_calibrations(store, version: str, calibrations: Dict[str, Calibration], facts) -> None:
    """Sets the thresholds of a version. facts: where they are from, for a person."""
    opened = Store.open(store)
    with opened.lock():
        records = _read(opened.folder / LOCAL)
        records[version] = {"calibration": calibrations, "from": facts}
        there = {path.name for path in opened.versions.iterdir()}
        content = {
            name: {
                "from": record["from"],
                "calibration": {p: c._asdict() for p, c in record["calibration"].items()},
            }
            for name, record in records.items()
            if name in there
        }
        write_atomically(opened.folder / LOCAL, json.dumps(content, indent=1).encode())


def _read(path: Path) -> dict:
    try:
        records = json.loads(path.read_bytes())
        return {version: _parsed(record) for version, record in records.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, UserError) as error:
        raise BundleError(
            f"{path} is damaged ({error!r:.100}); delete it and run `edge calibrate` again"
        ) from None


def _parsed(record: dict) -> dict:
    calibrations = {
        precision: Calibration.from_record(c) for precision, c in record["calibration"].items()
    }
    for calibration in calibrations.values():
        check_calibration(calibration)
    return {"calibration": calibrations, "from": record["from"]}


def _copy_error(store, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.errno is not None:
        return write_error(store, error)
    return UserError(f"cannot copy the active bundle in {store}: {error}")
