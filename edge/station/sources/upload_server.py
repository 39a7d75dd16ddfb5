"""The HTTP server behind uploads: who may not upload is refused before the picture is sent."""

from __future__ import annotations

import hmac
from typing import Any, Callable

from edge.station.http_server import HttpServer, Limits, Refusal, host_of, is_loopback, listen
from edge.station.sources.base import SourceOptions

_AT_ONCE = 4  # times `max_bytes`, what all bodies together may take


class UploadServer(HttpServer):
    """Hands whole requests of whom it may concern to a WSGI application.

    threads: that call the application. Raises: UserError where it cannot listen.
    """

    def __init__(
        self, host: str, port: int, app: Callable, threads: int, options: SourceOptions
    ) -> None:
        self._token = options.token
        listening = listen(host, port, options.token, f"upload:{host}:{port}")
        size = options.max_bytes
        limits = Limits(size, _AT_ONCE * size, options.patience)
        super().__init__(listening, app, threads, limits, self._stranger)

    def _stranger(self, request: Any) -> Refusal:
        headers = request.headers
        if self._token is not None:
            given = headers.get("AUTHORIZATION", "").encode("latin-1")
            expected = b"Bearer " + self._token.encode()
            if not hmac.compare_digest(given, expected):
                return 401, "Unauthorized", "send the header Authorization: Bearer TOKEN"
        elif "ORIGIN" in headers or not is_loopback(host_of(headers.get("HOST", "localhost"))):
            # A page that somebody opens on this machine could post pictures of its own.
            return 403, "Forbidden", "without a token, not from a browser or under another name"
        return None
