"""Near-duplicates across splits are found, and distinct pictures are left in peace."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from vae_tf.data import Pictures, load_data
from vae_tf.data.duplicates import find_duplicates


def parts(count, seed):
    """Smooth random textures uint8 (count, 32, 32, 1) on one shared pattern."""
    rng = np.random.default_rng(seed)
    common = np.linspace(0, 60, 32)[:, None] + np.zeros((32, 32))
    images = []
    for _ in range(count):
        noise = Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8))
        smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(1.5)), float)
        images.append(np.clip(common + smooth, 0, 255))
    return np.array(images).astype(np.uint8)[..., None]


def pictures(images, prefix, kinds=None):
    names = [f"{prefix}{i}" for i in range(len(images))]
    return Pictures(images, names, kinds or ["good"] * len(images))


def reshot(images, seed):
    """The same parts at another exposure, with the noise of the sensor."""
    noise = np.random.default_rng(seed).normal(0, 3, images.shape)
    return np.clip(images * 0.8 + 10 + noise, 0, 255).astype(np.uint8)


def test_reshot_parts_are_found_and_distinct_ones_are_not():
    train = parts(200, 0)
    held = np.concatenate([parts(30, 1), reshot(train[:10], 2)])
    test = np.concatenate([parts(20, 3), reshot(train[:20], 4)])
    report = find_duplicates(
        pictures(train, "t"),
        pictures(held, "c"),
        pictures(test, "x", ["good"] * 20 + ["pit"] * 20),
    )
    counts = {(o.first, o.second): (o.count, o.checked) for o in report.overlaps}
    assert counts == {
        ("train", "calibration"): (10, 40),
        ("train", "test good"): (0, 20),
        ("calibration", "test good"): (0, 20),
    }
    worst = report.overlaps[0].worst
    assert len(worst) == 5
    assert all(int(b[1:]) - 30 == int(a[1:]) for a, b, _ in worst)
    assert all(0.8 < similarity <= 1 for *_, similarity in worst)
    assert "10 of 40 calibration pictures" in report.warning
    assert "--group-by" in report.warning


def test_equal_pictures_are_duplicates():
    same = np.repeat(parts(1, 0), 40, axis=0)
    report = find_duplicates(pictures(same[:30], "t"), pictures(same[30:], "c"), pictures([], "x"))
    assert report.overlaps[0].share == 1


def test_shots_of_one_tile(shared_data):
    source = shared_data / "magnetic_tile"
    torn = load_data(source)
    assert torn.duplicates.overlaps[0].share > 0.5
    assert torn.duplicates.warning in torn.summary()[-1]
    grouped = load_data(source, group_by=r"(tile\d+)")
    assert grouped.duplicates.warning is None
    assert max(o.share for o in grouped.duplicates.overlaps) < 0.02


@pytest.mark.parametrize("name", ["infrared_solar", "aliens"])
def test_distinct_pictures_that_look_alike(shared_data, name):
    report = load_data(shared_data / name, limit=1500).duplicates
    assert report.warning is None
    assert max(o.share for o in report.overlaps) < 0.02
