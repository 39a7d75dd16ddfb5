"""One runner a station."""

from __future__ import annotations

import fcntl
from pathlib import Path

from edge.errors import UserError
from edge.files import write_error
from edge.station.schema import StoreError


def lock(folder: Path):
    """Keeps other processes out for as long as this one lives and the file is not closed.

    Returns: the open file `station.lock`.
    Raises: UserError where another process holds it; StoreError where it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "station.lock").open("ab")
    except OSError as error:
        raise StoreError(str(write_error(folder, error))) from None
    try:
        # Not flock: a child that outlives a killed runner would go on holding it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(
            f"another program runs the station {folder}; stop it first, or name another folder"
        ) from None
    return file
