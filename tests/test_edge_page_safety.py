"""Who comes in to the page, what they reach, and who cannot hold up the others."""

import contextlib
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from page_station import TOKEN, FakeStation, served

pytest.importorskip("waitress")

PATHS = ["/", "/page.js", "/parts/dom.js", "/api/live", "/api/status", "/api/records/1"]
PATHS += ["/api/records/1/picture", "/api/records/1/map"]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    made = FakeStation(tmp_path_factory.mktemp("safety"))
    made.add("fail", keep=True)
    made.add("pass")
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(station):
    """Without a token, for this machine alone."""
    with served(station.folder) as page:
        yield page


@pytest.fixture
def guarded(station):
    """With a token; a new one each, since guesses are counted."""
    with served(station.folder, token=TOKEN) as page:
        yield page


def log_in(page, token=TOKEN, **headers):
    usual = {"Origin": page.address, "Content-Type": "application/x-www-form-urlencoded"}
    return page.ask("/login", "POST", f"token={token}".encode(), {**usual, **headers})


def cookie_of(answer) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


# What it may reach


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e%252fetc%252fpasswd",
        "/..%5c..%5cetc%5cpasswd",
        "/..%c0%af..%c0%afetc/passwd",
        "//etc/passwd",
        "/parts/../../app.py",
        "/parts/%2e%2e/%2e%2e/app.py",
        "/static/index.html",
        "/index.html",
        "/login.html",
        "/parts/",
        "/page.js%00.css",
        "/page.js/",
        "/station.db",
        "/failures/",
        "/api/records/1/../../../station.db",
        "/api/records/..%2f1/picture",
        "/api/records/1/picture/",
        "/api/records/1/..",
        "/api/records/-1",
        "/api/records/0",
        "/api/records/1e0",
        "/api/records/%31%00",
        "/api/records/%d9%a2",
        "/api/records/" + "9" * 18,
        "/api/records/" + "9" * 400,
    ],
)
def test_no_path_leads_anywhere_else(page, path):
    answer = page.ask(path)
    assert answer.status == 404, answer.body
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    "picture",
    [
        "../secret.png",
        "failures/../../secret.png",
        "failures/../station.png",
        "/etc/passwd",
        "{outside}",
        "failures/link.png",
        "failures/folder-link/secret.png",
        "failures/absent.png",
        "failures/pipe.png",
        "failures/circle.png",
        "failures/folder.png",
        "failures/text.txt",
        "failures/zero\0.png",
        "failures",
        "",
        "failures/" + "n" * 5000 + ".png",
    ],
)
def test_a_record_that_points_elsewhere_shows_nothing(tmp_path, picture):
    """Only who can write the store could make one; the page is not their way to other files."""
    from edge.page.pictures import open_picture

    station = FakeStation(tmp_path)
    failures = station.folder / "failures"
    secret = tmp_path / "secret.png"
    for path in (secret, station.folder / "station.png", failures / "text.txt"):
        path.write_bytes(b"\x89PNG secret")
    (failures / "link.png").symlink_to(secret)
    (failures / "folder-link").symlink_to(tmp_path)
    (failures / "circle.png").symlink_to(failures / "circle.png")
    (failures / "folder.png").mkdir()
    os.mkfifo(failures / "pipe.png")
    record = station.record("fail", picture=picture.format(outside=secret))
    assert open_picture(station.folder, record, "picture") is None
    (tmp_path / "secret.map.jpg").write_bytes(b"secret")
    assert open_picture(station.folder, record, "map") is None
    (failures / "own.png").write_bytes(b"\x89PNG own")
    own = open_picture(station.folder, record._replace(picture="failures/own.png"), "picture")
    assert own.file.read() == b"\x89PNG own"
    own.file.close()
    station.close()


def test_a_record_in_a_real_store_that_points_elsewhere(station, page, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    relative = os.path.relpath(tmp_path / "secret.png", station.folder)
    made = station.add("fail", picture=relative)
    assert page.ask(f"/api/records/{made.id}").json["has_picture"] is False
    assert page.ask(f"/api/records/{made.id}/picture").status == 404


def test_every_answer_is_bound(page, guarded):
    answers = [page.ask(path) for path in [*PATHS, "/nothing", "/look.css"]]
    answers += [guarded.ask("/"), guarded.ask("/api/live"), log_in(guarded), log_in(guarded, "x")]
    answers += [page.ask("/", host="evil.example"), page.mark(1, "missed"), page.ask("/", "PUT")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Access-Control-Allow-Origin"] is None
    assert page.ask("/page.js").headers["Content-Type"].startswith("text/javascript")
    assert page.ask("/").headers["Content-Type"].startswith("text/html")


def test_nothing_in_the_page_comes_from_elsewhere(page):
    for path in ("/", "/look.css", "/page.js"):
        text = page.ask(path).body.decode()
        assert not re.search(r"""(src=|href=|url\(|from )["']?(https?:)?//""", text)
        assert not re.search(r"<\w[^>]*\s(on\w+|style)=", text), "nothing that the policy forbids"


# Without a token


def test_without_a_token_only_names_of_this_machine_are_answered(page):
    for host in (
        "evil.example",
        f"evil.example:{page.port}",
        "192.0.2.7",
        "127.0.0.1.evil.example",
    ):
        for path in PATHS:
            assert page.ask(path, host=host).status == 403, host
    for host in ("localhost, evil.example", "", "[::1", "[::1]x", "localhost:x", "2130706433"):
        assert page.ask("/api/live", host=host).status == 403, host
    for host in ("localhost", f"localhost:{page.port}", "127.0.0.1", "127.8.9.1", "[::1]:80"):
        assert page.ask("/api/live", host=host).status == 200, host


def test_another_page_cannot_mark(station, page):
    made = station.add("fail")
    for origin in ("http://evil.example", "null", None, f"http://127.0.0.1:{page.port + 1}", ""):
        assert page.mark(made.id, "missed", Origin=origin).status == 403, origin
    for origin in (f"http://localhost:{page.port}", f"ftp://127.0.0.1:{page.port}", "http://["):
        assert page.mark(made.id, "missed", Origin=origin).status == 403, origin
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert page.mark(made.id, "missed", **{"Content-Type": kind}).status == 400, kind
    assert page.ask(f"/api/records/{made.id}").json["mark"] is None
    assert page.mark(made.id, "missed").status == 200


def test_another_page_cannot_read_or_show_what_is_here(page):
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert page.ask("/api/records/1/picture", headers=elsewhere).status == 403
    assert page.ask("/api/live", headers={**elsewhere, "Sec-Fetch-Site": "same-site"}).status == 403
    assert page.ask("/api/live", headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    assert page.ask("/", headers={**elsewhere, "Sec-Fetch-Mode": "navigate"}).status == 200


def test_methods(page):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        assert page.ask("/", method).status == 405
    assert page.ask("/login", "POST", b"token=x", {"Origin": page.address}).status == 404
    for path in PATHS:
        head = page.ask(path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) > 0


# With a token


def test_with_a_token_nobody_sees_anything_without(station, guarded):
    for path in [*PATHS, "/api/records/1/mark", "/nothing"]:
        answer = guarded.ask(path)
        assert answer.status == 401
        assert b"line-1" not in answer.body
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b'type="password"' in guarded.ask("/").body
    assert guarded.mark(1, "missed").status == 401
    assert guarded.ask("/look.css").status == 200


def test_a_bearer_comes_in_under_any_name(station, guarded):
    made = station.add("fail")
    for path in PATHS:
        assert guarded.ask(path, headers=BEARER, host="station.local:8080").status == 200
    # No browser sends this header by itself, so nothing speaks for an origin.
    assert guarded.mark(made.id, "false-alarm", Origin=None, **BEARER).status == 200
    assert guarded.mark(made.id, "missed", Origin="http://evil.example", **BEARER).status == 403


@pytest.mark.parametrize(
    "header", [TOKEN, "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"]
)
def test_what_is_not_the_token(guarded, header):
    assert guarded.ask("/api/live", headers={"Authorization": header}).status == 401
    assert guarded.ask("/api/live", headers={"Authorization": "Bearer ü"}).status == 401


def test_the_token_in_the_address_gives_a_cookie_once(guarded):
    assert guarded.ask("/?token=wrong").status == 401
    answer = guarded.ask(f"/?token={TOKEN}")
    assert answer.status == 200
    assert TOKEN.encode() not in answer.body
    header = answer.headers["Set-Cookie"]
    assert TOKEN not in header
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(header.split("; "))
    cookie = {"Cookie": f"other=1; {cookie_of(answer)}; more=2"}
    for path in PATHS:
        assert guarded.ask(path, headers=cookie).status == 200
    assert guarded.ask(f"/api/live?token={TOKEN}").status == 401, "nowhere but at the door"


def test_the_login_form(guarded):
    wrong = log_in(guarded, "wrong<script>")
    assert (wrong.status, wrong.headers["Set-Cookie"]) == (401, None)
    assert b"that is not the token" in wrong.body
    assert log_in(guarded, Origin="http://evil.example").status == 403
    right = log_in(guarded)
    assert (right.status, right.headers["Location"]) == (303, "/")
    cookie = {"Cookie": cookie_of(right), "Origin": guarded.address}
    assert guarded.mark(1, "false-alarm", **cookie).status == 200
    assert guarded.mark(1, "missed", **{**cookie, "Origin": "http://evil.example"}).status == 403
    assert guarded.mark(1, "missed", **{**cookie, "Origin": None}).status == 403
    out = guarded.ask("/logout", "POST", b"", cookie)
    assert "Max-Age=0" in out.headers["Set-Cookie"]


def test_cookies_that_were_made_up_or_changed(station, guarded):
    cookie = cookie_of(log_in(guarded))
    name, _, value = cookie.partition("=")
    ends, _, signature = value.partition(".")
    later = f"{int(ends, 16) + 10**6:x}"
    for forged in (
        f"{name}={later}.{signature}",
        f"{name}={ends}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        f"{name}={ends}.{'0' * 64}",
        f"{name}={ends}.",
        f"{name}=",
        f"{name}={TOKEN}",
        f"other={value}",
    ):
        assert guarded.ask("/api/live", headers={"Cookie": forged}).status == 401, forged
    with served(station.folder, token="another-token", port=0) as other:
        forged = {"Cookie": f"edge_{other.port}={value}"}
        assert other.ask("/api/live", headers=forged).status == 401, "signed by another token"
    assert guarded.ask("/api/live", headers={"Cookie": cookie}).status == 200


def test_guesses_are_slowed_and_who_is_in_stays_in(guarded):
    cookie = cookie_of(log_in(guarded))
    statuses = [log_in(guarded, f"guess-{n}").status for n in range(5)]
    assert statuses == [401] * 5
    for ask in (log_in, lambda page: page.ask(f"/?token={TOKEN}")):
        refused = ask(guarded)
        assert refused.status == 429, "not even the right one now"
        assert 0 < int(refused.headers["Retry-After"]) <= 61
        assert b"wait" in refused.body
    assert guarded.ask("/api/live", headers=BEARER).status == 429
    assert guarded.ask("/api/live", headers={"Cookie": cookie}).status == 200
    start = time.monotonic()
    for _ in range(20):
        assert log_in(guarded, "guess").status == 429
    assert time.monotonic() - start < 20, "no thread waits on it"


def test_guesses_of_many_are_slowed_together():
    from edge.page.guesses import Guesses

    guesses = Guesses()
    for n in range(99):
        guesses.wrong(f"192.0.2.{n}")
    assert guesses.wait("198.51.100.1") == 0
    for n in range(5):
        guesses.wrong(f"2001:db8:1:2::{n}")
    assert guesses.wait("198.51.100.1") > 50
    one = Guesses()
    for n in range(5):
        one.wrong(f"2001:db8:1:2::{n}")
    assert one.wait("2001:db8:1:2:ffff::1") > 50, "the same network"
    assert one.wait("2001:db8:1:3::1") == 0
    for n in range(3000):
        one.wrong(f"10.0.{n // 250}.{n % 250}")
    assert len(one._of) <= 1000


def test_others_reach_it_only_with_a_token(station):
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    addresses = [address for address in found if ":" not in address]
    if not addresses:
        pytest.skip("this machine has no other address")
    with served(station.folder) as page, pytest.raises(OSError):
        socket.create_connection((addresses[0], page.port), 5)
    with served(station.folder, host="0.0.0.0", token=TOKEN) as page:
        socket.create_connection((addresses[0], page.port), 5).close()
        assert page.ask("/api/live").status == 401


# Too much, too slow


def test_sizes(page):
    big = b'{"kind": "missed", "more": "' + b"x" * 5000 + b'"}'
    headers = {"Origin": page.address, "Content-Type": "application/json"}
    assert page.ask("/api/records/1/mark", "POST", big, headers).status == 413
    assert page.ask("/" + "a" * 20_000).status == 431
    assert page.ask("/", headers={"X-Long": "a" * 20_000}).status == 431
    assert page.ask("/api/live?" + "&".join(["a=1"] * 50)).status == 400
    for body in (b"", b"{", b"[]", b"null", b"[" * 4000, b'{"kind": 7}', b"\xff\xfe"):
        assert page.ask("/api/records/1/mark", "POST", body, headers).status == 400, body
    with raw(
        page, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n"
    ) as s:
        assert s.recv(100).startswith(b"HTTP/1.1 413 ")


@contextlib.contextmanager
def raw(page, data=b"", receive=None):
    """A connection that sent some bytes. receive: bytes that the system keeps for it unread."""
    with socket.socket() as s:
        s.settimeout(60)
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.connect(("127.0.0.1", page.port))
        s.sendall(data)
        yield s


GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_slow_clients_do_not_stall_others(page):
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(raw(page, b"GET /api/live HT")) for _ in range(20)]
        head = (
            b"POST /api/records/1/mark HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n"
        )
        slow += [stack.enter_context(raw(page, head + b"{")) for _ in range(20)]

        def drip():
            while not stop.wait(0.1):
                for s in slow:
                    with contextlib.suppress(OSError):
                        s.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        took = []
        for _ in range(5):
            start = time.monotonic()
            assert page.ask("/api/status").status == 200
            took.append(time.monotonic() - start)
        stop.set()
        dripping.join()
    assert min(took) < 1


def test_clients_that_do_not_take_their_answers_do_not_stall_others(tmp_path):
    """More of them than threads, each with answers that fit into no buffer of the system."""
    station = FakeStation(tmp_path)
    made = station.add("fail", keep=True)
    with (station.folder / made.picture).open("ab") as file:
        file.truncate(30_000_000)
    request = GET % f"/api/records/{made.id}/picture".encode()
    with served(station.folder) as page, contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(raw(page, request * 5, receive=4096))
        for _ in range(8):
            stack.enter_context(raw(page, (GET % b"/look.css") * 1500, receive=4096))
        time.sleep(1)
        start = time.monotonic()
        for _ in range(3):
            assert page.ask("/api/live").json["record"]["id"] == made.id
        assert time.monotonic() - start < 30
        assert page.stop() < 5
    station.close()


def test_more_connections_than_it_takes(page):
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(raw(page, b"GET / HT"))
        assert page.ask("/api/live").status == 200


def test_garbage_leaves_it_whole(page):
    requests = [
        b"\0" * 500,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://evil.example/api/live HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \r\n y\x01\r\n\r\n",
    ]
    for request in requests:
        with raw(page, request) as s:
            s.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while data := s.recv(65536):
                    answer += data
            assert not answer.startswith(b"HTTP/1.1 200"), request
    assert page.ask("/api/live").status == 200


def test_a_watcher_costs_the_station_no_lock(station, page):
    """Reading goes on beside writing, and a mark waits for no reader."""
    stop = threading.Event()
    failed = []

    def look():
        while not stop.is_set():
            answer = page.ask("/api/status")
            if answer.status != 200 or answer.json["state"]["name"] != "running":
                failed.append(answer.body)

    threads = [threading.Thread(target=look) for _ in range(3)]
    station.health(fresh_s=600)
    for thread in threads:
        thread.start()
    for n in range(30):
        made = station.add("fail" if n % 2 else "pass")
        assert page.mark(made.id, "missed").status == 200
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failed == []
