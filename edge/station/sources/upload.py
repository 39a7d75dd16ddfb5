"""Pictures uploaded over HTTP, each answered with its verdict.

    curl --data-binary @part.png http://127.0.0.1:8080/
    curl -T part.png -H "Authorization: Bearer TOKEN" http://station:8080/part-0815

The answer is the record as JSON. Status 400: no picture; 401: wrong token; 413: too large; 500: it
could not be judged; 503: too many wait already, come again; 504: it was not judged in time.
"""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.decode import decode
from edge.station.sources.upload_server import UploadServer
from edge.station.sources.waiting import Inbox, Wake
from edge.station.types import Arrival, Frame, Record

WAITING = 4  # pictures that may wait for their verdict at once
_LONGEST_NAME = 100
_CLOSE = 1.8  # seconds that closing may take

Answer = Tuple[str, Dict[str, Any]]  # status line, JSON
_BUSY: Answer = ("503 Service Unavailable", {"error": "busy"})
_CLOSED: Answer = ("503 Service Unavailable", {"error": "the station stops"})
_LATE: Answer = ("504 Gateway Timeout", {"error": "not judged in time"})
_NO_METHOD: Answer = ("405 Method Not Allowed", {"error": "expected POST or PUT of a picture"})
_NO_PICTURE: Answer = ("400 Bad Request", {"error": "expected a picture, got nothing"})


class _Upload:
    """One picture and, later, its answer."""

    def __init__(self, name: str, body: bytes) -> None:
        self.name = name
        self.body = body
        self.taken = (time.time(), time.monotonic())
        self.answer: Answer = _LATE
        self.answered = threading.Event()

    def settle(self, answer: Answer) -> None:
        self.answer = answer
        self.answered.set()


class UploadSource(Source):
    """Gives what is uploaded, and refuses what it cannot keep up with.

    port: that it listens on, also where 0 was asked for. dropped: uploads that were refused for
        want of time; the client was told.
    Raises: UserError where it cannot listen, or where others could upload without a token.
    """

    answers = prompt = True

    def __init__(self, host: str, port: int, options: SourceOptions) -> None:
        self._options = options
        self._closing = Wake()
        self._inbox: Inbox[_Upload] = Inbox(self._closing)
        self._lock = threading.Lock()
        self._waiting: Set[_Upload] = set()
        self._judged: Dict[tuple, _Upload] = {}
        # Two more threads than may wait: they tell the others that they have to.
        self._server = UploadServer(host, port, self._app, WAITING + 2, options)
        self.port = self._server.port
        serve = threading.Thread(
            target=self._server.run, args=(self._closing, self._give_up), name="upload", daemon=True
        )
        self._thread = serve
        serve.start()

    def frames(self) -> Iterator[Arrival]:
        while True:
            upload = self._inbox.take()
            if upload is None:
                return
            arrival = decode(upload.name, upload.body, self._options, upload.taken)
            upload.body = b""
            if isinstance(arrival, Frame):
                yield self._expecting_answer(arrival, upload)
            else:
                upload.settle(("400 Bad Request", {"error": arrival.problem}))
                yield arrival

    def answer(self, arrival: Arrival, record: Optional[Record]) -> None:
        upload = self._judged.pop(_key(arrival), None) if isinstance(arrival, Frame) else None
        if upload is None:
            return
        error = "it has no record" if record is None else record.error
        if record is None or error is not None:
            upload.settle(("500 Internal Server Error", {"error": error}))
        else:
            upload.settle(("200 OK", record._asdict()))

    def close(self) -> None:
        self._closing.set()
        self._server.wake()
        self._thread.join(_CLOSE)

    def _expecting_answer(self, frame: Frame, upload: _Upload) -> Frame:
        while _key(frame) in self._judged:  # two in the same instant
            frame = frame._replace(monotonic=math.nextafter(frame.monotonic, math.inf))
        # Those that were given up may never be answered.
        self._judged = {k: u for k, u in self._judged.items() if not u.answered.is_set()}
        self._judged[_key(frame)] = upload
        return frame

    def _give_up(self) -> None:
        with self._lock:
            for upload in self._waiting:
                upload.settle(_CLOSED)

    def _app(self, environ: Dict[str, Any], start_response: Callable) -> List[bytes]:
        """The WSGI application; called by several threads."""
        try:
            status, content = self._respond(environ)
        except Exception as error:
            status, content = "500 Internal Server Error", {"error": type(error).__name__}
        body = json.dumps({k: _finite(v) for k, v in content.items()}).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status.startswith("405"):
            headers.append(("Allow", "POST, PUT"))
        if status.startswith("503"):
            headers.append(("Retry-After", "1"))
        start_response(status, headers)
        return [body]

    def _respond(self, environ: Dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] not in ("POST", "PUT"):
            return _NO_METHOD
        body = environ["wsgi.input"].read()
        if not body:
            return _NO_PICTURE
        upload = _Upload(_name(environ["PATH_INFO"]), body)
        with self._lock:
            if self._closing.is_set:
                return _CLOSED
            if len(self._waiting) >= WAITING:
                self.dropped += 1
                return _BUSY
            self._waiting.add(upload)
        self._inbox.put(upload)
        upload.answered.wait(self._options.timeout)
        with self._lock:
            self._waiting.remove(upload)
            if self._inbox.remove(upload):  # nobody has looked at it
                self.dropped += 1
                return _BUSY
        upload.answered.set()
        return upload.answer


def _key(frame: Frame) -> tuple:
    return frame.source, frame.monotonic


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _name(path: str) -> str:
    """What the client calls the picture: the last part of the address, as far as it is text."""
    name = path.encode("latin-1", "replace").decode("utf-8", "replace").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable())[:_LONGEST_NAME]
    return f"upload:{name}" if name else "upload"
