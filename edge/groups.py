"""Which pictures belong together, by their names: exposures of one part, shots of one camera."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Callable, List, Optional, Sequence

from edge.errors import UserError


def group_keys(names: Sequence[str], group_by: Optional[str]) -> Optional[List[str]]:
    """The key of each picture's group; None where none belong together.

    names: relative to their source, with slashes. group_by: "folder", or a regular expression
        searched in the name, whose first group or whole match is the key.
    Raises: UserError on a pattern that is none, or that a name does not match.
    """
    if group_by is None:
        return None
    key = _key_function(group_by)
    return [key(name) for name in names]


def _key_function(group_by: str) -> Callable[[str], str]:
    if group_by == "folder":
        return lambda name: str(PurePosixPath(name).parent)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UserError(
            f"group by {group_by}: expected the word folder or a regular expression ({error})"
        ) from None

    def key(name: str) -> str:
        match = pattern.search(name)
        found = match and (match.group(1) if pattern.groups else match.group())
        if found is None:
            raise UserError(
                f"group by {group_by}: no match in {name}; "
                "give a pattern that is found in the name of every good picture"
            )
        return found

    return key
