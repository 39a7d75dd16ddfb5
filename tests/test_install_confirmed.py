"""A new bundle has to prove itself; the way back, by itself and by hand, is always there."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT, snapshot
from install_bundles import (
    fake_bundle,
    leftovers,
    name_of,
    put,
    versions,
)

from edge import Runner, UserError
from edge.install.active import ActiveBundle, active_bundle, current_bundle
from edge.install.install import rollback, status
from edge.install.local import local_calibrations, save_calibrations
from edge.install.verify import verify
from edge.manifest import read_manifest

# Confirmation, and the way back by itself


@pytest.fixture
def updated(bolts, nuts, store) -> Path:
    """A store with `bolts` confirmed and `nuts` on trial."""
    put(bolts, store, needed=0)
    put(nuts, store, needed=10)
    return store


@pytest.mark.parametrize("needed", [1, 2, 9, 10, 101])
def test_good_frames_confirm_a_bundle(bolts, nuts, store, needed):
    put(bolts, store, needed=0)
    put(nuts, store, needed=needed)
    station = ActiveBundle(store)
    for _ in range(needed - 1):
        station.report_frame(True)
    assert status(store)["state"] == "trial"
    station.report_frame(True)
    assert status(store)["state"] == "confirmed"
    assert not station.changed()
    for _ in range(5):
        assert active_bundle(store) == station.folder


def test_frames_scored_are_few_writes(updated, monkeypatch):
    station = ActiveBundle(updated)
    before = (updated / "state.json").stat()
    written = set()
    for _ in range(1000):
        station.report_frame(True)
        written.add((updated / "state.json").stat().st_ino)
    written.discard(before.st_ino)
    assert len(written) <= 5


def test_good_frames_count_on_after_a_restart(updated):
    for frames in (6, 6):
        station = ActiveBundle(updated)
        for _ in range(frames):
            station.report_frame(True)
    assert status(updated)["state"] == "confirmed"


def test_an_error_on_trial_goes_back_at_once(updated):
    station = ActiveBundle(updated)
    assert not station.changed()
    station.report_frame(True)
    station.report_frame(False, "the interpreter refuses")
    assert station.changed()
    again = ActiveBundle(updated)
    assert again.folder != station.folder
    assert again.rejected == {"version": station.version, "reason": "the interpreter refuses"}
    assert name_of(updated) == "bolts"
    assert status(updated)["state"] == "confirmed"
    assert versions(updated) == {again.version}


def test_an_error_after_confirmation_changes_nothing(updated):
    station = ActiveBundle(updated)
    for _ in range(10):
        station.report_frame(True)
    before = snapshot(updated)
    station.report_frame(False)
    assert snapshot(updated) == before


def test_an_error_with_nothing_to_go_back_to_changes_nothing(bolts, store):
    put(bolts, store, needed=4)
    station = ActiveBundle(store)
    for ok in (False, True, True, False, True, True):
        station.report_frame(ok)
    assert not station.changed()
    assert status(store)["state"] == "confirmed"


def test_three_starts_without_confirmation_go_back(updated, bolts, nuts):
    started = [active_bundle(updated).name for _ in range(6)]
    assert started == [verify(nuts).version] * 3 + [verify(bolts).version] * 3
    assert status(updated)["rejected"]["reason"] == "3 starts led to no confirmation"


def test_a_first_bundle_stays_however_often_it_starts(bolts, store):
    put(bolts, store)
    assert {active_bundle(store).name for _ in range(6)} == {verify(bolts).version}


def test_looking_counts_as_no_start(updated, bolts):
    before = snapshot(updated)
    for _ in range(6):
        assert current_bundle(updated).name == status(updated)["active"]
    assert snapshot(updated) == before
    assert current_bundle(bolts) == bolts


def test_frames_of_the_bundle_before_do_not_confirm_the_new_one(bolts, nuts, store):
    put(bolts, store, needed=10)
    station = ActiveBundle(store)
    put(nuts, store, needed=10)
    assert station.changed()
    for _ in range(50):
        station.report_frame(True)
    station.report_frame(False)
    state = status(store)
    assert (state["name"], state["state"], state["good_frames"]) == ("nuts", "trial", 0)


def test_a_running_station_sees_a_new_bundle(bolts, nuts, store):
    put(bolts, store)
    station = ActiveBundle(store)
    assert not station.changed()
    put(bolts, store)
    assert not station.changed()
    put(nuts, store)
    assert station.changed()
    assert station.changed(), "until it is loaded"
    assert not ActiveBundle(store).changed()


def test_a_plain_bundle_has_nothing_to_prove(bolts):
    before = snapshot(bolts)
    station = ActiveBundle(bolts)
    assert station.folder == active_bundle(bolts) == bolts
    assert station.version is None
    for ok in (True, False) * 200:
        station.report_frame(ok)
    assert not station.changed()
    assert local_calibrations(bolts) == {}
    assert snapshot(bolts) == before


def test_what_is_neither_store_nor_bundle_is_left_to_the_loader(tmp_path):
    assert active_bundle(tmp_path) == tmp_path
    with pytest.raises(UserError, match="is not a bundle"):
        Runner(active_bundle(tmp_path))


# The way back by hand


def test_rollback_by_hand_and_forward_again(updated, bolts, nuts):
    old, new = verify(bolts).version, verify(nuts).version
    station = ActiveBundle(updated)
    assert rollback(updated) == {"active": old, "left": new}
    assert station.changed()
    assert [active_bundle(updated).name for _ in range(5)] == [old] * 5
    assert rollback(updated) == {"active": new, "left": old}
    assert active_bundle(updated).name == new


def test_rollback_with_nothing_before(bolts, store, tmp_path):
    with pytest.raises(UserError, match="is no bundle store"):
        rollback(tmp_path)
    with pytest.raises(UserError, match="is no bundle store"):
        rollback(bolts)
    put(bolts, store)
    before = snapshot(store)
    with pytest.raises(UserError, match="has no previous version to go back to"):
        rollback(store)
    assert snapshot(store) == before


def test_rollback_to_a_damaged_version_is_refused(updated, bolts):
    (updated / "versions" / verify(bolts).version / "card.md").unlink()
    with pytest.raises(UserError, match="no previous version"):
        rollback(updated)
    assert name_of(updated) == "nuts"
    station = ActiveBundle(updated)
    station.report_frame(False)
    assert not station.changed(), "nor does it go back by itself to what does not work"
    assert [active_bundle(updated) for _ in range(5)] == [station.folder] * 5


# Damage


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"null", b"[]", b"\xff\xfe", b'{"format": 2}', b"[" * 99999, None),
        b'{"format": 1, "active": "../../etc", "previous": null}',
        b'{"format": 1, "active": "0123456789ab", "previous": null}',
        b'{"format": 1, "active": 5, "previous": []}',
    ],
)
def test_a_damaged_state_falls_back_to_the_newest_that_is_whole(updated, nuts, content):
    for age, version in enumerate((verify(nuts).version, *versions(updated))):
        os.utime(updated / "versions" / version, (1e9 - age, 1e9 - age))
    newest = updated / "versions" / verify(nuts).version
    os.utime(newest, (1.1e9, 1.1e9))
    state = updated / "state.json"
    state.unlink()
    if content is not None:
        state.write_bytes(content)
    assert active_bundle(updated) == newest
    assert status(updated)["state"] == "trial"
    # And it has to prove itself again: the other one is still there to go back to.
    ActiveBundle(updated).report_frame(False)
    assert name_of(updated) == "bolts"


def test_a_damaged_active_version_gives_way(updated):
    (active_bundle(updated) / "detector.int8.tflite").write_bytes(b"")
    assert name_of(updated) == "bolts"
    station = ActiveBundle(updated)
    assert station.rejected["reason"] == "it is damaged or missing on this disk"
    assert snapshot(station.folder)["card.md"] == b"# bolts\n"


def test_leftovers_of_a_power_cut_are_removed(updated):
    (updated / ".part-0123").mkdir()
    (updated / ".part-0123" / "detector.int8.tflite").write_bytes(bytes(1000))
    (updated / ".state.json.4711.part").write_bytes(b"{")
    shutil.copytree(active_bundle(updated), updated / "versions" / "0123456789ab")
    active_bundle(updated)
    assert leftovers(updated) == []
    assert len(versions(updated)) == 2


# Several at once


def test_many_installations_at_once(store, tmp_path):
    bundles = [fake_bundle(tmp_path / f"b{i}", f"b{i}") for i in range(4)]
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from install_bundles import passes\n"
        "from edge.install.install import install\n"
        "for _ in range(3): install(sys.argv[1], sys.argv[2], trial=passes)"
    )
    call = [sys.executable, "-c", program]
    processes = [subprocess.Popen([*call, b, store], cwd=ROOT) for b in bundles]
    while any(p.poll() is None for p in processes):
        if (store / "state.json").exists():
            active_bundle(store)
    assert [p.returncode for p in processes] == [0] * 4
    assert leftovers(store) == []
    assert len(versions(store)) <= 2
    verify(active_bundle(store))


def test_a_store_that_is_being_changed_is_waited_for(updated, nuts):
    from edge.install.store import Store

    entered, leave = threading.Event(), threading.Event()

    def hold():
        with Store(updated).lock():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    threading.Timer(0.5, leave.set).start()
    start = time.monotonic()
    put(nuts, updated)
    assert time.monotonic() - start > 0.3
    thread.join()


def test_a_station_starts_while_somebody_keeps_the_store(updated, nuts, monkeypatch):
    from edge.install import active
    from edge.install.store import Store

    monkeypatch.setattr(active, "_PATIENCE", 0.1)
    with Store(updated).lock():
        assert active_bundle(updated).name == verify(nuts).version
        with pytest.raises(UserError, match="is being changed by another process; try again"):
            Store(updated).lock(0.1).__enter__()


# Thresholds set on the device


def test_thresholds_belong_to_their_version(updated, bolts, nuts):
    old, new = (read_manifest(b).calibrations for b in (bolts, nuts))
    save_calibrations(updated, verify(bolts).version, new, {"when": "now"})
    assert local_calibrations(active_bundle(updated)) == {}
    rollback(updated)
    assert local_calibrations(active_bundle(updated)) == new
    station = ActiveBundle(updated)
    assert not station.recalibrated()
    save_calibrations(updated, verify(bolts).version, old, {})
    assert (station.recalibrated(), station.recalibrated()) == (True, False)
    assert not station.changed()
    assert local_calibrations(active_bundle(updated)) == old


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"VERSION": {}}', b'{"VERSION": {"calibration": {"int8": {}}}}'],
)
def test_damaged_thresholds_are_told(updated, content):
    folder = active_bundle(updated)
    content = content.replace(b"VERSION", folder.name.encode())
    (updated / "calibration.local.json").write_bytes(content)
    with pytest.raises(UserError, match=r"calibration\.local\.json is damaged"):
        local_calibrations(folder)
