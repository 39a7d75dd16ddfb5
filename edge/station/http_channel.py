"""Connections of the station's HTTP server: what is refused is refused at the header."""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

_AHEAD = 8  # requests that a client may send before it has its answers

Refusal = Optional[tuple]  # (code, reason, text)


class _Nowhere:
    """Takes a buffer's place where nothing is to be kept."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def channel_class(refusal: Callable[[Any], Refusal], drained: int) -> type:
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
            if self.to_drain > 0:
                return self._drain(data)
            used = super().received(data)
            if self.error is not None and self.headers_finished:
                # Who asks before sending is told at once, and sends nothing.
                if not self.expect_continue:
                    self.to_drain = self._rest()
                self.expect_continue = False
                self.completed = self.to_drain <= 0
            return used

        def _rest(self) -> int:
            """Bytes of a refused body to wait for; 0 where it is not worth it or has ended."""
            if not self.chunked:
                return self.content_length if self.content_length <= drained else 0
            if self.body_rcv is None or self.body_rcv.error or self.body_rcv.completed:
                return 0
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
            return drained - self.body_bytes_received

        def _drain(self, data: bytes) -> int:
            if self.chunked:  # only the chunks tell where it ends
                used = self.body_rcv.received(data)
                ended = self.body_rcv.completed or self.body_rcv.error is not None
            else:
                used, ended = min(len(data), self.to_drain), False
            self.to_drain -= used
            self.completed = ended or self.to_drain <= 0
            return used

    class Channel(HTTPChannel):
        parser_class = Parser

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.requests_lock = threading.RLock()

        def received(self, data: bytes) -> bool:
            # In one go: else a thread answers some of what is too much before it is counted.
            with self.requests_lock:
                taken = super().received(data)
                for request in self.requests[_AHEAD:]:
                    request.close()
                    self.will_close = True
                del self.requests[_AHEAD:]
            return taken

    return Channel
