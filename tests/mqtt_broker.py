"""A broker for MQTT 3.1.1, as much of it as publishing needs, that can be stopped and misbehave."""

import contextlib
import socket
import struct
import threading
from typing import NamedTuple

CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, PING, DISCONNECT = 1, 3, 4, 5, 6, 7, 12, 14


class Message(NamedTuple):
    topic: str
    payload: str
    qos: int
    repeated: bool


class Broker:
    """messages: as delivered, also to no subscriber. Sessions are lost with the process, `stop`.

    login: (user, password) that is asked for. silent: messages are neither delivered nor
    acknowledged, only counted as ignored. cuts: how many of the next messages are delivered, and
    the connection then cut in place of an acknowledgement.
    """

    def __init__(self, login=None):
        self.messages, self.clients, self.login = [], [], login
        self.silent, self.cuts, self.ignored = False, 0, 0
        self.port = 0
        self.start()

    def start(self):
        self._sessions, self._open = {}, set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, EOFError), connection, connection.makefile("rb") as file:
            kind, _, body = read_packet(file)
            assert kind == CONNECT
            session = self._connect(connection, body)
            while session is not None:
                kind, flags, body = read_packet(file)
                if kind == DISCONNECT:
                    return
                if kind == PING:
                    connection.sendall(b"\xd0\0")
                elif kind == PUBREL:
                    session.discard(body)
                    connection.sendall(bytes([PUBCOMP << 4, 2]) + body)
                elif not self._publish(connection, flags, body, session):
                    return

    def _connect(self, connection, body):
        assert body[:7] == b"\0\4MQTT\4"
        flags, rest = body[7], body[10:]
        texts = []
        while rest:
            (size,) = struct.unpack(">H", rest[:2])
            texts.append(rest[2 : 2 + size].decode())
            rest = rest[2 + size :]
        self.clients.append(texts[0])
        allowed = self.login is None or tuple(texts[1:]) == self.login
        clean = flags & 2
        known = texts[0] in self._sessions and not clean
        connection.sendall(bytes([0x20, 2, known, 0 if allowed else 5]))
        if clean:
            self._sessions.pop(texts[0], None)
            return set() if allowed else None
        return self._sessions.setdefault(texts[0], set()) if allowed else None

    def _publish(self, connection, flags, body, session) -> bool:
        qos, (size,) = flags >> 1 & 3, struct.unpack(">H", body[:2])
        topic, packet, payload = body[2 : 2 + size], body[2 + size : 4 + size], body[4 + size :]
        if self.silent:
            self.ignored += 1
            return True
        if qos != 2 or packet not in session:
            message = Message(topic.decode(), payload.decode(), qos, bool(flags & 8))
            self.messages.append(message)
        if qos == 2:
            session.add(packet)
        if self.cuts:
            self.cuts -= 1
            return False
        connection.sendall(bytes([(PUBREC if qos == 2 else PUBACK) << 4, 2]) + packet)
        return True


def read_packet(file):
    first, size, shift = read(file, 1)[0], 0, 0
    while True:
        byte = read(file, 1)[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first >> 4, first & 15, read(file, size)


def read(file, n) -> bytes:
    data = file.read(n)
    if len(data) < n:
        raise EOFError
    return data
