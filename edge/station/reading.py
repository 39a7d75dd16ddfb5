"""The tables of a station's settings, each read into its section; see `edge.station.settings`."""

from __future__ import annotations

import re
from typing import Optional
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
    SinkSettings,
    SourceSettings,
    StoreSettings,
)
from edge.station.sinks import SinkOptions
from edge.station.sources.base import SourceOptions, check_options
from edge.station.tables import Secret, Table

_DAY = 86400.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NO_LOGIN = re.compile(r"((?:mqtt|rtsp|http)s?)://([^@/]+)(/.*)?")  # an address in which one fits


def bundle(table: Table) -> BundleSettings:
    read = BundleSettings(
        path=table.path("path"),
        precision=table.text("precision", None, choices=("float32", "int8")),
        threads=table.whole("threads", 1, 1, 256),
    )
    table.done()
    return read


def source(table: Table) -> SourceSettings:
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


def sink(table: Table) -> SinkSettings:
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


def judgement(table: Table) -> JudgementSettings:
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


def masks(table: Table) -> MaskSettings:
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


def drift(table: Table) -> DriftSettings:
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


def store(table: Table) -> StoreSettings:
    usual = StoreSettings()
    read = StoreSettings(
        keep=table.whole("keep", usual.keep, 1, 1_000_000_000),
        sync_seconds=table.number("sync_seconds", usual.sync_seconds, 0, 3600),
    )
    table.done()
    return read


def failures(table: Table) -> FailureSettings:
    usual = FailureSettings()
    read = FailureSettings(
        save=table.flag("save", usual.save),
        cap_mb=table.number("cap_mb", usual.cap_mb, 1, 1e7),
        reserve_mb=table.number("reserve_mb", usual.reserve_mb, 0, 1e7),
        form=table.text("form", usual.form, choices=("png", "jpeg")),
    )
    table.done()
    return read


def page(table: Table) -> PageSettings:
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
