"""What every way of scoring is: from a trained model to a map, or to a number for the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from edge.score import ScoreSpec
from vae_tf.data import Pictures

BATCH = 32
_FITTED = 4000  # good pictures that are enough to learn from


class Score:
    """A way of scoring.

    vae: the trained model. arrays: what `fit` learns, by name, as `detector.npz` keeps it.
    """

    name = ""
    has_map = True  # or only a number for the whole picture

    def __init__(self, vae, arrays: dict[str, np.ndarray] | None = None):
        self.vae = vae
        self.arrays = dict(arrays or {})

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of pictures and maps."""
        height, width = self.vae.encoder.input_shape[1:3]
        return height, width

    @property
    def spec(self) -> ScoreSpec:
        """How the map becomes a number: by default a defect's size in proportion to the picture."""
        return ScoreSpec(window=self._window, top=0.02)

    @property
    def _window(self) -> int:
        window = max(1, round(min(self.size) / 16))
        return window + 1 - window % 2

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        """Learns from good pictures: those that the model was trained on and, where there are
        enough, held-out ones that tell what scores good pictures commonly reach.
        """
        return self

    @property
    def ready(self) -> bool:
        """Whether it can score; some ways have to be fitted first."""
        return True

    def outputs(self, image: tf.Tensor) -> dict:
        """The detector graph, in TensorFlow operations; exported as it stands.

        image: uint8 (B, H, W, C). Returns: "reconstruction", (B, H, W, C), in [0, 1] but for the
        model's rounding; "anomaly_map", (B, H, W), non-negative; and the vectors, (B, F), that
        spec.knees names.
        """
        raise NotImplementedError

    def _good(self, good: Pictures) -> Pictures:
        rows = np.unique(np.linspace(0, len(good) - 1, min(len(good), _FITTED)).astype(int))
        return good.take(rows)


def batched(compute: Callable, pictures: Pictures) -> Iterator[dict[str, np.ndarray]]:
    """What `compute`, in TensorFlow operations, gives for each batch of pictures.

    compute: from uint8 (B, H, W, C) to a dict of tensors (B, ...). Given as a `tf.function` it is
        traced in the first call alone, which takes seconds.
    """
    graph = compute if hasattr(compute, "get_concrete_function") else tf.function(compute)
    for batch in pictures.batches(BATCH):
        # One shape for all batches: a last, shorter one would trace the graph again.
        padded = np.concatenate([batch, np.zeros((BATCH - len(batch), *batch.shape[1:]), np.uint8)])
        yield {name: value.numpy()[: len(batch)] for name, value in graph(padded).items()}


def no_map(image: tf.Tensor) -> tf.Tensor:
    # Made from the picture, so that it has its batch.
    return tf.reduce_mean(tf.cast(image, tf.float32), axis=-1) * 0.0
