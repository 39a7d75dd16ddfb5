"""Generate, interpolate, traverse, arithmetic, manifold, embed, compress, as functions."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.errors import DataError
from vae_tf.family.conditional import ConditionalVAE
from vae_tf.uses import codes, compress
from vae_tf.uses.arithmetic import combine
from vae_tf.uses.embed import embed, probe
from vae_tf.uses.generate import generate
from vae_tf.uses.interpolate import code_path, interpolate
from vae_tf.uses.labelled import load_labelled
from vae_tf.uses.manifold import manifold
from vae_tf.uses.mixture import LatentMixture
from vae_tf.uses.traverse import traverse
from vae_tf.vae import VAE

SHAPE = (16, 16, 1)
LATENTS = 4


def bars(n, seed=0):
    """A bright bar, upright (class 0) or lying (class 1), uint8 (n, 16, 16, 1), and the classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    at, light = rng.integers(2, 12, n), rng.integers(120, 255, n)
    x = np.zeros((n, *SHAPE), np.uint8)
    for i in range(n):
        x[i, :, at[i] : at[i] + 3] = light[i]
        if classes[i]:
            x[i] = x[i].swapaxes(0, 1)
    return x, classes


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(1)
    vae = VAE.for_pictures(SHAPE, latent_dim=LATENTS, widths=(8, 16), seed=1)
    vae.compile(keras.optimizers.Adam(3e-3))
    vae.fit(bars(512)[0], epochs=12, batch_size=16, verbose=0)
    return vae


@pytest.fixture(scope="module")
def conditional():
    return ConditionalVAE.for_pictures(SHAPE, 3, latent_dim=LATENTS, widths=(8, 16), seed=1)


def closest(x, pictures):
    """Mean distance of each x to the nearest of the pictures."""
    x = np.reshape(x, (len(x), -1))
    return np.mean(
        [np.abs(pictures.reshape(len(pictures), -1) / 255.0 - v).mean(1).min() for v in x]
    )


# Data


def test_classes_become_numbers_whatever_they_were(tmp_path):
    x, _ = bars(6)
    y = np.array(["boot", "bag", "bag", "boot", "coat", "bag"])
    np.savez(tmp_path / "a.npz", x_train=x[:4, ..., 0], y_train=y[:4], x_test=x[4:], y_test=y[4:])
    data = load_labelled(tmp_path / "a.npz", limit=3)
    assert data.names == ["bag", "boot", "coat"]
    assert data.y_train.tolist() == [1, 0, 0] and data.y_test.tolist() == [2, 0]
    np.testing.assert_array_equal(data.x_train, x[:3])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.zeros((2, 16, 16), "uint8")}, "expected the arrays x_train, y_train"),
        (
            {k: np.zeros((2, 16, 16)) for k in ("x_train", "y_train", "x_test", "y_test")},
            "expected uint8 pictures",
        ),
    ],
)
def test_files_without_classes_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_labelled(tmp_path / "a.npz")
    with pytest.raises(DataError, match="expected tfds:NAME or"):
        load_labelled("pictures")


# Codes


def test_codes_come_in_parts_as_they_would_whole(trained):
    x, _ = bars(codes.AT_ONCE + 3)
    z_mean, z_log_var = codes.encode(trained, x)
    assert z_mean.shape == z_log_var.shape == (len(x), LATENTS)
    np.testing.assert_allclose(z_mean[-3:], trained.encode(x[-3:])[0], atol=1e-5)
    np.testing.assert_allclose(
        codes.decode(trained, z_mean)[-3:], trained.reconstruct(x[-3:]), atol=1e-5
    )
    assert codes.encode(trained, x[:0])[0].shape == (0, LATENTS)


def test_kl_tells_latents_apart(trained):
    kl = codes.latent_kl(trained, bars(64)[0])
    assert kl.shape == (LATENTS,)
    assert kl.max() > 0.5
    assert (kl > -1e-5).all()


def test_labels_reach_the_model(conditional):
    x, _ = bars(4)
    one = codes.reconstruct(conditional, x, 1)
    np.testing.assert_allclose(one, conditional.reconstruct(x, 1), atol=1e-6)
    assert np.abs(one - codes.reconstruct(conditional, x, [2, 2, 2, 2])).max() > 1e-4


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "`label` must be given to a conditional model, 0 to 2"),
        (3, "`label` must be 0 to 2. Received: label=3"),
        (-1, "`label` must be 0 to 2. Received: label=-1"),
        ([0, 5, 1, 1], "Received: label=5"),
        ([0, 1], "one for each of 4 examples"),
        (0.5, "must be a whole number"),
    ],
)
def test_wrong_labels_are_named(conditional, label, message):
    with pytest.raises(ValueError, match=message):
        codes.encode(conditional, bars(4)[0], label)


def test_a_label_for_a_model_that_knows_none(trained):
    with pytest.raises(ValueError, match="trained without labels"):
        generate(trained, 2, label=1)


def test_codes_of_another_size_are_refused(trained):
    with pytest.raises(ValueError, match=r"`z` must have shape \(n, 4\)"):
        codes.decode(trained, np.zeros((2, 5)))


# Generate


def test_samples_repeat_with_their_seed_and_differ_without(trained):
    x = generate(trained, 5, seed=3)
    assert x.shape == (5, *SHAPE)
    np.testing.assert_array_equal(x, generate(trained, 5, seed=3))
    assert np.abs(x - generate(trained, 5, seed=4)).max() > 0.01
    assert np.abs(x[0] - x[1]).max() > 0.01
    with pytest.raises(ValueError, match="`n` must be 1 or more"):
        generate(trained, 0)


def test_a_temperature_makes_samples_alike(trained, conditional):
    x, _ = bars(512)
    mixture = LatentMixture.of(trained, x, components=1)
    for of in (None, mixture):
        spread = [
            generate(trained, 64, seed=1, mixture=of, temperature=t).std(axis=0).mean()
            for t in (0.0, 0.5, 1.0)
        ]
        assert spread[0] < 1e-6 < spread[1] < spread[2]
    cold = generate(conditional, 6, seed=1, temperature=0.0)
    np.testing.assert_allclose(cold[:3], cold[3:], atol=1e-6)
    for temperature in (-0.1, 11.0, float("nan")):
        with pytest.raises(ValueError, match="`temperature` must be from 0 to 10"):
            generate(trained, 2, temperature=temperature)


def test_the_mixture_finds_where_codes_are(trained):
    x, _ = bars(512)
    mixture = LatentMixture.of(trained, x, components=8)
    from_prior = closest(generate(trained, 200, seed=1), x)
    from_mixture = closest(generate(trained, 200, seed=1, mixture=mixture), x)
    assert from_mixture < from_prior


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_the_mixture_has_the_moments_of_its_codes(components, latents, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(rng.uniform(-2, 2, latents), rng.uniform(0.2, 2, latents), (2000, latents))
    drawn = LatentMixture.fit(z, components).sample(20000, seed)
    np.testing.assert_allclose(drawn.mean(axis=0), z.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), z.std(axis=0), rtol=0.1)


def test_each_class_is_drawn_from_its_own_codes(conditional):
    x = bars(100)[0]
    light = np.where(np.arange(100)[:, None, None, None] % 2, x, 255 - x)
    classes = np.arange(100) % 2  # nothing is known of class 2
    mixture = LatentMixture.of(conditional, light, classes, components=2)
    z_mean = codes.encode(conditional, light, classes)[0]
    for label in (0, 1):
        drawn = mixture.sample(4000, 1, 0.0, np.full(4000, label))
        others = mixture.means[mixture.labels != label]
        assert not (drawn[:, None] == others.astype(np.float32)).all(axis=2).any()
        np.testing.assert_allclose(
            drawn.mean(axis=0), z_mean[classes == label].mean(axis=0), atol=0.6
        )
    for unknown in (None, 2):
        drawn = mixture.sample(4000, 1, 0.0, unknown)
        assert len(np.unique(drawn, axis=0)) == len(mixture.weights)
    np.testing.assert_array_equal(
        generate(conditional, 4, 3, [1, 0, 1, 0], mixture),
        codes.decode(conditional, mixture.sample(4, 3, 1.0, [1, 0, 1, 0]), [1, 0, 1, 0]),
    )


def test_a_class_with_too_few_codes_is_drawn_from_all(conditional):
    x = bars(40)[0]
    classes = np.r_[np.zeros(38, int), 1, 1]
    assert set(LatentMixture.of(conditional, x, classes).labels) == {0}
    assert LatentMixture.of(conditional, x[:6], np.arange(6) % 3).labels is None


def test_too_few_codes_for_a_mixture():
    with pytest.raises(ValueError, match="n above latent"):
        LatentMixture.fit(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="`components` must be 1 or more"):
        LatentMixture.fit(np.zeros((40, 4)), 0)


def test_classes_are_taken_in_turn(conditional):
    x = generate(conditional, 6, seed=1)
    one = generate(conditional, 6, seed=1, label=1)
    same = [np.allclose(a, b, atol=1e-6) for a, b in zip(x, one, strict=True)]
    assert same == [False, True, False, False, True, False]


# Interpolate

finite = st.floats(-4, 4, allow_nan=False, width=32)
pairs = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(finite, min_size=n, max_size=n), st.lists(finite, min_size=n, max_size=n)
    )
)


@given(pairs, st.integers(2, 12), st.sampled_from(["linear", "spherical"]))
def test_a_path_ends_where_it_should(pair, steps, how):
    a, b = pair
    path = code_path(a, b, steps, how)
    assert path.shape == (steps, len(a))
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path[0], a, atol=1e-4)
    np.testing.assert_allclose(path[-1], b, atol=1e-4)


def test_a_spherical_path_keeps_its_length():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 32))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    np.testing.assert_allclose(
        np.linalg.norm(code_path(a, b, 9, "spherical"), axis=1), 1, atol=1e-5
    )
    assert np.linalg.norm(code_path(a, b, 9)[4]) < 0.9


def test_what_lies_between_starts_and_ends_with_the_two(trained):
    x, _ = bars(2)
    a, b = codes.encode(trained, x)[0]
    strip = interpolate(trained, a, b, 5)
    np.testing.assert_allclose(strip[[0, -1]], trained.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), np.zeros(4), 5), "`a` and `b` must be codes"),
        ((np.zeros(3), np.zeros(3), 1), "`steps` must be 2 or more"),
        ((np.zeros(3), np.zeros(3), 5, "round"), "`how` must be one of linear, spherical"),
    ],
)
def test_wrong_paths_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        code_path(*arguments)


# Traverse, arithmetic, manifold


def test_a_traversal_moves_one_latent_at_a_time_the_most_telling_first(trained):
    x, _ = bars(64)
    kl = codes.latent_kl(trained, x)
    z = codes.encode(trained, x)[0][0]
    moved = traverse(trained, z, kl=kl, count=3, values=[-2.0, z[0], 2.0])
    assert list(moved.latents) == np.argsort(-kl)[:3].tolist()
    assert moved.x.shape == (3, 3, *SHAPE)
    own = z.copy()
    own[moved.latents[1]] = 2.0
    np.testing.assert_allclose(moved.x[1, 2], codes.decode(trained, own[None])[0], atol=1e-5)


@pytest.mark.parametrize("latent", [-1, LATENTS, 99])
def test_a_latent_that_does_not_exist(trained, latent):
    with pytest.raises(ValueError, match=f"must be 0 to 3.* Received: latent={latent}"):
        traverse(trained, np.zeros(LATENTS), [latent])
    with pytest.raises(ValueError, match="must be 0 to 3"):
        manifold(trained, latents=(0, latent))


@given(st.lists(finite, min_size=3, max_size=3), st.lists(finite, min_size=3, max_size=3))
def test_arithmetic_is_arithmetic(a, c):
    np.testing.assert_allclose(combine(a, a, c), np.float32(c), atol=1e-5)
    np.testing.assert_allclose(
        combine([a, c], c, a), combine(a, combine(a, a, c), combine([a, c], c, c)), atol=1e-4
    )


def test_codes_that_cannot_be_combined():
    with pytest.raises(ValueError, match="equally many latents"):
        combine(np.zeros(3), np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="`b` must be a code"):
        combine(np.zeros(3), np.zeros((0, 3)), np.zeros(3))


def test_the_manifold_is_a_map_of_two_latents(trained):
    cells = manifold(trained, 5, (2, 0))
    assert cells.shape == (5, 5, *SHAPE)
    np.testing.assert_allclose(cells[2, 2], trained.decode(np.zeros((1, LATENTS)))[0], atol=1e-5)
    z = np.zeros((1, LATENTS), np.float32)
    z[0, 0] = 1.6449  # the 95 % quantile, upwards
    np.testing.assert_allclose(cells[0, 2], trained.decode(z)[0], atol=1e-3)
    with pytest.raises(ValueError, match="two different latents"):
        manifold(trained, latents=(1, 1))
    with pytest.raises(ValueError, match="`side` must be 2 or more"):
        manifold(trained, 1)


# Embed and compress


def test_codes_tell_the_classes(trained):
    (x, classes), (other, other_classes) = bars(400), bars(200, seed=1)
    figures = probe(embed(trained, x), classes, embed(trained, other), other_classes)
    assert figures["knn"] > 0.9
    shuffled = probe(embed(trained, x), classes[::-1], embed(trained, other), other_classes)
    assert shuffled["knn"] < 0.7


def test_labels_that_do_not_fit_the_codes():
    with pytest.raises(ValueError, match="`train_labels` must be one for each of 4 codes"):
        probe(np.zeros((4, 2)), [0, 1], np.zeros((4, 2)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="two classes or more"):
        probe(np.zeros((4, 2)), [0, 0, 0, 0], np.zeros((4, 2)), [0, 0, 0, 0])


def test_bits_count_what_the_model_does_not_know(trained):
    x, _ = bars(64, seed=5)
    noise = np.random.default_rng(0).integers(0, 256, x.shape, np.uint8)
    ours = compress.bits_per_dimension(trained, x)
    assert 0 < ours < 8 < compress.bits_per_dimension(trained, noise)
    with pytest.raises(ValueError, match="`x` must be uint8"):
        compress.bits_per_dimension(trained, x / 255.0)


def test_more_bits_leave_more_of_the_picture(trained):
    x, _ = bars(64, seed=5)
    points = compress.rate_distortion(trained, x, bars(200)[0], steps=(0.25, 1.0, 4.0, 16.0))
    assert all(a.rate > b.rate > 0 for a, b in itertools.pairwise(points))
    assert points[0].psnr > points[-1].psnr + 0.5
    whole = codes.reconstruct(trained, x)
    error = np.square(np.clip(whole, 0, 1) - x / 255.0).mean()
    assert points[0].psnr == pytest.approx(-10 * np.log10(error), abs=0.3)


@pytest.mark.parametrize("shape", [(16, 16, 1), (20, 33, 3)])
def test_jpeg_beside_it(shape):
    x = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    points = compress.jpeg_curve(x, (5, 90))
    assert points[0].rate < points[1].rate
    assert points[0].psnr < points[1].psnr
