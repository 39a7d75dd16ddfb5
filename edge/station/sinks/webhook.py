"""Verdicts posted to a web hook, one connection kept open for all of them.

`http.client` rather than `urllib.request`: a redirect is reported, where the latter would follow it
with a GET that delivers nothing; the connection stays open, which spares a small board a TLS
handshake a record; and a server that trickles its answer can be cut off. It knows no proxies.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import re
import socket
import threading
from typing import Dict, List, Optional
from urllib.parse import quote

from edge.errors import UserError
from edge.station.lines import to_json
from edge.station.sinks import SinkError, SinkOptions, SinkRefusedError
from edge.station.sinks.address import parse, trust
from edge.station.types import Record

# The server understood and will not have it: offering it for ever would hold up all that follows.
_REFUSED = (400, 409, 410, 413, 415, 422)
_SAFE = "/%:@!$&'()*+,;=~-._"  # of an address, as it stands
_READ_AT_MOST = 65_536  # bytes of an answer; nothing of it is used


class Webhook:
    """Posts JSON; any status from 200 to 299 acknowledges.

    One record is posted as an object, with `key` and `station` in it, under the header
    `Idempotency-Key: <station>-<id>`; with `options.batch` above 1 a list of objects, under
    `<station>-<first id>-<last id>`. A repetition has the same keys.
    Raises: UserError for an address, token or file of certificates that cannot be used.
    """

    def __init__(self, url: str, station: str, options: SinkOptions):
        self._station, self.batch = station, max(1, options.batch)
        self._as_list = options.batch > 1
        self._timeout = options.timeout
        self._connection: Optional[http.client.HTTPConnection] = None
        self._address = address = parse(url, "https://host/path")
        self.name = address.name
        self._target = quote(address.path or "/", safe=_SAFE)
        if address.query:
            self.name += f"?{hashlib.sha256(address.query.encode()).hexdigest()[:6]}"
            self._target += "?" + quote(address.query, safe=_SAFE + "?")
        self._tls = trust(options.ca, self.name) if address.scheme == "https" else None
        self._headers = _headers(address.login, options.token, self.name)

    def write(self, records: List[Record]) -> None:
        """Posts all in one request. Raises: SinkError, SinkRefusedError."""
        lines = [to_json(r, station=self._station, key=self._key(r)) for r in records]
        key, body = self._key(records[0]), lines[0]
        if self._as_list:
            key, body = f"{key}-{records[-1].id}", f"[{','.join(lines)}]"
        answer = self._post(body.encode(), {**self._headers, "Idempotency-Key": key})
        if 200 <= answer.status < 300:
            return
        what = _shown(f"{self.name} answered {answer.status} {answer.reason}").rstrip()
        if 300 <= answer.status < 400:
            moved = _shown(answer.getheader("Location", "elsewhere"))
            raise SinkError(f"{what}: it moved to {moved}; name that address")
        if answer.status in _REFUSED:
            raise SinkRefusedError(what)
        raise SinkError(what, wait=_seconds(answer.getheader("Retry-After", "")))

    def close(self) -> None:
        """Ends it; nothing is raised."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _key(self, record: Record) -> str:
        return f"{self._station}-{record.id}"

    def _post(self, body: bytes, headers: Dict[str, str]) -> http.client.HTTPResponse:
        try:
            if self._connection is not None:
                try:
                    return self._exchange(self._connection, body, headers)
                except (ConnectionError, http.client.BadStatusLine):
                    self.close()  # closed by the server while nothing was to be sent
            self._connection = self._connect()
            return self._exchange(self._connection, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            reason = "no answer in time" if isinstance(error, TimeoutError) else _shown(str(error))
            raise SinkError(f"{self.name}: {reason or type(error).__name__}") from error

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)

    def _exchange(self, connection, body: bytes, headers) -> http.client.HTTPResponse:
        # The timeout of a socket is for each byte; a server may send one every nine seconds.
        late = threading.Event()
        deadline = threading.Timer(2 * self._timeout, _cut, (connection, late))
        deadline.daemon = True
        deadline.start()
        try:
            connection.request("POST", self._target, body, headers)
            answer = connection.getresponse()
            answer.read(_READ_AT_MOST)
            if late.is_set():  # what came of the answer looks like a whole one
                raise TimeoutError
            if not answer.isclosed():  # more than anybody wants to read
                connection.close()
            return answer
        finally:
            deadline.cancel()


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _headers(login: Optional[tuple], token: Optional[str], name: str) -> Dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "edge"}
    if login is not None:
        basic = base64.b64encode(":".join(login).encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    if token is not None:
        if not re.fullmatch(r"[!-~]+", token):
            raise UserError(f"expected a token of visible ASCII characters for {name}")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _shown(text: str) -> str:
    """What a server said, fit for one line."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 7 else 0.0
