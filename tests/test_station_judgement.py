"""Decisions over time, against a model that looks at the whole history each time."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.station.judgement import Judgement

# A busy machine is no fault.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
verdicts = st.sampled_from(["pass", "warn", "fail", "error"])
frames = st.lists(st.tuples(verdicts, st.integers(0, 6)), max_size=60)  # verdict, seconds since
rules = st.integers(1, 6).flatmap(
    lambda of: st.fixed_dictionaries(
        {
            "votes": st.integers(1, of),
            "of": st.just(of),
            "release": st.integers(0, 4),
            "gap": st.sampled_from([None, 2.0, 4.5]),
        }
    )
)


def naive(history, votes, of, release):
    """What the rules say of one part's verdicts so far, read again from the start."""
    failed, since = False, 0
    decision = None
    for i in range(len(history)):
        if history[i] == "error":
            decision = "FAIL" if failed else "ERROR"
            continue
        row = history[max(0, i + 1 - release) : i + 1]
        if failed and len(row) == release and row == ["pass"] * release:
            failed, since = False, i
        seen = [v for v in history[since : i + 1] if v != "error"][-of:]
        if seen.count("fail") >= votes:
            decision, failed = "FAIL", release > 0
        elif failed:
            decision = "FAIL"
        else:
            suspicious = seen.count("fail") + seen.count("warn")
            decision = "WARN" if suspicious >= votes else "PASS"
    return decision


@unhurried
@given(frames, rules)
def test_decisions_follow_from_the_whole_history(frames, rules):
    judgement = Judgement(**rules)
    gap = rules.pop("gap")
    now, part, parts = 0.0, [], 1
    for i, (verdict, seconds) in enumerate(frames):
        now += seconds
        if i and gap is not None and seconds > gap:
            part, parts = [], parts + 1
        part.append(verdict)
        assert judgement.decide(verdict, now) == naive(part, **rules)
        assert judgement.part == parts


@unhurried
@given(st.lists(verdicts))
def test_by_default_a_decision_is_the_verdict(verdicts):
    judgement = Judgement()
    assert [judgement.decide(v, 0.0) for v in verdicts] == [v.upper() for v in verdicts]


@unhurried
@given(frames, rules)
def test_errors_alone_neither_fail_nor_pass(frames, rules):
    judgement = Judgement(**rules)
    assert {judgement.decide("error", t) for _, t in frames} <= {"ERROR"}


def decisions(judgement, verdicts):
    return [judgement.decide(v, float(i)) for i, v in enumerate(verdicts.split())]


def test_two_of_three_and_release_by_hand():
    judgement = Judgement(votes=2, of=3, release=2)
    said = decisions(judgement, "fail pass fail pass error pass pass fail pass")
    assert said == ["PASS", "PASS", "FAIL", "FAIL", "FAIL", "FAIL", "PASS", "PASS", "PASS"]


def test_a_warning_may_be_of_failures_that_were_too_few():
    assert decisions(Judgement(2, 3), "warn fail pass pass") == ["PASS", "WARN", "WARN", "PASS"]


def test_a_part_that_failed_does_not_fail_the_next():
    judgement = Judgement(release=100, gap=1.0)
    assert judgement.decide("fail", 10.0) == "FAIL"
    assert judgement.decide("pass", 11.0) == "FAIL"
    assert judgement.decide("pass", 12.1) == "PASS"
    assert judgement.part == 2


def test_a_frame_without_a_verdict_shows_that_the_part_is_still_there():
    judgement = Judgement(release=9, gap=1.0)
    assert [judgement.decide(*f) for f in (("fail", 0), ("error", 0.8), ("pass", 1.6))] == [
        "FAIL",
        "FAIL",
        "FAIL",
    ]


@pytest.mark.parametrize("rules", [{"votes": 0}, {"votes": 3, "of": 2}, {"release": -1}])
def test_rules_that_make_no_sense_are_refused(rules):
    with pytest.raises(ValueError, match="expected"):
        Judgement(**rules)
    with pytest.raises(ValueError, match="got 'FAIL'"):
        Judgement().decide("FAIL", 0.0)
