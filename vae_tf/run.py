"""A run directory: everything needed to go on training, to evaluate and to export.

    config.json         what the run is made with, its input spec and its versions
    splits.json         which picture went where; what was skipped; near-duplicates
    data/               the pictures, decoded once to the model's size
    checkpoint/         the last state of training, for --resume
    history.csv         a line an epoch
    model.keras         the VAE with its best weights; opens with keras.saving.load_model
    detector.npz        what the detector learnt from good pictures
    calibration.json    the Keras model's threshold and the scores that set it
    plots/, tensorboard/

A run is finished once calibration.json is there: it is written last. A model that only generates
has neither detector nor threshold, and its run is finished once model.keras is there.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge.calibration import Calibration
from edge.files import write_atomically, write_error
from edge.manifest import SequenceSpec
from edge.preprocess import InputSpec
from vae_tf.config import Config
from vae_tf.errors import RunError

CONFIG = "config.json"
FORMAT = 2  # of the run directory


@dataclasses.dataclass(frozen=True)
class Run:
    """An opened run directory."""

    folder: Path
    config: Config
    spec: Any  # `InputSpec`, or of a recurrent model `SequenceSpec`

    @classmethod
    def create(cls, folder, config: Config, spec) -> Run:
        """Makes the directory. Raises: RunError where one with a run in it is there already."""
        cls.require_none(folder)
        folder = Path(folder)
        run = cls(folder, config, spec)
        make_folder(folder)
        record = {
            "format": FORMAT,
            "config": config.to_dict(),
            "input": spec._asdict(),
            "made_with": versions(),
        }
        run.write(CONFIG, json.dumps(record, indent=1).encode())
        return run

    @staticmethod
    def exists(folder) -> bool:
        """Whether there is a run in the folder, finished or not."""
        return (Path(folder) / CONFIG).exists()

    @classmethod
    def require_none(cls, folder) -> None:
        """Raises: RunError where there is a run in the folder."""
        if cls.exists(folder):
            raise RunError(
                f"{folder} already holds a run; go on with it by --resume, or name another folder"
            )

    @classmethod
    def open(cls, folder) -> Run:
        """Opens a run, finished or not. Raises: RunError where it is none."""
        folder = Path(folder)
        path = folder / CONFIG
        try:
            record = json.loads(path.read_bytes())
        except OSError:
            raise RunError(
                f"{folder} is not a run directory: expected one with {CONFIG}, "
                "as `python -m vae_tf train DATA RUN` makes it"
            ) from None
        except ValueError:
            raise RunError(f"{path} is damaged; train again into another folder") from None
        try:
            if record["format"] != FORMAT:
                raise RunError(
                    f"{folder} has run format {record['format']}, this version reads {FORMAT}; "
                    "update the program, or train again"
                )
            config = Config.from_dict(record["config"])
            spec = SequenceSpec if config.model == "recurrent" else InputSpec
            return cls(folder, config, spec(**record["input"]))
        except (KeyError, TypeError) as error:
            raise RunError(f"{path} lacks or misstates a field: {error!r}") from None

    @property
    def data_folder(self) -> Path:
        """Where the decoded pictures are."""
        return self.folder / "data"

    @property
    def finished(self) -> bool:
        """Whether training and calibration have ended."""
        last = "calibration.json" if self.config.has_detector else "model.keras"
        return (self.folder / last).exists()

    def require_finished(self) -> None:
        """Raises: RunError where training has not ended."""
        if not self.finished:
            raise RunError(
                f"{self.folder} is not finished; "
                "go on with `python -m vae_tf train DATA RUN --resume`"
            )

    @property
    def class_names(self) -> list[str] | None:
        """What the classes of a conditional model are called, in the order of their numbers."""
        try:
            return json.loads((self.folder / "splits.json").read_bytes()).get("classes")
        except (OSError, ValueError, AttributeError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file of the run, whole or not at all."""
        write_atomically(self.folder / name, content)

    def path(self, *parts: str) -> Path:
        """A place in the run, its parent folders made."""
        path = self.folder.joinpath(*parts)
        make_folder(path.parent)
        return path

    def save_vae(self, vae) -> None:
        """Writes model.keras, whole or not at all."""
        beside = self.folder / ".model.part.keras"
        try:
            vae.save(beside)
            beside.replace(self.folder / "model.keras")
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise write_error(self.folder / "model.keras", error) from error

    def load_vae(self):
        """The trained `VAE`. Raises: RunError where training has not ended or it is damaged."""
        import vae_tf.family  # registers the classes that the file names
        import vae_tf.restoring  # noqa: F401
        from vae_tf.vae import VAE

        path = self.folder / "model.keras"
        if not path.exists():
            raise RunError(
                f"{self.folder} has no trained model yet; "
                "go on with `python -m vae_tf train DATA RUN --resume`"
            )
        try:
            vae = keras.saving.load_model(path)
        except Exception as error:  # zip, HDF5 and Keras raise many kinds on damage
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"{path} cannot be loaded ({first}); train again") from None
        if not isinstance(vae, VAE):
            raise RunError(f"{path} holds another model than a VAE; train again")
        return vae

    def save_detector(self, detector) -> None:
        """Writes detector.npz and calibration.json."""
        buffer = io.BytesIO()
        np.savez(buffer, **detector.by.arrays)
        self.write("detector.npz", buffer.getvalue())
        record = {
            "score": detector.by.name,
            "calibration": detector.calibration._asdict(),
        }
        self.write("calibration.json", json.dumps(record, indent=1).encode())

    def load_detector(self):
        """The calibrated `Detector`. Raises: RunError where training has not ended."""
        from vae_tf.detector import Detector
        from vae_tf.scores import make_score

        if not self.config.has_detector:
            raise RunError(
                f"{self.folder} has no detector: it was trained with --model {self.config.model}, "
                "to generate; train without --model to find defects"
            )
        vae = self.load_vae()
        self.require_finished()
        try:
            record = json.loads((self.folder / "calibration.json").read_bytes())
            with np.load(self.folder / "detector.npz", allow_pickle=False) as arrays:
                by = make_score(vae, record["score"], dict(arrays))
            detector = Detector(vae, by, Calibration.from_record(record["calibration"]))
        except Exception as error:  # zipfile, JSON and NumPy raise many kinds on damage
            raise RunError(f"{self.folder}: the detector's files are damaged ({error})") from None
        if not by.ready:
            raise RunError(
                f"{self.folder}: its detector was fitted by an earlier version, which scored "
                "otherwise; train again"
            )
        return detector

    def load_splits(self):
        """The run's `Splits`, from the decoded pictures that it keeps; the source may be gone.

        Raises: RunError where they are missing or damaged.
        """
        from vae_tf.data.saved import load_saved
        from vae_tf.data.sequences import load_saved_sequences

        try:
            record = json.loads((self.folder / "splits.json").read_bytes())
            if self.config.model == "recurrent":
                return load_saved_sequences(self.data_folder, record)
            return load_saved(self.data_folder, record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise RunError(
                f"{self.folder}: splits.json is missing or damaged; train again"
            ) from None

    def training_seconds(self) -> float:
        """How long training took, over all resumptions."""
        try:
            return json.loads((self.folder / "checkpoint" / "state.json").read_bytes())["seconds"]
        except (OSError, ValueError, KeyError):
            return 0.0

    def history(self) -> dict[str, list[float]]:
        """history.csv by column: "loss", "reconstruction", "kl", ... one value an epoch."""
        path = self.folder / "history.csv"
        if not path.exists():
            return {}
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(r[name]) for r in rows] for name in (rows[0] if rows else ())}


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents. Raises: UserError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from None


def versions() -> dict[str, str]:
    """What the run is made with."""
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
