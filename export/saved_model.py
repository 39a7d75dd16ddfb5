"""A SavedModel with named signatures: `detector`, `encoder`, `decoder`."""

from __future__ import annotations

import keras
import tensorflow as tf

from vae_tf.errors import file_error

ROLES = ("detector", "encoder", "decoder")


def write_saved_model(detector, folder, batch: int | None = None) -> None:
    """Writes the detector's three graphs, weights included, in one SavedModel.

    detector: `vae_tf.Detector`. batch: the fixed number of pictures a call, None for any.

    Signatures, each by tensor names:
        detector: image uint8 (B, h, w, c) -> reconstruction (B, h, w, c), anomaly_map (B, h, w)
        encoder: image uint8 (B, h, w, c) -> z_mean, z_log_var (B, latent)
        decoder: z float32 (B, latent) -> image (B, h, w, c)
    Raises: OSError where it cannot be written, for one on a full disk.
    """
    vae = detector.vae
    image = tf.TensorSpec((batch, *vae.data_shape), tf.uint8, name="image")
    z = tf.TensorSpec((batch, vae.latent_dim), tf.float32, name="z")

    def encoder(image):
        z_mean, z_log_var = vae.encode(image)
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def decoder(z):
        return {"image": vae.decode(z)}

    # ExportArchive tracks the variables; a bare tf.Module exports graphs without weights.
    archive = keras.export.ExportArchive()
    archive.track(vae)
    archive.add_endpoint("detector", detector.outputs, input_signature=[image])
    archive.add_endpoint("encoder", encoder, input_signature=[image])
    archive.add_endpoint("decoder", decoder, input_signature=[z])
    try:
        archive.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:
        raise file_error(error) from error
