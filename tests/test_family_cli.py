"""The family from the command line: trained, resumed, exported, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import refused, run_python, snapshot
from test_family import tones
from test_vae import waves

import edge.__main__
import export.__main__
import vae_tf.__main__
from edge.interpreter import Graph
from edge.manifest import read_entry, read_manifest
from export.generative import expected_of, inputs_of
from vae_tf.run import Run

MODELS = ("conditional", "adversarial", "importance", "ladder", "recurrent")
QUICK = ("--steps", 120, "--batch-size", 8, "--latent-dim", 4)


def stripes(n, seed=0):
    """Pictures of three classes, lying, standing and tilted stripes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    y, x = np.mgrid[:16, :16]
    ways = (y, x, (x + y) / 1.5)
    pictures = [127 + 90 * np.sin(rng.uniform(0, 6) + 0.8 * ways[k]) for k in labels]
    return np.array(pictures).astype("uint8"), labels


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """The .npz that each model is trained on."""
    folder = tmp_path_factory.mktemp("sources")
    x, y = stripes(96)
    more, of = stripes(24, seed=1)
    np.savez(folder / "classes.npz", x_train=x, y_train=y, x_test=more, y_test=of)
    np.savez(folder / "pictures.npz", images=waves(96, (16, 16, 1))[..., 0])
    np.savez(folder / "tones.npz", sequences=tones(96))
    named = {"conditional": "classes.npz", "recurrent": "tones.npz"}
    return {model: folder / named.get(model, "pictures.npz") for model in MODELS}


def train(source, folder, model, *options):
    arguments = ["train", source, folder, "--model", model, *QUICK, *options]
    return vae_tf.__main__.main([str(a) for a in arguments])


# The one that is told something; the others take long to say the same.
EVERY = [m if m == "conditional" else pytest.param(m, marks=pytest.mark.slow) for m in MODELS]


@pytest.fixture(scope="module", params=EVERY)
def run(request, sources, tmp_path_factory) -> Run:
    """A finished run of each model."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    extra = () if request.param == "importance" else ("--warm-up", 40)
    assert train(sources[request.param], folder, request.param, *extra) == 0
    return Run.open(folder)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory) -> Path:
    """Its export. Copy it before changing it."""
    out = tmp_path_factory.mktemp("out")
    assert export.__main__.main([str(run.folder), str(out)]) == 0
    return out / "bundle"


def test_a_run_is_finished_and_opens_as_what_it_is(run):
    assert run.finished
    vae = run.load_vae()
    assert vae.data_shape == ((12, 2) if run.config.model == "recurrent" else (16, 16, 1))
    history = run.history()
    assert history["loss"][-1] < history["loss"][0]
    if run.config.warm_up:
        assert history["beta"][-1] == 1.0
    assert run.class_names == (["0", "1", "2"] if run.config.model == "conditional" else None)
    splits = run.load_splits()
    assert len(splits.train) + len(splits.validation) + len(splits.calibration) == 96
    if run.config.model == "conditional":
        assert vae.labels == 3
        x, y = stripes(96)
        rows = [int(name.split("/")[1]) for name in splits.train.names]
        np.testing.assert_array_equal(splits.train.classes, y[rows])
        np.testing.assert_array_equal(np.asarray(splits.train.images)[..., 0], x[rows])
        assert len(splits.test) == 24


def test_there_is_no_detector_and_that_is_said(run, sources, capsys):
    source = sources[run.config.model]
    line = refused(capsys, vae_tf.__main__.main, "evaluate", run.folder, source)
    assert f"no detector: it was trained with --model {run.config.model}" in line


def test_the_bundle_is_an_encoder_and_a_decoder(bundle, run):
    manifest = read_manifest(bundle)
    assert manifest.score is None
    assert manifest.calibrations == {}
    assert set(manifest.graphs) == {"encoder", "decoder"}
    assert manifest.input == run.spec
    assert manifest.made_from["model"] == run.config.model
    record = json.loads((bundle / "manifest.json").read_bytes())
    assert record["score"] is None
    assert ("classes" in manifest.made_from) == (run.config.model == "conditional")
    assert "generates" in (bundle / "card.md").read_text()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_graphs_are_the_model(bundle, run, precision):
    vae, splits, manifest = run.load_vae(), run.load_splits(), read_manifest(bundle)
    inputs = inputs_of(vae, splits.calibration, 8)
    for role, expected in expected_of(vae, inputs).items():
        compute = Graph(read_entry(bundle, manifest.graph(role, precision).entry))
        for i in range(8):
            got = compute(**{name: v[i : i + 1] for name, v in inputs[role].items()})
            assert got.keys() == expected.keys()
            for name, value in expected.items():
                span = max(1.0, float(np.abs(value).max()))
                allowed = 1e-4 * span if precision == "float32" else 0.1 * span
                if precision == "int8" and name == "z_log_var":
                    continue
                error = np.abs(got[name][0] - value[i])
                assert (error.max() if precision == "float32" else error.mean()) <= allowed


def test_selftest_passes_and_finds_what_has_changed(bundle, tmp_path, capsys):
    assert edge.__main__.main(["selftest", str(bundle)]) == 0
    said = capsys.readouterr().out
    for precision in ("float32", "int8"):
        assert f"golden vectors, {precision}: 3 examples through encoder and decoder" in said
    # Two graphs that have changed places, hashes and all, compute something else.
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    manifest = read_manifest(copy)
    golden = dict(np.load(copy / "golden.npz"))
    for name in golden:
        if name.startswith("input/decoder/z"):
            golden[name] = golden[name] + 1.0
    np.savez(copy / "golden.npz", **golden)
    from edge.manifest import FileEntry, write_manifest

    entry = FileEntry.of("golden.npz", (copy / "golden.npz").read_bytes())
    write_manifest(copy, manifest._replace(files={**manifest.files, "golden.npz": entry}))
    assert edge.__main__.main(["selftest", str(copy)]) == 1
    assert "FAIL golden vectors, float32: decoder's" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "calibrate", "bench"])
def test_the_device_says_in_one_line_that_there_is_no_detector(bundle, command, tmp_path, capsys):
    more = {"check": ["part.png"], "calibrate": [tmp_path], "bench": []}[command]
    line = refused(capsys, edge.__main__.main, command, bundle, *more)
    assert line.startswith(f"edge {command}: the bundle has no detector: its model was trained to")


def test_a_bundle_without_a_detector_runs_without_tensorflow(bundle):
    code = (
        "import sys; from edge.__main__ import main; "
        f"assert main(['selftest', {str(bundle)!r}]) == 0; assert 'tensorflow' not in sys.modules"
    )
    run_python("-c", code)


def test_a_second_export_takes_the_first_ones_place_and_a_failed_one_leaves_it(
    bundle, run, tmp_path, capsys, monkeypatch
):
    out = Path(shutil.copytree(bundle.parent, tmp_path / "out"))
    before = snapshot(out)
    monkeypatch.setattr("export.verify.FLOAT_TOLERANCE", 0.0)
    monkeypatch.setattr("export.verify.MAX_IMAGE_ERROR", 0.0)
    line = refused(capsys, export.__main__.main, run.folder, out, status=1)
    assert "no bundle was written" in line
    assert snapshot(out) == before


# Going on, and what is refused


@pytest.mark.slow
def test_a_resumed_run_is_the_run_without_a_break(sources, tmp_path):
    """Schedules, labels and discriminators included."""
    from vae_tf.config import Config, DataConfig
    from vae_tf.train import train as trained

    class StopError(Exception):
        pass

    import keras

    class StopAfter(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise StopError

    for model in ("conditional", "adversarial"):
        config = Config.for_preset(
            DataConfig(str(sources[model])),
            model=model, steps=120, batch_size=8, latent_dim=4, warm_up=60,
        )  # fmt: skip
        straight = trained(config, tmp_path / model, say=lambda line: None)
        with pytest.raises(StopError):
            trained(config, tmp_path / f"{model}2", callbacks=[StopAfter()], say=lambda line: None)
        resumed = trained(config, tmp_path / f"{model}2", resume=True, say=lambda line: None)
        again, once = resumed.history(), straight.history()
        if model == "conditional":
            assert again == once
        assert again.keys() == once.keys()
        for name, values in once.items():  # two adversarial runs differ by rounding as it is
            np.testing.assert_allclose(again[name], values, rtol=0.02, atol=0.02, err_msg=name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "ladder", "--objective", "restore"), "with the objective plain"),
        (("--model", "ladder", "--tile", 64), "sees a picture whole"),
        (("--warm-up", 10, "--cycles", 2), "a warm-up or cycles of beta, got both"),
        (("--cycles", 2, "--capacity", 3), "a capacity or cycles of beta, got both"),
        (("--free-bits", -1), "expected free_bits of 0 or more, got -1"),
        (("--capacity", -1), "expected capacity of 0 or more, got -1"),
        (("--likelihood", "bernoulli", "--sigma", 0.3), "bernoulli likelihood has no sigma"),
        (("--sigma", 0), "expected sigma of at least 0.05"),
        (("--model", "importance", "--beta", 2), "importance model has no KL to weigh"),
        (("--model", "importance", "--samples", 0), "expected samples of at least 1"),
        (("--model", "adversarial", "--free-bits", 1), "adversarial model has no KL to weigh"),
    ],
)
def test_options_that_do_not_go_together_are_refused(sources, tmp_path, capsys, options, words):
    line = refused(
        capsys, vae_tf.__main__.main, "train", sources["ladder"], tmp_path / "run", *options
    )
    assert words in line
    assert not (tmp_path / "run").exists()


def test_classes_that_are_not_there_are_asked_for(sources, tmp_path, capsys):
    main = vae_tf.__main__.main
    told = ("--model", "conditional")
    line = refused(capsys, main, "train", sources["ladder"], tmp_path / "run", *told)
    assert "a model of classes needs labels; expected an array labels" in line
    line = refused(
        capsys, main, "train", sources["conditional"], tmp_path / "run", *told,
        "--normal-class", 1,
    )  # fmt: skip
    assert "a normal class leaves one class" in line
    x, _ = stripes(24)
    np.savez(tmp_path / "one.npz", images=x, labels=np.zeros(24, int))
    line = refused(capsys, main, "train", tmp_path / "one.npz", tmp_path / "run", *told)
    assert "expected pictures of at least 2 classes, found 0" in line


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rows": np.zeros((20, 4))}, "expected an array sequences (n, steps, features), found"),
        ({"sequences": np.zeros((20, 4))}, "got float64 of shape (20, 4)"),
        ({"sequences": np.full((20, 4, 1), np.inf)}, "hold infinity; give NaN"),
        ({"sequences": np.full((20, 4, 1), np.nan)}, "all values of sequence 0 are missing"),
        ({"sequences": np.zeros((20, 4, 1)), "lengths": np.zeros(20, int)}, "lengths from 1 to 4"),
        ({"sequences": np.zeros((20, 4, 1)), "lengths": [1]}, "expected lengths as 20 whole"),
        ({"sequences": np.zeros((4, 4, 1))}, "at least 16 readable sequences, got 4"),
    ],
)
def test_sequences_that_are_none_are_refused(tmp_path, capsys, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    line = refused(
        capsys, vae_tf.__main__.main, "train", tmp_path / "x.npz", tmp_path / "run",
        "--model", "recurrent",
    )  # fmt: skip
    assert words in line


def test_folders_of_classes(tmp_path):
    from PIL import Image

    from vae_tf.data import load_data

    for i, (picture, label) in enumerate(zip(*stripes(30), strict=True)):
        folder = tmp_path / "x" / ("lying", "standing", "tilted")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i:02d}.png")
    splits = load_data(tmp_path / "x", by_class=True, cache_dir=tmp_path / "cache")
    assert splits.class_names == ("lying", "standing", "tilted")
    for part in (splits.train, splits.calibration):
        named = [splits.class_names[k] for k in part.classes]
        assert named == [name.split("/")[0] for name in part.names]
    assert next(iter(splits.train.dataset(4)))[1].shape == (4,)
