"""A small HTTP server for the station's own network: waitress, and what it does not bound itself.

One thread reads and writes all clients, so a slow one costs nothing but its connection, and that is
closed when its request has not come, or its answer has not been taken, in time. What is too much is
refused at the header: no body is kept for it. No thread of the application ever waits for a client.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

from edge.errors import UserError
from edge.station.http_channel import Refusal, channel_class
from edge.station.sources.waiting import Wake

_CONNECTIONS = 100
_HEADER = 16 * 2**10  # bytes
_IN_MEMORY = 2**20  # bytes of a body; the rest waits in a file that has no name
_PROGRESS = 2**20  # bytes of an answer; who has taken so many has as long again for the next
_NEVER = 2**60  # bytes of answers that wait for clients; more would stop the application's threads
_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")


class Limits(NamedTuple):
    """What a client may take.

    body: bytes of one request's. at_once: bytes of all requests' bodies together. patience: seconds
        in which a request has to come whole, and its answer to be taken.
    """

    body: int
    at_once: int
    patience: float


class HttpServer:
    """Hands whole requests to a WSGI application.

    listening: from `listen`. threads: that call the application. refusal: says of a request, of
        which only the header is there, why it is refused; None where it is not.
    Raises: UserError where waitress is missing.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: Callable,
        threads: int,
        limits: Limits,
        refusal: Callable[[Any], Refusal] = lambda request: None,
    ) -> None:
        waitress = _waitress()
        self._limits, self._judge = limits, refusal
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
            max_request_body_size=limits.body + 1,
            inbuf_overflow=_IN_MEMORY,
            outbuf_high_watermark=_NEVER,
            recv_bytes=2**16,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=True,
            ident="",
        )
        self._server.channel_class = channel_class(self._refusal, 2 * limits.body)

    def run(self, closing: Wake, give_up: Callable[[], None] = lambda: None) -> None:
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
        patience = min(1.0, self._limits.patience) if crowded else self._limits.patience
        for channel in channels:
            waiting = channel.total_outbufs_len
            ours = channel.requests or not hasattr(channel, "waits_since")
            if ours or channel.waiting - waiting > _PROGRESS:  # our turn; or it does its best
                channel.waits_since, channel.waiting = now, waiting
            elif now - channel.waits_since > patience:
                # Not left to waitress: it waits until the client takes something once more.
                channel.handle_close()

    def _refusal(self, request: Any) -> Refusal:
        """Why a request is refused, as far as its header tells; None where it is not."""
        refused = self._judge(request)
        if refused is None and self._bytes_at_once() > self._limits.at_once:
            return 503, "Service Unavailable", "busy"
        return refused

    def _bytes_at_once(self) -> int:
        total = 0
        for channel in list(self._server.active_channels.values()):
            for request in (channel.request, *channel.requests):
                if request is not None and request.error is None:
                    total += self._limits.body if request.chunked else request.content_length
        return total


def listen(host: str, port: int, token: Optional[str], name: str) -> socket.socket:
    """A socket that is bound. name: of the server, for its errors.

    Raises: UserError where that cannot be, and where others could come in without a token.
    """
    _waitress()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        if token is None and not is_loopback(str(address[0])):
            raise UserError(
                f"{name}: others can reach this address; set a token, or leave the host out"
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
        raise UserError(f"{name}: cannot listen there: {error.strerror or error}") from None


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, whoever resolves it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_of(header: str) -> str:
    """The name or address in a `Host` header; "" for what is none."""
    found = _HOST.fullmatch(header)
    return "" if found is None else found[1] or found[2] or ""


def _waitress() -> Any:
    try:
        import waitress
    except ImportError:
        raise UserError("serving HTTP needs waitress; run `pip install waitress`") from None
    return waitress
