"""Uploads over HTTP: answered with the verdict, bounded, refused to whom they do not concern."""

import contextlib
import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from station_frames import KINDS, Stopwatch, encoded, mutated, picture, reading, wait_until

from edge.errors import UserError
from edge.station.sources import SourceOptions, open_source
from edge.station.types import Frame, Record, Trouble

pytest.importorskip("waitress")

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def record(frame, **changes) -> Record:
    """A record whose score is the frame's mean, so that answers cannot be mixed up."""
    score = float(frame.picture.mean())
    known = Record(frame.taken, frame.monotonic, "boot", frame.source, "pass", "PASS", score)
    return known._replace(id=7, **changes)


@contextlib.contextmanager
def station(judge=record, **options):
    """An upload source with a judge. Yields (source, arrivals so far)."""
    source = open_source("upload:0", SourceOptions(**options))
    arrivals = []

    def run():
        for arrival in source.frames():
            arrivals.append(arrival)
            if isinstance(arrival, Frame) and judge is not None:
                source.answer(arrival, judge(arrival))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield source, arrivals
    finally:
        with Stopwatch() as closing:
            source.close()
        thread.join(10)
    assert not thread.is_alive()
    assert closing.seconds < 2


def send(source, body, path="/", method="POST", headers=None) -> tuple:
    """(status, JSON or text) of one upload on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(text) if is_json else text


def slowly(chunks: int, pauses: tuple):
    """Chunks of 1000 bytes."""
    for i in range(chunks):
        if i in pauses:
            time.sleep(0.2)
        yield bytes(1000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_picture_is_answered_with_its_record(kind, method):
    with station() as (source, arrivals):
        before = time.time()
        status, answer = send(source, encoded(picture(3), kind), "/part-0815.png", method)
        (frame,) = arrivals
        assert not source.live
        assert status == 200
        assert answer == json.loads(json.dumps(record(frame)._asdict()))
        assert frame.source == answer["source"] == "upload:part-0815.png"
        assert before <= frame.taken <= time.time()
        if kind in ("PNG", "BMP", "PPM", "TIFF"):
            np.testing.assert_array_equal(frame.picture, picture(3))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "upload"),
        ("/a%20b.png", "upload:a b.png"),
        ("/line/3/part", "upload:part"),
        ("/../../etc/passwd", "upload:passwd"),
        ("/..%2F..%2Fetc%2Fshadow", "upload:shadow"),
        ("/%0d%0aSet-Cookie:x%00", "upload:Set-Cookie:x"),
        ("/Pr%C3%BCfling", "upload:Prüfling"),
        ("/%ff%fe", "upload:��"),
        ("/" + "n" * 5000, "upload:" + "n" * 100),
        ("/part?query=1", "upload:part"),
    ],
)
def test_a_name_is_a_name_and_never_a_path(path, name):
    with station() as (source, _):
        status, answer = send(source, encoded(picture()), path)
    assert (status, answer["source"]) == (200, name)


def test_answers_come_to_who_asked(tmp_path):
    with station() as (source, _):
        results = {}

        def client(number):
            content = encoded(np.full((16, 16), number, np.uint8))
            while (answer := send(source, content, "/same"))[0] == 503:
                time.sleep(0.01)
            results[number] = answer

        threads = [threading.Thread(target=client, args=(n,)) for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert {n: (status, answer["score"]) for n, (status, answer) in results.items()} == {
        n: (200, float(n)) for n in range(30)
    }


def test_a_record_with_an_error_is_no_success():
    with station(lambda frame: record(frame, verdict="error", error="no memory")) as (source, _):
        assert send(source, encoded(picture())) == (500, {"error": "no memory"})
    with station(lambda frame: None) as (source, _):
        assert send(source, encoded(picture()))[0] == 500
    with station(lambda frame: record(frame, p_value=float("nan"))) as (source, _):
        status, answer = send(source, encoded(picture()))
        assert (status, answer["p_value"]) == (200, None)


@pytest.mark.parametrize(
    "body", [b"no picture", KINDS["png"][:900], encoded(picture(shape=(4, 4))), b"GIF89a" * 30]
)
def test_what_is_no_picture_is_400_and_known_to_the_station(body):
    with station() as (source, arrivals):
        status, answer = send(source, body, "/bad")
        assert status == 400
        (trouble,) = arrivals
        assert isinstance(trouble, Trouble)
        assert not trouble.lost
        assert trouble.source == "upload:bad"
        assert answer == {"error": trouble.problem}


def test_what_is_no_upload():
    with station() as (source, arrivals):
        assert send(source, None, method="GET")[0] == 405
        assert send(source, None, method="DELETE")[0] == 405
        assert send(source, b"") == (400, {"error": "expected a picture, got nothing"})
        assert arrivals == []
        assert send(source, encoded(picture()))[0] == 200


def test_too_large_is_413_whether_said_before_or_not():
    with station(max_bytes=100_000) as (source, arrivals):
        for size in (100_001, 190_000):
            assert send(source, bytes(size))[0] == 413
        # Who is slow to send the rest must not find the connection broken before he has the answer.
        assert send(source, slowly(150, pauses=(110, 130)))[0] == 413, "in chunks"
        assert arrivals == []
        largest = encoded(picture(1, (180, 180, 3)), "PPM")
        assert send(source, largest + bytes(100_000 - len(largest)))[0] == 200
        # What is announced is enough; nobody has to send it first.
        with raw(
            source, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n"
        ) as s:
            assert s.recv(100).startswith(b"HTTP/1.1 413 ")
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 150000\r\n"
        with raw(source, head + b"Expect: 100-continue\r\n\r\n") as s:
            assert s.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_large_picture_is_refused_with_an_answer_and_not_a_broken_connection():
    """More than what the system keeps between the two, so that it has to be read."""
    with station(max_bytes=20_000_000, token=TOKEN) as (source, _):
        assert send(source, bytes(39_000_000), headers=BEARER)[0] == 413
        assert send(source, bytes(19_000_000))[0] == 401


def test_pixels_are_bounded_as_well():
    bomb = encoded(np.zeros((3000, 3000), np.uint8))
    assert len(bomb) < 50_000
    with station(max_pixels=1_000_000) as (source, _):
        status, answer = send(source, bomb)
    assert (status, "too many pixels" in answer["error"]) == (400, True)


@contextlib.contextmanager
def raw(source, data=b""):
    """A connection that sent some bytes."""
    with socket.create_connection(("127.0.0.1", source.port), timeout=60) as s:
        s.sendall(data)
        yield s


# Who may


def test_with_a_token_nobody_comes_in_without(tmp_path):
    content = encoded(picture())
    with station(token=TOKEN) as (source, arrivals):
        for headers in (
            {},
            {"Authorization": TOKEN},
            {"Authorization": "Bearer "},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Bearer {TOKEN[:-1]}"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer \xff"},
        ):
            assert send(source, content, headers=headers)[0] == 401
        assert send(source, content, f"/?token={TOKEN}")[0] == 401
        assert send(source, None, method="GET")[0] == 401
        assert send(source, encoded(picture(1, (900, 900, 3)), "PPM"))[0] == 401, "and a large one"
        assert arrivals == []
        assert send(source, content, headers=BEARER)[0] == 200
        # From outside, by a name, out of a browser: the token is what counts.
        headers = {**BEARER, "Host": "station.local:8080", "Origin": "http://elsewhere"}
        assert send(source, content, headers=headers)[0] == 200


def test_a_wrong_token_is_refused_before_the_picture_is_sent():
    with station(token=TOKEN) as (source, _):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n"
        with raw(source, head + b"Expect: 100-continue\r\n\r\n") as s:
            assert s.recv(100).startswith(b"HTTP/1.1 401 ")


def test_without_a_token_no_page_in_a_browser_can_upload():
    content = encoded(picture())
    with station() as (source, arrivals):
        for headers in (
            {"Origin": "http://elsewhere.example"},
            {"Origin": "null"},
            {"Host": "elsewhere.example"},  # a name that was made to point here
            {"Host": "192.0.2.7:80"},
        ):
            assert send(source, content, headers=headers)[0] == 403
        assert arrivals == []
        for host in ("localhost", "localhost:1", "127.0.0.1", "[::1]:80"):
            assert send(source, content, headers={"Host": host})[0] == 200


def test_without_a_token_only_this_machine_is_listened_to():
    with station() as (source, _):
        found = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        for address in found:
            with pytest.raises(OSError), socket.create_connection((address, source.port), 5):
                pass
    for host in ("0.0.0.0", "[::]", *found):
        with pytest.raises(UserError, match=r"set a token"):
            open_source(f"upload:{host if ':' not in host or host[0] == '[' else f'[{host}]'}:0")
    with reading("upload:0.0.0.0:0", token=TOKEN) as read:
        for address in found:
            if ":" not in address:
                socket.create_connection((address, read.source.port), 5).close()


def test_it_listens_where_it_is_told():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with reading("upload:[::1]:0") as read:
        socket.create_connection(("::1", read.source.port), 5).close()
    with reading("upload:localhost:0") as read:
        socket.create_connection(("localhost", read.source.port), 5).close()


def test_a_port_in_use_is_said():
    with station() as (source, _), pytest.raises(UserError, match="in use"):
        open_source(f"upload:{source.port}")


# Too much, too slow


def test_when_too_many_wait_the_others_are_told_so():
    go = threading.Event()

    def judge(frame):
        go.wait(60)
        return record(frame)

    content = encoded(picture())
    with station(judge, timeout=60) as (source, arrivals):
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(send(source, content)[0]))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answers) >= 8, 60)
        assert answers == [503] * 8
        assert source.dropped == 8
        go.set()
        for thread in threads:
            thread.join(60)
        assert sorted(answers) == [200] * 4 + [503] * 8
        assert len(arrivals) == 4
        assert send(source, content)[0] == 200


def test_what_is_not_judged_in_time_is_answered_and_forgotten():
    go = threading.Event()

    def judge(frame):
        go.wait(60)
        return record(frame)

    content = encoded(picture())
    with station(judge, timeout=0.5) as (source, arrivals):
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(send(source, content)[0]))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        # One is with the judge, who may still come to an end; nobody has looked at the others.
        assert sorted(answers) == [503, 503, 504]
        assert source.dropped == 2
        go.set()
        assert send(source, content)[0] == 200
        assert len(arrivals) == 2


def test_a_judge_that_never_answers_costs_no_memory():
    with station(None, timeout=0.1) as (source, arrivals):
        for _ in range(20):
            assert send(source, encoded(picture()))[0] == 504
        assert len(arrivals) == 20
        assert len(source._judged) <= 2
        assert not source._waiting


def test_slow_clients_stall_nobody_and_are_closed():
    content = encoded(picture())
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    with station(patience=1.5) as (source, _), contextlib.ExitStack() as stack:
        slow = [stack.enter_context(raw(source, head[: 10 + n])) for n in range(20)]
        slow += [stack.enter_context(raw(source, head + b"x" * n)) for n in range(20)]
        slow += [stack.enter_context(raw(source)) for _ in range(8)]
        start = time.monotonic()
        stop = threading.Event()

        def drip():  # a byte now and then keeps no connection
            while not stop.wait(0.1):
                for s in slow[15:35]:
                    with contextlib.suppress(OSError):
                        s.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        took = []
        for _ in range(5):
            with Stopwatch() as watch:
                assert send(source, content)[0] == 200
            took.append(watch.seconds)
        assert min(took) < 1, "while all others are slow"
        for s in slow:
            with contextlib.suppress(ConnectionResetError):
                while s.recv(1000):
                    pass
        assert time.monotonic() - start >= 1.5
        stop.set()
        dripping.join()
        assert send(source, content)[0] == 200


def test_not_even_very_many_slow_clients_stall_others_for_long():
    with station(patience=60) as (source, _), contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(raw(source, b"POST / HT"))
        with Stopwatch() as watch:
            assert send(source, encoded(picture()))[0] == 200
        assert watch.seconds < 10


def test_a_client_that_does_not_read_its_answer_stalls_nobody():
    content = encoded(picture())
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
    with station() as (source, arrivals), raw(source, (request + content) * 5):
        wait_until(lambda: len(arrivals) == 5, 60)
        assert send(source, content)[0] == 200


def test_a_client_that_goes_away_harms_nobody():
    content = encoded(picture())
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
    with station() as (source, _):
        for end in (3, 50, len(request) + 10, len(request + content)):
            with raw(source, (request + content)[:end]):
                pass
        assert send(source, content)[0] == 200


def test_bodies_together_are_bounded():
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    with station(max_bytes=100_000) as (source, _), contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(raw(source, head + bytes(1000)))
        wait_until(lambda: send(source, encoded(picture()))[0] == 503, 60)
        stack.close()
        wait_until(lambda: send(source, encoded(picture()))[0] == 200, 60)


def test_closing_answers_who_still_waits():
    answers = []
    with station(None, timeout=60) as (source, arrivals):
        client = threading.Thread(target=lambda: answers.append(send(source, encoded(picture()))))
        client.start()
        wait_until(lambda: arrivals, 60)
    client.join(10)
    assert answers == [(503, {"error": "the station stops"})]
    with pytest.raises(ConnectionRefusedError):
        send(source, b"late")


STATION = """
import signal
from edge.station.sources import open_source
source = open_source("upload:0")
signal.signal(signal.SIGTERM, lambda *_: source.close())
print(source.port, flush=True)
for arrival in source.frames():
    pass
print("end", flush=True)
"""


def test_closing_from_a_signal_handler():
    call = [sys.executable, "-c", STATION]
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port)), Stopwatch() as closing:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"end\n", b"", 0)
    assert closing.seconds < 2.5


# Anything


def test_2000_mutated_pictures_get_an_answer_each():
    rng = random.Random(5)
    kinds = [content for name, content in KINDS.items() if name != "large png"]
    statuses = {200: 0, 400: 0}
    with station(max_pixels=10**6) as (source, arrivals):
        connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=60)
        for _ in range(2000):
            connection.request("POST", "/m", mutated(rng.choice(kinds), rng) or b"?")
            response = connection.getresponse()
            json.loads(response.read())
            statuses[response.status] += 1
        connection.close()
        assert len(arrivals) == 2000
        assert sum(isinstance(arrival, Frame) for arrival in arrivals) == statuses[200]
        assert min(statuses.values()) > 200
        assert send(source, encoded(picture()))[0] == 200


def test_mutated_requests_leave_the_server_whole():
    rng = random.Random(6)
    content = encoded(picture())
    request = (
        b"POST /part HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n" % len(content)
    )
    with station(patience=1) as (source, _):
        for _ in range(300):
            with raw(source) as s, contextlib.suppress(OSError):
                s.settimeout(0.01)
                s.sendall(mutated(request, rng) + content)
                s.recv(10)
        assert send(source, content)[0] == 200


def test_curl_as_the_documentation_says(tmp_path):
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    (tmp_path / "part.png").write_bytes(encoded(picture(1, (900, 900, 3))))
    with station(token=TOKEN, max_bytes=3_000_000) as (source, _):
        url = f"http://127.0.0.1:{source.port}/"
        header = f"Authorization: Bearer {TOKEN}"
        calls = [
            ["--data-binary", f"@{tmp_path}/part.png", "-H", header, url],
            ["-T", tmp_path / "part.png", "-H", header, url],
            ["-T", tmp_path / "part.png", url],
        ]
        answers = []
        for call in calls:
            done = subprocess.run(
                ["curl", "-sS", "-w", " %{http_code}", *call], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            answers.append(done.stdout.rpartition(" ")[::2])
    assert [status for _, status in answers] == ["200", "200", "401"]
    assert [json.loads(text)["source"] for text, _ in answers[:2]] == ["upload", "upload:part.png"]
