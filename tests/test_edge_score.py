"""From map to number: against a naive reference, and the properties that a score must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edge.score import ScoreSpec, judge, score_map, smooth

maps = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(0, 100, width=32),
)
windows = st.sampled_from([1, 3, 5, 9])
specs = st.builds(ScoreSpec, windows, st.floats(0.001, 1))
quick = settings(max_examples=80, deadline=None)


def score(anomaly_map, spec) -> float:
    return score_map(anomaly_map, spec)[1]


def naive_smooth(anomaly_map, window):
    reach = window // 2
    smoothed = np.empty(anomaly_map.shape)
    for y, x in np.ndindex(*anomaly_map.shape):
        rows, columns = (
            slice(max(0, y - reach), y + reach + 1),
            slice(max(0, x - reach), x + reach + 1),
        )
        smoothed[y, x] = np.sqrt(np.mean(anomaly_map[rows, columns].astype(np.float64) ** 2))
    return smoothed


@quick
@given(maps, windows)
def test_smooth_is_the_root_mean_square_of_what_lies_in_the_window(anomaly_map, window):
    smoothed = smooth(anomaly_map, window)
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed, naive_smooth(anomaly_map, window), rtol=1e-4, atol=1e-4)


@quick
@given(maps, specs)
def test_score_is_the_mean_of_the_highest_share(anomaly_map, spec):
    highest = np.sort(naive_smooth(anomaly_map, spec.window), axis=None)[::-1]
    count = max(1, round(spec.top * anomaly_map.size))
    assert score(anomaly_map, spec) == pytest.approx(highest[:count].mean(), rel=1e-4, abs=1e-4)


@quick
@given(maps, specs, st.data())
def test_more_anomalous_anywhere_never_scores_lower(anomaly_map, spec, data):
    more = data.draw(arrays(np.float32, anomaly_map.shape, elements=st.floats(0, 50, width=32)))
    before = score(anomaly_map, spec)
    assert score(anomaly_map + more, spec) >= before - 1e-4 * (1 + before)


@quick
@given(maps, specs, st.floats(0.125, 8, width=32))
def test_score_is_in_the_units_of_the_map(anomaly_map, spec, factor):
    scaled = score(anomaly_map * np.float32(factor), spec)
    assert scaled == pytest.approx(factor * score(anomaly_map, spec), rel=1e-4, abs=1e-4)


@quick
@given(maps, specs)
def test_score_does_not_depend_on_how_the_part_is_turned(anomaly_map, spec):
    expected = pytest.approx(score(anomaly_map, spec), rel=1e-4, abs=1e-4)
    assert score(anomaly_map[::-1], spec) == expected
    assert score(anomaly_map.T, spec) == expected


@quick
@given(st.floats(0, 100, width=32), specs)
def test_a_flat_map_scores_its_value(value, spec):
    assert score(np.full((9, 7), value, np.float32), spec) == pytest.approx(value, rel=1e-4)


@quick
@given(maps)
def test_no_window_and_all_pixels_is_the_plain_mean(anomaly_map):
    expected = anomaly_map.mean(dtype=np.float64)
    assert score(anomaly_map, ScoreSpec(1, 1.0)) == pytest.approx(expected, rel=1e-5)


def test_the_smallest_share_is_the_maximum():
    anomaly_map = np.random.default_rng(0).random((32, 32), np.float32)
    heatmap, highest = score_map(anomaly_map, ScoreSpec(1, 1e-9))
    assert highest == anomaly_map.max()
    np.testing.assert_allclose(heatmap, anomaly_map, rtol=1e-6)


def test_a_patch_scores_above_the_same_pixels_scattered():
    patch, scattered = np.ones((32, 32), np.float32), np.ones((32, 32), np.float32)
    patch[12:15, 12:15] = 10
    scattered[2:30:10, 2:30:10] = 10
    assert patch.sum() == scattered.sum()
    spec = ScoreSpec(3, 0.01)
    assert score(patch, spec) > 1.5 * score(scattered, spec)


def test_the_map_is_left_as_it_was():
    anomaly_map = np.random.default_rng(0).random((16, 16), np.float32)
    before = anomaly_map.copy()
    score_map(anomaly_map, ScoreSpec(5, 0.1))
    assert np.array_equal(anomaly_map, before)


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("top", [0.0, 0.02, 0.5])
def test_nan_in_the_map_is_seen_in_the_score(window, top):
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[3, 4] = np.nan
    assert np.isnan(score(anomaly_map, ScoreSpec(window, top)))


# Several parts

lengths = st.floats(0, 40)
knees = st.floats(0, 20)


def judged(height, length, map_knee, knee):
    outputs = {
        "anomaly_map": np.full((4, 6), height, np.float32),
        "features": np.array([length * 0.6, -length * 0.8], np.float32),
        "reconstruction": None,  # not asked
    }
    spec = ScoreSpec(1, 0.1, {"anomaly_map": map_knee, "features": knee})
    return judge(outputs, spec)


@quick
@given(lengths, lengths, knees, knees)
def test_a_score_is_what_its_parts_have_beyond_their_knees(height, length, map_knee, knee):
    heatmap, got = judged(height, length, map_knee, knee)
    beyond = max(0, height - map_knee) + max(0, length - knee)
    assert beyond - 1e-3 <= got <= beyond + 2 * np.log(2) / 3 + 1e-3
    np.testing.assert_allclose(heatmap, height, rtol=1e-6, atol=1e-12)


@quick
@given(lengths, lengths, knees, knees, st.floats(0.01, 5))
def test_a_greater_part_never_scores_lower(height, length, map_knee, knee, more):
    before = judged(height, length, map_knee, knee)[1]
    assert judged(height + more, length, map_knee, knee)[1] >= before
    assert judged(height, length + more, map_knee, knee)[1] >= before


@quick
@given(st.floats(0.01, 60), knees)
def test_the_limit_is_where_the_map_alone_reaches_the_threshold(threshold, knee):
    spec = ScoreSpec(1, 0.1, {"anomaly_map": knee, "features": 1e6})
    height = np.full((4, 6), spec.limit(threshold))
    if spec.limit(threshold) >= 0:  # a map is non-negative
        outputs = {"anomaly_map": height, "features": np.zeros(2)}
        assert judge(outputs, spec)[1] == pytest.approx(threshold, rel=1e-3, abs=1e-3)


@quick
@given(lengths, knees, st.floats(0.1, 10), st.floats(0.1, 10))
def test_a_part_counts_by_its_weight(height, knee, weight, other):
    outputs = {"anomaly_map": np.full((4, 6), height, np.float32), "features": np.zeros(2)}
    plain = ScoreSpec(1, 0.1, {"anomaly_map": knee, "features": 1e6})
    weighted = plain._replace(weights={"anomaly_map": weight, "features": other})
    assert judge(outputs, weighted)[1] == pytest.approx(weight * judge(outputs, plain)[1])
    assert weighted.limit(weight * 5.0) == pytest.approx(plain.limit(5.0))


def test_without_knees_the_map_is_the_score():
    anomaly_map = np.random.default_rng(0).uniform(0, 5, (9, 7)).astype(np.float32)
    spec = ScoreSpec(3, 0.2)
    heatmap, got = judge({"anomaly_map": anomaly_map, "features": np.ones(3)}, spec)
    assert got == score(anomaly_map, spec)
    assert spec.limit(3.5) == 3.5
    np.testing.assert_array_equal(heatmap, smooth(anomaly_map, 3))
