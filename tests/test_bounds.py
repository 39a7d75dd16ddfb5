"""The importance-weighted bound, against a model whose evidence is known."""

import numpy as np
import pytest
from test_vae import linear_vae

from vae_tf.bounds import log_likelihood
from vae_tf.family import ConditionalVAE, ImportanceWeightedVAE
from vae_tf.vae import VAE

SIZE, SIGMA = 6, 0.7


@pytest.fixture(scope="module")
def known():
    """A linear model, data and the evidence, log p(x), (n,)."""
    vae, W, mu = linear_vae(SIZE, 3, SIGMA)
    x = np.random.default_rng(2).normal(size=(12, SIZE)).astype("float32")
    covariance = W @ W.T + SIGMA**2 * np.eye(SIZE)
    d = x - mu
    quadratic = np.einsum("bi,ij,bj->b", d, np.linalg.inv(covariance), d)
    return vae, x, -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * covariance)[1])


def worse(vae):
    """The same model with an encoder that is too sure of itself, by a third."""
    copy = linear_vae(SIZE, 3, SIGMA)[0]
    copy.set_weights(vae.get_weights())
    layer = copy.encoder.get_layer("z_log_var_raw")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias - 1.2])
    return copy


def test_one_draw_gives_the_evidence_where_the_posterior_is_exact(known):
    vae, x, evidence = known
    np.testing.assert_allclose(log_likelihood(vae, x, samples=1), evidence, atol=1e-3)


@pytest.mark.slow
def test_the_bound_is_the_tighter_the_more_draws_and_reaches_the_evidence(known):
    vae, x, evidence = known
    poor = worse(vae)
    means = [
        np.mean([log_likelihood(poor, x, k, seed=s).mean() for s in range(4)]) for k in (1, 8, 500)
    ]
    assert means[0] < means[1] < means[2] < evidence.mean() + 0.05
    assert means[2] > evidence.mean() - 0.15
    elbo = np.asarray(poor.elbo(x, samples=200, seed=0)).mean()
    assert means[0] == pytest.approx(elbo, abs=0.5)


def test_batches_do_not_matter_but_for_the_draws(known):
    vae, x, _ = known
    whole, parts = (log_likelihood(vae, x, 50, batch_size=size) for size in (100, 5))
    np.testing.assert_allclose(whole, parts, atol=1e-3)
    np.testing.assert_array_equal(whole, log_likelihood(vae, x, 50, batch_size=100))
    assert log_likelihood(vae, x[:0], 5).shape == (0,)


def test_training_on_it_fits_the_model_better_than_on_the_elbo(known):
    """The IWAE loss is the bound itself."""
    vae, x, _ = known
    poor = worse(vae)
    many = ImportanceWeightedVAE(poor.encoder, poor.decoder, poor.likelihood, samples=20, seed=0)
    many.compile("adam")
    data = np.repeat(x, 50, axis=0)
    loss = many.evaluate(data, batch_size=600, verbose=0, return_dict=True)["loss"]
    assert -loss == pytest.approx(log_likelihood(poor, data, 20).mean(), abs=0.1)


def test_wrong_arguments_are_named():
    vae = VAE.for_vectors(4, latent_dim=2, hidden=(8,))
    x = np.zeros((3, 4), "float32")
    with pytest.raises(ValueError, match="`samples` must be a whole number"):
        log_likelihood(vae, x, samples=0)
    with pytest.raises(ValueError, match=r"`x` must have shape \(B, 4\)"):
        log_likelihood(vae, np.zeros((3, 5), "float32"))
    with pytest.raises(ValueError, match="`label` must be left out"):
        log_likelihood(vae, x, label=1)
    told = ConditionalVAE.for_pictures((16, 16, 1), 3, latent_dim=2, widths=(4,))
    pictures = np.zeros((3, 16, 16, 1), "uint8")
    with pytest.raises(ValueError, match="`label` must be whole numbers from 0 to 2"):
        log_likelihood(told, pictures, label=3)
    assert log_likelihood(told, pictures, 2, label=[0, 1, 2]).shape == (3,)
