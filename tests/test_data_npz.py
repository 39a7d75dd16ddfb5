"""Pictures in .npz files."""

import numpy as np
import pytest

from edge.preprocess import InputSpec
from vae_tf.data import DataError, load_data, load_test

SPEC = InputSpec(16, 16, 1)


def noise(count=40, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *(shape or (16, 16))), np.uint8)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "parts.npz"


def names(pictures):
    return [int(name.split("/")[1]) for name in pictures.names]


def test_images_alone_are_all_good(file):
    images = noise()
    splits = load_data(write(file, images=images))
    rows = names(splits.train) + names(splits.calibration)
    assert sorted(rows) == list(range(40))
    np.testing.assert_array_equal(splits.train.images[..., 0], images[names(splits.train)])


def test_labels_and_masks(file):
    images, labels = noise(), np.arange(40) >= 30
    masks = np.zeros((40, 16, 16, 1), np.uint8)
    masks[35, :4] = 1
    write(file, images=np.asfortranarray(images), labels=labels, masks=masks)
    splits = load_data(file)
    assert len(splits.train) + len(splits.calibration) == 30
    assert splits.test.kinds == ["defect"] * 10
    test = load_test(file, SPEC)
    assert test.kinds == ["good"] * 30 + ["defect"] * 10
    np.testing.assert_array_equal(test.images[..., 0], images)
    assert test.masks.sum() == test.masks[35].sum() == 64


def test_kinds_as_words(file):
    labels = np.array(["good"] * 20 + ["pit", "crack"] * 10)
    splits = load_data(write(file, images=noise(), labels=labels))
    assert splits.test.kinds == ["pit", "crack"] * 10


@pytest.mark.parametrize("normal", [7, "7"])
def test_keras_style_one_class_against_the_rest(file, normal):
    y = np.arange(200) % 10
    write(file, x_train=noise(200), y_train=y[:, None], x_test=noise(50), y_test=y[:50])
    splits = load_data(file, normal_class=normal)
    assert all(row % 10 == 7 for row in names(splits.train) + names(splits.calibration))
    assert splits.test.kinds == ["good" if i % 10 == 7 else str(i % 10) for i in range(50)]
    assert load_test(file, SPEC, normal_class=normal).kinds == splits.test.kinds


def test_colour_and_rows_in_several_reads(file):
    images = noise(40, 256, 256, 3)  # 8 MB: more than is read at once
    splits = load_data(write(file, images=images), size=256)
    assert splits.spec == (256, 256, 3, "stretch")
    np.testing.assert_array_equal(splits.train.images, images[names(splits.train)])


WITH_NAN = np.where(np.arange(40)[:, None, None] == 39, np.nan, np.zeros((40, 16, 16)))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.zeros((40, 16, 16), np.float32)}, "uint8 0..255, got float32; scale"),
        ({"images": WITH_NAN}, "NaN"),
        ({"images": noise(40, 16, 16, 4)}, "got (40, 16, 16, 4)"),
        ({"images": noise(40, 16)}, "got (40, 16)"),
        ({"images": noise(40, 4, 16)}, "at least 8 pixels"),
        ({"images": np.array([b"a", None], object)}, "Python objects"),
        ({"images": np.uint8(3)}, "single number"),
        ({"pictures": noise()}, "found pictures"),
        ({"x_test": noise()}, "expected an array images, found x_test"),
        ({"images": noise(), "labels": np.zeros(39, int)}, "got 39 and 40"),
        ({"images": noise(), "labels": np.zeros(40)}, "whole numbers or words"),
        ({"images": noise(), "labels": np.ones(40, int)}, "expected good pictures, found none"),
        ({"images": noise(), "labels": np.array([None] * 40)}, "cannot be read"),
        (
            {"images": noise(), "labels": np.arange(40) % 2, "masks": noise(40, 8, 8)},
            "masks of shape (40, 16, 16)",
        ),
    ],
)
def test_arrays_that_do_not_fit(file, arrays, said):
    with pytest.raises(DataError) as error:
        load_data(write(file, **arrays))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_damaged_file(file, kept):
    write(file, images=noise())
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged"):
        load_data(file)


def test_flipped_byte(file):
    write(file, images=noise())
    data = bytearray(file.read_bytes())
    data[3000] ^= 255
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"images cannot be read .*CRC"):
        load_data(file)


def test_missing_file_class_and_labels(file):
    with pytest.raises(DataError, match="no such file"):
        load_data(file)
    write(file, images=noise())
    with pytest.raises(DataError, match="needs labels"):
        load_data(file, normal_class=3)
    with pytest.raises(DataError, match="expected labels"):
        load_test(file, SPEC)
    write(file, images=noise(), labels=np.arange(40) % 3)
    with pytest.raises(DataError, match="no labels of class 8; found 0, 1, 2"):
        load_data(file, normal_class=8)
