"""What monitoring reads: whole at any moment, in memory, honest about what is wrong."""

import json
import os
import threading

import pytest

from edge.station.health import Health, HealthFile, health, memory_folder

WELL = Health(
    started=1000.0, now=1100.0, taken=1.75e9, scored=90, dropped=3, last=1099.5, ms=2.123, live=True
)


def test_a_station_that_is_well():
    record = health(WELL)
    assert (record["status"], record["problems"]) == ("ok", [])
    assert record["frames"] == {"scored": 90, "failed": 0, "dropped": 3, "lost": 0}
    assert (record["uptime_s"], record["last_scored_s"], record["ms"]) == (100.0, 0.5, 2.12)
    assert record["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"source_lost": "camera:0 was unplugged"}, "bad", "source: camera:0 was unplugged"),
        ({"trouble": "the disk is full"}, "bad", "store: the disk is full"),
        ({"last": 1010.0}, "bad", "no frame was scored for 90 s"),
        ({"last": None}, "bad", "no frame was scored for 100 s"),
        ({"drift": "pictures are darker"}, "warn", "drift: pictures are darker"),
        ({"free_mb": 55.5}, "warn", "disk: 56 MB free"),
        ({"lost": 7}, "warn", "store: 7 records were lost while the disk did not take them"),
    ],
)
def test_what_is_wrong_is_said(change, status, problem):
    record = health(WELL._replace(**change))
    assert (record["status"], record["problems"]) == (status, [problem])


def test_the_worst_decides_and_comes_first():
    record = health(WELL._replace(drift="dark", trouble="full", lost=1))
    assert record["status"] == "bad"
    assert [p.split(":")[0] for p in record["problems"]] == ["store", "drift", "store"]


def test_waiting_for_pictures_is_no_fault():
    assert health(WELL._replace(live=False, last=None))["status"] == "ok"
    slow = WELL._replace(every=300.0, last=1000.0, now=1500.0)
    assert health(slow)["status"] == "ok", "of one picture in five minutes"
    assert health(slow._replace(now=2000.0))["status"] == "bad"


def test_whoever_reads_finds_a_whole_record(tmp_path):
    file = HealthFile("line-1", tmp_path / "run")
    assert file.write(health(WELL))
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(json.loads(file.path.read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(200):
        assert file.write(health(WELL._replace(scored=i, drift="x" * (i * 50))), fresh_s=9.0)
    done.set()
    reader.join()
    assert seen
    assert {record["fresh_s"] for record in seen} <= {30.0, 9.0}
    assert [p.name for p in file.path.parent.iterdir()] == ["health.json"]
    file.remove()
    file.remove()
    assert not file.path.exists()


def test_numbers_that_json_lacks_become_null(tmp_path):
    file = HealthFile("line-1", tmp_path)
    assert file.write(health(WELL._replace(ms=float("nan"), waiting={"mqtt": 3})))
    record = json.loads(file.path.read_text(), parse_constant=pytest.fail)
    assert record["ms"] is None
    assert record["waiting"] == {"mqtt": 3}


def test_a_folder_that_takes_nothing_stops_no_station(tmp_path):
    (tmp_path / "file").write_text("")
    file = HealthFile("line-1", tmp_path / "file")
    assert not file.write(health(WELL))
    file.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to another")
def test_a_folder_that_somebody_else_made_is_not_written_to(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    (tmp_path / "link").symlink_to(tmp_path)
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    for folder in (theirs, tmp_path / "link"):
        assert not HealthFile("line-1", folder).write(health(WELL))
        assert not (folder / "health.json").exists()


def test_which_memory(tmp_path):
    service = {"RUNTIME_DIRECTORY": "/run/edge-line-1", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert str(memory_folder("line-1", service)) == "/run/edge-line-1"
    del service["RUNTIME_DIRECTORY"]
    assert memory_folder("line-1", service) == tmp_path / "edge-line-1"
    for nowhere in ({}, {"XDG_RUNTIME_DIR": str(tmp_path / "absent")}):
        folder = memory_folder("line-1", nowhere)
        assert folder.name == f"edge-line-1-{os.getuid()}"
        assert folder.parent.is_dir()
