"""Picture folders: layouts, what is skipped, and the one-line errors of bad input."""

import os

import numpy as np
import pytest
from PIL import Image

from edge.preprocess import InputSpec
from vae_tf.data import DataError, load_data, load_test
from vae_tf.data.parts import resize_mask

SPEC = InputSpec(32, 32, 1)


def save(path, array=None, seed=0, size=(32, 32), **options):
    """A PNG or JPEG of noise, or of `array`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(array).save(path, **options)


def fill(folder, count=20, **options):
    for i in range(count):
        save(folder / f"part{i:02d}.png", seed=i, **options)
    return folder


def mvtec(root):
    fill(root / "train/good")
    for i in range(3):
        save(root / f"test/good/g{i}.png", seed=100 + i)
        save(root / f"test/pit/p{i}.png", seed=200 + i)
    mask = np.zeros((32, 32), np.uint8)
    mask[:8, :8] = 255
    save(root / "ground_truth/pit/p0_mask.png", mask)
    save(root / "ground_truth/pit/p1.png", mask)
    return root


def message(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_mvtec_layout_with_masks(tmp_path):
    splits = load_data(mvtec(tmp_path))
    assert splits.spec == SPEC
    assert len(splits.train) + len(splits.calibration) == 20
    assert sorted(splits.test.kinds) == ["good"] * 3 + ["pit"] * 3
    assert splits.test.names[0] == "test/good/g0.png"
    np.testing.assert_array_equal(splits.test.labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(splits.test.has_mask, [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(splits.test.masks.sum((1, 2)), [0, 0, 0, 64, 64, 0])


def test_pictures_are_those_of_the_files(tmp_path):
    splits = load_data(fill(tmp_path))
    for pictures in (splits.train, splits.calibration):
        for name, image in zip(pictures.names, pictures.images, strict=True):
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(tmp_path / name)))


def test_test_folder_alone_is_accepted(tmp_path):
    root = mvtec(tmp_path)
    whole, alone = load_test(root, SPEC), load_test(root / "test", SPEC)
    assert whole.kinds == alone.kinds
    np.testing.assert_array_equal(whole.images, alone.images)
    np.testing.assert_array_equal(whole.masks, alone.masks)


def test_flat_folder_takes_sub_folders_and_links(tmp_path):
    fill(tmp_path / "elsewhere", 10)
    fill(tmp_path / "flat/monday", 10)
    (tmp_path / "flat/tuesday").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "flat/monday/loop").symlink_to(tmp_path / "flat")
    save(tmp_path / "flat/.thumbs/part.png")
    splits = load_data(tmp_path / "flat")
    assert len(splits.train) + len(splits.calibration) == 20
    assert len(splits.test) == 0
    assert splits.test.images.shape == (0, 32, 32, 1)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ((28, 28), (28, 28)),
        ((40, 24), (40, 24)),
        ((380, 550), (136, 192)),
        ((300, 300), (192, 192)),
        ((12, 200), (16, 192)),
        ((10, 10), (16, 16)),
    ],
)
def test_size_told_by_the_data(tmp_path, made, expected):
    splits = load_data(fill(tmp_path, 16, size=made))
    assert splits.spec[:2] == expected
    assert splits.train.images.shape[1:] == (*expected, 1)


def test_colour_told_by_the_data(tmp_path):
    fill(tmp_path / "grey", 16, size=(20, 20))
    for i in range(16):
        grey = np.repeat(np.full((20, 20, 1), i, np.uint8), 3, axis=2)
        save(tmp_path / f"equal/{i}.png", grey)
        save(tmp_path / f"colour/{i}.png", grey + np.array([0, 0, 1], np.uint8))
    assert load_data(tmp_path / "grey").spec.channels == 1
    assert load_data(tmp_path / "equal").spec.channels == 1
    assert load_data(tmp_path / "colour").spec.channels == 3
    assert load_data(tmp_path / "grey", size=(24, 16), channels=3).spec == (24, 16, 3, "stretch")


def test_limit_spreads_over_the_kinds(tmp_path):
    assert set(load_test(mvtec(tmp_path), SPEC, limit=2).kinds) == {"good", "pit"}


def make_bad(folder):
    """One file of each kind that cannot be used; returns a word of each reason."""
    save(folder / "cut.png", size=(64, 64))
    whole = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not a picture")
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (32, 32)).save(folder / "print.jpg")
    frames = [Image.new("L", (32, 32), v) for v in (0, 255)]
    frames[0].save(folder / "film.png", save_all=True, append_images=frames[1:])
    Image.new("L", (1, 1)).save(folder / "dot.png")
    Image.new("RGBA", (32, 32), (9, 9, 9, 0)).save(folder / "glass.png")
    (folder / "phone.heic").write_bytes(b"heic")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    return {
        "cut.png": "cut short",
        "text.jpg": "got a file that is none",
        "deep.png": "8 bits",
        "print.jpg": "CMYK",
        "film.png": "2 frames",
        "dot.png": "1 x 1",
        "glass.png": "transparent",
        "phone.heic": "convert it",
        "gone.png": "no such file",
    }


def test_unreadable_pictures_are_named_and_skipped(tmp_path):
    reasons = make_bad(fill(tmp_path))
    splits = load_data(tmp_path)
    assert len(splits.train) + len(splits.calibration) == 20
    skipped = dict(splits.skipped)
    assert skipped.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in skipped[name], name
        assert str(tmp_path) not in skipped[name]
    assert any(f"skipped, unreadable: {len(reasons)}" in line for line in splits.summary())


@pytest.mark.parametrize("size", [None, 32])
def test_all_unreadable(tmp_path, size):
    tmp_path.joinpath("a").mkdir()
    make_bad(tmp_path / "a")
    with pytest.raises(DataError) as error:
        load_data(tmp_path / "a", size=size, channels=size and 1)
    assert "good pictures can be read; the first:" in message(error)


def test_too_few_says_how_many(tmp_path):
    fill(tmp_path, 9)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError) as error:
        load_data(tmp_path)
    assert "at least 16 readable pictures of good parts, got 9; 1 could not" in message(error)


def test_damaged_mask_is_unknown_not_empty(tmp_path):
    (mvtec(tmp_path) / "ground_truth/pit/p0_mask.png").write_text("broken")
    test = load_test(tmp_path, SPEC)
    np.testing.assert_array_equal(test.has_mask, [1, 1, 1, 0, 1, 0])
    assert test.skipped[0][0] == "mask of test/pit/p0.png"


@pytest.mark.parametrize(
    ("made", "source", "said"),
    [
        ([], "missing", "no such folder"),
        (["empty/"], "empty", "found nothing"),
        (["notes/a.txt", "notes/b.txt"], "notes", "found 2 other files"),
        (["file.txt"], "file.txt", "got a file"),
        (["table.csv"], "table.csv", "tables are not supported yet by this version"),
        (["parts.zip"], "parts.zip", "unpack it first"),
        (["d/test/pit/a.png"], "d", "no train/good"),
        (["d/good/a.png", "d/pit/a.png"], "d", "may hold defects"),
    ],
)
def test_sources_that_are_none(tmp_path, made, source, said):
    for name in made:
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    with pytest.raises(DataError) as error:
        load_data(tmp_path / source)
    assert said in message(error)
    assert source in message(error)


def test_flat_folder_is_no_test(tmp_path):
    with pytest.raises(DataError) as error:
        load_test(fill(tmp_path), SPEC)
    assert "test/good and test/<kind of defect>" in message(error)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 8}, "at least 16 pixels, got 8"),
        ({"size": (32, 32, 3)}, "got (32, 32, 3)"),
        ({"channels": 4}, "1 (grey) or 3 (RGB), got 4"),
        ({"limit": 0}, "got 0"),
        ({"calibration": 1.5}, "got 1.5"),
        ({"normal_class": 3}, "train/good"),
        ({"group_by": "("}, "regular expression"),
        ({"group_by": "folder"}, "at least 4 groups, got 1"),
        ({"group_by": r"part1\d"}, "no match in part00.png"),
    ],
)
def test_options_out_of_range(tmp_path, options, said):
    with pytest.raises(DataError) as error:
        load_data(fill(tmp_path), **options)
    assert said in message(error)


def test_mask_cell_counts_from_a_quarter():
    mask = np.zeros((8, 8), bool)
    mask[:2, :2] = True  # all of a 2 x 2 cell, a quarter of a 4 x 4 one
    mask[7, 5:] = True  # 3 of 16
    np.testing.assert_array_equal(resize_mask(mask, 2, 2), [[1, 0], [0, 0]])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folder_without_permission_to_a_file(tmp_path):
    fill(tmp_path)
    (tmp_path / "part00.png").chmod(0)
    assert "permission" in dict(load_data(tmp_path).skipped)["part00.png"]
