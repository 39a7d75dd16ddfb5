"""The VAE as a Keras model: its loss, its data contract, training, saving, export."""

import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from vae_tf import networks
from vae_tf.callbacks import ActiveUnits, CollapseWarning
from vae_tf.likelihoods import Gaussian
from vae_tf.vae import VAE, kl_divergence

SHAPE = (18, 16, 1)
numpy = keras.ops.convert_to_numpy


def waves(n, shape=SHAPE, seed=0):
    """Pictures that a small VAE can learn: soft waves, uint8 (n, H, W, C)."""
    height, width, channels = shape
    rng = np.random.default_rng(seed)
    phase, tilt = rng.uniform(0.0, 3.0, (2, n, 1, 1))
    y, x = np.mgrid[:height, :width]
    picture = 0.5 + 0.4 * np.sin(phase + 0.3 * x + 0.1 * tilt * y)
    return np.repeat((255 * picture).astype("uint8")[..., None], channels, axis=-1)


def small_vae(seed=1, compiled=True, **kwargs):
    vae = VAE.for_pictures(SHAPE, latent_dim=4, widths=(8, 16), seed=seed, **kwargs)
    if compiled:
        vae.compile(keras.optimizers.Adam(3e-3))
    return vae


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(1)  # `fit` shuffles
    vae = small_vae()
    vae.history = vae.fit(waves(128), epochs=8, batch_size=8, verbose=0).history
    return vae


# The loss


def linear_vae(size, latent_dim, sigma):
    """x = W z + sigma * noise, whose posterior and evidence are known."""
    vae = VAE(
        networks.dense_encoder(size, latent_dim, hidden=()),
        networks.dense_decoder(size, latent_dim, hidden=()),
        Gaussian(sigma),
        seed=1,
    )
    rng = np.random.default_rng(1)
    W = np.linalg.qr(rng.normal(size=(size, latent_dim)))[0] * np.linspace(0.5, 2.0, latent_dim)
    mu = rng.normal(size=size)
    # The columns of W are orthogonal, so the true posterior is diagonal.
    variance = 1.0 / (1.0 + (W**2).sum(0) / sigma**2)
    to_z = W * variance / sigma**2
    vae.encoder.get_layer("z_mean").set_weights([to_z, -mu @ to_z])
    vae.encoder.get_layer("z_log_var_raw").set_weights([0 * to_z, np.log(variance)])
    vae.decoder.get_layer("params").set_weights([W.T, mu])
    return vae, W, mu


def test_the_elbo_is_the_evidence_where_the_posterior_is_exact():
    size, sigma = 6, 0.7
    vae, W, mu = linear_vae(size, 3, sigma)
    x = np.random.default_rng(2).normal(size=(4, size)).astype("float32")
    covariance = W @ W.T + sigma**2 * np.eye(size)
    d = x - mu
    quadratic = np.einsum("bi,ij,bj->b", d, np.linalg.inv(covariance), d)
    evidence = -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * covariance)[1])
    elbo = numpy(vae.elbo(x, samples=600, seed=5))
    np.testing.assert_allclose(elbo, evidence, atol=0.25)


def test_kl_is_zero_at_the_prior_and_known_elsewhere():
    assert numpy(kl_divergence(np.zeros(3), np.zeros(3))).tolist() == [0, 0, 0]
    expected = 0.5 * (4.0 + 4.0 - 1.0 - math.log(4.0))
    assert numpy(kl_divergence(2.0, math.log(4.0))) == pytest.approx(expected)


def test_the_loss_averages_over_pictures_and_sums_over_pixels():
    vae, x = small_vae(), waves(6)
    # The noise of the second half is new: only the batch's average is alike.
    once, twice = (vae.evaluate(data, verbose=0) for data in (x, np.concatenate([x, x])))
    np.testing.assert_allclose(once[:3], twice[:3], rtol=0.05)

    likelihood = Gaussian()
    flat = np.random.default_rng(0).normal(size=(2, 5, 5, 1))
    tiled = np.tile(flat, (1, 2, 3, 1))
    per_picture = [numpy(likelihood.log_prob(data, 0 * data)) for data in (flat, tiled)]
    np.testing.assert_allclose(per_picture[1], 6 * per_picture[0], rtol=1e-5)


def test_the_loss_is_reconstruction_plus_beta_kl():
    vae = small_vae(beta=3.0)
    got = vae.evaluate(waves(8), verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(got["reconstruction"] + 3.0 * got["kl"], rel=1e-5)
    vae.beta.assign(0.0)
    got = vae.evaluate(waves(8), verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(got["reconstruction"], rel=1e-5)


def test_elbo_is_the_negative_loss():
    vae, x = small_vae(), waves(64)
    elbo = numpy(vae.elbo(x, samples=4, seed=1))
    assert elbo.shape == (64,)
    assert -elbo.mean() == pytest.approx(vae.evaluate(x, verbose=0)[0], rel=0.05)


# Data


def test_bytes_are_scaled_and_floats_are_taken_as_they_are(trained):
    x = waves(4)
    floats = x.astype("float32") / 255.0
    np.testing.assert_allclose(trained.reconstruct(x), trained.reconstruct(floats), atol=1e-6)
    np.testing.assert_allclose(
        trained.predict(x, verbose=0), trained.predict(floats, verbose=0), atol=1e-5
    )
    # Decided by type, not by values: ones are ones in float and 1/255 in uint8.
    ones = np.ones((1, *SHAPE))
    assert not np.allclose(trained.reconstruct(ones), trained.reconstruct(ones.astype("uint8")))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, *SHAPE), "int32"), "`x` must be uint8 .* Received: x of type int32"),
        (
            np.zeros(SHAPE, "uint8"),
            r"shape \(B, 18, 16, 1\), .* Received: x of shape \(18, 16, 1\)",
        ),
    ],
)
def test_wrong_data_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        small_vae().encode(x)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_every_door_gives_the_shape_of_the_data(likelihood):
    vae = small_vae(likelihood=likelihood)
    x = waves(3)
    z_mean, z_log_var = vae.encode(x)
    assert z_mean.shape == z_log_var.shape == (3, 4)
    assert vae.decode(z_mean).shape == vae.reconstruct(x).shape == (3, *SHAPE)
    np.testing.assert_allclose(vae.decode(z_mean), vae.reconstruct(x), atol=1e-6)
    assert vae.sample(5).shape == (5, *SHAPE)
    np.testing.assert_array_equal(vae.sample(2, seed=7), vae.sample(2, seed=7))


def test_vectors_train_too():
    x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    vae = VAE.for_vectors(5, latent_dim=2, hidden=(8,), seed=0)
    vae.compile("adam")
    assert set(vae.fit(x, epochs=1, verbose=0).history) == {
        *("loss", "reconstruction", "kl", "active_units")
    }
    assert vae.reconstruct(x).shape == x.shape


# Training


def test_training_lowers_the_loss_and_uses_the_latents(trained):
    history = trained.history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["active_units"][-1] >= 1
    x = waves(32, seed=9)
    error = np.square(numpy(trained.reconstruct(x)) - x / 255.0).mean()
    assert error < 0.5 * np.var(x / 255.0)


@pytest.mark.parametrize("options", [{"steps_per_execution": 4}, {"jit_compile": True}])
def test_keras_options(options):
    # Training elsewhere in this process asks for deterministic kernels, which XLA does not have.
    config.disable_op_determinism()
    vae = VAE.for_vectors(5, latent_dim=2, hidden=(8,), seed=0)
    vae.compile("adam", **options)
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 / (epoch + 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    data = np.random.default_rng(0).normal(size=(40, 5))
    history = vae.fit(
        data, epochs=2, batch_size=8, verbose=0, validation_split=0.2, callbacks=[rate, stop]
    ).history
    for name in ("loss", "reconstruction", "kl", "active_units"):
        assert len(history[name]) == len(history[f"val_{name}"]) == 2
        assert np.isfinite(history[name] + history[f"val_{name}"]).all()


@pytest.mark.slow
def test_a_target_apart_from_the_input_is_what_is_reconstructed():
    clean = waves(128)
    damaged = clean.copy()
    damaged[:, 5:9, 4:12] = 255
    vae = small_vae()
    pairs = tf.data.Dataset.from_tensor_slices((damaged, clean)).batch(16)
    vae.fit(pairs, epochs=10, verbose=0, shuffle=False, validation_data=pairs)
    restored = 255.0 * numpy(vae.reconstruct(damaged[:32]))
    hole = np.s_[:, 5:9, 4:12]
    error = np.abs(restored[hole] - clean[:32][hole]).mean()
    assert error < 0.3 * np.abs(damaged[:32][hole].astype(float) - clean[:32][hole]).mean()
    x_only, pair = vae.evaluate(damaged, verbose=0)[0], vae.evaluate(damaged, clean, verbose=0)[0]
    assert pair < x_only


@pytest.mark.parametrize(
    ("compile_options", "fit_options", "message"),
    [
        ({"loss": "mse"}, {}, "without `loss` and `metrics`"),
        ({}, {"sample_weight": np.ones(8)}, "does not support `sample_weight`"),
    ],
)
def test_what_would_be_ignored_is_refused(compile_options, fit_options, message):
    vae = small_vae(compiled=False)
    vae.compile("adam", **compile_options)
    with pytest.raises(ValueError, match=message):
        vae.fit(waves(8), waves(8), verbose=0, **fit_options)


def test_parts_that_do_not_fit_are_refused():
    encoder, decoder = networks.dense_encoder(4, 2), networks.dense_decoder(4, 3)
    with pytest.raises(ValueError, match=r"z of shape \(B, 2\).*input shape \(B, 3\)"):
        VAE(encoder, decoder)
    with pytest.raises(ValueError, match=r"return shape \(B, 4\).*output shape \(B, 8\)"):
        VAE(encoder, networks.dense_decoder(4, 2, parameters=2))
    with pytest.raises(ValueError, match="dict of `z_mean` and `z_log_var`"):
        VAE(decoder, decoder)
    with pytest.raises(ValueError, match=r"`likelihood` must be .* likelihood='poisson'"):
        VAE.for_vectors(4, likelihood="poisson")
    with pytest.raises(ValueError, match=r"`beta` must be 0 or more\. Received: beta=-1"):
        small_vae(beta=-1)
    with pytest.raises(ValueError, match="`samples` must be 1 or more"):
        small_vae().elbo(waves(1), samples=0)
    with pytest.raises(ValueError, match="`sigma` must be greater than"):
        Gaussian(sigma=0.0)


# Collapse


def test_active_units_are_those_that_vary():
    metric = ActiveUnits(3)
    z_mean = np.random.default_rng(0).normal(5.0, [1.0, 0.05, 0.2], (400, 3))
    for batch in np.split(z_mean, [100, 130]):
        metric.update_state(batch)
    assert numpy(metric.result()) == 2
    metric.reset_state()
    assert numpy(metric.result()) == 0


@pytest.mark.slow
def test_collapse_is_said_once_and_health_passes_in_silence():
    keras.utils.set_random_seed(1)
    x = waves(64)
    vae = small_vae(beta=1e3, neck=16)
    watch = CollapseWarning(patience=2)
    with pytest.warns(UserWarning, match="Posterior collapse: 0 of 4 latents are active") as caught:
        vae.fit(x, epochs=14, batch_size=8, verbose=0, callbacks=[watch])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        small_vae().fit(x, epochs=4, batch_size=16, verbose=0, callbacks=[watch])


# Saving


def test_a_saved_model_is_the_same_model(trained, tmp_path):
    trained.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    x = waves(4)
    for ours, theirs in zip(trained.encode(x), loaded.encode(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(trained.elbo(x, seed=1), loaded.elbo(x, seed=1))
    assert int(loaded.optimizer.iterations) == int(trained.optimizer.iterations) > 0
    # Without a seed, both draw the same next noise.
    np.testing.assert_array_equal(trained.elbo(x), loaded.elbo(x))


@pytest.mark.slow
def test_a_resumed_run_is_the_run_without_a_break(tmp_path):
    data = tf.data.Dataset.from_tensor_slices(waves(48)).batch(16)
    common = {"verbose": 0, "shuffle": False, "validation_data": data}
    every_epoch = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.weights.h5", save_weights_only=True
    )
    straight = small_vae()
    expected = straight.fit(data, epochs=4, callbacks=[every_epoch], **common).history

    # Another seed: all that counts must come from the file.
    resumed = small_vae(seed=99)
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.load_weights(tmp_path / "2.weights.h5")
    history = resumed.fit(data, initial_epoch=2, epochs=4, **common).history

    assert history == {name: values[2:] for name, values in expected.items()}
    for ours, theirs in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Export


# The converter calibrates with an interpreter that announces its own retirement.
@pytest.mark.filterwarnings("ignore:[\\s\\S]*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_graphs_on_the_device_agree(trained, tmp_path, precision):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    signature = [tf.TensorSpec((1, *SHAPE), tf.uint8, name="image")]
    archive = keras.export.ExportArchive()
    archive.track(trained)
    archive.add_endpoint("detector", lambda image: _outputs(trained, image), signature)
    archive.write_out(str(tmp_path / "saved"), verbose=False)

    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), ["detector"])
    if precision == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({"image": x[None]} for x in waves(64))
    reader = interpreter.Interpreter(model_content=converter.convert())
    runner = reader.get_signature_runner("detector")

    x = waves(16, seed=4)
    expected = {name: numpy(value) for name, value in _outputs(trained, x).items()}
    got = [runner(image=picture[None]) for picture in x]
    for name, value in expected.items():
        device = np.concatenate([outputs[name] for outputs in got])
        if precision == "float32":
            np.testing.assert_allclose(device, value, atol=1e-4)
        else:
            assert np.corrcoef(device.ravel(), value.ravel())[0, 1] > 0.99
    ops = {details["op_name"] for details in reader._get_ops_details()}
    assert not {op for op in ops if op.startswith("Flex") or "VAR" in op}


def _outputs(vae, image):
    z_mean, z_log_var = vae.encode(image)
    return {"x_hat": vae.reconstruct(image), "z_mean": z_mean, "z_log_var": z_log_var}
