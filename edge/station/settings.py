"""From one TOML file, from options of the command line, or from both, to the settings of a station.

`example.toml` beside this file names every key with its meaning. Options win over the file.
Relative paths are relative to the TOML file, those of the command line to the current folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from edge.errors import UserError
from edge.station import reading
from edge.station.sections import Settings
from edge.station.tables import Problems, Table

__all__ = ["EXAMPLE", "Settings", "load", "station_name"]

EXAMPLE = Path(__file__).with_name("example.toml")
_MAX_BYTES = 2**20


def load(path=None, options: Optional[Dict[str, Any]] = None) -> Settings:
    """Reads a station's settings.

    path: the TOML file; None for none. options: of the command line, by table and key as in
        {"judgement.votes": 2, "source.open": "camera:0", "sink": ["-", "jsonl:FILE"]}; "folder"
        for the station's. Sinks take the place of all those in the file. None is no option.
    Raises: UserError that names every mistake.
    """
    tables = _Tables(path, options or {})
    settings = _settings(tables)
    tables.problems.check()
    return settings


def station_name(path) -> str:
    """Of a station, for services and files: its TOML file's, or its folder's, name.

    The folder's as well where the file is called `station.toml`, as most are.
    """
    path = Path(path).resolve()
    stem = path.stem if path.suffix == ".toml" else path.name
    if stem == "station":
        stem = path.parent.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "station"


class _Tables:
    """The tables of the file, each with what the command line says of it."""

    def __init__(self, path, options: Dict[str, Any]):
        self.path = None if path is None else Path(path)
        self.problems = Problems()
        self._file = "command line" if path is None else str(path)
        self._root = None if self.path is None else self.path.resolve().parent
        self._values = {} if self.path is None else _read_toml(self.path)
        self._options = {k: v for k, v in options.items() if v is not None}
        for name in self._options:
            if "." in name and name.split(".")[0] not in _SECTIONS:
                raise ValueError(f"expected an option of {', '.join(_SECTIONS)}, got {name}")
        self._sinks = self._options.pop("sink", [])

    @property
    def root(self) -> Optional[Path]:
        """Of relative paths in the file."""
        return self._root

    def top(self) -> Table:
        given = {k: v for k, v in self._options.items() if "." not in k}
        return self._table({**self._values, **given}, "top level:", tuple(given))

    def section(self, name: str) -> Table:
        prefix = f"{name}."
        given = {k[len(prefix) :]: v for k, v in self._options.items() if k.startswith(prefix)}
        values = self._values.get(name, {})
        if isinstance(values, dict):
            values = {**values, **given}
        return self._table(values, f"[{name}]", tuple(given))

    def sinks(self):
        """A table each."""
        if self._sinks:
            return [self._table({"to": to}, "--sink", ("to",)) for to in self._sinks]
        values = self._values.get("sink", [])
        if not isinstance(values, list):
            self.problems.add(f"{self._file}: [sink]: expected [[sink]], with two brackets")
            return []
        if len(values) == 1:
            return [self._table(values[0], "[[sink]]")]
        return [self._table(v, f"[[sink]] {i}:") for i, v in enumerate(values, 1)]

    def _table(self, values: Any, name: str, given: Tuple[str, ...] = ()) -> Table:
        return Table(values, name, self._file, self.problems, given, self._root)


def _settings(tables: _Tables) -> Settings:
    top = tables.top()
    folder = top.path("folder", None)
    if folder is None:
        folder = "station" if tables.root is None else str(tables.root)
    settings = Settings(
        folder=Path(folder),
        name=station_name(folder if tables.path is None else tables.path),
        bundle=reading.bundle(tables.section("bundle")),
        source=reading.source(tables.section("source")),
        sinks=tuple(reading.sink(table) for table in tables.sinks()),
        judgement=reading.judgement(tables.section("judgement")),
        masks=reading.masks(tables.section("masks")),
        drift=reading.drift(tables.section("drift")),
        store=reading.store(tables.section("store")),
        failures=reading.failures(tables.section("failures")),
        page=reading.page(tables.section("page")),
    )
    top.done(also=("sink", *_SECTIONS))
    return settings


_SECTIONS = ("bundle", "source", "judgement", "masks", "drift", "store", "failures", "page")


def _read_toml(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise UserError(f"{path}: expected a station's TOML file, got more than 1 MiB")
    toml = _toml()
    try:
        return toml.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected a TOML file in UTF-8, got other bytes") from None
    except (toml.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not TOML: {' '.join(str(error).split())}") from None


def _toml():
    try:
        import tomllib as toml
    except ImportError:  # before Python 3.11
        try:
            import tomli as toml  # type: ignore[no-redef, import-not-found]
        except ImportError:
            raise UserError(
                "reading a TOML file needs Python 3.11, or tomli: run `pip install tomli`"
            ) from None
    return toml
