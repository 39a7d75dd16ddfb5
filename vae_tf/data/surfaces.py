"""The embedded data set: pictures of machined plates, good and defective, drawn on the spot.

It needs no download and is the same on every machine, but for the rounding of single pixels.
Picture i of a split depends on the seed, the split and i alone. Good plates vary in pose, grain,
light, lettering and wear, so that plain statistics of a picture do not tell the defective ones.

    builder = prepare("grey")
    train = builder.as_dataset(split="train")
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

from vae_tf.data.surfaces_render import KINDS, render

__all__ = ["KINDS", "SIZE", "Surfaces", "SurfacesConfig", "prepare", "render"]

SIZE = 128
SEED = 1
_SPLITS = ("train", "test")

_DESCRIPTION = f"""\
Drawn pictures ({SIZE} x {SIZE} pixels) of a machined plate, for finding defects after training on
good parts only. The training split has good plates. The test split has good ones and five kinds of
defect, each with a mask of the pixels that the defect has changed.
"""


@dataclasses.dataclass(eq=False)
class SurfacesConfig(tfds.core.BuilderConfig):
    """One variant of the data set.

    Attributes:
        rgb: in colour rather than grey.
        train_good: number of pictures in the training split, all good.
        test_good: number of good pictures in the test split.
        test_defective: number of pictures of each defect in the test split.
    """

    rgb: bool = False
    train_good: int = 800
    test_good: int = 200
    test_defective: int = 40

    def kinds(self, split: str) -> list[str]:
        """The kind of every picture of `split`, "train" or "test", in order."""
        if split == "train":
            return ["good"] * self.train_good
        defective = [kind for kind in KINDS[1:] for _ in range(self.test_defective)]
        return ["good"] * self.test_good + defective


class Surfaces(tfds.core.GeneratorBasedBuilder):
    """Pictures of machined plates, in the splits "train" (good ones only) and "test".

    An example has `image`, uint8 (128, 128, 1) or (128, 128, 3) in colour; `label`, the index of
    its kind in `KINDS`; `mask`, uint8 (128, 128, 1), 255 where the defect is and 0 elsewhere; and
    `name`. Examples of a split are shuffled once, so a slice such as "test[:50%]" has all kinds.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 (TFDS declares it so)
    BUILDER_CONFIGS = [  # noqa: RUF012
        SurfacesConfig(name="grey", description="One channel."),
        SurfacesConfig(name="rgb", description="Red, green and blue.", rgb=True),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "grey"

    def download_and_prepare(self, **kwargs) -> None:
        """Draws the pictures unless they are there; downloads nothing and says nothing."""
        with _quietly():
            super().download_and_prepare(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        channels = 3 if self.builder_config.rgb else 1
        features = {
            "image": tfds.features.Image(shape=(SIZE, SIZE, channels), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=KINDS),
            "mask": tfds.features.Image(shape=(SIZE, SIZE, 1), encoding_format="png"),
            "name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        for index, kind in enumerate(self.builder_config.kinds(split)):
            name = f"{split}_{index:04d}_{kind}"
            rng = np.random.default_rng([SEED, _SPLITS.index(split), index])
            image, mask = render(kind, rng, SIZE, self.builder_config.rgb)
            yield (
                name,
                {
                    "image": image.reshape(SIZE, SIZE, -1),
                    "label": kind,
                    "mask": mask[..., None] * np.uint8(255),
                    "name": name,
                },
            )


def prepare(
    config: str | SurfacesConfig = "grey", data_dir: str | os.PathLike | None = None
) -> Surfaces:
    """Builds the data set if need be and returns its builder, ready for `as_dataset`.

    Args:
        config: "grey", "rgb" or a variant of your own, under a name of its own.
        data_dir: folder of the data sets; None is TensorFlow Datasets' default.
    """
    builder = Surfaces(data_dir=data_dir, config=config)
    builder.download_and_prepare()
    return builder


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """No progress bar, and no talk of downloads where there are none."""
    shown = tqdm_utils._active
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.display_progress_bar(shown)
