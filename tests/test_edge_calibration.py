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
