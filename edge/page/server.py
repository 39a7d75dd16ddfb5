"""Serving the page until a signal ends it."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from pathlib import Path
from typing import Callable, Iterator, Optional

from edge.errors import UserError
from edge.page.access import Access
from edge.page.app import App
from edge.page.reader import Reader
from edge.page.site_page import SitePage, is_site
from edge.page.station_page import StationPage
from edge.station.http_server import HttpServer, Limits, listen
from edge.station.sources.waiting import Wake

_THREADS = 4
_LEAST_TOKEN = 8
_BODY = 4096  # bytes; a mark or a login is far smaller
_PATIENCE = 30.0  # seconds


def serve(
    station,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: Optional[str] = None,
    ready: Optional[Callable[[str], None]] = None,
) -> None:
    """Serves a station's page, or a site for phones, until SIGTERM or SIGINT.

    The address is printed on stderr.
    station: its folder; it may not have run yet. Or what `python -m export web` wrote.
    port: 0 takes a free one. ready: called with the address.
    token: what a browser has to bring, once; needed where others can reach the host.
    Raises: UserError where there is no such folder, where it cannot listen, and where others could
        come in without a token.
    """
    folder = Path(station)
    if not folder.is_dir():
        raise UserError(f"expected a station's folder, found none at {folder}; is the path right?")
    if token is not None and len(token) < _LEAST_TOKEN:
        raise UserError(f"token: expected at least {_LEAST_TOKEN} characters, got {len(token)}")
    listening = listen(host, port, token, f"{host}:{port}")
    port = listening.getsockname()[1]
    page = SitePage(folder) if is_site(folder) else StationPage(Reader(folder), token is not None)
    app = App(page, Access(token, port, str(folder.resolve())))
    server = HttpServer(listening, app, _THREADS, Limits(_BODY, 100 * _BODY, _PATIENCE))
    closing = Wake()

    def stop(*_) -> None:
        closing.set()
        server.wake()

    with _signals(stop):
        address = f"http://{_name(host)}:{port}/"
        if sys.stderr is not None:
            print(f"edge serve: {address}", file=sys.stderr, flush=True)
        if ready is not None:
            ready(address)
        server.run(closing)


def _name(host: str) -> str:
    """What others reach the host by."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def _signals(stop: Callable) -> Iterator[None]:
    before = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
