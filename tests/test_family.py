"""What the VAE's relatives share, and what each is there for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_vae import waves

from vae_tf import networks
from vae_tf.family import (
    AdversarialAutoencoder,
    ConditionalVAE,
    ImportanceWeightedVAE,
    LadderVAE,
    RecurrentVAE,
)
from vae_tf.likelihoods import LIKELIHOODS
from vae_tf.vae import VAE

SHAPE = (18, 16, 1)
STEPS, FEATURES = 12, 2
numpy = keras.ops.convert_to_numpy


def tones(n, seed=0):
    """Sequences of 5 to 12 steps, float32 (n, 12, 2), NaN from their end on; 2nd feature large."""
    rng = np.random.default_rng(seed)
    phase, pace = rng.uniform(0, 6, (n, 1)), rng.uniform(0.3, 0.6, (n, 1))
    t = np.arange(STEPS)
    x = np.stack([np.sin(phase + pace * t), 100 + 20 * np.cos(phase + pace * t)], -1)
    x[t >= rng.integers(5, STEPS + 1, n)[:, None]] = np.nan
    return x.astype("float32")


MAKERS = {
    "conditional": lambda **k: ConditionalVAE.for_pictures(SHAPE, 3, 4, widths=(8, 16), **k),
    "adversarial": lambda **k: AdversarialAutoencoder.for_pictures(SHAPE, 4, widths=(8, 16), **k),
    "importance": lambda **k: ImportanceWeightedVAE.for_pictures(SHAPE, 4, widths=(8, 16), **k),
    "ladder": lambda **k: LadderVAE.for_pictures(SHAPE, 4, widths=(8, 16), **k),
    "recurrent": lambda **k: RecurrentVAE.for_sequences(
        STEPS, FEATURES, 4, units=16, offset=[0, 100], scale=[1, 20], **k
    ),
}


class Member:
    """A trained model, its data, and the label it is to be told, as arguments."""

    def __init__(self, name):
        self.name = name
        keras.utils.set_random_seed(1)
        self.vae = MAKERS[name](seed=1)
        self.vae.compile(keras.optimizers.Adam(3e-3))
        self.x = tones(96) if name == "recurrent" else waves(96)
        self.label = (np.arange(96) % 3,) if name == "conditional" else ()
        epochs = 40 if name == "recurrent" else 10
        fit = self.vae.fit(self.x, *self.label, epochs=epochs, batch_size=8, verbose=0)
        self.history = fit.history

    def told(self, n):
        return tuple(label[:n] for label in self.label)


# The one that is told something and the one of sequences; the others take long to say the same.
EVERY = [
    m if m in ("conditional", "recurrent") else pytest.param(m, marks=pytest.mark.slow)
    for m in MAKERS
]


@pytest.fixture(scope="module", params=EVERY)
def member(request):
    return Member(request.param)


def test_training_lowers_the_loss_and_uses_the_latents(member):
    assert member.history["loss"][-1] < member.history["loss"][0]
    assert member.history["active_units"][-1] >= 1


def test_every_door_is_there(member):
    vae, x = member.vae, member.x[:5]
    told = member.told(5)
    z_mean, z_log_var = vae.encode(x, *told)
    assert z_mean.shape == z_log_var.shape == (5, vae.latent_dim)
    assert vae.data_shape == x.shape[1:]
    assert vae.labels == (3 if member.label else None)
    decoded = numpy(vae.decode(z_mean, *told))
    assert decoded.shape == x.shape
    np.testing.assert_allclose(decoded, vae.reconstruct(x, *told), rtol=1e-4, atol=1e-5)
    one = {"label": 1} if member.label else {}
    assert vae.sample(3, seed=2, **one).shape == (3, *x.shape[1:])
    np.testing.assert_array_equal(vae.sample(3, seed=2, **one), vae.sample(3, seed=2, **one))
    elbo = numpy(vae.elbo(x, samples=3, seed=1, **({"label": told[0]} if told else {})))
    assert elbo.shape == (5,)
    assert np.isfinite(elbo).all()


def test_reconstructions_are_nearer_than_the_mean(member):
    x = member.x
    got = numpy(member.vae.reconstruct(x, *member.label))
    x = x if member.name == "recurrent" else x / 255.0
    there = ~np.isnan(x)
    centre = np.broadcast_to(np.nanmean(x, axis=tuple(range(x.ndim - 1))), x.shape)
    assert np.square(got - x)[there].mean() < 0.7 * np.square(centre - x)[there].mean()


def test_a_saved_model_is_the_same_model(member, tmp_path):
    vae, x, told = member.vae, member.x[:4], member.told(4)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded) is type(vae)
    for ours, theirs in zip(vae.encode(x, *told), loaded.encode(x, *told), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(vae.reconstruct(x, *told), loaded.reconstruct(x, *told))
    assert int(loaded.optimizer.iterations) == int(vae.optimizer.iterations) > 0
    label = {"label": told[0]} if told else {}
    # Without a seed, both draw the same next noise.
    np.testing.assert_array_equal(vae.elbo(x, **label), loaded.elbo(x, **label))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", ["conditional", "ladder"])
def test_every_likelihood_gives_shapes_and_a_finite_bound(name, likelihood):
    vae = MAKERS[name](likelihood=likelihood, seed=0)
    label = {"label": 1} if vae.labels else {}
    elbo = numpy(vae.elbo(waves(2), seed=0, **label))
    assert np.isfinite(elbo).all()
    assert vae.sample(2, **label).shape == (2, *SHAPE)


# Conditional


def test_the_class_is_what_the_label_says_not_the_code():
    """Bright or dark is told by the label, so the decoder draws either from the same code."""
    keras.utils.set_random_seed(1)
    label = np.arange(128) % 2
    x = (waves(128) / 4 + 150 * label[:, None, None, None]).astype("uint8")
    vae = ConditionalVAE.for_pictures(SHAPE, 2, latent_dim=4, widths=(8, 16), seed=1)
    vae.compile(keras.optimizers.Adam(3e-3))
    pairs = tf.data.Dataset.from_tensor_slices((x, label)).batch(8)
    vae.fit(pairs, epochs=10, verbose=0, shuffle=False)
    dark, bright = (numpy(vae.sample(16, seed=0, label=k)).mean() for k in (0, 1))
    assert bright - dark > 0.4
    z_mean = vae.encode(x, label)[0]
    swapped = numpy(vae.decode(z_mean, 1 - label)).mean(axis=(1, 2, 3))
    assert (swapped[label == 0] > swapped[label == 1].max() - 0.1).mean() > 0.9
    assert vae.predict(pairs.map(lambda x, y: ((x, y),)), verbose=0).shape == x.shape


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "`label` must be given, a whole number from 0 to 2"),
        (3, "`label` must be whole numbers from 0 to 2. Received: label=3"),
        (-1, "`label` must be whole numbers from 0 to 2. Received: label=-1"),
        (0.5, "`label` must be whole numbers from 0 to 2. Received: label=0.5"),
        ("sneaker", "`label` must be whole numbers from 0 to 2. Received: label='sneaker'"),
        ([0, 1], r"`label` must have shape \(\) or \(4,\).* Received: label of shape \(2,\)"),
        (tf.constant([0, 1, 2, 7]), "`label` must be whole numbers from 0 to 2"),
    ],
)
def test_a_wrong_label_is_named(label, message):
    vae, x = MAKERS["conditional"](), waves(4)
    for call in (vae.encode, vae.reconstruct, lambda x, label: vae.elbo(x, label=label)):
        with pytest.raises(ValueError, match=message) as error:
            call(x, label)
        assert "\n" not in str(error.value)


def test_training_on_wrong_labels_is_refused():
    vae, x = MAKERS["conditional"](), waves(4)
    vae.compile("adam")
    with pytest.raises(ValueError, match="needs labels: call `fit\\(x, label\\)`"):
        vae.fit(x, verbose=0)
    with pytest.raises(ValueError, match="`label` must be whole numbers from 0 to 2"):
        vae.fit(x, np.array([0, 1, 2, 3]), verbose=0)
    with pytest.raises(ValueError, match=r"`label` must be left out: .* without labels"):
        MAKERS["ladder"]().sample(2, label=1)


# Adversarial


def test_the_adversary_pushes_the_encoder_and_learns_itself_apart():
    vae = MAKERS["adversarial"](seed=0)
    vae.compile("adam")
    # Its last layer starts at zero; with it nothing would reach the encoder.
    logit = vae.discriminator.get_layer("logit")
    logit.set_weights([np.ones_like(w) for w in logit.get_weights()])
    vae.beta.assign(1e4)
    with tf.GradientTape(persistent=True) as tape:
        _, terms = vae._example_losses(waves(8), None, training=True)
        losses = vae._example_losses(waves(8), None, training=True)[0]
    assert terms["z"].shape == (8, 4)
    pushed = tape.gradient(losses, vae.encoder.trainable_variables)
    learnt = tape.gradient(losses, vae.discriminator.trainable_variables)
    assert max(float(tf.reduce_max(tf.abs(g))) for g in pushed) > 1
    # beta weighs what the encoder feels, not what the discriminator learns by.
    assert 0 < max(float(tf.reduce_max(tf.abs(g))) for g in learnt) < 1e3


@pytest.mark.slow
def test_codes_of_all_data_together_come_to_look_like_the_prior():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(512, 3)).astype("float32") * [3.0, 1.0, 0.1] + 2.0
    encoder = networks.dense_encoder(3, 2, hidden=(32,), seed=0)
    decoder = networks.dense_decoder(3, 2, hidden=(32,), seed=1)
    kept = AdversarialAutoencoder(encoder, decoder, seed=0, beta=5.0)
    kept.compile(keras.optimizers.Adam(2e-3))
    kept.fit(x, epochs=80, batch_size=32, verbose=0)
    z_mean, z_log_var = map(numpy, kept.encode(x))
    z = z_mean + np.exp(z_log_var / 2) * np.random.default_rng(1).normal(size=z_mean.shape)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.35)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.35)


# Ladder


def test_a_ladder_has_three_levels_and_each_is_read_and_drawn():
    vae = MAKERS["ladder"](seed=0)
    assert vae.decoder.sizes == [4, 5 * 4, 9 * 8]
    x = waves(2)
    z = numpy(vae.encode(x)[0])
    plain = numpy(vae.decode(z))
    start = 0
    for size in vae.decoder.sizes:
        changed = z.copy()
        changed[:, start : start + size] += 3.0
        assert np.abs(numpy(vae.decode(changed)) - plain).max() > 1e-3
        start += size


def test_a_lower_level_is_inferred_from_what_lies_above():
    """The same picture under another top code has another code below it."""
    vae = MAKERS["ladder"](seed=0)
    posterior = vae.infer(vae.to_units(waves(1)))
    below = []
    for top in (0.0, 5.0):

        def chosen(level, z_mean, z_log_var, top=top):
            return z_mean * 0 + top if level == 0 else z_mean

        below.append(numpy(vae._climbed(posterior, chosen)[1][0])[:, 4:])
    assert np.abs(below[0] - below[1]).max() > 1e-4


def test_ladder_arguments_are_checked():
    with pytest.raises(ValueError, match=r"`levels` must be 2 or more. Received: levels=1"):
        LadderVAE.for_pictures(SHAPE, levels=1)
    with pytest.raises(ValueError, match="`widths` must have at least 2 entries for 3 levels"):
        LadderVAE.for_pictures(SHAPE, widths=(8,))
    plain = VAE.for_pictures(SHAPE, 4, widths=(8,))
    with pytest.raises(ValueError, match="`encoder` must be a BottomUp"):
        LadderVAE(plain.encoder, plain.decoder)


# Recurrent


@pytest.fixture(scope="module")
def recurrent():
    return Member("recurrent").vae


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_what_lies_beyond_the_end_counts_for_nothing(cell):
    vae = RecurrentVAE.for_sequences(STEPS, FEATURES, 3, units=8, cell=cell, seed=0)
    x = tones(4)
    x[:, 5:] = np.nan
    filled = np.where(np.isnan(x), 7.0, x).astype("float32")
    mask = (~np.isnan(x)).any(-1).astype("float32")
    for ours, theirs in zip(vae.encode(x), vae.infer_masked(filled, mask), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    # The bound is that of the shorter sequence alone, whose elements are fewer.
    terms = vae.compute_terms(x)
    short = terms["params"][:, :5]
    alone = vae.likelihood.log_prob(x[:, :5], short)
    np.testing.assert_allclose(terms["reconstruction"], -numpy(alone), rtol=1e-5)


def test_a_gap_is_left_out_and_the_rest_still_read(recurrent):
    x = tones(8)
    gaps = x.copy()
    gaps[:, 2, 0] = np.nan
    assert np.isfinite(numpy(recurrent.elbo(gaps, seed=0))).all()
    assert np.abs(numpy(recurrent.encode(gaps)[0]) - numpy(recurrent.encode(x)[0])).max() > 1e-4


def test_step_by_step_it_is_the_same_network(recurrent):
    x = tones(3)
    expected = numpy(recurrent.reconstruct(x))
    with recurrent.unrolled():
        np.testing.assert_allclose(recurrent.reconstruct(x), expected, rtol=1e-4, atol=1e-3)


def test_sequences_that_do_not_fit_are_named(recurrent):
    with pytest.raises(ValueError, match=r"`x` must be floating point, with NaN .* type uint8"):
        recurrent.encode(np.zeros((1, STEPS, FEATURES), "uint8"))
    with pytest.raises(ValueError, match=r"`x` must have shape \(B, 12, 2\)"):
        recurrent.encode(np.zeros((1, STEPS, 3), "float32"))
    with pytest.raises(ValueError, match='`cell` must be "gru" or "lstm"'):
        RecurrentVAE.for_sequences(4, 2, cell="rnn")
    with pytest.raises(ValueError, match="`scale` must be 2 numbers"):
        RecurrentVAE.for_sequences(4, 2, scale=[1.0])
    with pytest.raises(ValueError, match="`scale` must be above 0"):
        RecurrentVAE.for_sequences(4, 2, scale=[1.0, 0.0])


# What would be ignored is refused


@pytest.mark.parametrize("name", ["free_bits", "capacity"])
def test_weights_of_a_kl_that_is_not_there_are_refused(name):
    for member in ("adversarial", "importance"):
        with pytest.raises(ValueError, match="`free_bits` and `capacity` must be left out"):
            MAKERS[member](**{name: 1.0})
    with pytest.raises(ValueError, match="`samples` must be a whole number, 1 or more"):
        MAKERS["importance"](samples=0)
