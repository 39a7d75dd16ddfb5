"""A Pi without a Pi: `edge` in an emulated Debian, or under another interpreter, against x86."""


class UnavailableError(Exception):
    """The machine that was asked for cannot be made or run here; the message says what to do."""
