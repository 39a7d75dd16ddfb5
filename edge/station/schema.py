"""The file `station.db`: its tables, how it is opened, and what becomes of a damaged one.

SQLite with a write-ahead log: readers never wait for the writer, and what was committed survives a
power cut (`synchronous=FULL`). Every failure ends in a `StoreError` of one line.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from pathlib import Path
from typing import Optional, Tuple

from edge.errors import UserError
from edge.files import write_error

FILE = "station.db"
VERSION = 1
_APPLICATION = 0x65646765  # "edge"; tells a store from any other SQLite file
_CACHE = 400  # KiB of pages a connection; records are added at the end, which takes a few
_KEPT_ASIDE = 2  # damaged stores kept to be looked into; more would fill the disk

_RECORD = (
    "taken REAL, monotonic REAL, boot TEXT, source TEXT, verdict TEXT, decision TEXT, score REAL,"
    " p_value REAL, threshold REAL, ms REAL, bundle TEXT, picture TEXT, error TEXT"
)
# No column is constrained: one odd record must never keep all later ones from being written.
# A mark holds a copy of its record, since it outlives it. Counters and cursors share one table so
# that a commit touches one page for all of them.
_TABLES = {
    "records": f"(id INTEGER PRIMARY KEY, {_RECORD})",
    "marks": f"(id INTEGER PRIMARY KEY, {_RECORD}, kind TEXT, marked REAL)",
    "events": "(id INTEGER PRIMARY KEY, time REAL, kind TEXT, text TEXT)",
    "state": "(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
}
_SOURCES = {name: f"CREATE TABLE {name} {columns}" for name, columns in _TABLES.items()}
_DAMAGE = re.compile("malformed|no such (table|column)|has no column|unsupported file format")


class StoreError(UserError):
    """A store that cannot be opened, read or written just now."""


class StoreDamagedError(StoreError):
    """A store whose bytes are not what was written."""


def begin(path: Path, timeout: float, check: bool) -> Tuple[sqlite3.Connection, Optional[str]]:
    """Opens the store to write records, making it where there is none.

    check: reads all pages for damage (0.6 s for a million records on a PC). A damaged store is
        moved aside and a new one made.
    Returns: the connection, and the name of the damaged file where there was one.
    Raises: UserError for a store of a newer version; StoreError where the disk does not allow it.
    """
    try:
        return _begin(path, timeout, check), None
    except StoreDamagedError:
        aside = set_aside(path)
    return _begin(path, timeout, check), aside


def _begin(path: Path, timeout: float, check: bool) -> sqlite3.Connection:
    with named_errors(path):
        connection = connect(path, "rwc", timeout)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA journal_size_limit={4 * 2**20}")
            if not _sources(connection):
                _create(connection)
            _verify(connection, path, check)
        except BaseException as error:
            connection.close()
            if check and _read_only_by_damage(error, path):
                raise StoreDamagedError(f"{path} is damaged ({error})") from None
            raise
        return connection


def connect(path: Path, mode: str, timeout: float, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection in autocommit. mode: "ro", "rw", "rwc", "ro&immutable=1": of SQLite's names."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA cache_size=-{_CACHE}")
    except BaseException:
        connection.close()
        raise
    return connection


def set_aside(path: Path) -> str:
    """Moves a damaged store, with its log, out of the way. Returns its new name."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target, n = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while target.exists():
        n += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{n}")
    try:
        # The store itself first: a new one never takes over a log that it finds.
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).replace(f"{target}{suffix}")
        _forget_oldest(path, target)
    except OSError as error:
        raise StoreError(str(write_error(path, error))) from error
    return target.name


def _forget_oldest(path: Path, newest: Path) -> None:
    found = path.parent.glob(f"{path.name}.damaged-*")
    stores = {f for f in found if not f.name.endswith(("-wal", "-shm"))} - {newest}
    for store in sorted(stores, reverse=True)[_KEPT_ASIDE - 1 :]:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                store.with_name(store.name + suffix).unlink()


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for source in _SOURCES.values():
        connection.execute(source)
    connection.execute(f"INSERT INTO state VALUES ('version', {VERSION})")
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def _verify(connection: sqlite3.Connection, path: Path, check: bool) -> None:
    if _number(connection, "application_id") != _APPLICATION:
        raise StoreDamagedError(f"{path} is no store of a station")
    version = connection.execute("SELECT value FROM state WHERE name = 'version'").fetchone()
    if version != (_number(connection, "user_version"),):
        raise StoreDamagedError(f"{path} does not know its version")
    verify_version(connection, path)
    if _sources(connection) != _SOURCES:
        raise StoreDamagedError(f"{path} has other tables than were made")
    if check:
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StoreDamagedError(f"{path} is damaged: {problem}")
        connection.execute("BEGIN IMMEDIATE")  # alone it does not fail on a read-only file
        connection.execute("UPDATE state SET value = value WHERE name = 'version'")
        connection.execute("ROLLBACK")


def _read_only_by_damage(error: BaseException, path: Path) -> bool:
    # Some flipped bytes of the header make SQLite take a file for read-only that is not.
    allowed = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return "readonly" in str(error) and allowed


def verify_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raises: UserError where a newer program made the store."""
    version = _number(connection, "user_version")
    if version > VERSION:
        raise UserError(
            f"{path} is a store of version {version}, and this program knows {VERSION}: "
            "install the newer program again, or name another folder"
        )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


def _sources(connection: sqlite3.Connection) -> dict:
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@contextlib.contextmanager
def named_errors(path: Path):
    """Turns what SQLite raises into a `StoreError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: of a message that quotes
        raise _named(path, error) from error


def _named(path: Path, error: Exception) -> StoreError:
    text = str(error)
    # Python gives exactly this class for SQLITE_CORRUPT and SQLITE_NOTADB; the codes themselves
    # can be read from Python 3.11 on only.
    damaged = type(error) in (sqlite3.DatabaseError, UnicodeDecodeError)
    if damaged or (isinstance(error, sqlite3.OperationalError) and _DAMAGE.search(text)):
        return StoreDamagedError(f"{path} is damaged ({text})")
    known = {
        "database or disk is full": "the disk is full; free some space",
        "attempt to write a readonly database": "a read-only disk, or no permission",
        "unable to open database file": "no such folder, a read-only disk, or no permission",
        "disk I/O error": "the disk refuses (full, over a limit, or worn out)",
        "database is locked": "another program has held it locked for too long",
    }
    return StoreError(f"cannot use {path}: {known.get(text, text)}")
