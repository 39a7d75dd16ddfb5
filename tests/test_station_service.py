"""What a station tells its service manager, over real sockets and with real signals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from edge.station.service import Notifier, Stopping, Watchdog


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A socket as systemd has one, named in the environment; gives what has come."""
    address = str(tmp_path / "notify")
    name = address
    if request.param == "abstract":
        address, name = f"\0edge-test-{os.getpid()}", f"@edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)

        def come():
            messages = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    messages.append(listening.recv(4096).decode())
            return messages

        yield come


def test_the_messages_of_a_service(manager):
    notifier = Notifier()
    notifier.ready()
    notifier.status("12 frames,\nall is well")
    notifier.status("12 frames,\nall is well")
    notifier.stopping()
    assert manager() == ["READY=1", "STATUS=12 frames, all is well", "STOPPING=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address):
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.ping()
    assert notifier.watchdog_seconds is None


def test_a_manager_that_does_not_read_holds_up_nothing(tmp_path):
    address = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        notifier = Notifier({"NOTIFY_SOCKET": address})
        for i in range(2000):
            notifier.status(f"frame {i}")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_the_manager_waits(environment, seconds):
    assert Notifier(environment).watchdog_seconds == seconds


class Hands:
    """A watchdog of 40 s whose clock a test moves; tells whether it pinged."""

    def __init__(self, manager, monkeypatch, **options):
        monkeypatch.setenv("WATCHDOG_USEC", "40000000")
        self.now, self._come = 1000.0, manager
        self.dog = Watchdog(Notifier(), monotonic=lambda: self.now, **options)

    def after(self, seconds, what):
        self.now += seconds
        getattr(self.dog, what)()
        return self._come() == ["WATCHDOG=1"]


def test_a_scored_frame_pings_four_times_in_the_time_allowed(manager, monkeypatch):
    hands = Hands(manager, monkeypatch)
    pings = [hands.after(1, "scored") for _ in range(100)]
    assert pings[0]
    assert sum(pings) == 10


def test_whoever_waits_by_nature_is_alive(manager, monkeypatch):
    hands = Hands(manager, monkeypatch)
    assert sum(hands.after(1, "waiting") for _ in range(7200)) == 720


def test_a_lost_camera_is_excused_for_its_patience_and_no_longer(manager, monkeypatch):
    hands = Hands(manager, monkeypatch, patience=300.0)
    hands.after(1, "scored")
    pings = [hands.after(1, "lost") for _ in range(2000)]
    assert sum(pings) == 30
    assert not any(pings[301:]), "then the manager starts the station anew"
    assert hands.after(1, "scored"), "or the camera is back"
    assert hands.after(20, "lost")


def test_frames_that_cannot_be_scored_excuse_nothing(manager, monkeypatch):
    hands = Hands(manager, monkeypatch)
    hands.after(1, "scored")
    hands.now += 3600  # garbage came all the while, and nobody called the watchdog
    assert manager() == []


# Signals


PROGRAM = """
import sys, time
from edge.station.service import Stopping
with Stopping() as stopping:
    print("ready", flush=True)
    while not stopping.wait(60):
        pass
    print(stopping.reason, flush=True)
    if "stubborn" in sys.argv:
        time.sleep(60)
print("clean", flush=True)
"""


def started(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_by_itself(number):
    process = started()
    before = time.monotonic()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert rest == f"{number.name}\nclean\n"
    assert process.returncode == 0
    assert time.monotonic() - before < 20, "not after the minute it would have slept"


def test_told_twice_it_ends_at_once():
    process = started("stubborn")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "SIGTERM\n"
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert rest == ""
    assert process.returncode == -signal.SIGTERM


def test_handlers_are_given_back():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with Stopping() as stopping:
        assert not stopping
        assert not stopping.wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(5)
        assert stopping
        assert stopping.reason == "SIGTERM"
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_another_thread_may_wait_and_stop():
    with Stopping() as stopping:
        told = []
        waiting = threading.Thread(target=lambda: told.append(stopping.wait(60)))
        waiting.start()
        threading.Thread(target=lambda: stopping.stop("the source is at its end")).start()
        waiting.join(30)
        stopping.stop("again")
        assert told == [True]
        assert stopping.reason == "the source is at its end"
