"""A SavedModel with named signatures: `encoder`, `decoder` and, where there is one, `detector`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.errors import file_error
from vae_tf.family.recurrent import RecurrentVAE

ROLES = ("detector", "encoder", "decoder")


def write_saved_model(
    vae, folder, batch: int | None = None, detector=None, roles: Sequence[str] = ROLES
) -> None:
    """Writes a model's graphs, weights included, in one SavedModel.

    vae: of any kind. batch: the fixed number of examples a call, None for any. detector: a
        `vae_tf.Detector` over it, or None. roles: of the signatures to write, those there are.

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
    unrolled = vae.unrolled() if isinstance(vae, RecurrentVAE) else contextlib.nullcontext()
    with unrolled:  # until it is written: that is when it is traced
        for role, (compute, signature) in _endpoints(vae, batch, detector).items():
            if role in roles:
                archive.add_endpoint(role, compute, input_signature=signature)
        try:
            archive.write_out(str(folder), verbose=False)
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
