"""The panel of sliders, as its buttons use it; no browser needed."""

import numpy as np
import pytest
from PIL import Image

import vae_tf
from vae_tf.family.conditional import ConditionalVAE
from vae_tf.uses.sliders import Explorer
from vae_tf.vae import VAE

pytest.importorskip("ipywidgets")
SHAPE = (16, 16, 1)


@pytest.fixture
def panel(tiny_run, tmp_path):
    return vae_tf.explore(tiny_run.folder, save_to=tmp_path / "designs")


def button(panel, words):
    found = []

    def search(widget):
        if getattr(widget, "description", None) == words:
            found.append(widget)
        for child in getattr(widget, "children", ()):
            search(child)

    search(panel.panel)
    (one,) = found
    return one


def test_a_slider_moves_its_latent_and_the_picture(panel):
    before, shown = panel.picture(), panel._image.value
    panel.sliders[0].value = 2.5
    assert panel.z[panel.latents[0]] == pytest.approx(2.5)
    assert np.abs(panel.picture().astype(int) - before).max() > 0
    assert panel._image.value != shown
    assert len(set(panel.latents)) == len(panel.sliders) <= 4


def test_random_average_and_morph(panel):
    panel.random(seed=1)
    first = panel.z.copy()
    for slider, latent in zip(panel.sliders, panel.latents, strict=True):
        assert slider.value == pytest.approx(np.clip(first[latent], -3.5, 3.5), abs=1e-4)
    button(panel, "keep as A").click()
    button(panel, "average").click()
    assert (panel.z == 0).all()
    panel.random(seed=2)
    second = panel.z.copy()
    button(panel, "keep as B").click()
    button(panel, "A to B").value = 0.5
    assert not np.allclose(panel.z, first) and not np.allclose(panel.z, second)
    button(panel, "A to B").value = 0.0
    np.testing.assert_allclose(panel.z, first, atol=1e-5)
    button(panel, "A to B").value = 1.0
    np.testing.assert_allclose(panel.z, second, atol=1e-5)
    button(panel, "random").click()
    assert not np.allclose(panel.z, second)


def test_designs_are_saved_one_after_the_other(panel, tmp_path):
    panel.random(seed=1)
    button(panel, "save").click()
    button(panel, "average").click()
    button(panel, "save").click()
    assert sorted(p.name for p in (tmp_path / "designs").iterdir()) == [
        *("001.npy", "001.png", "002.npy", "002.png")
    ]
    with Image.open(tmp_path / "designs" / "002.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), panel.picture())
    assert (np.load(tmp_path / "designs" / "002.npy") == 0).all()


def test_classes_where_the_model_has_them():
    vae = ConditionalVAE.for_pictures(SHAPE, 2, latent_dim=3, widths=(8, 16), seed=0)
    panel = Explorer(vae, class_names=["sneaker", "boot"])
    before = panel.picture()
    panel.classes.value = 1
    assert panel.label == 1
    assert np.abs(panel.picture().astype(int) - before).max() > 0


def test_a_model_without_a_run_has_sliders_too():
    panel = vae_tf.explore(VAE.for_pictures(SHAPE, latent_dim=30, widths=(8, 16), seed=0), most=5)
    assert panel.latents == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="`z` must have shape"):
        panel.go(np.zeros(4))
    with pytest.raises(ValueError, match="`most` must be 1 or more"):
        Explorer(panel.vae, most=0)


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(vae_tf.errors.RunError, match="is not a run directory"):
        vae_tf.explore(tmp_path)
