"""Batches for training and testing, in memory and on disk."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.data import Pictures

COUNT = 50


@pytest.fixture(params=["memory", "disk"])
def pictures(request, tmp_path):
    images = np.zeros((COUNT + 5, 16, 20, 3), np.uint8)
    images += np.arange(COUNT + 5, dtype=np.uint8)[:, None, None, None]
    if request.param == "disk":
        np.save(tmp_path / "a.npy", images)
        images = np.load(tmp_path / "a.npy", mmap_mode="r")
    names = [f"{i}.png" for i in range(COUNT + 5)]
    kinds = ["good" if i % 2 else "pit" for i in range(COUNT + 5)]
    return Pictures(images, names, kinds).take(np.arange(COUNT)[::-1])


def firsts(batches):
    return [batch[:, 0, 0, 0].tolist() for batch in map(np.asarray, batches)]


def test_take_keeps_all_aligned(pictures):
    some = pictures.take([4, 0]).take([1, 0])
    assert some.names == ["49.png", "45.png"]
    assert some.kinds == ["good", "good"]
    assert firsts([some.batch([0, 1])]) == [[49, 45]]
    assert some.images.shape == (2, 16, 20, 3)
    np.testing.assert_array_equal(pictures.labels, [(COUNT - 1 - i) % 2 == 0 for i in range(COUNT)])


def test_images_index_as_an_array_does(pictures):
    assert len(pictures.images) == len(pictures) == COUNT
    assert pictures.images[3].shape == (16, 20, 3)
    assert pictures.images[-1][0, 0, 0] == 0
    assert firsts([pictures.images[2:4]]) == [[47, 46]]
    assert firsts([pictures.images[np.arange(COUNT) == 9]]) == [[40]]
    assert np.asarray(pictures.images).shape == (COUNT, 16, 20, 3)
    assert sum(1 for _ in pictures.images) == COUNT


def test_batches_in_order(pictures):
    batches = list(pictures.batches(20))
    assert [len(b) for b in batches] == [20, 20, 10]
    assert np.concatenate(firsts(batches)).tolist() == list(range(COUNT))[::-1]
    assert firsts(pictures.dataset(20)) == firsts(batches)


def test_epochs_are_shuffled_each_in_its_own_order(pictures):
    data = pictures.dataset(8, seed=1, epochs=3)
    assert data.cardinality() == 21
    epochs = np.split(np.concatenate([b[:, 0, 0, 0] for b in data]), 3)
    for epoch in epochs:
        assert sorted(epoch) == list(range(COUNT))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert firsts(pictures.dataset(8, seed=2, epochs=1)) != firsts(data.take(7))


def test_resumed_run_sees_the_same_batches(pictures):
    whole = firsts(pictures.dataset(8, seed=1, epochs=4, drop_remainder=True))
    resumed = pictures.dataset(8, seed=1, start_epoch=2, epochs=4, drop_remainder=True)
    assert len(whole) == 24
    assert firsts(resumed) == whole[12:]
    endless = pictures.dataset(8, seed=1, start_epoch=2, drop_remainder=True)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert firsts(endless.take(12)) == whole[12:]


def test_shapes_and_types_are_known(pictures):
    spec = pictures.dataset(8, seed=1, drop_remainder=True).element_spec
    assert spec.shape == (8, 16, 20, 3)
    assert spec.dtype == tf.uint8
    assert pictures.dataset(8, seed=1).element_spec.shape == (None, 16, 20, 3)


def test_order_is_the_same_in_memory_and_on_disk(pictures):
    memory = Pictures(np.asarray(pictures.images), pictures.names, pictures.kinds)
    assert firsts(memory.dataset(8, 5, epochs=2)) == firsts(pictures.dataset(8, 5, epochs=2))


@pytest.mark.parametrize("options", [{}, {"seed": 1}, {"seed": 1, "epochs": 2}])
def test_no_pictures_no_batches(pictures, options):
    assert list(pictures.take([]).dataset(8, **options)) == []
    assert list(pictures.take([]).batches(8)) == []


def test_end_of_a_pass_waits_for_no_thread_that_tunes(pictures):
    assert pictures.dataset(8, seed=1).options().autotune.enabled is False
