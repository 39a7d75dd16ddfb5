"""The HTTP server under uploads and the page: what a client may take, of time and of threads."""

import collections
import contextlib
import socket
import threading
import time

import pytest

from edge.station.http_server import HttpServer, Limits, host_of, listen
from edge.station.sources.waiting import Wake

pytest.importorskip("waitress")

LARGE = 40_000_000  # bytes; more than the system keeps between two sockets


@contextlib.contextmanager
def serving(app, threads=2, **limits):
    """Yields the port."""
    kept = Limits(**{"body": 1000, "at_once": 10_000, "patience": 1.0, **limits})
    server = HttpServer(listen("127.0.0.1", 0, None, "test"), app, threads, kept)
    closing = Wake()
    thread = threading.Thread(target=server.run, args=(closing,))
    thread.start()
    try:
        yield server.port
    finally:
        closing.set()
        server.wake()
        thread.join(30)
    assert not thread.is_alive()


def large(environ, start_response):
    start_response("200 OK", [("Content-Length", str(LARGE))])
    return [bytes(LARGE)]


def connect(port, data):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(60)
    s.connect(("127.0.0.1", port))
    s.sendall(data)
    return s


def rest(s) -> int:
    """Bytes that still come."""
    total = 0
    with contextlib.suppress(ConnectionResetError):
        while data := s.recv(2**20):
            total += len(data)
    return total


def test_who_takes_the_answer_gets_it_whole_and_who_does_not_is_closed():
    with serving(large) as port:
        with connect(port, b"GET / HTTP/1.0\r\n\r\n") as s:
            assert rest(s) > LARGE
        with connect(port, b"GET / HTTP/1.0\r\n\r\n") as s:
            time.sleep(4)
            assert 0 < rest(s) < LARGE


def test_requests_sent_ahead_are_bounded():
    calls = collections.Counter()

    def app(environ, start_response):
        calls[environ["PATH_INFO"]] += 1
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(app, threads=1) as port:
        for i in range(100):  # a thread answers while they are counted: now more of them, now fewer
            with connect(port, f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 900) as s:
                rest(s)  # until the server has closed
    assert 1 <= max(calls.values()) <= 8


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("localhost:80", "localhost"),
        ("127.0.0.1:", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("::1", ""),
        ("[::1", ""),
        ("[::1]evil.example", ""),
        ("localhost, evil.example", "localhost, evil.example"),
        ("localhost:evil", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header(header, host):
    assert host_of(header) == host
