"""The sinks by themselves: files, pictures of failures, a GPIO line, a web hook, a broker."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, largest_file
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mqtt_broker import Broker
from PIL import Image
from test_station_store import fill, filled, record, small_disk  # noqa: F401

from edge.errors import UserError
from edge.station.lines import to_json
from edge.station.sinks import SinkError, SinkOptions, SinkRefusedError, open_sink
from edge.station.sinks.failures import Failures, FailuresError, map_of
from edge.station.sinks.mqtt import Mqtt
from edge.station.sinks.webhook import Webhook
from edge.station.store import Store, StoreError


def numbered(*ids, **fields) -> list:
    return [record(i, **fields)._replace(id=i) for i in ids]


def lines(path) -> list:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


# The texts of sinks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["jsonl:FILE", "''"]),
        ("jsonl:", ["jsonl:FILE"]),
        ("gpio:", ["gpio:PIN"]),
        ("ftp://host/file", ["https://host/path", "ftp://host/file"]),
        ("gpio:-3", ["gpio:17", "gpio:-3"]),
        ("gpio:4; rm", ["gpio:17"]),
        ("mqtt://host", ["topic ''"]),
        ("mqtt://host/a/#", ["with a #"]),
        ("mqtt://host/a/%23", ["topic 'a/#'"]),
        ("mqtt://host/a/+/b", ["topic 'a/+/b'"]),
        ("mqtt://host/a?qos=2", ["topic 'a?qos=2'"]),
        ("mqtt:///topic", ["mqtt://host"]),
        ("mqtt://host:port/topic", ["port"]),
        ("https://", ["https://host/path"]),
        ("https://host:99999/", ["0-65535"]),
        ("https://ho st/", ["https://host/path"]),
        ("webhook:https://" + "a" * 70 + "/", ["https://host/path"]),
    ],
)
def test_a_sink_that_is_none_is_one_line(tmp_path, text, words):
    Store(tmp_path).close()
    with pytest.raises(UserError) as error:
        open_sink(text, tmp_path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_no_password_is_repeated(tmp_path):
    Store(tmp_path).close()
    for text in ("mqtt://me:secret@host/#", "https://me:secret@:80/", "https://me:secret@ho st/"):
        with pytest.raises(UserError) as error:
            open_sink(text, tmp_path)
        assert "secret" not in str(error.value)
    hook = Webhook("https://me:secret@host:8080/way?token=secret", "s", SinkOptions())
    assert "secret" not in hook.name
    assert hook.name.startswith("https://host:8080/way?")
    assert "secret" not in Mqtt("mqtt://me:secret@host/way", "s", SinkOptions()).name


def test_a_remote_sink_needs_a_station(tmp_path):
    with pytest.raises(StoreError, match="is the folder right"):
        open_sink("https://localhost/x", tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("jsonl:x", SinkOptions(cap_mb=0), "more than 0"),
        ("gpio:4", SinkOptions(hold=0), "3600"),
        ("mqtt://h/t", SinkOptions(qos=0), "QoS of 1 or 2"),
        ("mqtts://h/t", SinkOptions(ca="none.pem"), "none.pem"),
        ("https://h/t", SinkOptions(ca="none.pem"), "none.pem"),
        ("https://h/t", SinkOptions(token="two\nlines"), "ASCII"),
        ("https://h/t", SinkOptions(queue=0), "queue"),
    ],
)
def test_options_out_of_range(tmp_path, text, options, words):
    Store(tmp_path).close()
    with pytest.raises(UserError, match=words):
        open_sink(text, tmp_path, options)


@pytest.mark.parametrize(
    ("module", "text"), [("paho.mqtt.client", "mqtt://h/t"), ("gpiozero", "gpio:4")]
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, module, text):
    Store(tmp_path).close()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="run `pip install"):
        open_sink(text, tmp_path)


# Lines of JSON


def test_lines_are_there_at_once_and_appended(tmp_path):
    path = tmp_path / "log.jsonl"
    for ids in ((1, 2), (3,)):
        sink = open_sink(f"jsonl:{path}")
        sink.write(numbered(*ids))
        assert lines(path)[-1] == ids[-1], "before it is closed"
        sink.close()
    assert path.read_text() == "".join(f"{to_json(r)}\n" for r in numbered(1, 2, 3))


def test_a_half_line_is_ended_first(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "ti')
    sink = open_sink(f"jsonl:{path}")
    sink.write(numbered(3))
    first, torn, last = path.read_text().splitlines()
    assert (first, torn, json.loads(last)["id"]) == ('{"id": 1}', '{"id": 2, "ti', 3)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_the_file_is_capped_and_the_newest_lines_are_there(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    sink = open_sink(f"jsonl:{path}", options=SinkOptions(cap_mb=0.005))
    for n in batches:
        sink.write(numbered(*range(n)))
        assert path.stat().st_size <= 5000
    rotated = path.with_name("log.jsonl.1")
    assert [p.name for p in sorted(path.parent.iterdir())] in (
        ["log.jsonl"],
        ["log.jsonl", "log.jsonl.1"],
    )
    written = [i for n in batches for i in range(n)]
    kept = (lines(rotated) if rotated.exists() else []) + lines(path)
    assert kept == written[len(written) - len(kept) :]
    assert len(kept) >= min(len(written), 10)


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    sink = open_sink(f"jsonl:{path}")
    sink.write(numbered(1, 2))
    with largest_file(1), pytest.raises(SinkError, match=r"cannot write .*log\.jsonl"):
        sink.write(numbered(3, 4, 5))
    sink.write(numbered(6))
    assert lines(path) == [1, 2, 6]


def test_a_file_moved_by_another_program_is_begun_anew(tmp_path):
    path = tmp_path / "log.jsonl"
    sink = open_sink(f"jsonl:{path}")
    sink.write(numbered(1))
    path.rename(tmp_path / "log.old")
    sink.write(numbered(2))
    path.unlink()
    sink.write(numbered(3))
    assert (lines(tmp_path / "log.old"), lines(path)) == ([1], [3])


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "absent/log"):
        with pytest.raises(UserError) as error:
            open_sink(f"jsonl:{tmp_path / name}")
        assert name in str(error.value)


def test_standard_output():
    program = (
        "from edge.station.sinks import open_sink; from test_station_store import record\n"
        "for text in ('-', 'jsonl:-'): open_sink(text).write([record()])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    run = {"env": environment, "text": True, "stderr": subprocess.PIPE}
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, **run)
    assert done.stdout == f"{to_json(record())}\n" * 2
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, **run)
    assert "SinkError: cannot write standard output: the disk is full" in done.stderr


# Pictures of failures


def picture(size=40, seed=0, channels=3) -> np.ndarray:
    shape = (size, size, channels) if channels else (size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


VERDICT = SimpleNamespace(heatmap=np.ones((8, 8), np.float32), limit=1.0)


def names(station) -> list:
    return sorted(p.name for p in (station / "failures").iterdir())


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_a_failure_is_kept_with_its_map(tmp_path, channels):
    image = picture(channels=channels)
    path = Failures(tmp_path).save("cam/part 7.png", image, VERDICT)
    assert path == "failures/failure-00000001-cam_part_7.png.png"
    assert (np.asarray(Image.open(tmp_path / path)) == image.squeeze()).all()
    heat = Image.open(tmp_path / map_of(path))
    assert heat.size == (40, 40)
    assert np.asarray(heat).std(axis=2).mean() > 5, "it has colours"
    assert len(names(tmp_path)) == 2


def test_a_large_picture_gets_a_small_map(tmp_path):
    path = Failures(tmp_path, form="jpeg").save("x", picture(900), VERDICT)
    assert path.endswith(".jpg")
    assert Image.open(tmp_path / path).size == (900, 900)
    assert Image.open(tmp_path / map_of(path)).size == (640, 640)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(8, 60), min_size=8, max_size=20), st.integers(1, 8))
@example([60] * 12, 3)
def test_the_cap_holds_and_the_oldest_go(tmp_path_factory, sizes, restart):
    station = tmp_path_factory.mktemp("station")
    (station / "failures").mkdir()
    foreign = {"notes.txt": b"x" * 90_000, "20250101-mine.png": b"y", "failure-mine.png": b"z"}
    for name, content in foreign.items():
        (station / "failures" / name).write_bytes(content)
    failures, saved = Failures(station, cap_mb=0.05, reserve_mb=0), []
    for n, size in enumerate(sizes):
        if n % restart == 0:
            failures = Failures(station, cap_mb=0.05, reserve_mb=0)
        path = failures.save("x", picture(size, n), VERDICT)
        for one in (path, map_of(path)):
            os.utime(station / one, (1e9 - n, 1e9 - n))  # the clock runs backwards
        saved.append(path)
        ours = [p for p in (station / "failures").iterdir() if p.name not in foreign]
        assert sum(p.stat().st_size for p in ours) <= 50_000
        kept = [p for p in saved if (station / p).exists()]
        assert kept == saved[len(saved) - len(kept) :]
        assert path in kept
        assert len(ours) == 2 * len(kept)
    for name, content in foreign.items():
        assert (station / "failures" / name).read_bytes() == content


def test_what_a_killed_program_left_is_tidied_up(tmp_path):
    first = Failures(tmp_path).save("x", picture(), VERDICT)
    (tmp_path / "failures" / ".failure-00000002-x.png.123.part").write_bytes(b"half")
    (tmp_path / "failures" / ".other.part").write_bytes(b"another's")
    (tmp_path / map_of(first)).unlink()
    second = Failures(tmp_path).save("x", picture(), VERDICT)
    assert second == "failures/failure-00000002-x.png"
    assert names(tmp_path) == [
        ".other.part",
        "failure-00000001-x.png",
        "failure-00000002-x.map.jpg",
        "failure-00000002-x.png",
    ]


@settings(max_examples=25, deadline=None)
@given(st.text())
def test_no_name_leaves_the_folder(tmp_path_factory, name):
    station = tmp_path_factory.getbasetemp() / "named"
    path = Failures(station, cap_mb=0.01).save(name, picture(8), VERDICT)
    assert (station / path).resolve().parent == (station / "failures").resolve()
    assert path.isascii()


def test_a_picture_beyond_the_cap_is_not_kept(tmp_path):
    failures = Failures(tmp_path, cap_mb=0.02)
    path = failures.save("small", picture(20), VERDICT)
    with pytest.raises(FailuresError, match=r"no room for 0\.\d MB .* cap is 0.02 MB"):
        failures.save("large", picture(200), VERDICT)
    assert (tmp_path / path).exists(), "nothing is removed in vain"


def test_a_limit_of_the_file_system_leaves_nothing_half(tmp_path):
    failures = Failures(tmp_path)
    with largest_file(8), pytest.raises(FailuresError, match="size limit"):
        failures.save("large", picture(200), VERDICT)
    assert names(tmp_path) == []
    failures.save("large", picture(200), VERDICT)
    assert len(names(tmp_path)) == 2


def test_the_disk_keeps_its_reserve(small_disk):  # noqa: F811
    failures = Failures(small_disk, cap_mb=10, reserve_mb=0.5)
    saved = [failures.save("x", picture(150, i), VERDICT) for i in range(12)]
    assert (small_disk / saved[-1]).exists()
    assert not (small_disk / saved[0]).exists()
    assert os.statvfs(small_disk).f_bavail * 4096 >= 480_000
    with filled(small_disk), pytest.raises(FailuresError, match="stay free"):
        failures.save("x", picture(150), VERDICT)
    failures.save("x", picture(150), VERDICT)


@pytest.mark.parametrize("values", [{"cap_mb": 0}, {"reserve_mb": -1}, {"form": "gif"}])
def test_failures_out_of_range(tmp_path, values):
    with pytest.raises(UserError, match="expected"):
        Failures(tmp_path, **values)


# GPIO


@pytest.fixture
def board():
    """A board without hardware, of gpiozero itself."""
    gpiozero = pytest.importorskip("gpiozero")
    mock = pytest.importorskip("gpiozero.pins.mock")
    before = gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory = factory = mock.MockFactory()
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


def decided(*decisions) -> list:
    verdicts = {"PASS": "pass", "WARN": "warn", "FAIL": "fail", "ERROR": "error"}
    return [record(verdict=verdicts[d]) for d in decisions]


def test_the_line_is_high_for_a_time(board):
    sink = open_sink("gpio:17", options=SinkOptions(hold=0.3))
    assert sink.at_once
    pin = board.pin(17)
    sink.write(decided("PASS", "WARN", "ERROR"))
    assert not pin.state
    sink.write(decided("FAIL", "PASS"))
    eventually(lambda: pin.state)
    time.sleep(0.2)
    sink.write(decided("FAIL"))
    time.sleep(0.2)
    assert pin.state, "the second failure begins the time anew"
    eventually(lambda: not pin.state)
    sink.write(decided("FAIL"))
    sink.close()
    assert not pin.state


def test_the_line_is_high_until_the_next_pass(board):
    sink = open_sink("gpio:GPIO4", options=SinkOptions(hold=None))
    pin = board.pin(4)
    for decision, high in [("FAIL", 1), ("WARN", 1), ("ERROR", 1), ("PASS", 0), ("WARN", 0)]:
        sink.write(decided(decision))
        assert pin.state == high
    sink.write(decided("PASS", "FAIL"))
    assert pin.state


def test_a_pin_that_cannot_be_had_is_one_line(board):
    used = open_sink("gpio:17")
    for text in ("gpio:17", "gpio:99"):
        with pytest.raises(UserError, match=f"{text} cannot be used"):
            open_sink(text)
    used.close()
    open_sink("gpio:17").close()


# Web hooks


def eventually(holds, seconds=30.0):
    """Waits until a condition holds; the machine may be slow."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)


class Hook:
    """A web server whose answers are scripted: statuses, or functions that answer; then 200.

    requests: (method, path, headers, body). got: ids that were acknowledged. connections: count.
    """

    def __init__(self):
        self.script, self.requests, self.got, self.keys = [], [], [], []
        self.connections, self.port = 0, 0
        self.released = threading.Event()
        self.start()

    def start(self):
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                hook.connections += 1
                super().setup()

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.requests.append((self.command, self.path, self.headers, body))
                answer = hook.script.pop(0) if hook.script else 200
                if callable(answer):
                    answer = answer(self)
                if answer is None:
                    self.close_connection = True
                    return
                records = body if isinstance(body, list) else [body]
                if answer == 200:
                    hook.got += [r["id"] for r in records]
                    hook.keys += [r["key"] for r in records]
                self.send_response(answer)
                if answer == 503:
                    self.send_header("Retry-After", "7")
                if answer == 301:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments):
                pass

            def get_request(self):
                connection, address = super().get_request()
                hook.open.append(connection)
                return connection, address

        self.open = []
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(2)

    def hang(self, handler):
        self.released.wait(60)

    def url(self, rest="/in") -> str:
        return f"http://127.0.0.1:{self.port}{rest}"


@pytest.fixture
def hook():
    server = Hook()
    yield server
    server.released.set()
    server.stop()


def test_a_record_is_posted_with_its_key(hook):
    sink = Webhook(hook.url("/a b/ü?x=1&y=ü"), "station", SinkOptions(token="abc"))
    sink.write(numbered(5))
    method, path, headers, body = hook.requests[0]
    assert (method, path) == ("POST", "/a%20b/%C3%BC?x=1&y=%C3%BC")
    assert headers["Idempotency-Key"] == "station-5"
    assert headers["Authorization"] == "Bearer abc"
    assert headers["Content-Type"] == "application/json"
    expected = json.loads(to_json(*numbered(5), station="station", key="station-5"))
    assert body == expected


def test_a_batch_is_posted_as_a_list(hook):
    sink = Webhook(hook.url().replace("127", "me:p%40ss@127"), "station", SinkOptions(batch=10))
    for ids in ((5, 6), (7,)):
        sink.write(numbered(*ids))
    assert [r[2]["Idempotency-Key"] for r in hook.requests] == ["station-5-6", "station-7-7"]
    assert [[row["key"] for row in r[3]] for r in hook.requests] == [
        ["station-5", "station-6"],
        ["station-7"],
    ]
    assert hook.requests[0][2]["Authorization"] == "Basic bWU6cEBzcw=="
    assert hook.connections == 1, "the connection stays open"


@pytest.mark.parametrize(
    ("status", "kind", "words", "wait"),
    [
        (500, SinkError, "500 Internal Server Error", 0),
        (503, SinkError, "503", 7),
        (401, SinkError, "401", 0),
        (301, SinkError, "moved to /elsewhere", 0),
        (422, SinkRefusedError, "422", 0),
    ],
)
def test_a_hook_that_does_not_take_it(hook, status, kind, words, wait):
    hook.script = [status]
    sink = Webhook(hook.url(), "station", SinkOptions())
    with pytest.raises(SinkError, match=words) as error:
        sink.write(numbered(1))
    assert (type(error.value), error.value.wait) == (kind, wait)
    assert len(hook.requests) == 1, "a redirect is not followed"
    sink.write(numbered(1))
    assert hook.got == [1]


def test_a_connection_that_was_closed_meanwhile_is_opened_again(hook):
    sink = Webhook(hook.url(), "station", SinkOptions())
    sink.write(numbered(1))
    hook.stop()
    hook.start()
    sink.write(numbered(2))
    assert hook.got == [1, 2]


def trickle(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.1)


def garbage(handler):
    handler.wfile.write(os.urandom(1000))


def test_a_hook_that_hangs_trickles_or_babbles_is_cut_off(hook):
    sink = Webhook(hook.url(), "station", SinkOptions(timeout=0.5))
    for misbehaviour in (hook.hang, trickle, garbage, lambda handler: None):
        hook.script, start = [misbehaviour], time.monotonic()
        with pytest.raises(SinkError) as error:
            sink.write(numbered(1))
        assert "\n" not in str(error.value)
        assert time.monotonic() - start < 20
    sink.write(numbered(1))
    assert hook.got == [1]


def test_a_long_answer_is_not_read(hook):
    def long(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(bytes(65536))

    hook.script = [long]
    sink = Webhook(hook.url(), "station", SinkOptions(timeout=5))
    sink.write(numbered(1))
    sink.write(numbered(2))
    assert hook.got == [2]
    assert len(hook.requests) == 2


def test_certificates_are_checked(tmp_path):
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    made = subprocess.run(command.split(), capture_output=True)
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    hook = Hook()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    hook._server.socket = context.wrap_socket(hook._server.socket, server_side=True)
    url = f"https://localhost:{hook.port}/in"
    with pytest.raises(SinkError, match="certificate"):
        Webhook(url, "station", SinkOptions()).write(numbered(1))
    Webhook(url, "station", SinkOptions(ca=str(certificate))).write(numbered(2))
    assert hook.got == [2]
    hook.stop()


# MQTT


@pytest.fixture
def broker():
    pytest.importorskip("paho.mqtt.client")
    started = Broker()
    yield started
    started.stop()


def insist(sink, *ids):
    """Offers the same records until they are taken; the machine may be slow."""
    until = time.monotonic() + 30
    while True:
        try:
            return sink.write(numbered(*ids))
        except SinkError:
            assert time.monotonic() < until


def mqtt(broker, login="", station="0123456789ab", **options) -> Mqtt:
    url = f"mqtt://{login}127.0.0.1:{broker.port}/line%201/verdicts"
    return Mqtt(url, station, SinkOptions(**options), waits=(0.05, 0.1))


@pytest.mark.parametrize("qos", [1, 2])
def test_a_record_is_published(broker, qos):
    sink = mqtt(broker, qos=qos)
    sink.write(numbered(1, 2, 3))
    assert [json.loads(m.payload)["id"] for m in broker.messages] == [1, 2, 3]
    assert {(m.topic, m.qos, m.repeated) for m in broker.messages} == {
        ("line 1/verdicts", qos, False)
    }
    expected = to_json(*numbered(2), station="0123456789ab", key="0123456789ab-2")
    assert broker.messages[1].payload == expected
    assert len(broker.clients[0]) <= 23
    sink.close()


def test_a_broker_that_asks_for_a_login(broker):
    broker.login = ("me", "p@ss")
    stranger = mqtt(broker, timeout=0.5)
    with pytest.raises(SinkError, match="Not authorized"):
        stranger.write(numbered(1))
    stranger.close()
    sink = mqtt(broker, login="me:p%40ss@")
    sink.write(numbered(2))
    sink.close()
    assert [json.loads(m.payload)["id"] for m in broker.messages] == [2]


def test_a_broker_that_is_down_is_one_line(broker):
    broker.stop()
    for qos in (1, 2):
        sink = mqtt(broker, timeout=0.5, qos=qos)
        with pytest.raises(SinkError, match=r"cannot connect .*refused"):
            sink.write(numbered(1))
        broker.start()
        insist(sink, 1)
        sink.close()
        broker.stop()
    assert [json.loads(m.payload)["id"] for m in broker.messages] == [1, 1]


def test_nothing_is_published_anew_while_an_acknowledgement_is_awaited(broker):
    sink = mqtt(broker, timeout=0.3)
    broker.silent = True
    with pytest.raises(SinkError, match="no acknowledgement in time"):
        sink.write(numbered(1))
    eventually(lambda: broker.ignored)
    broker.silent = False
    with pytest.raises(SinkError):
        sink.write(numbered(1))
    assert broker.messages == [], "offered again, it is not sent anew on the same connection"
    broker.stop()
    broker.start()
    insist(sink, 1)
    assert len(broker.messages) == 1
    assert broker.messages[0].repeated, "marked as a repetition, since it may be one"
    sink.close()


@pytest.mark.parametrize(("qos", "times"), [(1, 2), (2, 1)])
def test_a_lost_acknowledgement_repeats_with_qos_1_only(broker, qos, times):
    sink = mqtt(broker, qos=qos)
    sink.write(numbered(1))
    broker.cuts = 1
    sink.write(numbered(2))
    got = [json.loads(m.payload)["key"] for m in broker.messages]
    assert got == ["0123456789ab-1"] + ["0123456789ab-2"] * times
    sink.close()


def test_a_session_of_an_earlier_process_swallows_nothing(broker):
    for id in (1, 2):
        sink = mqtt(broker, qos=2, timeout=0.5)
        insist(sink, 0)
        broker.cuts = 10**6  # packet 2 is delivered, its number never given free
        with pytest.raises(SinkError):
            sink.write(numbered(id))
        sink._client.loop_stop()  # as if killed
        broker.cuts = 0
    assert [json.loads(m.payload)["id"] for m in broker.messages] == [0, 1, 0, 2]
