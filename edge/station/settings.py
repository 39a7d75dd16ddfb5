"""From one TOML file, from options of the command line, or from both, to the settings of a station.

`example.toml` beside this file names every key with its meaning. Options win over the file.
Relative paths are relative to the TOML file, those of the command line to the current folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Optional, Tuple
from urllib.parse import quote

from edge.errors import UserError
from edge.station.masks import Region
from edge.station.sections import (
    BundleSettings,
    DriftSettings,
    FailureSettings,
    JudgementSettings,
    MaskSettings,
    PageSettings,
    Settings,
    SinkSettings,
    SourceSettings,
    StoreSettings,
)
from edge.station.sinks import SinkOptions
from edge.station.sources.base import SourceOptions, check_options
from edge.station.tables import Problems, Secret, Table

__all__ = ["EXAMPLE", "Settings", "load", "station_name"]

EXAMPLE = Path(__file__).with_name("example.toml")
_MAX_BYTES = 2**20
_DAY = 86400.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NO_LOGIN = re.compile(r"((?:mqtt|rtsp|http)s?)://([^@/]+)(/.*)?")  # an address in which one fits


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
        bundle=_bundle(tables.section("bundle")),
        source=_source(tables.section("source")),
        sinks=tuple(_sink(table) for table in tables.sinks()),
        judgement=_judgement(tables.section("judgement")),
        masks=_masks(tables.section("masks")),
        drift=_drift(tables.section("drift")),
        store=_store(tables.section("store")),
        failures=_failures(tables.section("failures")),
        page=_page(tables.section("page")),
    )
    top.done(also=("sink", *_SECTIONS))
    return settings


_SECTIONS = ("bundle", "source", "judgement", "masks", "drift", "store", "failures", "page")


def _bundle(table: Table) -> BundleSettings:
    read = BundleSettings(
        path=table.path("path"),
        precision=table.text("precision", None, choices=("float32", "int8")),
        threads=table.whole("threads", 1, 1, 256),
    )
    table.done()
    return read


def _source(table: Table) -> SourceSettings:
    usual = SourceOptions()
    text = _with_login(table.text("open") or "", table)
    size = table.numbers("size", 2)
    options = usual._replace(
        every=table.number("every", usual.every, 0, _DAY),
        size=None if size is None else (int(size[0]), int(size[1])),
        timeout=table.number("timeout", usual.timeout, 0.1, _DAY),
        patience=table.number("patience", usual.patience, 0.1, _DAY),
        retry=table.number("retry", usual.retry, 0.01, _DAY),
        done=table.text("done", usual.done),
        existing=table.optional_flag("existing"),
        poll=table.number("poll", usual.poll, 0.01, _DAY),
        token=table.secret("token", 8),
        max_bytes=table.whole("max_bytes", usual.max_bytes, 64, 2**31),
        max_pixels=table.whole("max_pixels", usual.max_pixels, 64, 178_000_000),
    )
    try:
        check_options(options)
    except UserError as error:
        table.problem("", str(error))
    table.done()
    return SourceSettings(_rooted_source(text, table), options)


def _rooted_source(text: str, table: Table) -> str:
    """With the path in it, where there is one, made independent of the current folder."""
    if isinstance(text, Secret):  # an address, to be shown to nobody
        return text
    kind, colon, rest = text.partition(":")
    if colon and kind in ("watch", "video"):
        return f"{kind}:{table.rooted('open', rest or '.')}"
    if text == "-" or (colon and re.fullmatch("[a-z0-9]+", kind)):
        return text
    return str(table.rooted("open", text))


def _sink(table: Table) -> SinkSettings:
    usual = SinkOptions()
    to = table.text("to") or ""
    kind, _, rest = to.partition(":")
    if kind == "jsonl" and rest and rest != "-":
        to = f"jsonl:{table.rooted('to', rest)}"
    ca = table.path("ca", None)
    options = SinkOptions(
        cap_mb=table.number("cap_mb", usual.cap_mb, 0.01, 1e6),
        hold=table.number("hold", usual.hold, 0, 3600) or None,
        queue=table.whole("queue", usual.queue, 1, 10_000_000),
        timeout=table.number("timeout", usual.timeout, 0.1, 600),
        qos=table.whole("qos", usual.qos, 1, 2),
        batch=table.whole("batch", usual.batch, 1, 10_000),
        token=table.secret("token"),
        ca=ca,
    )
    to = _with_login(to, table)
    table.done()
    return SinkSettings(to, options)


def _with_login(text: str, table: Table) -> str:
    """The address with the user and password that stand beside it."""
    user, password = table.text("user", None), table.secret("password")
    if user is None and password is None:
        return text
    address = _NO_LOGIN.fullmatch(text)
    if user is None:
        table.problem("password", "expected a user with it")
    elif address is None:
        table.problem(
            "user", "expected an address such as mqtts://host/topic, without a user in it"
        )
    else:
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return Secret(f"{address[1]}://{login}@{address[2]}{address[3] or ''}")
    return text


def _judgement(table: Table) -> JudgementSettings:
    usual = JudgementSettings()
    votes = table.whole("votes", usual.votes, 1, 1000)
    # Two votes want two frames, where nothing else is said.
    of = table.whole("of", max(votes, usual.of), 1, 1000)
    read = JudgementSettings(
        votes=votes,
        of=of,
        release=table.whole("release", usual.release, 0, 100_000),
        gap=table.number("gap", usual.gap, 0.001, _DAY),
    )
    if votes > of:
        table.problem("votes", f"expected at most {of}, as many as `of` says, got {votes}")
    table.done()
    return read


def _masks(table: Table) -> MaskSettings:
    roi = table.numbers("roi", 4)
    ignore = table.lists_of_numbers("ignore", 4)
    read = MaskSettings(
        roi=None if roi is None else _region(table, "roi", roi),
        ignore=tuple(r for r in (_region(table, "ignore", i) for i in ignore) if r is not None),
        picture=table.path("picture", None),
    )
    table.done()
    return read


def _region(table: Table, key: str, values) -> Optional[Region]:
    try:
        return Region.of(values)
    except ValueError as error:
        table.problem(key, f"expected {error}")
        return None


def _drift(table: Table) -> DriftSettings:
    usual = DriftSettings()
    read = DriftSettings(
        watch=table.flag("watch", usual.watch),
        window=table.whole("window", usual.window, 20, 10_000),
        every=table.number("every", usual.every, 0, _DAY),
        false_warnings=table.number("false_warnings", usual.false_warnings, 1e-3, 1000),
        defects=table.number("defects", usual.defects, 0, 1),
    )
    table.done()
    return read


def _store(table: Table) -> StoreSettings:
    usual = StoreSettings()
    read = StoreSettings(
        keep=table.whole("keep", usual.keep, 1, 1_000_000_000),
        sync_seconds=table.number("sync_seconds", usual.sync_seconds, 0, 3600),
    )
    table.done()
    return read


def _failures(table: Table) -> FailureSettings:
    usual = FailureSettings()
    read = FailureSettings(
        save=table.flag("save", usual.save),
        cap_mb=table.number("cap_mb", usual.cap_mb, 1, 1e7),
        reserve_mb=table.number("reserve_mb", usual.reserve_mb, 0, 1e7),
        form=table.text("form", usual.form, choices=("png", "jpeg")),
    )
    table.done()
    return read


def _page(table: Table) -> PageSettings:
    usual = PageSettings()
    read = PageSettings(
        serve=table.flag("serve", usual.serve),
        host=table.text("host", usual.host),
        port=table.whole("port", usual.port, 1, 65535),
        token=table.secret("token", 8),
    )
    if read.host not in _LOOPBACK and read.token is None and not table.failed("token"):
        table.problem("token", f"missing; expected one where others may connect ({read.host})")
    table.done()
    return read


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
