"""The checks before a bundle is written: each one catches what it is there for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edge.manifest import read_manifest
from export import verify
from export.macs import multiply_adds
from export.verify import Report, VerificationError, check_structure, op_names
from vae_tf.quiet import quiet


def converted(function, shape, select=False, tracked=None) -> bytes:
    """The function as a .tflite file, converted as one should not."""
    concrete = tf.function(lambda x: function(x)).get_concrete_function(
        tf.TensorSpec(shape, tf.float32)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tracked or tf.Module())
    if select:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
    with quiet():
        return converter.convert()


def failures(content, weights, name="encoder.float32") -> list[str]:
    report = Report()
    check_structure(report, name, content, weights)
    return report.failures


def test_operations_are_named(bundle):
    for path in bundle.glob("*.tflite"):
        ops = op_names(path.read_bytes())
        assert ops == sorted(set(ops))
        assert {"CONV_2D", "FULLY_CONNECTED"} & set(ops)
        assert not [op for op in ops if ":" in op]


def test_an_operation_that_no_device_has_is_caught():
    content = converted(tf.linalg.inv, (1, 3, 3), select=True)
    assert "custom:FlexMatrixInverse" in op_names(content)
    (failure,) = failures(content, 0)
    assert "but has custom:FlexMatrixInverse" in failure


def test_random_draws_inside_a_graph_are_caught():
    content = converted(
        lambda x: x + tf.random.stateless_normal(tf.shape(x), [1, 2]), (1, 8), select=True
    )
    assert failures(content, 0)


def test_a_graph_without_its_weights_is_caught():
    """A known trap: converting a Keras model's function succeeds, and leaves the weights behind."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256)])
    content = converted(model, (1, 64), tracked=model)
    assert "READ_VARIABLE" in op_names(content)
    operations, size = failures(content, 64 * 256)
    assert "VAR_HANDLE" in operations
    assert "bytes hold 16,384 weights" in size


@pytest.mark.parametrize("role", ["encoder", "decoder", "detector"])
def test_a_file_that_lost_its_weights_is_caught(bundle, role):
    entry = read_manifest(bundle).graph(role, "float32").entry
    content = (bundle / entry.file).read_bytes()
    assert failures(content, entry.size // 8) == []
    assert "bytes hold" in failures(content, entry.size)[0]


# Figures against their limits


def test_every_failed_check_is_named():
    report = Report()
    report.check(True, "this is well")
    report.require()
    report.check(False, "this is not")
    report.check(False, "nor is that")
    assert report.lines == ["ok   this is well", "FAIL this is not", "FAIL nor is that"]
    with pytest.raises(VerificationError, match="2 checks failed: this is not; nor is that"):
        report.require()


@pytest.mark.parametrize(
    ("scale", "difference", "passes"),
    [(1.0, 0.9e-4, True), (1.0, 1.1e-4, False), (50.0, 40e-4, True), (50.0, 60e-4, False)],
)
def test_float32_agrees_to_a_part_of_the_range(scale, difference, passes):
    keras_map = np.full((2, 4, 4), scale)
    graph_map = keras_map.copy()
    graph_map[1, 2, 3] += difference
    report = Report()
    verify.check_float32(report, "detector", {"map": keras_map}, {"map": graph_map})
    assert (not report.failures) == passes


def test_an_output_that_is_no_number_fails():
    report = Report()
    verify.check_float32(report, "encoder", {"z": np.ones(3)}, {"z": np.array([1, np.nan, 1])})
    assert report.failures


def test_int8_codes_and_pictures_have_limits():
    z, image = np.random.default_rng(0).normal(size=(20, 4)), np.full((4, 8, 8, 1), 0.5)
    for off, passes in ((0.09, True), (0.11, False)):
        report = Report()
        verify.check_int8_outputs(report, "encoder", {"z_mean": z}, {"z_mean": z + off})
        assert (not report.failures) == passes
    for off, passes in ((0.019, True), (0.021, False)):
        report = Report()
        verify.check_int8_outputs(report, "decoder", {"image": image}, {"image": image - off})
        assert (not report.failures) == passes


def test_scores_must_tell_and_judge_alike():
    scores, damaged = np.arange(400.0), np.arange(400) >= 200
    verdicts = np.where(damaged, "fail", "pass")
    report = Report()
    verify.check_scores(report, "int8", damaged, (scores, verdicts), (2 * scores + 1, verdicts))
    assert report.failures == []
    assert report.figures["int8"] == {"verdict_agreement": 1.0}
    shuffled = np.random.default_rng(0).permutation(scores)
    report = Report()
    verify.check_scores(report, "int8", damaged, (scores, verdicts), (shuffled, verdicts))
    (failure,) = report.failures
    assert "synthetic defects, AUROC" in failure
    report = Report()
    other = np.roll(verdicts, 50)
    verify.check_scores(report, "int8", damaged, (scores, verdicts), (scores, other))
    (failure,) = report.failures
    assert "75.0%" in failure


def test_scores_that_are_hardly_apart_may_change_places():
    """A detector that has learnt nothing yet is no reason to write no bundle."""
    rng = np.random.default_rng(0)
    scores = 1e-3 * rng.normal(size=16)
    noisy = scores + 1e-3 * rng.normal(size=16)
    assert np.corrcoef(scores, noisy)[0, 1] < 0.9
    verdicts = [["pass"] * 15 + ["fail"], ["pass"] * 14 + ["fail"] * 2]
    report = Report()
    damaged = np.arange(16) >= 8
    verify.check_scores(report, "int8", damaged, (scores, verdicts[0]), (noisy, verdicts[1]))
    assert report.failures == []


def scored(n: int, lost: int) -> tuple:
    """n good and n bad pictures, all told apart; then `lost` of the bad ones below all good."""
    bad = np.arange(2 * n) >= n
    keras_scores = np.arange(2.0 * n)
    graph_scores = keras_scores.copy()
    graph_scores[n : n + lost] -= 2 * n
    return bad, keras_scores, graph_scores


@pytest.mark.parametrize(
    ("precision", "n", "lost", "passes"),
    [
        ("int8", 2000, 0, True),
        ("int8", 2000, 9, True),  # 0.0045
        ("int8", 2000, 40, False),  # 0.02
        ("float32", 2000, 0, True),
        ("float32", 2000, 9, False),
        ("int8", 20, 1, True),  # 0.05, and by chance
        ("int8", 20, 10, False),
    ],
)
def test_auroc_may_lose_so_much(precision, n, lost, passes):
    bad, before, after = scored(n, lost)
    report = Report()
    verify.check_auroc(report, precision, bad, before, after)
    assert (not report.failures) == passes
    assert f"image AUROC {1 - lost / n:.4f}, {lost / n:.4f} below" in report.lines[0]
    better = Report()
    verify.check_auroc(better, precision, bad, after, before)
    assert not better.failures


# Cost


def test_multiply_adds_are_those_of_the_layers():
    inputs = keras.Input((12, 10, 3), batch_size=1)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(inputs)  # 6 x 5 x 8 from 3 x 3 x 3
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)  # 6 x 5 x 8 from 3 x 3
    x = keras.layers.UpSampling2D(2)(x)
    outputs = keras.layers.Dense(7)(keras.layers.Flatten()(x))  # 960 x 7
    model = keras.Model(inputs, outputs)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    with quiet():
        content = converter.convert()
    assert multiply_adds(content) == 6 * 5 * 8 * 27 + 6 * 5 * 8 * 9 + 12 * 10 * 8 * 7


def test_both_precisions_cost_the_same(bundle):
    float32, int8 = (
        multiply_adds((bundle / f"detector.{p}.tflite").read_bytes()) for p in ("float32", "int8")
    )
    assert float32 == int8
    assert read_manifest(bundle).quality["int8"]["multiply_adds"] == int8
    assert 1e6 < int8 < 400e6
