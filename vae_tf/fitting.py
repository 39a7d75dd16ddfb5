"""Whether the parts of a VAE fit each other, and how errors write what they received."""

from __future__ import annotations


def latents_of(vae, x_shape, z_shape) -> int:
    """The number of latents of a model whose parts fit each other.

    vae: with encoder, decoder and likelihood. x_shape, z_shape: what encoder and decoder take as x
        and z, batch included.
    Raises: ValueError where the parts do not fit.
    """
    # `output_shape` forgets the names.
    codes = vae.encoder.compute_output_shape(vae.encoder.input_shape)
    if not isinstance(codes, dict) or not {"z_mean", "z_log_var"} <= codes.keys():
        raise ValueError(
            "`encoder` must return a dict of `z_mean` and `z_log_var`. "
            f"Received: an encoder with output shape {codes}"
        )
    latent_dim = codes["z_mean"][-1]
    if z_shape[1:] != (latent_dim,):
        raise ValueError(
            f"`decoder` must take z of shape (B, {latent_dim}), the encoder's. "
            f"Received: a decoder with input shape {written(z_shape)}"
        )
    *outer, channels = x_shape
    expected = (*outer, channels * vae.likelihood.parameters)
    if vae.decoder.output_shape != expected:
        raise ValueError(
            f"`decoder` must return shape {written(expected)} for these other parts. "
            f"Received: a decoder with output shape {written(vae.decoder.output_shape)}"
        )
    return latent_dim


def short(value) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def written(shape) -> str:
    """A shape as the docstrings write it: (B, 28, 28, 1)."""
    return "(" + ", ".join("B" if side is None else str(side) for side in shape) + ")"


def other(seed):
    """Another seed, so that encoder and decoder do not start from the same numbers."""
    return None if seed is None else seed + 1
