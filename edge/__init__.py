"""The device: read a picture, run the graphs, score, judge. Needs numpy, Pillow and LiteRT only."""

from edge.errors import BundleError, CalibrationError, InterpreterError, PictureError, UserError

try:
    from edge.preprocess import InputSpec, preprocess, read_picture
    from edge.runner import Runner, Verdict
except ImportError as error:
    # `python -m edge doctor` has to start where something is missing, to say what.
    _reason = f"{error}; `python -m edge doctor` tells what this machine lacks"

    def __getattr__(name):
        raise ImportError(_reason)


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
