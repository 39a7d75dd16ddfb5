"""Named errors of training and data. Each message is one line: what was expected, what came."""

from __future__ import annotations

import errno

from edge.errors import UserError


class DataError(UserError):
    """A source of pictures that is missing, damaged, too small, or not laid out as promised."""


class RunError(UserError):
    """A run directory that is missing, damaged, or does not fit what was asked of it."""


class ArgumentError(UserError, ValueError):
    """An argument out of range: a ValueError in Python, one line and status 2 on a command line."""


def file_error(error) -> OSError:
    """What TensorFlow, whose files raise no OSError, says of a file. error: tf.errors.OpError."""
    full = error.error_code == 8  # RESOURCE_EXHAUSTED; its name would cost importing TensorFlow
    reason = error.message.splitlines()[0].rsplit("; ", 1)[-1].partition(" [Op:")[0]
    return OSError(errno.ENOSPC if full else errno.EIO, reason)
