"""Splitting: disjoint, complete, seeded, groups whole, sizes as promised."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.data import DataError, load_data
from vae_tf.data.splits import split_good


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(16, 400),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_single_pictures(count, share, seed):
    names = [f"{i}.png" for i in range(count)]
    parts = split_good(names, None, share, seed)
    assert sorted(np.concatenate(parts)) == list(range(count))
    train, validation, calibration = map(len, parts)
    assert calibration == min(max(8, round(share * count)), 2000, count - 8)
    left = count - calibration
    assert validation == (round(0.1 * left) if left >= 50 else 0)
    assert train >= 8
    for part, again in zip(parts, split_good(names, None, share, seed), strict=True):
        np.testing.assert_array_equal(part, again)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=4, max_size=40),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**31),
)
def test_groups_stay_whole(sizes, share, seed):
    names = [f"tile{g:03d}_shot{s}.png" for g, size in enumerate(sizes) for s in range(size)]
    count = len(names)
    if count < 16:
        return
    try:
        parts = split_good(names, r"tile(\d+)", share, seed)
    except DataError as error:
        assert "keeps 8 pictures on either side" in str(error)
        return
    assert sorted(np.concatenate(parts)) == list(range(count))
    keys = [{re.search(r"\d+", names[row])[0] for row in part} for part in parts]
    assert not keys[0] & keys[1] | keys[0] & keys[2] | keys[1] & keys[2]
    calibration = len(parts[2])
    assert calibration >= 8
    assert count - calibration >= 8
    target = min(max(8, round(share * count)), count - 8)
    assert abs(calibration - target) <= max(sizes)


def test_even_groups_are_never_refused():
    names = [f"{g}/{i}" for g in range(4) for i in range(8)]
    for seed in range(50):
        assert len(split_good(names, "folder", 0.2, seed)[2]) == 8


def test_seeds_differ_and_calibration_is_capped():
    names = [str(i) for i in range(20_000)]
    first, second = (split_good(names, None, 0.2, seed)[2] for seed in (0, 1))
    assert len(first) == 2000
    assert len(set(first) & set(second)) < 400


def test_too_few_groups_and_too_uneven_ones():
    with pytest.raises(DataError, match=r"at least 4 groups, got 2 \(a, b\)"):
        split_good([f"{'ab'[i % 2]}{i}" for i in range(20)], "[ab]", 0.2, 0)
    with pytest.raises(DataError, match="the largest of 4 groups holds 20 of 23"):
        split_good(["a", "b", "c", *["d"] * 20], ".", 0.2, 0)


def test_group_is_first_capture_or_whole_match():
    names = [f"x{i % 5}_{i}" for i in range(40)]
    whole, captured = (split_good(names, pattern, 0.2, 3) for pattern in (r"x\d", r"x(\d)_\d"))
    for a, b in zip(whole, captured, strict=True):
        np.testing.assert_array_equal(a, b)


def test_record_of_a_split(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (100, 16, 16), np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    splits = load_data(tmp_path / "a.npz", seed=3, calibration=0.3)
    record = splits.to_json()
    assert record["seed"] == 3
    assert record["spec"]["channels"] == 1
    named = record["splits"]
    assert [len(named[k]) for k in ("train", "validation", "calibration", "test")] == [63, 7, 30, 0]
    assert named["train"] == splits.train.names
    assert load_data(tmp_path / "a.npz", seed=3, calibration=0.3).to_json() == record
    assert load_data(tmp_path / "a.npz", seed=4, calibration=0.3).to_json() != record
    assert any("63 to train, 7 to validate, 30 to calibrate" in line for line in splits.summary())
