"""Marks: what moves the threshold, what does not, and what is told before it does."""

import json

import numpy as np
import pytest

from edge.calibration import calibrate
from edge.errors import CalibrationError, UserError
from edge.install.local import local_calibrations
from edge.manifest import read_manifest
from edge.recalibrate import recalibrate, same_graphs
from edge.runner import Runner
from edge.station.feedback import calibrate_from_marks, propose
from edge.station.store import Store
from edge.station.types import Record
from edge.station.view import Mark

GOOD = calibrate(np.linspace(1, 2, 160), 0.01)


def record(score, id=1, bundle="b"):
    return Record(
        1.75e9, 1.0, "boot", "camera:0", "fail", "FAIL", score=score, bundle=bundle, id=id
    )


def marks(kind, *scores):
    return [Mark(record(score, i), kind, 1.75e9) for i, score in enumerate(scores, 1)]


def test_a_false_alarm_joins_the_good_pictures():
    false = marks("false-alarm", 2.5, 3.0)
    recorded = [record(s) for s in (1.0, 1.5, 1.98, 2.5, 2.9, 3.0, 9.0, None)]
    proposal = propose(GOOD, false, recorded)
    assert proposal.new == calibrate([*GOOD.scores, 2.5, 3.0], 0.01)
    assert (proposal.added, proposal.known, proposal.alarming) == (2, 0, 0)
    assert proposal.new.label(3.0) != "fail"
    assert proposal.new.label(9.0) == "fail"
    assert proposal.frames == 7
    assert proposal.changes == {("fail", "warn"): 3}


def test_of_very_many_good_pictures_the_rate_still_fails():
    many = calibrate(np.linspace(1, 2, 2000), 0.01)
    proposal = propose(many, marks("false-alarm", 5.0), [])
    assert proposal.alarming == 1, "one in a hundred is what was asked for"
    assert proposal.new.threshold < 5.0


def test_marks_join_once():
    false = marks("false-alarm", 2.5, 2.5, 3.1)
    once = propose(GOOD, false, [])
    again = propose(once.new, false, [])
    assert (again.added, again.known) == (0, 3)
    assert again.new == once.new
    more = propose(once.new, [*false, *marks("false-alarm", 2.5)], [])
    assert (more.added, more.known) == (1, 3), "another frame of the same score"


def test_what_was_missed_is_told_and_sets_nothing():
    proposal = propose(GOOD, marks("missed", 1.9, 2.4), [])
    assert proposal.new == GOOD
    low, high = proposal.missed
    assert (low.found, high.found) == (False, True)
    assert low.rate == pytest.approx(GOOD.p_value(1.9))
    assert propose(GOOD, marks("missed", 1.9, 2.4), [], rate=low.rate).missed[0].found


def test_a_rate_alone_changes_it_too():
    proposal = propose(GOOD, [], [record(1.97)], rate=0.05)
    assert proposal.new.rate == 0.05
    assert proposal.changes == {("warn", "fail"): 1}
    assert propose(GOOD, [], [], rate=0.01).new is GOOD
    with pytest.raises(CalibrationError, match="false-alarm rate"):
        propose(GOOD, [], [], rate=0.9)


# Through a real bundle and a real store


@pytest.fixture
def station(tmp_path):
    """Fills a station. scores: of its frames; marked: id -> kind."""

    def fill(bundle, scores, marked, others=0):
        with Store(tmp_path / "station") as store:
            for score in scores:
                store.add(record(score, 0, bundle))
            for _ in range(others):
                store.add(record(50.0, 0, "another"))
            store.flush()
            for id, kind in marked.items():
                store.mark(id, kind)
        return tmp_path / "station"

    return fill


def test_from_marks_to_the_threshold_of_the_runner(bundle_copy, station):
    runner = Runner(bundle_copy)
    limit, old = runner.calibration.threshold, runner.calibration
    (id,) = same_graphs(bundle_copy, runner.manifest)
    folder = station(
        id,
        [limit / 2, limit * 1.1, limit * 1.2, limit * 3],
        {2: "false-alarm", 3: "false-alarm", 1: "missed", 5: "false-alarm"},
        others=1,
    )
    trial = calibrate_from_marks(bundle_copy, folder, apply=False)
    assert trial["applied"] is False
    assert Runner(bundle_copy).calibration == old
    report = calibrate_from_marks(bundle_copy, folder)
    assert json.loads(json.dumps(report)) == {**trial, "applied": True}
    assert (report["old_threshold"], report["precision"]) == (limit, "int8")
    assert report["false_alarms"]["added"] == 2
    assert report["marks_of_other_bundles"] == 1
    assert report["recorded_frames"]["compared"] == 4
    assert [missed["id"] for missed in report["missed"]] == [1]
    changed = Runner(bundle_copy)
    assert changed.calibration.threshold == report["threshold"] > limit
    assert (
        Runner(bundle_copy, "float32").calibration
        == read_manifest(bundle_copy).calibrations["float32"]
    )
    assert same_graphs(bundle_copy, changed.manifest)[1:] == [id]
    again = calibrate_from_marks(bundle_copy, folder)
    assert again["applied"] is False, "though the manifest, and the bundle's id, are others now"
    assert again["false_alarms"]["added_before"] == 2
    assert again["recorded_frames"]["compared"] == 4


def test_frames_from_before_a_calibration_are_still_known(bundle_copy, station, pictures):
    (id,) = same_graphs(bundle_copy, read_manifest(bundle_copy))
    folder = station(id, [1000.0], {1: "false-alarm"})
    recalibrate(bundle_copy, pictures / "test" / "good")
    report = calibrate_from_marks(bundle_copy, folder)
    assert (report["false_alarms"]["added"], report["pictures"]) == (1, 17)


def test_in_a_bundle_store_the_bundle_stays_as_it_was(bundle, station, tmp_path):
    import shutil

    from edge.install.state import first
    from edge.install.store import Store as Bundles

    bundles = Bundles.create(tmp_path / "bundles")
    (version,) = same_graphs(bundle, read_manifest(bundle))
    shutil.copytree(bundle, bundles.path(version))
    bundles.write(first(version))
    limit = read_manifest(bundle).calibrations["int8"].threshold
    folder = station(version, [limit * 1.5], {1: "false-alarm"})
    report = calibrate_from_marks(tmp_path / "bundles", folder)
    assert report["applied"]
    assert read_manifest(bundles.path(version)) == read_manifest(bundle)
    local = local_calibrations(bundles.path(version))
    assert local["int8"].threshold == report["threshold"] > limit
    assert not calibrate_from_marks(tmp_path / "bundles", folder)["applied"]


def test_what_there_is_not(bundle_copy, tmp_path, station):
    with pytest.raises(UserError, match=r"expected a station, found no .*station.db"):
        calibrate_from_marks(bundle_copy, tmp_path)
    folder = station("b", [1.0], {})
    with pytest.raises(UserError, match="is not a bundle"):
        calibrate_from_marks(tmp_path, folder)
    report = calibrate_from_marks(bundle_copy, folder)
    assert (report["applied"], report["recorded_frames"]) == (False, {"compared": 0})
