"""Where verdicts go besides the store: files, a line of GPIO, a broker, a web hook.

A sink is given as text, in the TOML file or on the command line:

    jsonl:FILE            JSON lines, capped in size; `-` or `jsonl:-` for standard output
    gpio:PIN              a line that is high on FAIL
    mqtt://[user:password@]host[:port]/topic      or mqtts://
    http://… or https://… a web hook; `webhook:https://…` is the same

The first two are written at once. The remote ones have an `Outbox` before them: its `write` returns
immediately and a thread of its own sends what the store holds, so no broker holds up a verdict.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol

from edge.errors import UserError
from edge.station.types import Record

_FORMS = "jsonl:FILE, -, gpio:PIN, mqtt://host/topic, mqtts://host/topic, https://host/path"


class SinkError(UserError):
    """A sink that does not take records just now. wait: seconds it asks to be left alone."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


class SinkRefusedError(SinkError):
    """A sink that is there and will not take these records, however often they are offered."""


class Sink(Protocol):
    """Takes records.

    name: for messages and for the store; holds no password.
    at_once: takes a record before it is durable, since somebody waits for the verdict (a gate that
        throws a part out). All others get what `Store.flush` returns.
    """

    name: str
    at_once: bool

    def write(self, records: List[Record]) -> None:
        """Takes records in order. Raises: SinkError where it cannot."""

    def close(self) -> None:
        """Ends it; nothing is raised."""


class RemoteSink(Protocol):
    """What an outbox sends through. batch: how many records it takes in one go."""

    name: str
    batch: int

    def write(self, records: List[Record]) -> None:
        """Returns once all are acknowledged; offered the same records again, goes on with them.

        Raises: SinkError to be offered them again later, SinkRefusedError where that is in vain.
        """

    def close(self) -> None:
        """Ends it; nothing is raised."""


class SinkOptions(NamedTuple):
    """What the text of a sink does not say.

    cap_mb: of a file of JSON lines; twice that is on the disk with the one before it.
    hold: seconds that the GPIO line stays high; None: until the next PASS.
    queue: how many records may wait for a remote sink; beyond that the oldest are skipped.
    timeout: seconds that a remote sink may take to acknowledge.
    qos: of MQTT, 1 or 2. batch: records a request of the web hook; 1 posts an object, more a list.
    token: sent as `Authorization: Bearer …`. ca: file of certificates to trust, in place of the
        system's.
    """

    cap_mb: float = 50.0
    hold: Optional[float] = 0.5
    queue: int = 10_000
    timeout: float = 10.0
    qos: int = 1
    batch: int = 1
    token: Optional[str] = None
    ca: Optional[str] = None


def open_sink(text: str, folder=None, options: Optional[SinkOptions] = None) -> Sink:
    """Opens a sink by its text.

    folder: the station, whose store is open already; remote sinks read it.
    Raises: UserError for a text of no known form, values out of range, a library that is missing;
        SinkError for a file that cannot be written. A remote host that is down is no error.
    """
    options = options or SinkOptions()
    text = text[len("webhook:") :] if text.startswith("webhook:http") else text
    scheme, _, rest = text.partition(":")
    if text == "-" or text == "jsonl:-":
        from edge.station.sinks.jsonl import StandardOutput

        return StandardOutput()
    if scheme == "jsonl" and rest:
        from edge.station.sinks.jsonl import JsonLines

        return JsonLines(rest, options.cap_mb)
    if scheme == "gpio" and rest:
        from edge.station.sinks.gpio import Gpio

        return Gpio(rest, options.hold)
    if scheme in ("mqtt", "mqtts", "http", "https"):
        return _remote(scheme, text, folder, options)
    raise UserError(f"expected a sink such as {_FORMS}; got {text!r}")


def _remote(scheme: str, text: str, folder, options: SinkOptions) -> Sink:
    from edge.station.outbox import Outbox
    from edge.station.store import open_store

    with open_store(folder) as store:
        station = store.station
    sink: RemoteSink
    if scheme.startswith("mqtt"):
        from edge.station.sinks.mqtt import Mqtt

        sink = Mqtt(text, station, options)
    else:
        from edge.station.sinks.webhook import Webhook

        sink = Webhook(text, station, options)
    return Outbox(folder, sink, options.queue)
