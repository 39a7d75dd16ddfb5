"""The recurrent VAE for sequences (after Bowman et al., "Generating Sentences from a Continuous
Space", 2016, and Fabius & van Amersfoort, "Variational Recurrent Auto-Encoders", 2015).

A GRU or LSTM reads a sequence into one code, another writes it from the code. The writer is not fed
what came before: with the true past at hand it would do without the code.
"""

from __future__ import annotations

import contextlib
import math

import keras
import tensorflow as tf
from keras import layers, ops

from vae_tf.blocks import at_least_one, initialisers, posterior
from vae_tf.fitting import latents_of, other, written
from vae_tf.likelihoods import resolve_likelihood
from vae_tf.vae import VAE

_CELLS = {"gru": layers.GRUCell, "lstm": layers.LSTMCell}


@keras.saving.register_keras_serializable(package="vae_tf")
class RecurrentVAE(VAE):
    """A `VAE` for sequences, (B, T, F) floating point.

    A value that is NaN is not there. A sequence shorter than T is NaN from its end on: such steps
    leave the encoder's state as it is. Of a step that is there in part, the encoder sees zeros in
    the gaps. The likelihood counts what is there, and no more. `decode`, `reconstruct` and `sample`
    give all T steps.

    Args:
        encoder: `keras.Model` from [x, mask], (B, T, F) without NaN and (B, T) with 1 where a step
            is there, to a dict of `z_mean` and `z_log_var`.
        decoder: `keras.Model` from z to (B, T, F * parameters).
        offset, scale: F numbers each, what the features are like. Encoder, decoder and likelihood
            work on (x - offset) / scale, and so its density, which `elbo` bounds, is of that;
            everything else comes and goes in the features' own units. None for 0 and 1.
        The rest: as for `VAE`.
    """

    def __init__(self, encoder, decoder, likelihood="gaussian", offset=None, scale=None, **kwargs):
        super().__init__(encoder, decoder, likelihood, **kwargs)
        features = self.data_shape[-1]
        self.offset = _numbers("offset", [0.0] * features if offset is None else offset, features)
        self.scale = _numbers("scale", [1.0] * features if scale is None else scale, features)
        if min(self.scale) <= 0.0:
            raise ValueError(f"`scale` must be above 0. Received: scale={self.scale}")

    @classmethod
    def for_sequences(
        cls, steps, features, latent_dim=8, likelihood="gaussian", units=64, cell="gru", seed=None,
        **kwargs,
    ):  # fmt: skip
        """One for sequences of at most `steps` steps of `features` values; cell: "gru", "lstm"."""
        likelihood = resolve_likelihood(likelihood)
        encoder = recurrent_encoder(steps, features, latent_dim, units, cell, seed)
        decoder = recurrent_decoder(
            steps, features, latent_dim, units, cell, likelihood.parameters, other(seed)
        )
        return cls(encoder, decoder, likelihood, seed=seed, **kwargs)

    @property
    def data_shape(self):
        return tuple(self.encoder.input_shape[0][1:])

    def to_units(self, x, name="x"):
        """x as float32, NaN kept. Raises: ValueError as of `VAE`; uint8 is refused here."""
        x = ops.convert_to_tensor(x)
        if "float" not in keras.backend.standardize_dtype(x.dtype):
            raise ValueError(
                f"`{name}` must be floating point, with NaN for what is missing, of shape "
                f"{written((None, *self.data_shape))}. Received: {name} of type {x.dtype.name}"
            )
        x = super().to_units(x, name)
        return (x - ops.convert_to_tensor(self.offset)) / ops.convert_to_tensor(self.scale)

    def _mean(self, params):
        mean = super()._mean(params)
        return mean * ops.convert_to_tensor(self.scale) + ops.convert_to_tensor(self.offset)

    def infer(self, x, given=None, training=False):
        present = ops.logical_not(ops.isnan(x))
        mask = ops.cast(ops.any(present, axis=-1), "float32")
        return self.infer_masked(ops.where(present, x, 0.0), mask, training)

    def infer_masked(self, x, mask, training=False):
        """`infer` where NaN will not do. x: (B, T, F) in units. mask: (B, T), 1 where a step is."""
        return super().infer([x, mask], training=training)

    def get_config(self):
        return {**super().get_config(), "offset": self.offset, "scale": self.scale}

    def _log_prob(self, target, params):
        present = ops.logical_not(ops.isnan(target))
        return self.likelihood.log_prob(ops.where(present, target, 0.0), params, present)

    @contextlib.contextmanager
    def unrolled(self):
        """The networks step by step meanwhile: the converter to int8 crashes on a loop."""
        recurrent = [
            layer
            for model in (self.encoder, self.decoder)
            for layer in model.layers
            if isinstance(layer, layers.RNN)
        ]
        before = [layer.unroll for layer in recurrent]
        for layer in recurrent:
            layer.unroll = True
        try:
            yield
        finally:
            for layer, unroll in zip(recurrent, before, strict=True):
                layer.unroll = unroll

    def fit(self, x=None, y=None, **kwargs):
        if y is not None and not isinstance(x, tf.data.Dataset):
            raise ValueError("`y` must be left out: RecurrentVAE takes sequences alone, `fit(x)`.")
        return super().fit(x, y, **kwargs)

    def _checked_latent_dim(self):
        shape = self.encoder.input_shape
        if not isinstance(shape, (tuple, list)) or len(shape) != 2 or len(shape[0]) != 3:
            raise ValueError(
                "`encoder` must take [x, mask], of shapes (B, T, F) and (B, T). "
                f"Received: an encoder with input shape {shape}"
            )
        return latents_of(self, shape[0], self.decoder.input_shape)


def recurrent_encoder(steps, features, latent_dim, units=64, cell="gru", seed=None):
    """Reads a sequence; arguments as for `RecurrentVAE.for_sequences`.

    Returns:
        A `keras.Model` from [x, mask], (B, T, F) and (B, T), to a dict of `z_mean` and `z_log_var`.

    Raises:
        ValueError: an argument is out of range.
    """
    steps, features = (
        at_least_one(name, value) for name, value in {"steps": steps, "features": features}.items()
    )
    init = initialisers(seed)
    x = keras.Input((steps, features), name="sequence")
    mask = keras.Input((steps,), name="mask")
    told = layers.Concatenate()([x, layers.Reshape((steps, 1))(mask)])
    read = _layer(cell, units, init, masked=True)(told)
    latent_dim = at_least_one("latent_dim", latent_dim)
    return keras.Model([x, mask], posterior(read, latent_dim, init), name="encoder")


def recurrent_decoder(steps, features, latent_dim, units=64, cell="gru", parameters=1, seed=None):
    """Writes a sequence: (B, latent) to (B, T, F * parameters); the mirror of the encoder."""
    init = initialisers(seed)
    z = keras.Input((latent_dim,), name="z")
    first = layers.Dense(units, activation="tanh", kernel_initializer=init(), name="first")(z)
    start = [first] if cell == "gru" else [first, first]
    x = layers.RepeatVector(steps)(z)
    x = _layer(cell, units, init, return_sequences=True)(x, initial_state=start)
    outputs = layers.Dense(features * parameters, kernel_initializer=init(), name="params")(x)
    return keras.Model(z, outputs, name="decoder")


def _numbers(name, values, count):
    values = [float(value) for value in values]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(
            f"`{name}` must be {count} numbers, one a feature. Received: {name}={values}"
        )
    return values


@keras.saving.register_keras_serializable(package="vae_tf")
class MaskedCell(layers.Layer):
    """A recurrent cell whose last input says whether the step is there, 1, or not, 0.

    Where it is not, the state stays. In numbers rather than with Keras' masks, whose switches
    between tensors have no int8 form.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = cell.units

    def build(self, input_shape):
        if not self.cell.built:  # it is, where it comes from a file
            self.cell.build((*input_shape[:-1], input_shape[-1] - 1))

    def call(self, inputs, states, training=False):
        there = inputs[..., -1:]
        states = states if isinstance(states, (list, tuple)) else [states]
        _, new = self.cell(inputs[..., :-1], states, training=training)
        new = new if isinstance(new, (list, tuple)) else [new]
        kept = [old + there * (one - old) for old, one in zip(states, new, strict=True)]
        return kept[0], kept

    def get_initial_state(self, batch_size=None):
        return self.cell.get_initial_state(batch_size=batch_size)

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects=custom_objects)
        return cls(**{**config, "cell": cell})


def _layer(cell, units, init, masked=False, **kwargs):
    if cell not in _CELLS:
        raise ValueError(f'`cell` must be "gru" or "lstm". Received: cell={cell!r}')
    made = _CELLS[cell](
        at_least_one("units", units),
        kernel_initializer=init(),
        recurrent_initializer=keras.initializers.Orthogonal(seed=init().seed),
    )
    return layers.RNN(MaskedCell(made) if masked else made, **kwargs)
