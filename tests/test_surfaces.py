"""The embedded data set: what a picture holds, and what the builder writes and reads."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vae_tf.data import surfaces
from vae_tf.data.surfaces import KINDS, Surfaces, SurfacesConfig, prepare, render

DEFECTS = KINDS[1:]
TINY = {"train_good": 5, "test_good": 4, "test_defective": 2}


def picture(kind, *seed, **options):
    return render(kind, np.random.default_rng(seed), **options)


def auroc(scores_good, scores_defective):
    return np.mean(np.subtract.outer(scores_defective, scores_good) > 0)


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    config = SurfacesConfig(name="tiny", **TINY)
    return prepare(config, tmp_path_factory.mktemp("surfaces"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rgb", [False, True])
def test_equal_generators_give_equal_pictures(kind, rgb):
    image, mask = picture(kind, 3, rgb=rgb)
    again, mask_again = picture(kind, 3, rgb=rgb)
    other, _ = picture(kind, 4, rgb=rgb)
    assert image.tobytes() == again.tobytes()
    assert mask.tobytes() == mask_again.tobytes()
    assert not np.array_equal(image, other)


@pytest.mark.parametrize(
    ("size", "rgb", "shape"), [(64, False, (64, 64)), (128, True, (128, 128, 3))]
)
def test_shapes_and_types(size, rgb, shape):
    image, mask = picture("pit", 0, size=size, rgb=rgb)
    assert (image.shape, image.dtype) == (shape, np.uint8)
    assert (mask.shape, mask.dtype) == ((size, size), bool)


def test_good_has_an_empty_mask():
    assert not any(picture("good", i)[1].any() for i in range(5))


@pytest.mark.parametrize("kind", DEFECTS)
def test_mask_is_where_the_picture_differs_from_its_good_twin(kind):
    for i in range(20):
        good, _ = picture("good", i)
        image, mask = picture(kind, i)
        change = np.abs(image.astype(int) - good)
        assert not change[~mask].any()
        assert np.mean(change[mask] > 0) > 0.7
        assert np.mean(change[mask]) > 4
        assert np.percentile(change[mask], 90) > 12


@pytest.mark.parametrize("kind", DEFECTS)
def test_defects_are_small_but_not_tiny(kind):
    areas = [picture(kind, i)[1].sum() for i in range(30)]
    assert min(areas) >= 12
    assert max(areas) < 0.06 * 128 * 128


@pytest.mark.parametrize("kind", DEFECTS)
def test_colour_and_grey_show_the_same_defect(kind):
    _, grey_mask = picture(kind, 7)
    _, rgb_mask = picture(kind, 7, rgb=True)
    assert np.array_equal(grey_mask, rgb_mask)


def test_defect_keeps_its_share_of_a_larger_picture():
    small, large = (np.mean([picture("stain", i, size=n)[1] for i in range(5)]) for n in (64, 192))
    assert large == pytest.approx(small, rel=0.15)


def test_unknown_kind_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"good, scratch.*Received: kind='dent'"):
        picture("dent", 0)


def test_linear_reconstruction_does_not_tell_defects():
    def pictures(kinds, split):
        shown = [picture(kind, split, i, size=64)[0].ravel() for i, kind in enumerate(kinds)]
        return np.stack(shown).astype(np.float32)

    train, good = pictures(["good"] * 160, 0), pictures(["good"] * 60, 1)
    bad = pictures(DEFECTS * 12, 2)
    mean = train.mean(0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:40]

    def residual(x):
        return np.square(x - mean - (x - mean) @ axes.T @ axes).mean(1)

    assert auroc(residual(good), residual(bad)) < 0.75
    assert 0.3 < auroc(good.var(1), bad.var(1)) < 0.7
    assert 0.3 < auroc(good.mean(1), bad.mean(1)) < 0.7


def test_counts_and_labels_read_back(grey):
    assert grey.info.splits["train"].num_examples == 5
    labels = {
        split: sorted(int(e["label"]) for e in tfds.as_numpy(grey.as_dataset(split=split)))
        for split in ("train", "test")
    }
    assert labels == {"train": [0] * 5, "test": [0] * 4 + [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]}
    assert grey.info.features["label"].names == list(KINDS)


def test_examples_read_back_as_rendered(grey):
    for example in tfds.as_numpy(grey.as_dataset(split="test")):
        split, index, kind = example["name"].decode().split("_", 2)
        image, mask = picture(kind, surfaces.SEED, 1, int(index))
        assert split == "test"
        assert KINDS[example["label"]] == kind
        assert np.array_equal(example["image"], image[..., None])
        assert np.array_equal(example["mask"], mask[..., None] * np.uint8(255))


def test_colour_variant_has_three_channels(tmp_path):
    builder = prepare(SurfacesConfig(name="tiny_rgb", rgb=True, **TINY), tmp_path)
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="train"))))
    assert example["image"].shape == (128, 128, 3)
    assert example["mask"].shape == (128, 128, 1)


def test_full_size_variants(tmp_path):
    builders = {
        c.name: Surfaces(data_dir=tmp_path, config=c.name) for c in Surfaces.BUILDER_CONFIGS
    }
    assert set(builders) == {"grey", "rgb"}
    assert Surfaces(data_dir=tmp_path).builder_config.name == "grey"
    for name, channels in (("grey", 1), ("rgb", 3)):
        config = builders[name].builder_config
        assert builders[name].info.features["image"].shape == (128, 128, channels)
        assert config.kinds("train") == ["good"] * 800
        assert [config.kinds("test").count(kind) for kind in KINDS] == [200, 40, 40, 40, 40, 40]


def test_prepares_silently_and_leaves_the_progress_bar_as_it_was(tmp_path, capfd):
    tfds.enable_progress_bar()
    prepare(SurfacesConfig(name="tiny", **TINY), tmp_path)
    assert capfd.readouterr().out == ""
    assert surfaces.tqdm_utils._active


def test_asks_no_bucket(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "tensorflow_datasets.core.utils.gcs_utils.exists", lambda path: asked.append(path)
    )
    prepare(SurfacesConfig(name="tiny", **TINY), tmp_path)
    assert asked == []


def test_interrupted_preparation_leaves_nothing_broken(tmp_path, monkeypatch):
    config = SurfacesConfig(name="tiny", **TINY)

    def interrupted(kind, *args):
        if kind == "stain":
            raise KeyboardInterrupt
        return render(kind, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(surfaces, "render", interrupted)
        prepare(config, tmp_path)
    assert not list(tmp_path.glob("surfaces/tiny/*"))
    assert prepare(config, tmp_path).info.splits["test"].num_examples == 14
