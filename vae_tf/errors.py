"""Named errors of training and data. Each message is one line: what was expected, what came."""

from edge.errors import UserError


class DataError(UserError):
    """A source of pictures that is missing, damaged, too small, or not laid out as promised."""


class RunError(UserError):
    """A run directory that is missing, damaged, or does not fit what was asked of it."""
