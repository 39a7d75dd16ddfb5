"""From a SavedModel to .tflite graphs, float32 and int8.

int8 graphs take uint8 pictures and float codes, and give float outputs: only what lies between is
quantised, weights per channel, activations by the ranges that a representative set shows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from vae_tf.quiet import quiet

REPRESENTATIVE = 200  # examples; ranges settle well before


def convert(saved_model, role: str, inputs: Iterable[dict[str, np.ndarray]]) -> dict[str, bytes]:
    """The signature `role` of the SavedModel as graphs, `float32` and quantised to `int8`.

    inputs: examples that the int8 graph will meet, each {tensor name: array with a batch of one}.
        They must span what matters: an activation beyond all that they show saturates.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[role])
    # Neither custom nor TensorFlow ops: no runner on a device has them.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = False
    float32 = _convert(converter)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    examples = list(inputs)[:REPRESENTATIVE]
    converter.representative_dataset = lambda: ((role, example) for example in examples)
    return {"float32": float32, "int8": _convert(converter)}


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    with quiet(), warnings.catch_warnings():
        # The converter still calibrates with it.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        return converter.convert()
