"""Region of interest and masks: what is ignored cannot matter, what is not still does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.errors import PictureError, UserError
from edge.fill import filled, paint_over
from edge.preprocess import InputSpec, preprocess, read_picture
from edge.runner import Runner
from edge.score import ScoreSpec, score_map, smooth
from edge.station.masks import Masks, Region
from edge.tiles import Tiling, judge_tiles

SPEC = InputSpec(32, 32, 1)


@pytest.fixture(scope="module")
def runner(bundle):
    return Runner(bundle)


@pytest.fixture(scope="module")
def good(pictures):
    """uint8 (64, 64, ...) each."""
    return [read_picture(p) for p in sorted((pictures / "test" / "good").glob("*.png"))]


def with_defect(picture, rows, columns):
    """The picture with something gross in a place: white beside black."""
    picture = picture.copy()
    picture[rows, columns] = 255
    picture[rows, columns][:, :12] = 0
    return picture


# Through the model


MASK = Masks(ignore=[Region.of([0.5, 0.5, 1, 1])])


def verdict_of(runner, picture, masks=MASK):
    view = masks.view(picture, runner.manifest.input)
    return runner.check(view.picture, view.ignore)


def test_a_defect_under_the_mask_does_not_alarm_and_one_beside_it_does(runner, good):
    inside, outside = (slice(36, 60), slice(36, 60)), (slice(4, 28), slice(4, 28))
    limit = runner.calibration.threshold
    for picture in good[:4]:
        assert runner.check(with_defect(picture, *inside)).score > limit, "without a mask it does"
        assert verdict_of(runner, with_defect(picture, *inside)).score <= limit
        assert verdict_of(runner, with_defect(picture, *outside)).label == "fail"


def test_the_verdict_is_the_same_whatever_lies_under_the_mask(runner, good):
    expected = verdict_of(runner, good[0])
    rng = np.random.default_rng(0)
    for content in (0, 255, rng.integers(0, 256, (32, 32, *good[0].shape[2:]))):
        picture = good[0].copy()
        picture[32:, 32:] = content
        verdict = verdict_of(runner, picture)
        assert verdict.score == expected.score
        np.testing.assert_array_equal(verdict.heatmap, expected.heatmap)
        np.testing.assert_array_equal(verdict.reconstruction, expected.reconstruction)
    assert not expected.heatmap[17:, 17:].any()
    assert expected.heatmap.any()


def test_without_masks_nothing_changes(runner, good):
    masks = Masks()
    for picture in good[:3]:
        view = masks.view(picture, runner.manifest.input)
        assert view.ignore is None
        plain, seen = runner.check(picture), runner.check(view.picture, view.ignore)
        assert plain.score == seen.score
        np.testing.assert_array_equal(plain.heatmap, seen.heatmap)


def test_the_model_sees_the_region_of_interest_alone(runner, good):
    masks = Masks(roi=Region.of([8, 16, 56, 64]))
    view = masks.view(good[0], runner.manifest.input)
    np.testing.assert_array_equal(view.picture, good[0][16:64, 8:56])
    assert verdict_of(runner, good[0], masks).score == runner.check(good[0][16:64, 8:56]).score


# Geometry


@pytest.mark.parametrize("size", [(64, 64), (48, 100), (200, 331), (32, 32), (20, 20)])
@pytest.mark.parametrize("roi", [None, [0.1, 0, 0.9, 0.95]])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_pixel_under_a_mask_flows_into_what_counts(size, roi, data):
    height, width = size
    left, top = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    mask = [left, top, data.draw(st.integers(left + 1, width)), min(height, top + 9)]
    if max(mask) <= 1:
        mask = [0, 0, 2, 2]
    masks = Masks(roi and Region.of(roi), [Region.of(mask)])
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    try:
        view = masks.view(picture, SPEC)
    except PictureError as error:
        assert "leave nothing" in str(error)
        return
    other = picture.copy()
    other[mask[1] : mask[3], mask[0] : mask[2]] ^= 0xFF
    one = preprocess(view.picture, SPEC)
    two = preprocess(masks.view(other, SPEC).picture, SPEC)
    counts = ~view.ignore if view.ignore is not None else np.ones(SPEC.shape[:2], bool)
    np.testing.assert_array_equal(one[counts], two[counts])


def test_a_painted_mask_is_scaled_to_the_picture(tmp_path):
    painted = np.zeros((120, 160), np.uint8)
    painted[:60, 80:] = 255
    painted[100:, :] = 100  # grey is not white
    Image.fromarray(painted).save(tmp_path / "mask.png")
    masks = Masks(picture=tmp_path / "mask.png")
    view = masks.view(np.zeros((480, 640, 3), np.uint8), SPEC)
    assert view.ignored.shape == (480, 640)
    assert view.ignored[:240, 320:].all()
    assert view.ignored.mean() == 0.25
    assert view.ignore[:15, 17:].all()
    assert not view.ignore[17:].any()
    with pytest.raises(PictureError, match=r"mask.png has 160 x 120 pixels, the picture 480 x 480"):
        masks.view(np.zeros((480, 480), np.uint8), SPEC)


def test_masks_follow_a_camera_that_changes_size():
    masks = Masks(Region.of([0, 0, 1, 0.5]), [Region.of([0, 0, 0.5, 1])])
    for height, width in ((480, 640), (720, 1280), (480, 640), (31, 47)):
        view = masks.view(np.zeros((height, width), np.uint8), SPEC)
        assert view.picture.shape == ((height + 1) // 2, width)
        assert view.ignored.mean() == pytest.approx(0.5, abs=0.02)


def test_a_mask_outside_the_region_of_interest_costs_nothing():
    masks = Masks(Region.of([0, 0, 0.5, 1]), [Region.of([0.6, 0, 1, 1])])
    assert masks.view(np.zeros((64, 64), np.uint8), SPEC).ignore is None


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (Masks(ignore=[Region.of([0, 0, 1, 1])]), "leave nothing of the picture to inspect"),
        (Masks(roi=Region.of([0, 0, 100, 20])), r"\[0, 0, 100, 20\] reaches beyond .* 64 x 48"),
        (Masks(ignore=[Region.of([0, 0, 3, 49])]), "reaches beyond the picture of 64 x 48 pixels"),
        (Masks(roi=Region.of([0, 0, 0.1, 1])), "at least 8 pixels a side, got 7 x 48"),
    ],
)
def test_masks_that_do_not_fit(masks, says):
    for _ in range(2):
        with pytest.raises(PictureError, match=says):
            masks.view(np.zeros((48, 64), np.uint8), SPEC)


@pytest.mark.parametrize(
    "values",
    [[0, 0, 1], [0, 0, -1, 1], [0.5, 0, 0.5, 1], [0, 3, 10, 2], [0, 0, 1.5, 2], [0, 0, 9e999, 1]],
)
def test_numbers_that_make_no_rectangle(values):
    with pytest.raises(ValueError, match="got"):
        Region.of(values)


def test_a_mask_that_is_no_picture(tmp_path):
    (tmp_path / "mask.png").write_text("none")
    with pytest.raises(UserError, match=r"mask .*mask.png: expected a picture"):
        Masks(picture=tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"mask .*absent.png: no such file"):
        Masks(picture=tmp_path / "absent.png")


# The arithmetic


def test_ignored_pixels_have_no_part_in_the_means_around_them():
    rng = np.random.default_rng(1)
    heat = rng.random((20, 30))
    ignore = rng.random((20, 30)) < 0.3
    smoothed = smooth(heat, 5, ignore)
    for y, x in np.argwhere(~ignore):
        window = slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3)
        kept = heat[window][~ignore[window]]
        assert smoothed[y, x] == pytest.approx(np.sqrt(np.mean(kept**2)), rel=1e-5)
    assert not smoothed[ignore].any()
    np.testing.assert_allclose(smooth(heat, 5, np.zeros_like(ignore)), smooth(heat, 5), rtol=1e-5)


def test_as_many_pixels_count_with_a_mask():
    heat = np.zeros((10, 10))
    heat[0, :5] = 4.0
    ignore = np.zeros((10, 10), bool)
    ignore[5:] = True
    spec = ScoreSpec(1, 0.1)
    assert score_map(heat, spec, ignore)[1] == score_map(heat, spec)[1] == 2.0


def test_a_tile_that_is_ignored_has_no_say():
    how = Tiling(10, 20, 10, 10)
    spec = ScoreSpec(1, 0.1, {"anomaly_map": 1.0, "features": 1.0})
    tiles = [{"anomaly_map": np.ones((10, 10)), "features": np.ones(2)} for _ in how.corners]
    _, before = judge_tiles(tiles, spec, how)
    tiles[0] = {"anomaly_map": np.full((10, 10), 9.0), "features": np.full(2, 9.0)}
    ignore = np.zeros((10, 20), bool)
    ignore[:, :10] = True
    heatmap, score = judge_tiles(tiles, spec, how, ignore)
    assert score == before
    assert not heatmap[:, :10].any()


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_painting_over_keeps_what_is_known_and_stays_within_its_range(height, width, seed):
    rng = np.random.default_rng(seed)
    ignore = rng.random((height, width)) < rng.choice([0.05, 0.5, 0.98])
    ignore[rng.integers(height), rng.integers(width)] = False
    picture = rng.integers(40, 200, (height, width, 3), np.uint8)
    painted = paint_over(picture, ignore)
    np.testing.assert_array_equal(painted[~ignore], picture[~ignore])
    known = picture[~ignore]
    assert (painted.min(axis=(0, 1)) >= known.min(axis=0)).all()
    assert (painted.max(axis=(0, 1)) <= known.max(axis=0)).all()
    hidden = picture.copy()
    hidden[ignore] = 0
    np.testing.assert_array_equal(paint_over(hidden, ignore), painted)


def test_a_slope_is_continued_into_a_hole():
    picture = np.add.outer(np.arange(60), np.arange(60)).astype(np.uint8)[..., None]
    ignore = np.zeros((60, 60), bool)
    ignore[20:40, 25:35] = True
    assert np.abs(paint_over(picture, ignore).astype(int) - picture).max() <= 12


def test_a_mask_of_another_size_is_refused(runner, good):
    for mask in (np.zeros((64, 64), bool), np.zeros((32, 32), np.uint8)):
        with pytest.raises(PictureError, match=r"mask of dtype bool and shape \(32, 32\), got"):
            runner.check(good[0], mask)
    with pytest.raises(PictureError, match="leave nothing"):
        runner.check(good[0], np.ones((32, 32), bool))


def test_an_empty_mask_needs_no_reconstruction():
    picture = np.random.default_rng(2).integers(0, 256, (8, 8, 1), np.uint8)
    kept = filled(picture, np.zeros((8, 8), bool), lambda _: pytest.fail("not needed"))
    np.testing.assert_array_equal(kept, picture)
