"""Thresholds: verdict and p-value say the same, and false alarms come at the rate asked for."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge import CalibrationError
from edge.calibration import CONFORMAL, TAIL, calibrate

# Rounded, so that ties occur: within the scores, and of a picture with them.
values = st.floats(0, 50).map(lambda v: round(v, 1))
scores = st.lists(values, min_size=8, max_size=150)
rates = st.one_of(st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.3, 0.5]), st.floats(0.001, 0.5))
thorough = settings(max_examples=300, deadline=None)


@thorough
@given(scores, rates, st.data())
def test_verdict_follows_from_the_p_value(scores, rate, data):
    calibration = calibrate(scores, rate)
    score = data.draw(st.one_of(st.sampled_from(scores), values, st.floats(0, 500)))
    p_value = calibration.p_value(score)
    assert 0 < p_value <= 1
    warn_rate = min(0.5, 5 * rate)
    if calibration.method == TAIL:  # on the line itself rounding decides
        assume(not any(math.isclose(p_value, r, rel_tol=1e-3) for r in (rate, warn_rate)))
    expected = "fail" if p_value <= rate + 1e-9 else "warn"
    expected = expected if p_value <= max(warn_rate, rate) + 1e-9 else "pass"
    assert calibration.label(score) == expected


@thorough
@given(scores, rates, st.floats(0, 500), st.floats(0, 500))
def test_a_higher_score_is_never_less_rare(scores, rate, one, other):
    calibration = calibrate(scores, rate)
    low, high = sorted((one, other))
    assert calibration.p_value(low) >= calibration.p_value(high)


@thorough
@given(scores, rates)
def test_method_is_conformal_wherever_the_scores_suffice(scores, rate):
    calibration = calibrate(scores, rate)
    enough = 1 / (len(scores) + 1) <= rate + 1e-9
    assert calibration.method == (CONFORMAL if enough else TAIL)
    assert calibration.warn_threshold <= calibration.threshold
    assert calibration.scores == tuple(sorted(scores))


@given(scores, rates, st.randoms(use_true_random=False))
def test_order_of_the_scores_does_not_matter(scores, rate, random):
    shuffled = random.sample(scores, len(scores))
    assert calibrate(shuffled, rate) == calibrate(np.array(scores), rate)


def test_conformal_p_value_by_hand():
    calibration = calibrate(range(1, 20), 0.05)  # 19 scores: the least p-value is 1 / 20
    assert calibration.p_value(100) == pytest.approx(1 / 20)
    assert calibration.p_value(19) == pytest.approx(2 / 20), "a tie counts"
    assert calibration.p_value(10.5) == pytest.approx(10 / 20)
    assert calibration.p_value(0) == 1
    assert calibration.threshold == 19
    assert [calibration.label(s) for s in (19.01, 19, 15.01, 15)] == [
        "fail",
        "warn",
        "warn",
        "pass",
    ]


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_false_alarms_come_at_the_conformal_rate(draw):
    # Of 99 scores, (1 + 4) / 100 is the rate itself: exactly 5 % of new good pictures fail on
    # average over calibrations. The bound is four standard errors; one score more or less, 1 %.
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(2000):
        good = getattr(rng, draw)(size=149)
        alarms.append(np.mean(good[99:] > calibrate(good[:99], 0.05).threshold))
    assert np.mean(alarms) == pytest.approx(0.05, abs=4 * np.std(alarms) / np.sqrt(len(alarms)))
    assert np.std(alarms) / np.sqrt(len(alarms)) < 0.001


@pytest.mark.parametrize("n", [8, 14, 40])
def test_false_alarms_of_the_tail_stay_within_twice_the_rate(n):
    # A few good parts score many times what most do; so do scores that have a Pareto tail.
    rng = np.random.default_rng(11)
    alarms, lighter = [], []
    for _ in range(4000):
        calibration = calibrate(rng.pareto(1.0, n), 0.01)
        alarms.append(1 / (1 + calibration.threshold))
        lighter.append(np.exp(-calibrate(rng.exponential(3.0, n), 0.01).threshold / 3.0))
    assert calibration.method == TAIL
    assert np.std(alarms) / np.sqrt(len(alarms)) < 0.0005
    assert 0.005 < np.mean(alarms) < 0.02
    assert np.mean(lighter) < 0.01


@pytest.mark.parametrize("rate", [0.01, 0.05])
@pytest.mark.parametrize("n", [8, 14, 18, 40])
@pytest.mark.parametrize("draw", ["exponential", "chisquare", "lognormal"])
def test_few_scores_that_happen_to_be_low_set_no_threshold_that_most_parts_pass(draw, n, rate):
    # By whatever eight parts it is set: in one case of twenty more than twice the rate may fail.
    rng = np.random.default_rng(3)
    shape = () if draw == "exponential" else (1.0,)
    new = np.sort(getattr(rng, draw)(*shape, size=200_000))
    thresholds = [
        calibrate(getattr(rng, draw)(*shape, size=n), rate).threshold for _ in range(2000)
    ]
    alarms = 1 - np.searchsorted(new, thresholds) / new.size
    if n < 1 / rate - 1:
        assert np.mean(alarms > 2 * rate) < 0.08
    assert np.mean(alarms) < 1.1 * rate


@thorough
@given(scores, rates, st.integers(1, 5), st.data())
def test_a_part_in_several_equal_pictures_counts_once(scores, rate, times, data):
    once = calibrate(scores, rate)
    groups = [part for part in range(len(scores)) for _ in range(times)]
    several = calibrate(np.repeat(scores, times), rate, groups)
    assert several.method == once.method
    assert several.threshold == pytest.approx(once.threshold)
    assert several.warn_threshold == pytest.approx(once.warn_threshold)
    score = data.draw(values)
    assert several.p_value(score) == pytest.approx(once.p_value(score))


@thorough
@given(st.lists(st.tuples(values, st.integers(0, 30)), min_size=8, max_size=150), rates, st.data())
def test_verdict_follows_from_the_p_value_of_groups_too(pictures, rate, data):
    scores, groups = zip(*pictures, strict=True)
    calibration = calibrate(scores, rate, groups)
    others, theirs = zip(*data.draw(st.permutations(pictures)), strict=True)
    assert calibrate(others, rate, theirs).threshold == pytest.approx(calibration.threshold)
    score = data.draw(st.one_of(st.sampled_from(scores), values, st.floats(0, 500)))
    p_value = calibration.p_value(score)
    assert 0 < p_value <= 1
    assume(not math.isclose(p_value, rate, rel_tol=1e-3))
    assert (calibration.label(score) == "fail") == (p_value < rate)


def test_exposures_of_one_odd_part_do_not_pass_for_many_parts():
    # Ten parts in ten pictures each are not a hundred parts.
    rng = np.random.default_rng(5)
    scores = np.repeat(rng.normal(size=10), 10) + 0.01 * rng.normal(size=100)
    groups = np.repeat(np.arange(10), 10).tolist()
    assert calibrate(scores, 0.01).method == CONFORMAL
    calibration = calibrate(scores, 0.01, groups)
    assert calibration.method == TAIL
    assert calibration.threshold > calibrate(scores, 0.01).threshold
    assert "10 groups of good pictures (100 pictures) are too few" in calibration.note
    assert (
        calibrate(scores, 0.1, groups).note
        == "conformal, 10 groups of good pictures (100 pictures)"
    )


@pytest.mark.parametrize("groups", [[0] * 40, [0] * 39 + [1], [0, 1] * 20])
def test_fewer_groups_than_a_tail_needs(groups):
    calibration = calibrate(np.arange(40.0), 0.01, groups)
    assert 39 < calibration.threshold < 10_000
    assert calibration.method == TAIL


@given(scores, rates, st.lists(values, max_size=5))
def test_scores_that_join_are_of_parts_of_their_own(scores, rate, more):
    groups = [i // 2 for i in range(len(scores))]
    joined = calibrate(scores, rate, groups).extended(more, rate)
    fresh = [*groups, *range(100, 100 + len(more))]
    again = calibrate([*scores, *more], rate, fresh)
    assert joined._replace(groups=()) == again._replace(groups=())
    assert calibrate(scores, rate).extended(more, rate) == calibrate([*scores, *more], rate)


@pytest.mark.parametrize("rate", [1e-12, 1e-300])
def test_the_tail_has_a_threshold_for_any_rate(rate):
    calibration = calibrate(np.arange(8.0), rate)
    assert 7 < calibration.threshold < math.inf
    assert calibration.label(math.inf) == "fail"


def test_the_tail_is_marked_and_says_how_many_pictures_are_needed():
    calibration = calibrate(np.arange(20.0), 0.01)
    assert calibration.method == "Pareto tail"
    assert (
        "20 good pictures are too few for a false-alarm rate of 0.01 (99 needed)"
        in calibration.note
    )
    assert calibration.threshold > 19
    enough = calibrate(np.arange(99.0), 0.01)
    assert enough.method == "conformal"
    assert enough.note == "conformal, 99 good pictures"


@pytest.mark.parametrize("n", [20, 99])
def test_a_score_that_is_no_number_fails_and_is_as_rare_as_can_be(n):
    calibration = calibrate(np.arange(float(n)), 0.01)
    assert calibration.label(math.nan) == calibration.label(math.inf) == "fail"
    assert calibration.p_value(math.nan) == calibration.p_value(math.inf) <= calibration.rate


def test_equal_scores_still_give_a_threshold():
    calibration = calibrate([3.0] * 10, 0.01)
    assert calibration.label(3.0) == "pass"
    assert calibration.label(3.001) == "fail"


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_scores(count):
    with pytest.raises(CalibrationError, match=f"at least 8 good pictures.*got {count}"):
        calibrate([1.0] * count)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers(wrong):
    with pytest.raises(CalibrationError, match="finite"):
        calibrate([1.0] * 20 + [wrong])


@pytest.mark.parametrize("rate", [0, -0.1, 0.51, 1, math.nan, math.inf])
def test_rates_out_of_range(rate):
    with pytest.raises(CalibrationError, match=r"false-alarm rate in \(0, 0\.5\], got"):
        calibrate(range(20), rate)
