"""A SavedModel with named signatures: `encoder`, `decoder` and, where there is one, `detector`."""

from __future__ import annotations

import contextlib

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from vae_tf.errors import file_error
from vae_tf.family.recurrent import RecurrentVAE

ROLES = ("detector", "encoder", "decoder")


def write_saved_model(vae, folder, detector=None) -> None:
    """Writes a model's graphs, weights included, in one SavedModel.

    vae: of any kind. detector: a `vae_tf.Detector` over it, or None.

    Signatures, each by tensor names:
        detector: image uint8 (B, h, w, c) -> reconstruction (B, h, w, c), anomaly_map (B, h, w)
        encoder: image uint8 (B, h, w, c) -> z_mean, z_log_var (B, latent)
        decoder: z float32 (B, latent) -> image (B, h, w, c)
    A model with labels takes `label`, int32 (B,), besides. One of sequences takes `sequence`
    float32 (B, T, F), with 0 where a step is missing, and `mask` float32 (B, T), 1 where it is
    there, and gives `sequence`.
    Raises: OSError where it cannot be written, for one on a full disk.
    """
    # ExportArchive tracks the variables; a bare tf.Module exports graphs without weights.
    archive = keras.export.ExportArchive()
    archive.track(vae)
    with _unrolled(vae):  # until it is written: that is when it is traced
        for role, (compute, signature) in _endpoints(vae, None, detector).items():
            archive.add_endpoint(role, compute, input_signature=signature)
        with _file_errors():
            archive.write_out(str(folder), verbose=False)


def write_graph(vae, folder, role: str, detector=None) -> None:
    """Writes one signature alone, for one example a call, its weights as constants.

    The converter loads all that a SavedModel holds, several times over; this, written and
    converted, takes half the time. Arguments and errors as for `write_saved_model`; role: of
    `ROLES`, one there is.
    """
    compute, signature = _endpoints(vae, 1, detector)[role]
    with _unrolled(vae):
        traced = tf.function(compute, input_signature=signature, autograph=False)
        concrete = traced.get_concrete_function()
        names = sorted(concrete.structured_outputs)  # the order that the bare outputs come in
        graph = convert_variables_to_constants_v2(concrete)
        module = tf.Module()
        module.call = tf.function(
            lambda *inputs: dict(zip(names, graph(*inputs), strict=True)),
            input_signature=signature,
            autograph=False,
        )
        with _file_errors():
            tf.saved_model.save(module, str(folder), signatures={role: module.call})


def _unrolled(vae):
    return vae.unrolled() if isinstance(vae, RecurrentVAE) else contextlib.nullcontext()


@contextlib.contextmanager
def _file_errors():
    try:
        yield
    except tf.errors.OpError as error:
        raise file_error(error) from error


def _endpoints(vae, batch, detector) -> dict[str, tuple]:
    """Role -> (function of the tensors, their specs)."""
    z = tf.TensorSpec((batch, vae.latent_dim), tf.float32, name="z")
    if isinstance(vae, RecurrentVAE):
        x = tf.TensorSpec((batch, *vae.data_shape), tf.float32, name="sequence")
        mask = tf.TensorSpec((batch, vae.data_shape[0]), tf.float32, name="mask")

        def read(sequence, mask):
            # What lies beyond the mask counts for nothing, whatever it is in the features' units.
            x = vae.to_units(sequence) * mask[..., tf.newaxis]
            return _codes(vae.infer_masked(x, mask))

        return {
            "encoder": (read, [x, mask]),
            "decoder": (lambda z: {"sequence": vae.decode(z)}, [z]),
        }
    image = tf.TensorSpec((batch, *vae.data_shape), tf.uint8, name="image")
    if vae.labels:
        label = tf.TensorSpec((batch,), tf.int32, name="label")
        return {
            "encoder": (lambda image, label: _codes(vae.encode(image, label)), [image, label]),
            "decoder": (lambda z, label: {"image": vae.decode(z, label)}, [z, label]),
        }
    detecting = {} if detector is None else {"detector": (detector.outputs, [image])}
    return {
        **detecting,
        "encoder": (lambda image: _codes(vae.encode(image)), [image]),
        "decoder": (lambda z: {"image": vae.decode(z)}, [z]),
    }


def _codes(codes) -> dict:
    z_mean, z_log_var = codes
    return {"z_mean": z_mean, "z_log_var": z_log_var}
