"""The station's page behind `App`: which request gets which answer. No request names a file.

| request | answer |
|---|---|
| GET / | the page |
| GET /api/live?layer=map&seen=VERSION | the newest decision and what the station sees |
| GET /api/status | counts, health, last records, scores, events, marks |
| GET /api/records/ID | one record |
| GET /api/records/ID/picture, .../map | its stored picture or heat map |
| POST /api/records/ID/mark | {"kind": "false-alarm", "missed" or "none"} |
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Optional

from edge.errors import UserError
from edge.page.answers import STATIC, Answer, json_answer
from edge.page.reader import Reader, problem

_RECORD = re.compile(r"/api/records/([0-9]{1,18})(?:/(picture|map|mark))?", re.ASCII)


class StationPage:
    """Called by several threads. login: whether a browser brought a token, and may log out."""

    def __init__(self, reader: Reader, login: bool) -> None:
        self._reader, self._login = reader, login

    def get(self, path: str, query: Dict[str, list]) -> Optional[Answer]:
        """None where there is no such thing."""
        if path == "/":
            return Answer(*STATIC["/index.html"])
        if path == "/api/live":
            layer, seen = (query.get(name, [""])[0] for name in ("layer", "seen"))
            return _told(lambda: self._reader.live(layer, seen))
        if path == "/api/status":
            return _told(lambda: {**self._reader.status(), "login": self._login})
        found = _RECORD.fullmatch(path)
        if found and found[2] is None:
            record = self._reader.record(int(found[1]))
            if record is not None:
                return json_answer(record)
        if found and found[2] in ("picture", "map"):
            stored = self._reader.picture(int(found[1]), found[2])
            if stored is not None:
                return Answer(stored, stored.type)
        if path.endswith(".js") and path in STATIC:
            return Answer(*STATIC[path])
        return None

    def post(self, path: str, environ: Dict[str, Any], body: bytes) -> Optional[Answer]:
        """None where there is no such thing. Raises: UserError where the body is no mark."""
        found = _RECORD.fullmatch(path)
        if found is None or found[2] != "mark":
            return None
        return json_answer(self._reader.mark(int(found[1]), _kind(environ, body)))


def _told(tell: Callable[[], Dict[str, Any]]) -> Answer:
    """A store that cannot be read is no error of the page's: it says so."""
    try:
        return json_answer(tell())
    except UserError as error:
        return json_answer(problem(error))


def _kind(environ: Dict[str, Any], body: bytes) -> str:
    """Raises: UserError where that is no mark. No form of another page can send this type."""
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip() != "application/json":
        raise UserError("expected a mark as application/json")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str):
        raise UserError('expected a mark as {"kind": ...}')
    return kind
