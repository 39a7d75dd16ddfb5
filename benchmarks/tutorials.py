"""Three well-known tutorials, rebuilt: their nets, and training loops in their manner.

    tf-cvae     TensorFlow, "Convolutional Variational Autoencoder": conv 32 and 64, latent 2,
                batch 32, Adam 1e-4, 10 epochs; the KL from one draw
    keras-io    keras.io, "Variational AutoEncoder": conv 32 and 64, dense 16, latent 2, batch 128,
                Adam 1e-3, 30 epochs; a model with a `train_step`, and `fit`
    pytorch-mlp PyTorch examples, "Basic VAE": 784-400-20, batch 128, Adam 1e-3, 10 epochs; its loop
                in TensorFlow

Written for the purpose, with two changes: all see grey pictures through a Bernoulli likelihood
(TensorFlow's tutorial binarises), and none sees the test pictures in training (keras.io's does).
The nets give logits and return what a `VAE` takes, so that one code judges all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SHAPE = (28, 28, 1)


@dataclass(frozen=True)
class Tutorial:
    """Its schedule. dense: whether its nets are."""

    name: str
    latent_dim: int
    batch_size: int
    learning_rate: float
    epochs: int
    dense: bool = False

    def nets(self, seed: int) -> tuple[keras.Model, keras.Model]:
        """Encoder, (B, 28, 28, 1) to a dict of `z_mean` and `z_log_var`; decoder, z to logits."""
        keras.utils.set_random_seed(seed)
        return _NETS[self.name](self.latent_dim)

    def loop(self, encoder, decoder, x, epochs: int, seed: int, steps=None) -> list[float]:
        """Trains as the tutorial does. x: float32 (n, 28, 28, 1). steps: an epoch at most.

        Returns: seconds of each epoch.
        """
        return _LOOPS[self.name](self, encoder, decoder, x, epochs, seed, steps)


TUTORIALS = (
    Tutorial("tf-cvae", 2, 32, 1e-4, 10),
    Tutorial("keras-io", 2, 128, 1e-3, 30),
    Tutorial("pytorch-mlp", 20, 128, 1e-3, 10, dense=True),
)


def _tf_cvae_nets(latent_dim):
    image = keras.Input(SHAPE)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(image)
    x = layers.Conv2D(64, 3, strides=2, activation="relu")(x)
    encoder = _encoder(image, layers.Flatten()(x), latent_dim)
    z = keras.Input((latent_dim,))
    y = layers.Reshape((7, 7, 32))(layers.Dense(7 * 7 * 32, activation="relu")(z))
    y = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(y)
    y = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(y)
    return encoder, keras.Model(z, layers.Conv2DTranspose(1, 3, padding="same")(y))


def _keras_io_nets(latent_dim):
    image = keras.Input(SHAPE)
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(image)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    encoder = _encoder(image, x, latent_dim)
    z = keras.Input((latent_dim,))
    y = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(z))
    y = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(y)
    y = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(y)
    return encoder, keras.Model(z, layers.Conv2DTranspose(1, 3, padding="same")(y))


def _pytorch_nets(latent_dim):
    image = keras.Input(SHAPE)
    x = layers.Dense(400, activation="relu")(layers.Flatten()(image))
    encoder = _encoder(image, x, latent_dim)
    z = keras.Input((latent_dim,))
    y = layers.Dense(784)(layers.Dense(400, activation="relu")(z))
    return encoder, keras.Model(z, layers.Reshape(SHAPE)(y))


def _encoder(image, features, latent_dim):
    heads = {
        "z_mean": layers.Dense(latent_dim, name="z_mean")(features),
        "z_log_var": layers.Dense(latent_dim, name="z_log_var")(features),
    }
    return keras.Model(image, heads)


def _draw(codes):
    noise = tf.random.normal(tf.shape(codes["z_mean"]))
    return codes["z_mean"] + tf.exp(0.5 * codes["z_log_var"]) * noise


def _tf_cvae_loop(tutorial, encoder, decoder, x, epochs, seed, steps):
    optimizer = keras.optimizers.Adam(tutorial.learning_rate)
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer.build(variables)

    def log_normal(sample, mean, log_var):
        inner = (sample - mean) ** 2 * tf.exp(-log_var) + log_var + np.log(2 * np.pi)
        return tf.reduce_sum(-0.5 * inner, axis=1)

    @tf.function
    def train_step(batch):
        with tf.GradientTape() as tape:
            codes = encoder(batch, training=True)
            z = _draw(codes)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(
                logits=decoder(z, training=True), labels=batch
            )
            log_likelihood = -tf.reduce_sum(entropy, axis=[1, 2, 3])
            prior = log_normal(z, 0.0, 0.0)
            posterior = log_normal(z, codes["z_mean"], codes["z_log_var"])
            loss = -tf.reduce_mean(log_likelihood + prior - posterior)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=seed)
    return _epochs(data.batch(tutorial.batch_size), train_step, epochs, steps)


def _pytorch_loop(tutorial, encoder, decoder, x, epochs, seed, steps):
    optimizer = keras.optimizers.Adam(tutorial.learning_rate)
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer.build(variables)

    @tf.function
    def train_step(batch):
        with tf.GradientTape() as tape:
            codes = encoder(batch, training=True)
            logits = decoder(_draw(codes), training=True)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=batch)
            loss = (tf.reduce_sum(entropy) + _kl(codes)) / tf.cast(tf.shape(batch)[0], tf.float32)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=seed)
    return _epochs(data.batch(tutorial.batch_size), train_step, epochs, steps)


def _epochs(data, train_step, epochs, steps):
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for batch in data.take(steps or -1):
            train_step(batch)
        seconds.append(time.perf_counter() - start)
    return seconds


class _KerasIo(keras.Model):
    """The example's `train_step`."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            codes = self.encoder(data, training=True)
            reconstruction = tf.sigmoid(self.decoder(_draw(codes), training=True))
            entropy = keras.losses.binary_crossentropy(data, reconstruction)
            loss = tf.reduce_mean(tf.reduce_sum(entropy, axis=(1, 2)))
            loss += _kl(codes) / tf.cast(tf.shape(data)[0], tf.float32)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def _keras_io_loop(tutorial, encoder, decoder, x, epochs, seed, steps):
    model = _KerasIo(encoder, decoder)
    model.compile(keras.optimizers.Adam(tutorial.learning_rate))
    clock = Clock()
    x = x[: steps * tutorial.batch_size] if steps else x
    model.fit(x, epochs=epochs, batch_size=tutorial.batch_size, verbose=0, callbacks=[clock])
    return clock.seconds


def _kl(codes):
    """Summed over the batch, in nats."""
    mean, log_var = codes["z_mean"], codes["z_log_var"]
    return -0.5 * tf.reduce_sum(1 + log_var - tf.square(mean) - tf.exp(log_var))


class Clock(keras.callbacks.Callback):
    """seconds: of each epoch, validation left out."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._since = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._since)


_NETS = {"tf-cvae": _tf_cvae_nets, "keras-io": _keras_io_nets, "pytorch-mlp": _pytorch_nets}
_LOOPS = {"tf-cvae": _tf_cvae_loop, "keras-io": _keras_io_loop, "pytorch-mlp": _pytorch_loop}
