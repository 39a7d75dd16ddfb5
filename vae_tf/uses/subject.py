"""A finished run, opened to be used: its model, its pictures, and what words mean in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edge.preprocess import PICTURE_SUFFIXES, preprocess, read_picture
from vae_tf.data import Pictures, load_data
from vae_tf.errors import ArgumentError, RunError
from vae_tf.run import Run
from vae_tf.uses.codes import encode

_REFERENCE = 5000  # training pictures that stand for all, evenly spaced
_PROBED = 10_000  # training pictures that a probe is fitted to
_HELD_OUT = re.compile(r"test:(\d+)")


@dataclass(frozen=True)
class Subject:
    """An opened run. Raises: RunError, in whatever needs what the run lacks."""

    run: Run

    @classmethod
    def open(cls, folder) -> Subject:
        """Raises: RunError where there is no run with a trained model in the folder."""
        return cls(Run.open(folder))

    @cached_property
    def vae(self):
        return self.run.load_vae()

    @cached_property
    def _splits(self):
        return self.run.load_splits()

    @cached_property
    def held_out(self) -> Pictures:
        """Good pictures that the model was not trained on: of the test, else of calibration."""
        test = self._splits.test
        good = test.take(np.flatnonzero(test.labels == 0)) if len(test) else test
        chosen = good if len(good) else self._splits.calibration
        return chosen.tiles(self.vae.data_shape)

    @cached_property
    def trained_on(self) -> Pictures:
        """Some thousands of the training pictures at most."""
        good = self._splits.train.tiles(self.vae.data_shape)
        rows = np.linspace(0, len(good) - 1, min(len(good), _REFERENCE)).astype(int)
        return good.take(np.unique(rows)) if len(good) > _REFERENCE else good

    def reference(self, label=None):
        """Training pictures, uint8 (n, H, W, C), and what to tell the model of them besides.

        label: a class, whose pictures alone are meant where their classes are known.
        Returns: the pictures; their classes, (n,), the one class, or None for a model without any.
        """
        x = np.asarray(self.trained_on.images)
        classes = classes_of(self.trained_on)
        if getattr(self.vae, "labels", None) is None:
            return x, None
        if label is None or classes is None:
            return x, classes if label is None else label
        of_class = classes == label
        return (x[of_class], label) if of_class.any() else (x, label)

    def all_held_out(self):
        """Every held-out picture, uint8 (n, H, W, C), and their classes, (n,), where known."""
        return np.asarray(self.held_out.images), classes_of(self.held_out)

    def require_pictures(self, what: str) -> None:
        """Raises: RunError where the run is of something else. what: what needs pictures."""
        if len(self.vae.data_shape) != 3:
            raise RunError(
                f"{self.run.folder} is of sequences, and {what} are for pictures; "
                "name its own sequences by test:N"
            )

    def with_classes(self):
        """Training and test pictures of the run's source with their classes, whatever the model.

        Returns: two `Pictures` with `classes`. Raises: DataError where the source has none.
        """
        self.require_pictures("classes")
        data, spec = self.run.config.data, self.run.spec
        splits = load_data(
            data.source,
            size=(spec.height, spec.width),
            channels=spec.channels,
            data_dir=data.data_dir,
            seed=self.run.config.seed,
            limit=data.limit,
            by_class=True,
        )
        test = splits.test if len(splits.test) else splits.calibration
        return splits.train.take(np.arange(min(_PROBED, len(splits.train)))), test

    def first(self, n: int) -> np.ndarray:
        """The first n held-out pictures, uint8 (n, H, W, C), or as many as there are."""
        return self.held_out.batch(np.arange(min(n, len(self.held_out))))

    def pictures(self, words) -> np.ndarray:
        """What the words name, as the model takes it, uint8 (n, H, W, C).

        words: picture files, folders of them, or "test:N", the run's held-out picture N.
        Raises: ArgumentError, PictureError.
        """
        return np.concatenate([self._named(str(word)) for word in words])

    def codes(self, word: str, label=None) -> np.ndarray:
        """The codes of what a word names, float32 (n, latent): pictures, or a .npy of codes."""
        if not word.endswith(".npy"):
            return encode(self.vae, self._named(word), label)[0]
        try:
            codes = np.atleast_2d(np.load(word, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise ArgumentError(
                f"{word}: expected codes as `embed` writes them ({error})"
            ) from None
        if codes.ndim != 2 or codes.shape[1] != self.vae.latent_dim or codes.dtype.kind != "f":
            raise ArgumentError(
                f"{word}: expected float codes of shape (n, {self.vae.latent_dim}), "
                f"got {codes.dtype} of shape {codes.shape}"
            )
        return codes.astype(np.float32)

    @property
    def class_names(self) -> list[str] | None:
        """What a conditional model's labels are called, in their order; None where they are not."""
        names = getattr(self.run, "class_names", None)
        return list(names) if names else None

    def label(self, word: str | None) -> int | None:
        """A class by its number or its name. Raises: ArgumentError where there is none such."""
        if word is None:
            return None
        count = getattr(self.vae, "labels", None)
        if count is None:
            raise ArgumentError(
                f"--label {word}: {self.run.folder} was trained without labels; "
                "leave it out, or train with --model conditional"
            )
        names = self.class_names or []
        alike = [i for i, name in enumerate(names) if name.lower() == word.lower()]
        if alike:
            return alike[0]
        if word.isdigit() and int(word) < count:
            return int(word)
        known = f" or one of {', '.join(names)}" if names else ""
        raise ArgumentError(f"--label {word}: expected 0 to {count - 1}{known}")

    def _named(self, word: str) -> np.ndarray:
        number = _HELD_OUT.fullmatch(word)
        if number:
            at = int(number[1])
            if at >= len(self.held_out):
                raise ArgumentError(
                    f"{word}: expected test:0 to test:{len(self.held_out) - 1}, the pictures that "
                    f"{self.run.folder} holds out"
                )
            return self.held_out.batch([at])
        path = Path(word)
        if not path.exists():
            raise ArgumentError(f"{word}: no such file; give a picture, a folder, or test:N")
        files = [path]
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            if not files:
                raise ArgumentError(f"{word}: expected a folder of pictures, found none in it")
        self.require_pictures("files")
        height, width, channels = self.vae.data_shape
        spec = self.run.spec
        if (spec.height, spec.width, spec.channels) != (height, width, channels):
            raise RunError(
                f"{self.run.folder} looks at pictures in tiles of {height} x {width}; "
                "name its own by test:N"
            )
        return np.stack([preprocess(read_picture(file), spec) for file in files])


def classes_of(pictures: Pictures) -> np.ndarray | None:
    """The class of each picture, int (n,), or None where the source had none."""
    classes = getattr(pictures, "classes", None)
    return None if classes is None else np.asarray(classes)
