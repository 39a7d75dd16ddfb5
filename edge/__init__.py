"""The device: read a picture, run the graphs, score, judge. Needs numpy, Pillow and LiteRT only."""

from edge.errors import BundleError, CalibrationError, InterpreterError, PictureError, UserError
from edge.preprocess import InputSpec, preprocess, read_picture
from edge.runner import Runner, Verdict

__all__ = [
    "BundleError",
    "CalibrationError",
    "InputSpec",
    "InterpreterError",
    "PictureError",
    "Runner",
    "UserError",
    "Verdict",
    "preprocess",
    "read_picture",
]
