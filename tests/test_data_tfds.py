"""TFDS sets by name, and the built-in surfaces."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from vae_tf.data import DataError, load_data, load_test


def test_one_class_against_the_rest(shared_data):
    options = {"data_dir": shared_data / "tfds", "normal_class": 7}
    splits = load_data("tfds:fashion_mnist", limit=300, **options)
    assert splits.spec == (28, 28, 1, "stretch")
    assert (len(splits.train), len(splits.validation), len(splits.calibration)) == (216, 24, 60)
    assert len(splits.test) == 300
    assert {"good", "Sandal", "Bag"} <= set(splits.test.kinds)
    assert "Sneaker" not in splits.test.kinds
    test = load_test("tfds:fashion_mnist", splits.spec, limit=300, **options)
    assert test.kinds == splits.test.kinds
    np.testing.assert_array_equal(test.images, splits.test.images)
    options["normal_class"] = "Sneaker"
    named = load_data("tfds:fashion_mnist", limit=300, **options)
    np.testing.assert_array_equal(named.train.images, splits.train.images)


def test_pictures_are_those_of_tfds(shared_data):
    import tensorflow_datasets as tfds

    folder = shared_data / "tfds"
    splits = load_data("tfds:fashion_mnist", data_dir=folder, limit=20)
    assert set(splits.test.kinds) == {"good"}
    records = tfds.load("fashion_mnist", split="test", data_dir=folder, download=False)
    expected = np.stack([record["image"] for record in records.take(20).as_numpy_iterator()])
    np.testing.assert_array_equal(splits.test.images, expected)


@pytest.mark.parametrize("wanted", ["boot", 10, -1])
def test_class_that_is_none(shared_data, wanted):
    with pytest.raises(DataError, match=f"no class {wanted}; expected 0 to 9 or one of T-shirt"):
        load_data("tfds:fashion_mnist", data_dir=shared_data / "tfds", normal_class=wanted)


def test_unknown_set(tmp_path):
    with pytest.raises(DataError, match="no TensorFlow dataset of that name"):
        load_data("tfds:no_such_set", data_dir=tmp_path)


def test_without_network(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror("no name server")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(DataError) as error:
        load_data("tfds:mnist", data_dir=tmp_path)
    text = str(error.value)
    assert f"tfds:mnist: not under {tmp_path} and could not be downloaded" in text
    assert "--data-dir" in text
    assert "\n" not in text


def test_failed_download(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise RuntimeError("connection reset\nand more")

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(DataError, match=r"could not be downloaded \(connection reset\)"):
        load_data("tfds:mnist", data_dir=tmp_path)


@pytest.mark.slow
def test_surfaces(tmp_path):
    splits = load_data("surfaces", data_dir=tmp_path, limit=60)
    assert splits.spec == (128, 128, 1, "stretch")
    assert len(splits.train) + len(splits.validation) + len(splits.calibration) == 60
    assert "good" in splits.test.kinds
    assert len(set(splits.test.kinds)) > 3
    assert splits.test.has_mask.all()
    defective = splits.test.masks.any((1, 2))
    np.testing.assert_array_equal(defective, splits.test.labels == 1)
    with pytest.raises(DataError, match="surfaces/blue"):
        load_data("surfaces/blue", data_dir=tmp_path)


def test_folders_do_without_tfds():
    code = "import sys, vae_tf.data; sys.exit('tensorflow_datasets' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
