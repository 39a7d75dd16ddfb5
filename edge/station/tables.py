"""Reads tables of settings so that every mistake is named: file, key, what was expected, what came.

All mistakes of a file are found in one go and told in one line; nothing is guessed and nothing
unknown is passed over, since a misspelt key of a station that runs for months is a fault of months.
"""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from edge.errors import UserError

_ABSENT = object()


class Secret(str):
    """A text that does not show itself where settings are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


class Problems:
    """Collects lines; `check` raises them as one."""

    def __init__(self) -> None:
        self._lines: List[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def check(self) -> None:
        """Raises: UserError where there were any."""
        if self._lines:
            raise UserError("; ".join(self._lines))


class Table:
    """One table of a file, or of the command line, or of both.

    values: what was written, by key. name: as in "[judgement]". file: that it stands in; a key
        of `given`, the names of keys that came from the command line, is said to be from there.
    folder: what relative paths are relative to, None for the current one.

    Each method below takes a key out and returns its value, or `default` where there is none; a
    mistake is put down and answered with the default.
    """

    def __init__(
        self,
        values: Any,
        name: str,
        file: str,
        problems: Problems,
        given: Sequence[str] = (),
        folder: Optional[Path] = None,
    ) -> None:
        self._name, self._file, self._problems = name, file, problems
        self._given, self._folder = given, folder
        self._known: List[str] = []
        self._failed: List[str] = []
        self._values: Dict[str, Any] = {}
        if isinstance(values, dict):
            self._values = values
        else:
            problems.add(f"{file}: {name}: expected a table, got {_shown(values)}")

    def text(self, key: str, default: Any = _ABSENT, choices: Sequence[str] = ()) -> Any:
        wanted = f"one of {', '.join(choices)}" if choices else "a text"
        return self._take(
            key,
            default,
            lambda v: isinstance(v, str) and v != "" and (not choices or v in choices),
            wanted,
        )

    def flag(self, key: str, default: bool) -> Any:
        return self._take(key, default, lambda v: isinstance(v, bool), "true or false")

    def optional_flag(self, key: str) -> Any:
        return self._take(key, None, lambda v: isinstance(v, bool), "true or false")

    def whole(self, key: str, default: Any, low: int, high: int) -> Any:
        return self._take(
            key,
            default,
            lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
            f"a whole number from {low} to {high}",
        )

    def number(self, key: str, default: Any, low: float, high: float) -> Any:
        value = self._take(
            key, default, lambda v: _is_number(v) and low <= v <= high, f"{low:g} to {high:g}"
        )
        return float(value) if _is_number(value) else value

    def numbers(self, key: str, count: int) -> Any:
        """A tuple of so many, or None."""
        value = self._take(key, None, lambda v: _are_numbers(v, count), f"{count} numbers from 0")
        return None if value is None else tuple(value)

    def lists_of_numbers(self, key: str, count: int) -> tuple:
        value = self._take(
            key,
            (),
            lambda v: isinstance(v, (list, tuple)) and all(_are_numbers(n, count) for n in v),
            f"a list of lists of {count} numbers from 0",
        )
        return tuple(tuple(numbers) for numbers in value)

    def path(self, key: str, default: Any = _ABSENT) -> Any:
        """A path; relative to the file that it stands in."""
        value = self.text(key, default)
        return str(self.rooted(key, value)) if isinstance(value, str) else value

    def rooted(self, key: str, path: str) -> Path:
        """A path, relative to the file that the key stands in."""
        there = self._folder is not None and key not in self._given
        return self._folder / path if there and self._folder is not None else Path(path)

    def secret(self, key: str, least: int = 1) -> Optional[Secret]:
        """A text of at least so many characters; "env:NAME" and "file:PATH" say where it is."""
        value = self.text(key, None)
        if value is None:
            return None
        kind, _, rest = value.partition(":")
        if kind == "env":
            value = os.environ.get(rest, "")
            if not value:
                self._expected(key, f"a variable {rest!r} of the environment")
                return None
        elif kind == "file":
            try:
                value = self.rooted(key, rest).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "no text"
                self._expected(key, f"a file that can be read ({rest}: {reason})")
                return None
        if len(value) < least:
            self._expected(key, f"at least {least} characters")
            return None
        return Secret(value)

    def done(self, also: Sequence[str] = ()) -> None:
        """Puts down what is left: keys that nobody knows. also: ones that others take out."""
        known = [*self._known, *also]
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                self._problems.add(f"{self._where(key)}: unknown key; {hint}")

    def failed(self, key: str) -> bool:
        """Whether a mistake with this key was put down."""
        return key in self._failed

    def problem(self, key: str, text: str) -> None:
        """Puts down a mistake that only the caller can see."""
        self._failed.append(key)
        self._problems.add(f"{self._where(key)}: {text}")

    def _expected(self, key: str, expected: str) -> None:
        self.problem(key, f"expected {expected}")  # never what came

    def _take(self, key: str, default: Any, fits, expected: str) -> Any:
        self._known.append(key)
        value = self._values.get(key, _ABSENT)
        if value is _ABSENT:
            if default is _ABSENT:
                self.problem(key, f"missing; expected {expected}")
                return None
            return default
        if not fits(value):
            self.problem(key, f"expected {expected}, got {_shown(value)}")
            return None if default is _ABSENT else default
        return value

    def _where(self, key: str) -> str:
        source = "command line" if key in self._given else self._file
        return f"{source}: {self._name} {key}".rstrip()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(_is_number(v) and v >= 0 for v in value)
    )


def _shown(value: Any) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
