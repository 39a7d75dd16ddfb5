"""The cache of decoded pictures: reused, renewed, whole or absent."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from test_data_folder import fill, mvtec, save

from vae_tf.data import DataError, cache, load_data, load_test
from vae_tf.data.pictures import Rows


def spoil(path: Path):
    """Other bytes, but size and time as they were: only a second decoding would notice."""
    before = path.stat()
    path.write_bytes(b"\0" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_second_load_does_not_decode(tmp_path):
    root, kept = mvtec(tmp_path / "parts"), tmp_path / "cache"
    (root / "train/good/text.jpg").write_text("not a picture")
    first = load_data(root, cache_dir=kept)
    for path in root.rglob("*.png"):
        spoil(path)
    second = load_data(root, cache_dir=kept)
    assert second.to_json() == first.to_json()
    assert len(second.skipped) == 1
    for name in ("train", "calibration", "test"):
        a, b = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(first.test.masks, second.test.masks)
    np.testing.assert_array_equal(first.test.has_mask, second.test.has_mask)
    tested = load_test(root, first.spec, cache_dir=kept)
    np.testing.assert_array_equal(tested.images, second.test.images)


def test_same_pictures_with_and_without(tmp_path):
    root = mvtec(tmp_path / "parts")
    kept, memory = load_data(root, cache_dir=tmp_path / "cache"), load_data(root)
    assert isinstance(kept.train.images, Rows)
    assert isinstance(memory.train.images, np.ndarray)
    assert kept.to_json() == memory.to_json()
    for name in ("train", "calibration", "test"):
        a, b = getattr(kept, name), getattr(memory, name)
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.batch([3, 0]), b.batch([3, 0]))
    known = kept.test.has_mask
    np.testing.assert_array_equal(kept.test.masks[known], memory.test.masks[known])


def test_changed_source_is_decoded_again(tmp_path):
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"
    load_data(root, cache_dir=kept)
    save(root / "part00.png", np.zeros((32, 32), np.uint8))
    fill(root / "more", 5)
    (root / "part01.png").unlink()
    again = load_data(root, cache_dir=kept)
    assert len(again.train) + len(again.calibration) == 24
    for pictures in (again.train, again.calibration):
        assert "part01.png" not in pictures.names
        if "part00.png" in pictures.names:
            assert not pictures.batch([pictures.names.index("part00.png")]).any()
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("name", ["images.npy", "index.json"])
def test_damaged_cache_is_decoded_again(tmp_path, name):
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"
    first = load_data(root, cache_dir=kept).to_json()
    (path,) = kept.glob(f"*/{name}")
    path.write_bytes(path.read_bytes()[:-100])
    assert load_data(root, cache_dir=kept).to_json() == first


def test_large_arrays_leave_memory(tmp_path, monkeypatch):
    root = mvtec(tmp_path / "parts")
    expected = load_data(root)
    monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    splits = load_data(root)
    assert isinstance(splits.train.images, Rows)
    np.testing.assert_array_equal(splits.train.images, expected.train.images)
    np.testing.assert_array_equal(splits.test.masks, expected.test.masks)


def test_interrupted_decoding_leaves_nothing(tmp_path, monkeypatch):
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_data(root, cache_dir=kept)
    assert list(kept.iterdir()) == []


def test_remains_of_a_killed_process_are_swept(tmp_path):
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"
    load_data(root, cache_dir=kept)
    (folder,) = kept.iterdir()
    left = kept / f"{folder.name}abc.partial"
    left.mkdir()
    (left / "images.npy").write_bytes(b"half")
    for path in (left / "images.npy", left):
        os.utime(path, (0, 0))
    fill(root / "more", 1)
    load_data(root, cache_dir=kept)
    assert list(kept.iterdir()) == [folder]


FULL = """
    import resource, sys
    sys.path[:0] = {path!r}
    from vae_tf.data import DataError, load_data
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # a file cannot grow beyond
    try:
        load_data({root!r}, cache_dir={kept!r})
    except DataError as error:
        print(error)
"""


def test_full_disk(tmp_path):
    pytest.importorskip("resource")
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"
    code = textwrap.dedent(FULL).format(path=sys.path, root=str(root), kept=str(kept))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{kept}: cannot write the decoded pictures, about 0 MB (")
    assert line.endswith("free space or give another cache folder")
    assert list(kept.iterdir()) == []


def test_full_disk_by_its_number(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", fail)
    root, kept = fill(tmp_path / "parts"), tmp_path / "cache"
    with pytest.raises(DataError, match="No space left on device"):
        load_data(root, cache_dir=kept)
    assert list(kept.iterdir()) == []


def test_cache_folder_that_is_a_file(tmp_path):
    root = fill(tmp_path / "parts")
    (tmp_path / "cache").write_text("")
    with pytest.raises(DataError, match="give another cache folder"):
        load_data(root, cache_dir=tmp_path / "cache")
