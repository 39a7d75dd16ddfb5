"""The outbox: verdicts queue while a broker or web hook is down, and arrive later, once."""

import itertools
import json
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, largest_file, run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt_broker import Broker
from test_station_sinks import Hook, eventually
from test_station_store import fill

from edge.station.outbox import Outbox
from edge.station.sinks import SinkError, SinkOptions, SinkRefusedError, open_sink
from edge.station.sinks.mqtt import Mqtt
from edge.station.sinks.webhook import Webhook
from edge.station.store import Store

QUICK = (0.01, 0.05)  # seconds between trials


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "station") as made:
        yield made


@pytest.fixture
def hook():
    server = Hook()
    yield server
    server.released.set()
    server.stop()


@pytest.fixture
def broker():
    pytest.importorskip("paho.mqtt.client")
    started = Broker()
    yield started
    started.stop()


class Sink:
    """Takes what it is given. outcomes: errors to raise first; refuses: ids that it never takes."""

    name, batch = "sink", 1

    def __init__(self, batch=1, outcomes=(), refuses=()):
        self.batch, self.outcomes, self.refuses = batch, list(outcomes), set(refuses)
        self.got, self.offers, self.closed = [], [], False

    def write(self, records):
        ids = [r.id for r in records]
        self.offers.append(ids)
        if self.outcomes:
            raise self.outcomes.pop(0)
        if self.refuses & set(ids):
            raise SinkRefusedError("refused")
        self.got += ids

    def close(self):
        self.closed = True


def outbox(store, sink, **options) -> Outbox:
    return Outbox(store.path.parent, sink, **{"waits": QUICK, **options})


def add(store, box, n):
    box.write(fill(store, n))


def events(store) -> list:
    return [e.text for e in reversed(store.events(99)) if e.kind == "sink"]


# In order, once


def test_records_arrive_in_order_once(store):
    fill(store, 5)
    sink = Sink(batch=3)
    box = outbox(store, sink)
    for n in (4, 1, 7):
        add(store, box, n)
    eventually(lambda: sink.got[-1:] == [17])
    box.close()
    assert sink.got == list(range(6, 18)), "a sink that is new gets what is added from now on"
    assert sink.closed
    assert (box.skipped, box.problem, events(store)) == (0, None, [])


def test_a_restart_goes_on_where_it_was(store):
    sink = Sink()
    for _ in range(3):
        box = outbox(store, sink)
        add(store, box, 4)
        box.close()  # sends what waits
    fill(store, 2)  # while no sink is open
    outbox(store, sink).close()
    assert sink.got == list(range(1, 15))


def test_two_sinks_have_cursors_of_their_own(store):
    first, second = Sink(), Sink(outcomes=[SinkError("down")] * 3)
    second.name = "second"
    boxes = [outbox(store, first), outbox(store, second)]
    fill(store, 10)
    for box in boxes:
        box.write([])
    eventually(lambda: first.got == second.got == list(range(1, 11)))
    for box in boxes:
        box.close()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from([SinkError("down"), SinkError("wait", wait=0.01), ValueError("bug")])),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(1, 5),
)
def test_whatever_fails_all_arrive_in_order_once(tmp_path_factory, outcomes, batches, batch):
    sink = Sink(batch, outcomes[:6])
    with Store(tmp_path_factory.mktemp("station")) as store:
        box = outbox(store, sink)
        for n in batches:
            add(store, box, n)
        eventually(lambda: len(sink.got) == sum(batches))
        box.close()
    assert sink.got == list(range(1, sum(batches) + 1))
    assert box.skipped == 0


def test_the_same_records_are_offered_again(store):
    """So a sink can go on waiting for an acknowledgement rather than send anew."""
    sink = Sink(batch=4, outcomes=[SinkError("down")] * 5)
    box = outbox(store, sink)
    add(store, box, 2)
    eventually(lambda: len(sink.offers) > 1)
    add(store, box, 9)
    eventually(lambda: len(sink.got) == 11)
    box.close()
    assert sink.offers[:6] == [[1, 2]] * 6


def test_waits_grow(store):
    moments = []

    class Timed(Sink):
        def write(self, records):
            moments.append(time.monotonic())
            super().write(records)

    sink = Timed(outcomes=[SinkError("down")] * 6)
    box = outbox(store, sink, waits=(0.05, 0.4))
    add(store, box, 1)
    eventually(lambda: sink.got)
    box.close()
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(w >= 0.8 * e for w, e in zip(waits, [0.05, 0.1, 0.2, 0.4, 0.4, 0.4], strict=True))


def test_an_outage_is_told_twice_however_it_flaps(store):
    sink = Sink(outcomes=[SinkError("down, as it were")] * 2)
    box = outbox(store, sink)
    add(store, box, 1)
    eventually(lambda: sink.got == [1])
    sink.outcomes = [SinkError("down again")] * 2
    add(store, box, 1)
    eventually(lambda: sink.got == [1, 2])
    box.close()
    assert events(store) == [
        "sink fails: down, as it were",
        "sink works again; 1 records wait for it",
    ]


# Bounds


def test_what_waits_is_bounded_and_the_oldest_are_skipped(store):
    sink = Sink(outcomes=[SinkError("down")] * 10**6)
    box = outbox(store, sink, queue=10)
    add(store, box, 1)
    eventually(lambda: box.problem == "down")
    add(store, box, 99)
    eventually(lambda: box.waiting == 100)
    sink.outcomes = []
    eventually(lambda: sink.got[-1:] == [100])
    box.close()
    assert sink.got == [1, *range(91, 101)], "1 was under way"
    assert box.skipped == 89
    assert "sink 89 records were skipped: they had waited too long" in events(store)
    again = outbox(store, sink)
    assert again.skipped == 89, "also after a restart"
    again.close()


def test_what_was_skipped_is_counted_once(store):
    outbox(store, Sink()).close()
    fill(store, 100)
    for _ in range(3):
        box = outbox(store, Sink(outcomes=[SinkError("down")] * 99), queue=10)
        eventually(lambda: box.problem == "down")  # noqa: B023
        box.close()
        assert box.skipped == 90


def test_what_the_store_no_longer_holds_is_counted_as_skipped(tmp_path):
    with Store(tmp_path, keep=10) as store:
        sink = Sink(outcomes=[SinkError("down")] * 10**6)
        box = outbox(store, sink)
        add(store, box, 1)
        eventually(lambda: box.problem)
        add(store, box, 30)
        sink.outcomes = []
        eventually(lambda: sink.got[-1:] == [31])
        box.close()
        assert 1 + box.skipped + len(sink.got[1:]) == 31
        assert sink.got[1:] == list(range(32 - len(sink.got[1:]), 32))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_refused_record_does_not_hold_up_the_others(store, batch):
    sink = Sink(batch, refuses=[3, 6])
    box = outbox(store, sink)
    add(store, box, 8)
    eventually(lambda: sink.got[-1:] == [8])
    box.close()
    assert sink.got == [1, 2, 4, 5, 7, 8]
    assert box.skipped == 2
    assert "sink record 3 was given up: refused" in events(store)


GROWTH = """
import sys
from edge.station.outbox import Outbox
from edge.station.sinks import SinkOptions
from edge.station.sinks.webhook import Webhook
from edge.station.store import Store
from edge.station.types import Record
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
store = Store(sys.argv[1])
sink = Webhook("http://127.0.0.1:9/", store.station, SinkOptions())
box = Outbox(sys.argv[1], sink, queue=1000, waits=(0.01, 0.01))
for i in range(24_000):
    store.add(Record(1.7e9 + i, 1.0 * i, "boot", f"camera:{i}", "fail", "FAIL", 1.0 * i, 0.5))
    if i % 50 == 49:
        box.write(store.flush())
    if i == 4_000:
        before = resident()
assert "refused" in box.problem, box.problem
print(resident() - before)
"""


def test_memory_does_not_grow_while_the_sink_is_down(tmp_path):
    assert int(run_python("-c", GROWTH, tmp_path).stdout) < 2 * 2**20


# Faults of the store


def test_a_cursor_that_cannot_be_kept_stops_nothing(store):
    sink = Sink()
    box = outbox(store, sink)
    fill(store, 300)
    with largest_file(1):
        box.write([])
        eventually(lambda: sink.got[-1:] == [300])
    add(store, box, 1)
    eventually(lambda: sink.got[-1:] == [301])
    box.close()
    assert sink.got == list(range(1, 302))
    again = outbox(store, Sink())
    assert again._cursor.at == 301, "kept as soon as that was possible"
    again.close()


def test_a_store_begun_anew_is_followed(store):
    sink = Sink()
    box = outbox(store, sink)
    add(store, box, 3)
    eventually(lambda: sink.got == [1, 2, 3])
    store.path.unlink()
    add(store, box, 2)
    eventually(lambda: sink.got == [1, 2, 3, 4, 5])
    box.close()


# Real servers that fail


def test_a_hook_that_fails_hangs_and_vanishes_gets_everything_once(store, hook):
    sink = Webhook(hook.url(), store.station, SinkOptions(timeout=0.5))
    box = outbox(store, sink)
    hook.script = [500, 429, hook.hang, 500]
    add(store, box, 5)
    eventually(lambda: hook.got == [1, 2, 3, 4, 5])
    hook.stop()
    start = time.monotonic()
    add(store, box, 5)
    assert time.monotonic() - start < 5, "nobody waits for the hook"
    eventually(lambda: box.problem)
    hook.start()
    eventually(lambda: len(hook.got) >= 10)
    box.close()
    assert hook.got == list(range(1, 11))
    assert hook.keys == [f"{store.station}-{i}" for i in range(1, 11)]


def test_an_answer_that_is_lost_repeats_the_key(store, hook):
    def take_and_vanish(handler):
        hook.got.append("lost")

    hook.script = [200, take_and_vanish]
    box = outbox(store, Webhook(hook.url(), store.station, SinkOptions()))
    add(store, box, 3)
    eventually(lambda: hook.got[-1:] == [3])
    box.close()
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in hook.requests]
    assert keys == [f"{store.station}-{i}" for i in (1, 2, 2, 3)]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_broker_that_stops_for_a_while_gets_everything_once(store, broker, qos):
    url = f"mqtt://127.0.0.1:{broker.port}/verdicts"
    sink = Mqtt(url, store.station, SinkOptions(qos=qos, timeout=1.0), waits=(0.05, 0.1))
    box = outbox(store, sink)
    add(store, box, 30)
    eventually(lambda: len(broker.messages) == 30)
    for _ in range(2):
        # A message under way when the broker stops may be repeated; here all have been answered.
        eventually(lambda: box._cursor.at == store.last_id())
        broker.stop()
        add(store, box, 30)
        eventually(lambda: box.problem)
        broker.start()
        eventually(lambda: len(broker.messages) >= store.last_id())
    box.close()
    ids = [json.loads(m.payload)["id"] for m in broker.messages]
    assert ids == list(range(1, 91))


@pytest.mark.parametrize("kind", ["mqtt", "webhook:http"])
def test_a_sink_from_its_text(store, hook, request, kind):
    if kind == "mqtt":
        broker = request.getfixturevalue("broker")
        box = open_sink(f"mqtt://127.0.0.1:{broker.port}/t", store.path.parent)
    else:
        box = open_sink(f"webhook:{hook.url()}", store.path.parent)
    assert not box.at_once
    add(store, box, 3)
    box.close(timeout=30)
    got = [json.loads(m.payload)["id"] for m in broker.messages] if kind == "mqtt" else hook.got
    assert got == [1, 2, 3]


def test_the_end_is_not_held_up_by_a_sink_that_hangs(store, hook):
    hook.script = [hook.hang] * 99
    box = outbox(store, Webhook(hook.url(), store.station, SinkOptions(timeout=60)))
    add(store, box, 3)
    eventually(lambda: hook.requests)
    start = time.monotonic()
    box.close(timeout=0.2)
    assert time.monotonic() - start < 20


SENDER = """
import sys, time
from edge.station.outbox import Outbox
from edge.station.sinks import SinkOptions
from edge.station.sinks.webhook import Webhook
from edge.station.store import Store
from edge.station.types import Record
store = Store(sys.argv[1])
box = Outbox(sys.argv[1], Webhook(sys.argv[2], store.station, SinkOptions(batch=int(sys.argv[3]))))
print("ready", flush=True)
while True:
    for _ in range(5):
        store.add(Record(1.7e9, 1.0, "boot", "x", "pass", "PASS", 1.0))
    box.write(store.flush())
    while store.last_id() - box._cursor.at > 20:
        time.sleep(0.001)
"""


def killed_senders(folder, hook, times, batch):
    for seed in range(times):
        arguments = [sys.executable, "-c", SENDER, str(folder), hook.url(), str(batch)]
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sender:
            assert sender.stdout.readline() == "ready\n"
            if seed % 4:  # otherwise before anything was sent, or soon after
                enough = len(hook.got) + random.Random(seed).randrange(30)
                eventually(lambda: len(hook.got) > enough)  # noqa: B023
            time.sleep(random.Random(seed).uniform(0, 0.02))
            sender.send_signal(signal.SIGKILL)
    with Store(folder) as store:
        last, station = store.last_id(), store.station
        sink = Webhook(hook.url(), station, SinkOptions(batch=batch))
        box = Outbox(folder, sink)
        eventually(lambda: box._cursor.at == last)
        box.close()
    assert last > 10
    assert set(hook.got) == set(range(1, last + 1)), "every record that the store acknowledged"
    first_times = list(dict.fromkeys(hook.got))
    assert first_times == sorted(first_times)
    assert len(hook.got) - last <= times * batch, "of each kill, what was under way at most"
    assert set(hook.keys) == {f"{station}-{i}" for i in range(1, last + 1)}


def test_kills_lose_nothing_and_repeat_little(tmp_path, hook):
    killed_senders(tmp_path, hook, 4, 1)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 10])
def test_many_kills_lose_nothing_and_repeat_little(tmp_path, hook, batch):
    killed_senders(tmp_path, hook, 40, batch)
