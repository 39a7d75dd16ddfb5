"""The HTTP server behind uploads: waitress, and what it does not bound by itself.

One thread reads all clients, so a slow one costs nothing but its connection, and that is closed
when the whole request has not come in time. Who may not upload, and what is too much, is refused at
the header: no body is kept for it.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import logging
import socket
import time
from typing import Any, Callable, Dict, Optional

from edge.errors import UserError
from edge.station.sources.base import SourceOptions
from edge.station.sources.waiting import Wake

_CONNECTIONS = 100
_HEADER = 16 * 2**10  # bytes
_IN_MEMORY = 2**20  # bytes of a body; the rest waits in a file that has no name
_AT_ONCE = 4  # times `max_bytes`, what all bodies together may take

Refusal = Optional[tuple]  # (code, reason, text)


class UploadServer:
    """Hands whole requests of whom it may concern to a WSGI application.

    threads: that call the application. Raises: UserError where it cannot listen.
    """

    def __init__(
        self, host: str, port: int, app: Callable, threads: int, options: SourceOptions
    ) -> None:
        try:
            import waitress
        except ImportError:
            raise UserError("upload: needs waitress; run `pip install waitress`") from None
        self._options = options
        listening = _listen(host, port, options.token)
        self.port = listening.getsockname()[1]
        self._map: Dict[int, Any] = {}
        logging.getLogger("waitress").setLevel(logging.ERROR)  # not a line for each bad client
        self._server = waitress.create_server(
            app,
            map=self._map,
            sockets=[listening],
            threads=threads,
            connection_limit=_CONNECTIONS,
            max_request_header_size=_HEADER,
            max_request_body_size=options.max_bytes + 1,
            inbuf_overflow=_IN_MEMORY,
            recv_bytes=2**16,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=True,
            ident="",
        )
        self._server.channel_class = _channel_class(self._refusal, 2 * options.max_bytes)

    def run(self, closing: Wake, give_up: Callable[[], None]) -> None:
        """Serves until closed. give_up: answers what still waits, so that no thread hangs on it."""
        from waitress import wasyncore

        while not closing.is_set:
            try:
                wasyncore.loop(timeout=1.0, use_poll=True, map=self._map, count=1)
                self._close_overdue()
            except Exception:  # of one client; the others are to be served all the same
                closing.wait(0.1)
        give_up()
        self._server.task_dispatcher.shutdown(timeout=0.5)
        wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=4)  # the last answers
        wasyncore.close_all(self._map, ignore_all=True)

    def wake(self) -> None:
        """Has `run` look at once whether it is to end."""
        with contextlib.suppress(OSError):  # it has ended
            self._server.pull_trigger()

    def _close_overdue(self) -> None:
        now = time.monotonic()
        channels = list(self._server.active_channels.values())
        crowded = len(channels) >= _CONNECTIONS // 2
        patience = min(1.0, self._options.patience) if crowded else self._options.patience
        for channel in channels:
            if channel.requests or not hasattr(channel, "waits_since"):
                channel.waits_since = now  # it is our turn, not the client's
            elif now - channel.waits_since > patience:
                channel.will_close = True

    def _refusal(self, request: Any) -> Refusal:
        """Why a request is refused, as far as its header tells; None where it is not."""
        headers = request.headers
        if self._options.token is not None:
            given = headers.get("AUTHORIZATION", "").encode("latin-1")
            expected = b"Bearer " + self._options.token.encode()
            if not hmac.compare_digest(given, expected):
                return 401, "Unauthorized", "send the header Authorization: Bearer TOKEN"
        elif "ORIGIN" in headers or not _is_loopback(_host_of(headers.get("HOST", "localhost"))):
            # A page that somebody opens on this machine could post pictures of its own.
            return 403, "Forbidden", "without a token, not from a browser or under another name"
        if self._bytes_at_once() > _AT_ONCE * self._options.max_bytes:
            return 503, "Service Unavailable", "busy"
        return None

    def _bytes_at_once(self) -> int:
        total = 0
        for channel in list(self._server.active_channels.values()):
            for request in (channel.request, *channel.requests):
                if request is not None and request.error is None:
                    total += self._options.max_bytes if request.chunked else request.content_length
        return total


def _listen(host: str, port: int, token: Optional[str]) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        if token is None and not _is_loopback(str(address[0])):
            raise UserError(
                f"upload:{host}:{port}: others can reach this address; set a token, or leave the "
                "host out"
            )
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise UserError(
            f"upload:{host}:{port}: cannot listen there: {error.strerror or error}"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_of(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _channel_class(refusal: Callable[[Any], Refusal], drained: int) -> type:
    """A connection whose requests are looked at when their header has come.

    drained: bytes of a refused body that are read and forgotten. Were the connection closed before
        they are sent, the client would find it broken in place of the answer.
    """
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.utilities import Error

    class RefusedError(Error):
        def __init__(self, code: int, reason: str, text: str) -> None:
            super().__init__(text)
            self.code, self.reason = code, reason

        def to_response(self, ident: Optional[str] = None) -> tuple:
            status, headers, body = super().to_response(ident)
            if self.code == 401:
                headers.append(("WWW-Authenticate", "Bearer"))
            return status, headers, body

    class Parser(HTTPRequestParser):
        to_drain = 0
        expect_continue = False

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            why = refusal(self)
            if why is not None:
                self.error = RefusedError(*why)

        def received(self, data: bytes) -> int:
            if self.to_drain:
                used = min(len(data), self.to_drain)
                self.to_drain -= used
                self.completed = self.to_drain == 0
                return used
            in_header = not self.headers_finished
            used = super().received(data)
            if in_header and self.headers_finished and self.error is not None:
                # Who asks before sending is told at once, and sends nothing.
                if not self.expect_continue and self.content_length <= drained:
                    self.to_drain = self.content_length
                self.expect_continue = False
                self.completed = self.to_drain == 0
            return used

    class Channel(HTTPChannel):
        parser_class = Parser

    return Channel
