"""The store of a station, with real files, real kills and disks that are really full."""

import contextlib
import json
import math
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from conftest import ROOT, largest_file, run_python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import UserError
from edge.station import store as store_module
from edge.station.lines import iso_time, to_json
from edge.station.store import Store, StoreError, open_store
from edge.station.types import Record

BOOT = "0b0a3c1e-6f0c-4a25-9b7c-1d2e3f405162"


def record(i=0, verdict="pass", **fields) -> Record:
    known = {
        "score": 0.5 + i,
        "p_value": 0.25,
        "threshold": 2.0,
        "ms": 1.5,
        "bundle": "0123456789ab",
    }
    if verdict == "error":
        known = {"error": "no picture"}
    decision = {"pass": "PASS", "warn": "WARN", "fail": "FAIL", "error": "ERROR"}[verdict]
    return Record(
        **{
            **{"taken": 1.7e9 + i, "monotonic": 10.0 + i, "boot": BOOT, "source": f"{i}.png"},
            **known,
            **{"verdict": verdict, "decision": decision, **fields},
        }
    )


def fill(store, n, start=0) -> list:
    for i in range(start, start + n):
        store.add(record(i))
    return store.flush()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "station") as made:
        yield made


# What goes in comes out


def test_records_get_ids_and_are_acknowledged_in_order(store):
    added = [store.add(record(i, v)) for i, v in enumerate(("pass", "warn", "fail", "error"))]
    assert [r.id for r in added] == [1, 2, 3, 4]
    assert store.latest(9) == [], "not durable yet"
    assert store.flush() == added
    assert store.flush() == []
    assert store.latest(9) == added[::-1]
    assert store.latest(2) == [added[3], added[2]]
    assert store.after(1, 2) == added[1:3]
    assert (store.get(3), store.get(5), store.get(-1), store.get(10**30)) == (
        added[2],
        None,
        None,
        None,
    )
    assert store.latest(-1) == [] == store.after(0, -1) == store.after(10**30, 5)
    assert [s.id for s in store.scores(9)] == [1, 2, 3], "oldest first; 4 has no score"
    assert store.last_id() == 4


def test_every_frame_is_counted(store):
    for i, verdict in enumerate(("pass", "pass", "warn", "fail", "error")):
        store.add(record(i, verdict))
    store.drop(7)
    store.drop(0)
    assert store.current_counts.scored == 4
    assert store.counts().scored == 0, "not durable yet"
    store.flush()
    counts = store.counts()
    assert (counts.scored, counts.failed, counts.dropped, counts.lost) == (4, 1, 7, 0)
    assert counts.decisions == {"PASS": 2, "WARN": 1, "FAIL": 1, "ERROR": 1}
    assert counts == store.current_counts


def test_everything_survives_a_restart(tmp_path):
    with Store(tmp_path) as store:
        station = store.station
        fill(store, 3)
        store.drop(2)
        store.note("camera", "lost")
        store.set_state("cursor", "")
        assert store.state("cursor", "none") == ""
    with Store(tmp_path) as store:
        assert store.add(record(3)).id == 4
        store.flush()
        assert store.counts()[:3] == (4, 0, 2)
        assert [(e.kind, e.text) for e in store.events(5)] == [("camera", "lost")]
        assert store.state("cursor", "none") == ""
        assert store.state("absent", "none") == "none"
        assert store.station == station
        assert len(station) == 12


def test_a_batch_is_due_after_its_time(tmp_path):
    with Store(tmp_path, sync_seconds=0.2) as store:
        assert not store.due()
        store.add(record())
        assert not store.due()
        time.sleep(0.25)
        store.add(record())
        assert store.due()
        store.flush()
        assert not store.due()
        store.drop()
        time.sleep(0.25)
        assert store.due(), "dropped frames are counted on disk as well"


def test_a_clock_set_back_changes_no_order(store):
    taken = [1.7e9, 1.7e9 + 1, 1.7e9 - 86_400, 1.7e9 - 86_399]
    for t in taken:
        store.add(record(taken=t))
    store.flush()
    assert [r.taken for r in store.latest(4)] == taken[::-1]
    assert [r.taken for r in store.after(0, 9)] == taken
    assert [s.taken for s in store.scores(9)] == taken


texts = st.text(st.characters(codec=None), max_size=40)  # with the half characters of file names
numbers = st.none() | st.floats()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts, texts, st.none() | texts, st.floats(), numbers, numbers)
def test_any_record_is_kept_and_makes_a_line(store, source, verdict, error, taken, score, ms):
    added = store.add(record(source=source, verdict="pass")._replace(
        verdict=verdict, decision=verdict, error=error, taken=taken, score=score, ms=ms
    ))  # fmt: skip
    assert store.flush() == [added]
    assert store.get(added.id) == added
    if all(c < "\ud800" for c in source):
        assert added.source == source
    line = to_json(added, station=store.station)
    assert "\n" not in line
    row = json.loads(line, parse_constant=lambda word: pytest.fail(f"no JSON: {word}"))
    assert row["score"] == (score if score is not None and math.isfinite(score) else None)
    assert (row["id"], row["station"], row["source"]) == (added.id, store.station, added.source)


def test_the_line_has_the_time_in_utc():
    row = json.loads(to_json(record(taken=1_740_832_245.1239, ms=1.23456)._replace(id=7)))
    assert list(row)[:3] == ["id", "time", "source"]
    assert row["time"] == "2025-03-01T12:30:45.124Z"
    assert row["ms"] == 1.235
    assert {*row} == {*Record._fields, "time"} - {"taken"}


@given(st.none() | st.floats())
def test_any_number_is_a_time_or_none(seconds):
    text = iso_time(seconds)
    assert text is None or text.endswith("Z")


# Keeping only so many


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(1, 40), max_size=12))
def test_at_most_so_many_are_kept_and_they_are_the_newest(tmp_path_factory, keep, batches):
    with Store(tmp_path_factory.mktemp("kept"), keep=keep) as store:
        for n in batches:
            fill(store, n)
            held = [r.id for r in store.after(0, 10_000)]
            assert len(held) <= keep
            assert held == list(range(store.last_id() - len(held) + 1, store.last_id() + 1))
            assert len(held) >= min(keep - keep // 20, store.last_id())
        assert store.counts().scored == sum(batches)


def test_the_file_stops_growing(tmp_path):
    with Store(tmp_path, keep=2000) as store:
        fill(store, 4000)
        store.close()
        before = (tmp_path / "station.db").stat().st_size
    with Store(tmp_path, keep=2000) as store:
        for start in range(0, 12_000, 300):
            fill(store, 300, start)
    assert (tmp_path / "station.db").stat().st_size <= before * 1.1


def test_a_lower_limit_is_reached_in_small_steps(tmp_path):
    with Store(tmp_path) as store:
        fill(store, 9000)
    with Store(tmp_path, keep=100) as store:
        held = []
        for i in range(6):
            fill(store, 1, i)
            held.append(len(store.after(0, 10_000)))
        assert 6000 < held[0] < 9000
        assert held[-1] <= 100
        assert store.last_id() == 9006


def test_events_are_bounded(store):
    with open_store(store.path.parent, readonly=False) as editor:
        for _ in range(12):
            for i in range(1000):
                store.note("camera", f"lost {i}")
            store.flush()
        editor.note("drift", "darker")
    assert len(store.events(20_000)) == 10_000
    assert store.events(1)[0].kind == "drift"


# Marks


def test_a_mark_outlives_its_record(tmp_path):
    with Store(tmp_path, keep=5) as store:
        marked = fill(store, 5)[1]
        made = store.mark(marked.id, "false-alarm")
        fill(store, 20, 5)
        assert store.get(marked.id) is None
        assert store.marks() == [made]
        assert made.record == marked
        assert made.kind == "false-alarm"


def test_a_mark_from_another_process(store):
    fill(store, 2)
    program = (
        "import sys; from edge.station.store import open_store\n"
        "open_store(sys.argv[1], readonly=False).mark(2, 'missed')"
    )
    run_python("-c", program, store.path.parent)
    with open_store(store.path.parent, readonly=False) as editor:
        editor.mark(2, "false-alarm")
    assert [(m.record.id, m.kind) for m in store.marks()] == [(2, "false-alarm")], "the last word"


@pytest.mark.parametrize(
    ("id", "kind", "words"),
    [
        (1, "wrong", ["'wrong'", "false-alarm or missed"]),
        (99, "missed", ["99", "holds 1 to 2"]),
        (10**30, "missed", ["holds 1 to 2"]),
        (2, "missed", ["not judged", "no picture"]),
    ],
)
def test_what_cannot_be_marked(store, id, kind, words):
    store.add(record())
    store.add(record(verdict="error"))
    store.flush()
    with pytest.raises(UserError) as error:
        store.mark(id, kind)
    assert all(word in str(error.value) for word in words)
    assert store.marks() == []


def test_a_reader_writes_nothing(store):
    fill(store, 1)
    with open_store(store.path.parent) as view:
        assert not hasattr(view, "mark")
        with pytest.raises(StoreError, match="read-only"):
            view._rows("DELETE FROM records")  # whatever a later method may try


# Other processes


def test_no_station_is_one_line(tmp_path):
    for readonly in (True, False):
        with pytest.raises(StoreError, match="is the folder right"):
            open_store(tmp_path / "none", readonly)
    assert list(tmp_path.iterdir()) == []


def test_two_runners_do_not_share_a_station(store):
    program = (
        "import sys; from edge.errors import UserError; from edge.station.store import Store\n"
        "try: Store(sys.argv[1])\n"
        "except UserError as error: print(error)"
    )
    assert "another program runs the station" in run_python("-c", program, store.path.parent).stdout
    store.close()
    assert run_python("-c", program, store.path.parent).stdout == ""


READER = """
import sys
from edge.station.store import open_store
view, reads, last = open_store(sys.argv[1]), 0, 0
print("ready", flush=True)
while last < int(sys.argv[2]):
    ids = [r.id for r in view.after(0, 10_000)]
    assert ids == list(range(1, len(ids) + 1)), ids
    assert len(ids) >= last
    last, reads = len(ids), reads + 1
    assert view.counts().scored >= last
    assert len(view.latest(10)) == min(10, view.last_id()) or view.last_id() > last
print(reads)
"""


def test_others_read_while_the_runner_writes(store):
    arguments = [sys.executable, "-c", READER, str(store.path.parent), "600"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "ready\n"
        for i in range(200):
            fill(store, 3, i)
        assert int(reader.communicate(timeout=30)[0]) > 1
    assert reader.returncode == 0


# Kills


WRITERS = """
import os, random, sys
from edge.station.store import Store
from edge.station.types import Record
def write(seed):
    chance = random.Random(seed)
    store = Store(sys.argv[1])
    while True:
        for _ in range(chance.randrange(1, 30)):
            bad = chance.random() < 0.1
            outcome = ("error", "ERROR") if bad else ("pass", "PASS", 1.0)
            store.add(Record(1.7e9, 1.0, "boot", str(seed), *outcome))
            if chance.random() < 0.1:
                store.drop()
        for record in store.flush():
            os.write(1, b"%d\\n" % record.id)

for line in sys.stdin:
    child = os.fork()
    if not child:
        write(int(line))
    os.write(1, b"pid %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"end\\n")
"""


@contextlib.contextmanager
def writers(folder):
    """Gives a function: the ids that a process acknowledged before it was killed at some moment."""
    pipe = subprocess.PIPE
    arguments = [sys.executable, "-c", WRITERS, str(folder)]
    with subprocess.Popen(arguments, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as parent:

        def killed(seed) -> list:
            chance, acknowledged = random.Random(seed), []

            def listen(until):
                while not until(line := parent.stdout.readline().strip()):
                    assert line and line != "end", "it failed by itself"
                    if line.isdecimal():
                        acknowledged.append(int(line))
                return line

            print(seed, file=parent.stdin, flush=True)
            child = int(listen(lambda line: line.startswith("pid")).split()[1])
            if seed % 4:  # otherwise while it opens the store
                enough = len(acknowledged) + chance.randrange(60)
                listen(lambda line: len(acknowledged) >= enough)
            time.sleep(chance.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            listen(lambda line: line == "end")
            return acknowledged

        yield killed
        parent.stdin.close()


def survives_kills(folder, times):
    acknowledged, rounds_with_some = set(), 0
    with writers(folder) as killed:
        for seed in range(times):
            new = killed(seed)
            rounds_with_some += bool(new)
            assert not acknowledged & set(new), "an id is given once"
            acknowledged.update(new)
            if (folder / "station.db").exists():
                is_whole(folder, acknowledged)
    assert rounds_with_some >= times / 2
    assert not list(folder.glob("*damaged*"))


def is_whole(folder, acknowledged):
    with Store(folder) as store:
        records = store.after(0, 10**6)
        assert [r.id for r in records] == list(range(1, len(records) + 1))
        assert acknowledged <= {r.id for r in records}
        counts = store.counts()
        assert counts.scored + counts.failed == len(records)
        assert counts.failed == sum(r.verdict == "error" for r in records)
    with contextlib.closing(sqlite3.connect(folder / "station.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_twenty_kills_lose_nothing_acknowledged(tmp_path):
    survives_kills(tmp_path, 20)


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_acknowledged(tmp_path):
    survives_kills(tmp_path, 200)


FLUSHER = """
import os, sys
from edge.station.store import Store
from edge.station.types import Record
store = Store(sys.argv[1])
for i in range(5):
    store.add(Record(1.7e9, 1.0, "boot", "x", "pass", "PASS", 1.0))
    assert store.flush()
    os.write(1, b"acknowledged\\n")
"""


def test_the_disk_is_flushed_before_a_record_is_acknowledged(tmp_path):
    """What a power cut needs and a kill does not show."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-o", trace, "-e", "trace=fsync,fdatasync,write"]
    try:
        done = subprocess.run(
            [*strace, sys.executable, "-c", FLUSHER, tmp_path], cwd=ROOT, capture_output=True
        )
    except OSError:
        pytest.skip("no strace here")
    if done.returncode:
        pytest.skip("tracing is not permitted here")
    calls = re.findall(r'(sync)\(\d+<.*station\.db-wal|"(acknowledged)', trace.read_text())
    words = ["".join(call) for call in calls]
    assert words.count("acknowledged") == 5
    for at in (i for i, word in enumerate(words) if word == "acknowledged"):
        assert words[at - 1] == "sync"


# Disks that do not take it


def runs_dry_and_recovers(store, full):
    """The store loses nothing while `full()` holds, a context in which writing fails."""
    before = fill(store, 20)
    with full():
        waiting = [store.add(record(i)) for i in range(3000)]
        for _ in range(2):
            with pytest.raises(StoreError) as error:
                store.flush()
        assert "\n" not in str(error.value)
        assert not store.due(), "not tried again at once"
        waiting.append(store.add(record(4000)))
        assert [r.id for r in open_store(store.path.parent).after(0, 9000)] == [
            r.id for r in before
        ]
    assert store.flush() == waiting
    assert store.after(0, 9000) == before + waiting
    assert store.counts()[:2] == (3021, 0)
    event = store.events(1)[0]
    assert "0 records were lost" in event.text
    assert str(error.value) in event.text
    store.flush()
    assert len(store.events(9)) == 1, "said once"


def test_a_file_that_may_not_grow_costs_nothing_acknowledged(store):
    runs_dry_and_recovers(store, lambda: largest_file(64))


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 1 MiB; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def filled(disk):
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def test_a_full_disk_costs_nothing_acknowledged(small_disk):
    with Store(small_disk / "station") as store:
        runs_dry_and_recovers(store, lambda: filled(small_disk))


def test_a_small_disk_that_fills_up_by_itself(small_disk):
    with Store(small_disk) as store:
        acknowledged = []
        with pytest.raises(StoreError, match="the disk is full"):
            for i in range(100):
                acknowledged += fill(store, 200, i)
        assert len(acknowledged) > 400
        with open_store(small_disk) as view:
            assert view.after(0, 10**6) == acknowledged
        with contextlib.suppress(StoreError):
            store.close()
    with contextlib.closing(sqlite3.connect(small_disk / "station.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ids = [row[0] for row in connection.execute("SELECT id FROM records")]
    assert ids[: len(acknowledged)] == [r.id for r in acknowledged]


def test_a_commit_that_seemed_to_fail_is_not_counted_twice(store):
    """After an error while flushing nobody can tell whether the disk has the commit."""
    waiting = [store.add(record(i)) for i in range(3)]
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.execute(store_module._INSERT, waiting[0])
        connection.commit()
    assert store.flush() == waiting
    assert store.after(0, 9) == waiting
    assert store.counts().scored == 3


def test_a_read_only_disk(small_disk):
    with Store(small_disk / "station") as store:
        acknowledged = fill(store, 5)
        descriptor_free = small_disk / "station"
        store._release()  # a disk with a file open for writing cannot be made read-only
        store._lock.close()
        with read_only(small_disk):
            with open_store(descriptor_free) as view:
                assert view.after(0, 9) == acknowledged
            with pytest.raises(StoreError, match="read-only"):
                Store(descriptor_free)
            waiting = [store.add(record(i)) for i in range(3)]
            with pytest.raises(StoreError, match="read-only"):
                store.flush()
        assert store.flush() == waiting


def test_what_waits_for_the_disk_is_bounded_and_counted(store, monkeypatch):
    monkeypatch.setattr(store_module, "WAITING", 100)
    with largest_file(1):
        added = [store.add(record(i)) for i in range(50)]
        with pytest.raises(StoreError):
            store.flush()
        added += [store.add(record(i)) for i in range(50, 130)]
    assert store.flush() == added[30:]
    counts = store.counts()
    assert (counts.scored, counts.lost) == (130, 30)
    assert "30 records were lost" in store.events(1)[0].text


# Damage


def station_with(folder, n=400) -> bytes:
    with Store(folder) as store:
        fill(store, n)
        store.mark(1, "missed")
    return (folder / "station.db").read_bytes()


def begins_anew(folder, holds=0):
    with Store(folder) as store:
        assert "moved to station.db.damaged-" in store._events[0][2]
        assert store.add(record()).id == holds + 1
        store.flush()
        assert "moved to station.db.damaged-" in store.events(9)[-1].text
        name = store.events(9)[-1].text.split()[-1]
    assert (folder / name).exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: os.urandom(len(whole)),
        lambda whole: os.urandom(10),
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:4096],
        lambda whole: whole[:100] + os.urandom(3996) + whole[4096:],
        lambda whole: whole[:16384] + bytes(8192) + whole[24576:],
        lambda whole: b"\0" * len(whole),
    ],
    ids=["garbage", "short garbage", "half", "one page", "first page", "holes", "zeros"],
)
def test_a_damaged_store_is_moved_aside(tmp_path, damage):
    whole = station_with(tmp_path)
    (tmp_path / "station.db").write_bytes(damage(whole))
    begins_anew(tmp_path)
    with Store(tmp_path) as store:
        assert len(store.after(0, 99)) == 1, "not moved aside again"


def test_another_database_is_moved_aside(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "station.db")) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    begins_anew(tmp_path)


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "station.db").touch()
    with Store(tmp_path) as store:
        assert len(fill(store, 2)) == 2
        assert store.events(9) == []


def test_a_newer_store_is_left_alone(tmp_path):
    station_with(tmp_path, 10)
    with contextlib.closing(sqlite3.connect(tmp_path / "station.db")) as connection:
        connection.execute("PRAGMA user_version=7")
        connection.execute("UPDATE state SET value = 7 WHERE name = 'version'")
        connection.commit()
    before = (tmp_path / "station.db").read_bytes()
    for opening in (Store, open_store):
        with pytest.raises(UserError, match=r"version 7, and this program knows 1: .* newer"):
            opening(tmp_path)
    assert (tmp_path / "station.db").read_bytes() == before


def test_only_two_damaged_stores_are_kept(tmp_path):
    station_with(tmp_path, 1)
    for i in range(4):
        (tmp_path / "station.db").write_bytes(b"damage %d" % i * 999)
        Store(tmp_path).close()
    kept = sorted(p.read_bytes()[:8] for p in tmp_path.glob("station.db.damaged-*"))
    assert kept == [b"damage 2", b"damage 3"]


@pytest.mark.parametrize("seed", range(60))
def test_no_flipped_bytes_stop_the_runner(tmp_path, seed):
    """Whatever became of the file, the runner goes on with a store, now and after a restart."""
    chance = random.Random(seed)
    whole = bytearray(station_with(tmp_path, 60))
    first, size = chance.choice([(0, 120), (0, len(whole))]), chance.choice([1, 4, 40])
    for at in chance.sample(range(*first), size):
        whole[at] = chance.randrange(256)
    (tmp_path / "station.db").write_bytes(whole)
    for _ in range(2):
        with Store(tmp_path) as store:
            new = fill(store, 3)
            assert store.after(new[0].id - 1, 9) == new
            assert len(store.latest(99)) >= 3
            store.mark(new[0].id, "missed")


def test_a_store_damaged_meanwhile_is_replaced(tmp_path):
    with Store(tmp_path) as store:
        fill(store, 400)
        station = store.station
        with contextlib.closing(sqlite3.connect(tmp_path / "station.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("UPDATE state SET value = value")  # so that no page is remembered
        with (tmp_path / "station.db").open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        waiting = [store.add(record(i)) for i in range(3)]
        assert store.flush() == waiting
        assert [r.id for r in store.after(0, 999)] == [401, 402, 403], "ids go on"
        assert store.counts().scored == 403
        assert store.station == station, "so no id means two records"
        assert "moved to station.db.damaged-" in store.events(9)[-1].text


def test_a_store_deleted_meanwhile_is_begun_anew(tmp_path):
    with Store(tmp_path) as store, open_store(tmp_path) as view:
        fill(store, 3)
        assert view.last_id() == 3
        (tmp_path / "station.db").unlink()
        assert [r.id for r in fill(store, 2)] == [4, 5]
        assert [r.id for r in view.after(0, 9)] == [4, 5], "the view follows"
        assert "begun" in store.events(1)[0].text


# Cost


GROWTH = """
import sys
from edge.station.store import Store
from edge.station.types import Record
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
store = Store(sys.argv[1], keep=2000)
for i in range(24_000):
    store.add(Record(1.7e9 + i, 1.0 * i, "boot", f"camera:{i}", "fail", "FAIL", 1.0 * i, 0.5))
    if i % 50 == 49:
        store.flush()
    if i == 4_000:
        before = resident()
print(resident() - before)
"""


def test_memory_does_not_grow(tmp_path):
    assert int(run_python("-c", GROWTH, tmp_path).stdout) < 2**20
