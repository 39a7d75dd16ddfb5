"""Tiles: every pixel is looked at, the whole is put together again, and no seam shows."""

import json

import numpy as np
import pytest
from conftest import run_python
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge.manifest import read_manifest
from edge.runner import Runner
from edge.score import ScoreSpec
from edge.tiles import OVERLAP, Tiling, judge_tiles, look, tiling
from vae_tf.data.pictures import Pictures
from vae_tf.evaluate import evaluate
from vae_tf.run import Run


@st.composite
def tilings(draw):
    height, width = draw(st.integers(8, 120)), draw(st.integers(8, 120))
    tile = draw(st.integers(4, height)), draw(st.integers(4, width))
    return Tiling(height, width, *tile)


@given(how=tilings(), seed=st.integers(0, 99), channels=st.sampled_from([(), (1,), (3,)]))
def test_a_picture_is_put_together_again(how, seed, channels):
    picture = np.random.default_rng(seed).random((how.height, how.width, *channels))
    tiles = list(how.cut(picture))
    assert {t.shape for t in tiles} == {(how.tile_height, how.tile_width, *channels)}
    np.testing.assert_allclose(how.join(tiles), picture, rtol=1e-5, atol=1e-6)


@given(how=tilings())
def test_what_fits_into_the_overlap_lies_whole_in_some_tile(how):
    for axis, (length, tile) in enumerate(zip(how[:2], how[2:], strict=True)):
        starts = sorted({corner[axis] for corner in how.corners})
        assert starts[0] == 0
        assert starts[-1] == length - tile
        steps = np.diff(starts)
        assert (steps <= max(1, tile - int(OVERLAP * tile))).all()


def test_a_step_between_neighbours_becomes_a_slope():
    how = Tiling(40, 100, 40, 40)
    tiles = [np.full((40, 40), float(i)) for i, _ in enumerate(how.corners)]
    whole = how.join(tiles)
    assert whole.min() == 0
    assert whole.max() == len(tiles) - 1
    assert np.abs(np.diff(whole, axis=1)).max() < 0.15


def test_the_worst_tile_decides():
    how = Tiling(20, 50, 20, 20)
    rng = np.random.default_rng(0)
    spec = ScoreSpec(1, 0.1, {"anomaly_map": 1.0, "features": 2.0})
    tiles = [{"anomaly_map": rng.random((20, 20)), "features": rng.random(3)} for _ in how.corners]
    _, before = judge_tiles(tiles, spec, how)
    tiles[1]["anomaly_map"] = tiles[1]["anomaly_map"] + 5.0
    heatmap, after = judge_tiles(tiles, spec, how)
    assert after > before + 3
    _, x = how.corners[1]
    assert np.unravel_index(heatmap.argmax(), heatmap.shape)[1] in range(x, x + 20)
    # It does not matter in which tile.
    _, other = judge_tiles([tiles[1], tiles[0], *tiles[2:]], spec, how)
    assert other == pytest.approx(after)


def test_a_tile_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="tiles of at most 30 pixels a side, got 31"):
        tiling((40, 30, 1), (40, 31, 1)).corners  # noqa: B018


def test_pictures_as_tiles():
    images = np.random.default_rng(0).integers(0, 256, (5, 30, 44, 3), np.uint8)
    pictures = Pictures(images, list("abcde"), ["good"] * 5)
    tiles = pictures.tiles((20, 20, 3))
    how = Tiling(30, 44, 20, 20)
    expected = np.stack([tile for image in images for tile in how.cut(image)])
    assert len(tiles) == len(expected) == 5 * len(how.corners)
    np.testing.assert_array_equal(np.asarray(tiles.images), expected)
    np.testing.assert_array_equal(tiles.batch([3, 1]), expected[[3, 1]])
    np.testing.assert_array_equal(tiles.take([7, 2]).batch([0, 1]), expected[[7, 2]])
    seen = np.concatenate(list(tiles.dataset(4, seed=1, epochs=1).as_numpy_iterator()))
    assert sorted(t.tobytes() for t in seen) == sorted(t.tobytes() for t in expected)
    assert tiles.names[0] == "a at 0, 0"
    assert pictures.tiles((30, 44, 3)) is pictures


# From pictures of 64 x 96 to verdicts, with a model of 32 x 32


@pytest.fixture(scope="module")
def wide(pictures, tmp_path_factory):
    """Two parts side by side, of which the defective ones have one good half."""
    folder = tmp_path_factory.mktemp("wide")
    good = sorted((pictures / "train" / "good").glob("*.png"))
    for part, kind in (("train", "good"), ("test", "good"), ("test", "stain")):
        (folder / part / kind).mkdir(parents=True)
        for i, path in enumerate(sorted((pictures / part / kind).glob("*.png"))):
            halves = [np.asarray(Image.open(p)) for p in (good[-1 - i], path)]
            Image.fromarray(np.concatenate(halves, axis=1)).save(folder / part / kind / path.name)
    return folder


@pytest.fixture(scope="module")
def tiled(wide, tmp_path_factory):
    """A run and its bundle."""
    out = tmp_path_factory.mktemp("tiled")
    options = ("--size", "48x96", "--tile", 32, "--latent-dim", 8, "--steps", 60)
    run_python("-m", "vae_tf", "train", wide, out / "run", *options)
    done = run_python("-m", "export", out / "run", out)
    assert "multiply-adds a tile, of 8 a picture" in done.stderr
    return out


@pytest.mark.slow
def test_keras_and_the_device_agree_on_large_pictures(tiled, wide):
    run = Run.open(tiled / "run")
    detector, splits = run.load_detector(), run.load_splits()
    assert splits.spec.shape == (48, 96, 1)
    assert detector.by.size == (32, 32)
    scored = detector.examine(splits.test)
    assert scored.heatmaps.shape[1:] == (48, 96)
    runner = Runner(tiled / "bundle", precision="float32")
    for i in (0, len(splits.test) - 1):
        verdict = runner.check(splits.test.batch([i])[0])
        assert verdict.score == pytest.approx(scored.scores[i], rel=1e-3, abs=1e-4)
        np.testing.assert_allclose(verdict.heatmap, scored.heatmaps[i], rtol=1e-3, atol=1e-3)
        assert verdict.reconstruction.shape == (48, 96, 1)
    figures = evaluate(detector, splits.test).figures
    assert figures["n_bad"] == 8
    assert detector.reconstruct(splits.test.take([0, 1])).shape == (2, 48, 96, 1)


@pytest.mark.slow
def test_the_command_line_takes_pictures_of_any_size(tiled, wide, tmp_path):
    paths = [wide / "test" / "good" / "000.png", wide / "test" / "stain" / "000.png"]
    done = run_python(
        "-m", "edge", "check", tiled / "bundle", *paths, "--heatmaps", tmp_path / "maps"
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == 2
    for verdict in verdicts:
        with Image.open(verdict["heatmap"]) as heatmap:
            assert heatmap.size == (128, 64)
    assert read_manifest(tiled / "bundle").input.shape == (48, 96, 1)
    run_python("-m", "edge", "selftest", tiled / "bundle")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_picture(tiled):
    """One tile at a time: the graph is never given more."""
    seen = []

    def graph(image):
        seen.append(image.shape)
        return {"anomaly_map": np.zeros((1, 32, 32), np.float32)}

    how = Tiling(500, 700, 32, 32)
    look(graph, np.zeros((500, 700, 1), np.uint8), how)
    assert set(seen) == {(1, 32, 32, 1)}
