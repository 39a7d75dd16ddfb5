"""Verdicts published to an MQTT broker, each waited for until the broker has it.

QoS 1 by default: at least once. With QoS 2 a connection that breaks between delivery and
acknowledgement makes no repetition either, while the process lives: the session then outlasts the
connection, so broker and client find back to where they were. A session that an earlier process
left behind is ended first, since packet numbers begin anew with each process and the broker would
take new messages for old ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
from typing import Any, List, Set, Tuple
from urllib.parse import unquote

from edge.errors import UserError
from edge.station.lines import to_json
from edge.station.sinks import SinkError, SinkOptions
from edge.station.sinks.address import parse, trust
from edge.station.types import Record

_EXAMPLE = "mqtt://host/line1/verdicts"
_KEEP_ALIVE = 30  # seconds after which a broker that vanished without a word is missed
_WAITS = (1, 30)  # seconds, the first and the longest between two trials to connect


class Mqtt:
    """url: mqtt[s]://[user:password@]host[:port]/topic.

    A message is one record as JSON, with `key` and `station` in it.
    Raises: UserError for an address that cannot be used and without paho-mqtt.
    """

    batch = 20  # as many as paho keeps in flight

    def __init__(self, url: str, station: str, options: SinkOptions, waits=_WAITS):
        self._station, self._options, self._waits = station, options, waits
        if options.qos not in (1, 2):
            raise UserError(f"expected a QoS of 1 or 2 for MQTT, got {options.qos}")
        address = parse(url, _EXAMPLE)
        self._tls = trust(options.ca, address.name) if address.scheme == "mqtts" else None
        self._host, self._login = address.host, address.login
        self._port = address.port or (1883 if self._tls is None else 8883)
        self._topic = unquote(address.path[1:])
        if not _is_topic(self._topic) or address.query:
            topic = self._topic + (f"?{address.query}" if address.query else "")
            raise UserError(f"expected an address such as {_EXAMPLE}, got topic {topic!r}")
        self.name = address.name
        self._paho = _paho(self.name)
        self._state = threading.Condition()
        self._connected, self._problem = False, "no connection yet"
        self._acknowledged: Set[int] = set()
        self._sent: Tuple[List[int], Set[int]] = ([], set())  # ids of records, of packets
        self._client: Any = None

    def write(self, records: List[Record]) -> None:
        """Publishes and waits for every acknowledgement. Raises: SinkError."""
        until = time.monotonic() + self._options.timeout
        if self._client is None:
            self._client = self._start()
        with self._state:
            self._wait(lambda: self._connected, until)
        ids = [record.id for record in records]
        if self._sent[0] != ids:  # otherwise paho still has them and sends them again by itself
            self._publish(records)
        with self._state:
            self._wait(lambda: self._sent[1] <= self._acknowledged, until)
            self._sent = ([], set())

    def close(self) -> None:
        """Ends it; nothing is raised."""
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.disconnect()
                self._client.loop_stop()
            self._client = None

    def _wait(self, holds, until: float) -> None:
        if not self._state.wait_for(holds, until - time.monotonic()):
            waited_for = self._problem if not self._connected else "no acknowledgement in time"
            raise SinkError(f"{self.name}: {waited_for}")

    def _publish(self, records: List[Record]) -> None:
        with self._state:
            self._acknowledged.clear()
        packets = set()
        for record in records:
            line = to_json(record, station=self._station, key=f"{self._station}-{record.id}")
            packets.add(self._client.publish(self._topic, line, self._options.qos).mid)
        self._sent = ([record.id for record in records], packets)

    def _start(self):
        if self._options.qos == 2:
            self._end_old_session()
        client = self._make(clean_session=self._options.qos == 1)
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.reconnect_delay_set(*self._waits)
        client.connect_async(self._host, self._port, _KEEP_ALIVE)
        client.loop_start()
        return client

    def _make(self, clean_session: bool):
        # Of at most 23 characters, which every broker takes; another for every topic.
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:4]
        client = self._paho.Client(
            self._paho.CallbackAPIVersion.VERSION2,
            client_id=f"edge-{self._station}-{digest}",
            clean_session=clean_session,
        )
        if self._login is not None:
            client.username_pw_set(*self._login)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        return client

    def _end_old_session(self) -> None:
        client = self._make(clean_session=True)
        try:
            client.connect(self._host, self._port, _KEEP_ALIVE)
            client.loop_start()
            with self._state:
                self._wait(lambda: self._connected, time.monotonic() + self._options.timeout)
        except OSError as error:
            raise SinkError(f"{self.name}: cannot connect ({error})") from None
        finally:
            client.disconnect()
            client.loop_stop()
            self._connected = False

    def _on_connect(self, client, userdata, flags, reason, properties) -> None:
        with self._state:
            self._connected = not reason.is_failure
            self._problem = f"the broker says: {reason}"
            self._state.notify_all()

    def _on_connect_fail(self, client, userdata) -> None:
        self._problem = f"cannot connect ({sys.exc_info()[1]})"  # paho calls this while handling it

    def _on_disconnect(self, client, userdata, flags, reason, properties) -> None:
        with self._state:
            if self._connected:
                self._connected, self._problem = False, "the connection is lost"

    def _on_publish(self, client, userdata, packet, reason, properties) -> None:
        with self._state:
            self._acknowledged.add(packet)
            self._state.notify_all()


def _is_topic(text: str) -> bool:
    fits = 0 < len(text.encode("utf-8", "replace")) < 65_536
    return fits and not set(text) & set("+#\0")


def _paho(name: str):
    try:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: F401  (absent before 2.0)
    except ImportError:
        raise UserError(f"{name} needs paho-mqtt 2: run `pip install 'paho-mqtt>=2'`") from None
    return paho
