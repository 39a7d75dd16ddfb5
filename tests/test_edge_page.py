"""What the page's server tells of a station, and how it bears one that is not there."""

import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from page_station import THRESHOLD, FakeStation, decoded, is_root, served, start, surface

from edge.errors import UserError
from edge.station.store import Store, open_store

pytest.importorskip("waitress")


@pytest.fixture
def station(tmp_path):
    made = FakeStation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def page(station):
    with served(station.folder) as page:
        yield page


def live(page, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return page.ask(f"/api/live?{text}").json


def test_the_newest_decision_with_its_age(station, page):
    assert live(page)["record"] is None
    station.add("pass", ago=50)
    made = station.add("fail", ago=7)
    told = live(page)
    assert told["state"]["name"] == "running"
    assert told["record"]["id"] == made.id
    assert told["record"]["decision"] == "FAIL"
    assert 7 <= told["record"]["age"] < 60


def test_the_age_of_a_frame_of_an_earlier_start_is_not_known(station, page):
    station.add("pass", boot="another")
    told = live(page)["record"]
    assert (told["decision"], told["age"]) == ("PASS", None)


def test_a_frame_that_the_store_does_not_have_yet_is_the_newest(station, page):
    station.add("pass", ago=3)
    station.look("fail")
    told = live(page)
    assert told["record"]["decision"] == told["frame"]["record"]["decision"] == "FAIL"
    station.add("warn")
    told = live(page)
    assert (told["record"]["decision"], told["frame"]["record"]["decision"]) == ("WARN", "FAIL")


def test_the_live_picture_in_three_layers_and_each_only_once(station, page):
    station.look()
    found = {}
    for layer in ("picture", "map", "reconstruction"):
        frame = live(page, layer=layer)["frame"]
        found[layer] = decoded(frame["jpeg"])
        assert found[layer].shape == (frame["height"], frame["width"], 3) == (128, 128, 3)
        assert live(page, layer=layer, seen=frame["version"])["frame"]["jpeg"] is None
    assert np.abs(found["picture"].astype(int) - surface()).mean() < 8
    red, green = (found["map"][55:75, 58:68, c].astype(int).mean() for c in (0, 1))
    assert red > green + 60, "hot in the middle"
    station.look()
    assert live(page, layer="reconstruction", seen=frame["version"])["frame"]["jpeg"]
    assert live(page, layer="../../etc/passwd")["frame"]["layer"] == "map"


def test_asking_for_live_lets_the_station_know(station, page):
    watched = station.memory / "watched"
    assert not watched.exists()
    live(page)
    assert watched.exists()
    os.utime(watched, (1, 1))
    page.ask("/api/status")
    assert watched.stat().st_mtime == 1, "asking for the rest is not looking"
    live(page)
    assert time.time() - watched.stat().st_mtime < 60


def test_memory_that_cannot_be_written_is_said(station, page):
    (station.memory / "watched").mkdir()
    assert "as the user that the station runs as" in live(page)["problem"]


def test_watched_is_no_way_to_other_files(station, page, tmp_path):
    other = tmp_path / "other"
    (station.memory / "watched").symlink_to(other)
    assert "cannot write" in live(page)["problem"]
    assert not other.exists()


def test_status_tells_everything_else(station, page):
    station.fill(60)
    station.health(drift="it is darker", dropped=12, waiting={"mqtt": 3})
    status = page.ask("/api/status").json
    assert status["name"] == "line-1"
    assert status["state"]["problems"] == ["drift: it is darker"]
    assert status["health"]["waiting"] == {"mqtt": 3}
    assert status["counts"]["decisions"] == {"PASS": 53, "WARN": 4, "FAIL": 3}
    assert (status["counts"]["scored"], status["counts"]["dropped"]) == (60, 12)
    assert [record["id"] for record in status["records"]] == list(range(60, 0, -1))
    assert [r["decision"] for r in status["rejected"]].count("FAIL") == 3
    assert [point["id"] for point in status["scores"]] == list(range(1, 61))
    assert {point["threshold"] for point in status["scores"]} == {THRESHOLD}
    assert [event["kind"] for event in status["events"]] == ["bundle", "camera"]
    assert status["login"] is False


def test_numbers_that_json_cannot_hold(station, page):
    station.add("fail", score=float("inf"), ms=float("nan"))
    text = page.ask("/api/status").body.decode()
    assert "Infinity" not in text
    assert json.loads(text)["records"][0]["score"] is None
    assert page.ask("/api/records/1").json["score"] is None


def test_the_rejected_ones_are_found_among_many_that_passed(station, page):
    station.fill(34)
    first = page.ask("/api/status").json["rejected"]
    assert [r["id"] for r in first] == [34, 26, 17, 13]
    for _ in range(5000):
        station.store.add(station.record())
    station.add("fail")
    status = page.ask("/api/status").json
    assert [r["id"] for r in status["rejected"]] == [5035, 34, 26, 17, 13]
    assert {r["decision"] for r in status["records"][1:]} == {"PASS"}


def test_one_record_with_its_stored_pictures(station, page):
    made = station.add("fail", keep=True)
    record = page.ask(f"/api/records/{made.id}").json
    assert (record["p_value"], record["threshold"], record["bundle"]) == (0.2, 0.5, "0123456789ab")
    assert (record["has_picture"], record["has_map"], record["mark"]) == (True, True, None)
    answer = page.ask(f"/api/records/{made.id}/picture")
    np.testing.assert_array_equal(answer.picture, surface())
    assert answer.headers["Content-Type"] == "image/png"
    answer = page.ask(f"/api/records/{made.id}/map")
    assert answer.picture.shape == (128, 128, 3)
    assert answer.headers["Content-Type"] == "image/jpeg"
    (station.folder / made.picture).unlink()
    assert page.ask(f"/api/records/{made.id}/picture").status == 404
    assert page.ask(f"/api/records/{made.id}").json["has_picture"] is False


def test_marks_are_kept_and_changed(station, page):
    passed, failed, error = station.add("pass"), station.add("fail"), station.add("error")
    assert page.mark(passed.id, "missed").json == {"id": passed.id, "mark": "missed"}
    assert page.mark(failed.id, "missed").status == 200
    assert page.mark(failed.id, "false-alarm").status == 200
    with open_store(station.folder) as store:
        assert [(m.record.id, m.kind) for m in store.marks()] == [
            (passed.id, "missed"),
            (failed.id, "false-alarm"),
        ]
    assert page.ask("/api/status").json["marks"] == {"1": "missed", "2": "false-alarm"}
    assert page.ask(f"/api/records/{failed.id}").json["mark"] == "false-alarm"
    assert page.mark(failed.id, "none").json == {"id": failed.id, "mark": None}
    assert page.ask("/api/status").json["marks"] == {"1": "missed"}
    for id, kind, said in (
        (failed.id, "good", "expected a mark of false-alarm or missed"),
        (99, "missed", "holds 1 to 3"),
        (error.id, "missed", "was not judged"),
    ):
        refused = page.mark(id, kind)
        assert refused.status == 400
        assert said in refused.json["error"]


def test_a_marked_record_is_shown_after_it_was_removed(station, page):
    made = station.add("fail", keep=True)
    page.mark(made.id, "false-alarm")
    station.close()
    with_little_room = Store(station.folder, keep=1)
    for _ in range(9):
        with_little_room.add(station.record())
        with_little_room.flush()
    with_little_room.close()
    assert page.ask(f"/api/records/{made.id}").json["mark"] == "false-alarm"
    assert page.ask(f"/api/records/{made.id}/picture").status == 200
    assert page.ask("/api/records/2").status == 404


# Stations that are not there


def test_a_station_that_never_ran_is_a_normal_state(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    with served(folder) as page:
        told = live(page)
        assert (told["state"]["name"], told["record"]) == ("new", None)
        assert "python -m edge run" in told["state"]["text"]
        assert page.ask("/api/status").json["records"] == []
        assert page.ask("/api/records/1").status == 404
        assert page.mark(1, "missed").status == 503
        (folder.parent / "x").mkdir()
        station = FakeStation(folder.parent / "x")
        station.add("pass")
        station.close()
        shutil.copytree(station.folder, folder, dirs_exist_ok=True)
        assert live(page)["record"]["decision"] == "PASS"
    assert list(tmp_path.glob("new/.*")) == []


def test_a_station_that_ended_that_hangs_and_that_runs_again(station, page):
    station.add("pass")
    station.look("pass")
    assert live(page)["state"]["name"] == "running"
    station.health(fresh_s=0.3)
    time.sleep(0.5)
    told = live(page)
    assert told["state"]["name"] == "silent"
    assert "not been heard of" in told["state"]["text"]
    assert told["frame"] is None
    station.health()
    assert live(page)["state"]["name"] == "running"
    (station.memory / "health.json").unlink()
    told = live(page)
    assert (told["state"]["name"], told["frame"]) == ("stopped", None)
    assert page.ask("/api/status").json["health"] is None
    station.health(stopping="SIGTERM")
    assert "SIGTERM" in live(page)["state"]["text"]


@pytest.mark.parametrize("jump", [86400, -86400])
def test_a_clock_that_jumps_makes_no_dead_station_alive(station, page, jump):
    """The file's date is a day off, as after the clock was set."""
    station.health(fresh_s=1)
    health = station.memory / "health.json"
    os.utime(health, (time.time() - jump, time.time() - jump))
    names = []
    for _ in range(4):
        names.append(live(page)["state"]["name"])
        time.sleep(0.5)
    assert names[-1] == "silent"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"record": 7}', "x" * 17_000_000])
def test_files_in_memory_that_say_nothing(station, page, content):
    station.add("pass")
    (station.memory / "live.json").write_text(content)
    told = live(page)
    assert (told["frame"], told["record"]["decision"]) == (None, "PASS")
    (station.memory / "health.json").write_text(content)
    assert live(page)["state"]["name"] in ("stopped", "running")
    (station.memory / "health.json").unlink()
    os.mkfifo(station.memory / "health.json")
    assert live(page)["state"]["name"] == "stopped"


def test_memory_of_another_user_is_not_believed(station, page):
    if not is_root():
        pytest.skip("only root can give a folder away")
    station.add("pass")
    os.chown(station.memory, 12345, 12345)
    told = live(page)
    assert told["state"]["name"] == "silent"
    assert "another user" in told["state"]["text"]


def test_a_damaged_store_is_said(station, page):
    station.add("pass")
    station.close()
    (station.folder / "station.db").write_bytes(b"no database at all" * 1000)
    for path in ("/api/live", "/api/status"):
        answer = page.ask(path)
        assert answer.status == 200
        assert answer.json["state"]["name"] == "unreadable"
        assert "station.db" in answer.json["state"]["text"]


# The process


def test_it_says_its_address_once_and_ends_at_a_signal(station):
    with served(station.folder) as page:
        assert page.ask("/").status == 200
        assert page.stop() < 5
        out, err = page.process.communicate()
    assert page.process.returncode == 0
    assert (out, err) == ("", f"edge serve: {page.address}/\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "others can reach this address; set a token"),
        ({"host": "::"}, "set a token"),
        ({"host": "0.0.0.0", "token": "short"}, "at least 8 characters"),
        ({"token": "short"}, "at least 8 characters"),
        ({"host": "192.0.2.1", "token": "long enough"}, "cannot listen there"),
        ({"host": "no such name"}, "cannot listen there"),
    ],
)
def test_what_it_refuses_in_one_line(tmp_path, options, said):
    process = start(tmp_path, **options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
    assert said in err


def test_a_folder_or_a_port_that_cannot_be(station, page):
    from edge.page import serve

    with pytest.raises(UserError, match="expected a station's folder, found none at"):
        serve(station.folder / "nowhere")
    with pytest.raises(UserError, match="in use"):
        serve(station.folder, port=page.port)


def test_without_waitress_it_tells_what_to_install(tmp_path):
    code = """
import sys
sys.modules["waitress"] = None
from edge.page import serve
try:
    serve(sys.argv[1], port=0)
except Exception as error:
    print(type(error).__name__, error)
"""
    import sys

    from conftest import ROOT

    call = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "UserError serving HTTP needs waitress; run `pip install waitress`\n"
