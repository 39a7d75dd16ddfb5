"""Plots and sheets of pictures: they save, open, and show what they were given."""

import io

import numpy as np
import pytest
from PIL import Image

from edge.calibration import calibrate
from vae_tf import plots


def shown(figure):
    """The figure saved and opened again, as an array."""
    with Image.open(io.BytesIO(plots.figure_png(figure))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def texts(figure):
    import matplotlib.text

    return " ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("theme", [plots.LIGHT, plots.DARK])
def test_plots_of_figures_save_and_open(theme):
    rng = np.random.default_rng(0)
    labels = np.arange(40) >= 25
    scores, kinds = rng.normal(labels, 0.5), np.where(labels, "pit", "good")
    calibration = calibrate(rng.normal(0, 0.5, 30), 0.1)
    histogram = plots.histograms(scores, list(kinds), calibration, theme)
    curve = plots.roc(scores, labels, (0.1, 0.8), theme)
    losses = plots.loss_curves({"loss": [5.0, -2.0], "val_loss": [6.0, -1.0]}, theme)
    for figure in (histogram, curve, losses):
        image = shown(figure)
        assert image.std() > 5
        assert tuple(image[0, 0]) == tuple(bytes.fromhex(theme.paper[1:]))
    assert f"fail above {calibration.threshold:.3g}" in texts(histogram)
    ranked = np.mean(scores[labels][:, None] > scores[~labels])  # no ties among normal draws
    assert f"AUROC {ranked:.3f}" in texts(curve)
    assert "10.0% stopped" in texts(curve)
    assert {"training", "validation"} <= set(texts(losses).split())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(24, 40), (16, 200), (300, 60)])
def test_plots_of_pictures_save_and_open(shape, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, *shape, channels), np.uint8)
    heat = rng.random((3, *shape)).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[5:9, 5:9] = True
    shown(plots.reconstructions(images, images[::-1]))
    shown(plots.picture_grid(images, columns=2))
    titles = ["$a_{b$.png", "部品.png", "long name " * 20]
    sheet = plots.heatmap_sheet(images, heat, 0.5, titles, images, [mask, None, mask])
    assert (shown(sheet) == np.array(plots.OUTLINE)).all(axis=2).any()
    shown(plots.heatmap_sheet(images[:1], heat[:1], 0.5, ["one"]))


def test_small_pictures_are_enlarged_pixel_by_pixel():
    picture = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40, 1)
    large = plots.enlarge(picture, 240)
    assert large.shape == (144, 240, 1)
    assert np.array_equal(large[3::6, 3::6], picture)
    assert plots.enlarge(np.zeros((900, 1200, 3), np.uint8), 240).shape == (360, 480, 3)


def test_outline_surrounds_the_defect_and_spares_it():
    picture, mask = np.full((40, 40, 1), 100, np.uint8), np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    tile = plots.heat_tile(picture, np.zeros((40, 40), np.float32), 1.0, mask)
    blue = (tile == np.array(plots.OUTLINE)).all(axis=2)
    assert blue.any()
    assert not blue[60:120, 60:120].any()
    assert blue[50:130, 50:130].sum() == blue.sum()
    plain = plots.heat_tile(picture, np.zeros((40, 40), np.float32), 1.0)
    assert (plain == 100).all()


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros(16),
        np.full(16, 1e6),
        np.geomspace(1e-6, 1e6, 16),
        np.r_[np.zeros(15), np.inf],
        np.r_[np.ones(15), np.nan],
    ],
)
def test_histograms_of_odd_scores(scores):
    calibration = calibrate(np.nan_to_num(scores[:12], posinf=1.0), 0.1)
    shown(plots.histograms(scores, ["good"] * 8 + ["pit"] * 8, calibration))


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [3.0]},
        {"loss": [float("nan"), 1.0], "val_loss": [float("inf"), 2.0]},
        {"loss": [2.0] * 30, "kl": [0.0] * 30, "epoch": list(range(30))},
        {"val_loss": [1e9, *np.linspace(10, -10, 40)]},
    ],
)
def test_loss_curves_of_odd_histories(history):
    shown(plots.loss_curves(history))


def test_a_large_first_loss_does_not_flatten_the_rest():
    values = [1e9, *np.linspace(10, -10, 40)]
    low, high = plots.loss_curves({"loss": values}).axes[0].get_ylim()
    assert -15 < low < -10 < 9 < high < 15


def test_empty_arguments_are_named():
    with pytest.raises(ValueError, match=r"`history` must have.*Received: epoch"):
        plots.loss_curves({"epoch": [1.0]})
    with pytest.raises(ValueError, match="at least one picture"):
        plots.picture_grid(np.zeros((0, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="at least one picture"):
        plots.heatmap_sheet([], [], 1.0, [])


def test_saving_is_whole_or_not_at_all(tmp_path):
    figure = plots.loss_curves({"loss": [1.0, 0.5]})
    plots.save_figure(figure, tmp_path / "loss.png")
    assert [p.name for p in tmp_path.iterdir()] == ["loss.png"]
    with Image.open(tmp_path / "loss.png") as picture:
        picture.verify()
