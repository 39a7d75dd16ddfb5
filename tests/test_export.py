"""The bundle and the SavedModel: what is in them, and that a failed export leaves nothing."""

import dataclasses
import hashlib
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from conftest import largest_file, refused, run_python, snapshot
from test_train import quiet

from edge.errors import UserError
from edge.golden import read_golden
from edge.interpreter import Graph
from edge.manifest import read_entry, read_manifest
from edge.runner import Runner
from edge.score import heights
from export.__main__ import main
from export.bundle import export
from export.saved_model import write_graph
from export.tflite import convert
from vae_tf.defects import with_defects
from vae_tf.detector import Detector
from vae_tf.run import Run
from vae_tf.scores import make_score
from vae_tf.train import train

ROLES = ("encoder", "decoder", "detector")
PRECISIONS = ("float32", "int8")


@pytest.fixture(scope="module")
def run(run_folder):
    return Run.open(run_folder)


@pytest.fixture(scope="module")
def detector(run):
    return run.load_detector()


@pytest.fixture(scope="module")
def held_out(run):
    pictures = run.load_splits().calibration
    return pictures.batch(range(len(pictures)))


def graph(bundle, role, precision) -> Graph:
    return Graph(read_entry(bundle, read_manifest(bundle).graph(role, precision).entry))


def keras_outputs(detector, images):
    """What each role gives in Keras; the decoder for the codes of the images."""
    z_mean, z_log_var = map(np.asarray, detector.vae.encode(images))
    return {
        "detector": {k: np.asarray(v) for k, v in detector.outputs(images).items()},
        "encoder": {"z_mean": z_mean, "z_log_var": z_log_var},
        "decoder": {"image": np.asarray(detector.vae.decode(z_mean))},
    }


# The bundle


def test_files_are_those_of_the_manifest(bundle):
    names = {f"{role}.{precision}.tflite" for role in ROLES for precision in PRECISIONS}
    assert {p.name for p in bundle.iterdir()} == {*names, "manifest.json", "golden.npz", "card.md"}
    manifest = read_manifest(bundle)
    assert {entry.file for entry in manifest.entries()} == {*names, "golden.npz", "card.md"}
    for entry in manifest.entries():
        content = (bundle / entry.file).read_bytes()
        assert len(content) == entry.size
        assert hashlib.sha256(content).hexdigest() == entry.sha256


def test_manifest_says_what_it_is_and_was_made_from(bundle, run, pictures):
    record = json.loads((bundle / "manifest.json").read_bytes())
    assert record["schema"] == 1
    assert record["name"] == run.folder.name
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["created"])
    manifest = read_manifest(bundle)
    assert manifest.input == run.spec
    assert manifest.made_from["data"] == str(pictures)
    assert manifest.made_from["pictures"] == {
        "train": 52,
        "validation": 6,
        "calibration": 14,
        "test": 32,
    }
    assert manifest.made_with["tensorflow"] == tf.__version__
    assert {"keras", "numpy", "python", "interpreter", "vae_tf"} <= manifest.made_with.keys()
    for precision in PRECISIONS:
        assert len(manifest.calibrations[precision].scores) == 14
        quality = manifest.quality[precision]
        assert (quality["n_good"], quality["n_bad"]) == (16, 16)
        assert 0 <= quality["image_auroc"] <= 1
        detector = manifest.graph("detector", precision)
        assert detector.inputs == {"image": {"shape": [1, 32, 32, 1], "dtype": "uint8"}}
        assert detector.outputs.keys() == {"reconstruction", "anomaly_map", "features"}
        assert manifest.graph("encoder", precision).outputs.keys() == {"z_mean", "z_log_var"}
        assert manifest.graph("decoder", precision).inputs["z"]["shape"] == [1, 16]


def test_int8_is_smaller(bundle):
    manifest = read_manifest(bundle)
    for role in ROLES:
        small, large = (manifest.graph(role, p).entry.size for p in ("int8", "float32"))
        assert small < 0.6 * large


def test_card_tells_a_person(bundle, run):
    card = (bundle / "card.md").read_text()
    assert card.startswith(f"# {run.folder.name}\n")
    for words in ("32 x 32", "image AUROC", "fail above", "builtin operations only"):
        assert words in card


# The graphs against the Keras model


def test_saved_model_by_signature_and_name(bundle, detector, held_out):
    signatures = tf.saved_model.load(str(bundle.parent / "saved_model")).signatures
    assert set(signatures) >= set(ROLES)
    images = held_out[:3]
    expected = keras_outputs(detector, images)
    z = expected["encoder"]["z_mean"]
    for role in ROLES:
        inputs = {"z": tf.constant(z)} if role == "decoder" else {"image": tf.constant(images)}
        outputs = signatures[role](**inputs)
        assert outputs.keys() == expected[role].keys()
        for name, value in outputs.items():
            assert value.shape == expected[role][name].shape
            np.testing.assert_allclose(value, expected[role][name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("role", ROLES)
def test_float32_graphs_are_the_model(bundle, detector, held_out, role):
    expected = keras_outputs(detector, held_out)
    compute = graph(bundle, role, "float32")
    examples = expected["encoder"]["z_mean"] if role == "decoder" else held_out
    for i, example in enumerate(examples):
        outputs = compute(**{"z" if role == "decoder" else "image": example[None]})
        assert outputs.keys() == expected[role].keys()
        for name, value in outputs.items():
            np.testing.assert_allclose(value[0], expected[role][name][i], rtol=1e-4, atol=1e-4)


def test_int8_graphs_are_near_the_model(bundle, detector, held_out):
    expected = keras_outputs(detector, held_out)
    for role, name, allowed in (
        ("detector", "reconstruction", 0.05),
        ("encoder", "z_mean", 0.2),
        ("decoder", "image", 0.05),
    ):
        compute = graph(bundle, role, "int8")
        examples = expected["encoder"]["z_mean"] if role == "decoder" else held_out
        outputs = [compute(**{"z" if role == "decoder" else "image": e[None]}) for e in examples]
        got = np.concatenate([o[name] for o in outputs])
        assert got.dtype == np.float32
        assert np.abs(got - expected[role][name]).mean() < allowed
        assert (got != expected[role][name]).any()  # it is quantised


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_is_calibrated_on_its_own_scores(bundle, held_out, precision):
    runner = Runner(bundle, precision)
    scores = sorted(runner.check(image[:, :, 0]).score for image in held_out)
    recorded = read_manifest(bundle).calibrations[precision].scores
    np.testing.assert_allclose(recorded, scores, rtol=1e-5)


def test_int8_counts_from_what_good_pictures_reach_in_its_graph(bundle, run):
    runners = {precision: Runner(bundle, precision) for precision in PRECISIONS}
    score = runners["float32"].score
    assert score == read_manifest(bundle).score
    assert runners["int8"].score._replace(knees=score.knees) == score
    beyond = {name: {p: [] for p in PRECISIONS} for name in score.knees}
    train = run.load_splits().train
    for picture in train.batch(range(len(train))):
        for precision, runner in runners.items():
            (outputs,) = runner.infer(picture)
            for name, height in heights(outputs, score)[1].items():
                beyond[name][precision].append(height - runner.score.knees[name])
    for name, of in beyond.items():
        difference = np.subtract(of["int8"], of["float32"])
        moved = runners["int8"].score.knees[name] - score.knees[name]
        assert moved != 0
        assert abs(np.median(difference)) < min(0.01, abs(np.median(difference + moved)) / 2)


def test_golden_vectors_are_of_held_out_pictures_and_of_each_precision(bundle):
    pictures, z, expected = read_golden((bundle / "golden.npz").read_bytes())
    assert len({p.shape for p in pictures}) > 1  # resizing is tested as well
    assert z.shape == (len(pictures), 16)
    assert expected.keys() == set(PRECISIONS)
    for precision in PRECISIONS:
        runner = Runner(bundle, precision)
        scores = [runner.check(picture).score for picture in pictures]
        np.testing.assert_allclose(expected[precision]["score"], scores, rtol=1e-5)


# The command


@pytest.fixture(scope="module")
def exported(tiny_run, pictures, tmp_path_factory):
    """A run that was moved, exported after its pictures were deleted: (folder, process)."""
    out = tmp_path_factory.mktemp("exported")
    source = shutil.copytree(pictures, out / "pictures")
    config = Run.open(tiny_run.folder).config
    data = dataclasses.replace(config.data, source=str(source))
    train(dataclasses.replace(config, data=data), out / "here", say=quiet)
    shutil.rmtree(source)
    (out / "here").rename(out / "there")
    return out, run_python("-m", "export", out / "there", out / "result", "--name", "bolts")


def test_works_when_the_pictures_are_gone(exported):
    out, done = exported
    assert done.stdout == f"{out / 'result' / 'bundle'}\n"
    assert read_manifest(out / "result" / "bundle").name == "bolts"
    assert {p.name for p in (out / "result").iterdir()} == {"bundle", "saved_model"}


def test_says_every_check_and_nothing_else(exported):
    _, done = exported
    lines = done.stderr.splitlines()
    expected = r"converting (\w+)$|ok   |     detector.int8: \d+ million multiply-adds"
    assert all(re.match(expected, line) for line in lines), done.stderr
    for role in ROLES:
        for precision in PRECISIONS:
            assert f"ok   {role}.{precision}: builtin operations only" in lines


@pytest.fixture
def earlier(exported, tmp_path):
    """A place where an earlier bundle lies."""
    return shutil.copytree(exported[0] / "result", tmp_path / "out")


@pytest.mark.slow
def test_exporting_again_replaces_the_bundle(exported, earlier):
    before = read_manifest(earlier / "bundle")
    (earlier / "bundle" / "stale.txt").write_text("of the earlier bundle")
    export(exported[0] / "there", earlier, say=quiet)
    after = read_manifest(earlier / "bundle")
    assert (before.name, after.name) == ("bolts", "there")
    assert not (earlier / "bundle" / "stale.txt").exists()
    assert {p.name for p in earlier.iterdir()} == {"bundle", "saved_model"}
    # The same run converts to the same graphs.
    assert after.graphs == before.graphs


@pytest.mark.slow
def test_failed_verification_leaves_the_earlier_bundle(exported, earlier, capsys, monkeypatch):
    monkeypatch.setattr("export.verify.MAX_CODE_ERROR", -1)
    before = snapshot(earlier)
    line = refused(capsys, main, exported[0] / "there", earlier, status=1)
    assert line.startswith("export: no bundle was written, for 1 checks failed: ")
    assert "encoder.int8: z_mean off by" in line
    assert "limit -1" in line
    assert snapshot(earlier) == before
    assert {p.name for p in earlier.iterdir()} == {"bundle", "saved_model"}


def test_full_disk_leaves_the_earlier_bundle(exported, earlier, capsys):
    before = snapshot(earlier)
    with largest_file(30):
        line = refused(capsys, main, exported[0] / "there", earlier)
    assert line.startswith(f"export: cannot write {earlier}: ")
    assert snapshot(earlier) == before
    assert {p.name for p in earlier.iterdir()} == {"bundle", "saved_model"}


@pytest.mark.slow
def test_full_disk_at_the_last_step(exported, tmp_path):
    """The disk fills up after everything was verified, while the bundle is written."""
    limits = []

    def say(line):
        if line.startswith("ok  ") and not limits:
            limits.append(largest_file(30))
            limits[0].__enter__()

    with pytest.raises(UserError, match=r"cannot write .*\.tflite: the file would pass the size"):
        try:
            export(exported[0] / "there", tmp_path / "out", say=say)
        finally:
            limits[0].__exit__(None, None, None)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written(exported, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    line = refused(capsys, main, exported[0] / "there", tmp_path / "file")
    assert line.startswith(f"export: cannot write {tmp_path / 'file'}: ")


# Operations and their versions that tflite-runtime 2.14 has: on 32-bit ARM there is nothing newer.
OLDEST = """
    ADD 2, ARG_MAX 2, AVERAGE_POOL_2D 2, CAST 1, CONCATENATION 2, CONV_2D 3, DEQUANTIZE 2,
    FULLY_CONNECTED 4, GATHER 2, MAXIMUM 2, MEAN 2, MINIMUM 2, MUL 2, QUANTIZE 1, REDUCE_MAX 2,
    RESHAPE 1, RESIZE_BILINEAR 3, RSQRT 2, STRIDED_SLICE 2, SUB 2, SUM 2, TILE 3
"""


@pytest.fixture(scope="module")
def of_kinds(run, tmp_path_factory):
    """A detector that knows several kinds of good pictures, and its graphs by precision."""
    vae, splits = run.load_vae(), run.load_splits()
    by = make_score(vae)
    by.of_a_kind = 8
    detector = Detector(vae, by).fit(splits.train)
    folder = tmp_path_factory.mktemp("of_kinds")
    write_graph(vae, folder, "detector", detector)
    seen = [{"image": image[None]} for image in splits.train.batch(range(len(splits.train)))]
    return detector, convert(folder, "detector", seen)


def test_graphs_find_the_nearest_kind(of_kinds, held_out):
    detector, graphs = of_kinds
    assert len(detector.by.arrays["features_centres"]) > 4
    images = np.concatenate([held_out, with_defects(held_out, 0)])
    expected = np.linalg.norm(detector.outputs(tf.constant(images))["features"], axis=1)
    for precision, off in (("float32", 1e-3), ("int8", 0.15)):
        graph = Graph(graphs[precision])
        lengths = [np.linalg.norm(graph(image=image[None])["features"]) for image in images]
        assert np.abs(lengths / expected - 1).mean() < off


def test_graphs_run_on_the_oldest_interpreter(bundle, of_kinds):
    newest = dict(entry.split() for entry in OLDEST.split(","))
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    for content in [
        *(file.read_bytes() for file in bundle.glob("*.tflite")),
        *of_kinds[1].values(),
    ]:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        for code in model.operatorCodes:
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            assert code.version <= int(newest.get(name, 0)), (name, code.version)
