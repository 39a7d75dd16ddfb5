"""The WSGI application: which request gets which answer. No request names a file.

| request | answer |
|---|---|
| GET / | the page; the login form without a token that is asked for |
| GET /?token=TOKEN, POST /login | the cookie, once |
| GET /api/live?layer=map&seen=VERSION | the newest decision and what the station sees |
| GET /api/status | counts, health, last records, scores, events, marks |
| GET /api/records/ID | one record |
| GET /api/records/ID/picture, .../map | its stored picture or heat map |
| POST /api/records/ID/mark | {"kind": "false-alarm", "missed" or "none"} |
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, Tuple
from urllib.parse import parse_qs

from edge.errors import UserError
from edge.page.access import Access, Denied
from edge.page.answers import HTML, Answer, error, json_answer
from edge.page.reader import Reader, problem
from edge.station.schema import StoreError

_STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": HTML,
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PUBLIC = ("/look.css", "/icon.svg")  # what the login form shows
_RECORD = re.compile(r"/api/records/([0-9]{1,18})(?:/(picture|map|mark))?", re.ASCII)
_MOST = 4096  # bytes of a body
_FOUND = b'<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>Station</title>'


class App:
    """Called by several threads."""

    def __init__(self, reader: Reader, access: Access) -> None:
        self._reader, self._access = reader, access
        self._static = {
            "/" + path.relative_to(_STATIC).as_posix(): (path.read_bytes(), _TYPES[path.suffix])
            for path in _STATIC.rglob("*.*")
            if path.suffix in _TYPES
        }

    def __call__(self, environ: Dict[str, Any], start_response: Callable) -> Any:
        try:
            answer = self._answer(environ)
        except UserError as problem:
            busy = isinstance(problem, StoreError)
            answer = error("503 Service Unavailable" if busy else "400 Bad Request", str(problem))
        except Exception as problem:
            answer = error("500 Internal Server Error", type(problem).__name__)
        return answer.send(environ, start_response)

    def _answer(self, environ: Dict[str, Any]) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method not in ("GET", "HEAD", "POST"):
            return _not_allowed("GET, HEAD, POST")
        denied = self._access.denied(environ)
        if denied is not None:
            return _refusal(denied)
        if method == "POST":
            return self._post(environ, path)
        query = _fields(environ["QUERY_STRING"])
        given = query.get("token", [""])[0]
        if path == "/" and given and self._access.needs_token:
            return self._log_in(environ, given, Answer(_FOUND, HTML))
        if path in _PUBLIC:
            return Answer(*self._static[path])
        outside = self._access.kept_out(environ)
        if outside is not None:
            return self._form("", outside) if path == "/" else _refusal(outside)
        return self._get(path, query)

    def _get(self, path: str, query: Dict[str, list]) -> Answer:
        if path == "/":
            return Answer(*self._static["/index.html"])
        if path == "/api/live":
            layer, seen = (query.get(name, [""])[0] for name in ("layer", "seen"))
            return _told(lambda: self._reader.live(layer, seen))
        if path == "/api/status":
            login = self._access.needs_token
            return _told(lambda: {**self._reader.status(), "login": login})
        found = _RECORD.fullmatch(path)
        if found and found[2] is None:
            record = self._reader.record(int(found[1]))
            if record is not None:
                return json_answer(record)
        if found and found[2] in ("picture", "map"):
            stored = self._reader.picture(int(found[1]), found[2])
            if stored is not None:
                return Answer(stored, stored.type)
        if path.endswith(".js") and path in self._static:
            return Answer(*self._static[path])
        return error("404 Not Found", "there is no such thing here")

    def _post(self, environ: Dict[str, Any], path: str) -> Answer:
        body = environ["wsgi.input"].read(_MOST)
        if path == "/login" and self._access.needs_token:
            given = _fields(body.decode("utf-8", "replace"))
            home = Answer(b"", HTML, "303 See Other", (("Location", "/"),))
            return self._log_in(environ, given.get("token", [""])[0], home)
        outside = self._access.kept_out(environ)
        if outside is not None:
            return _refusal(outside)
        if path == "/logout":
            return json_answer({}, headers=[("Set-Cookie", self._access.no_cookie())])
        found = _RECORD.fullmatch(path)
        if found is None or found[2] != "mark":
            return error("404 Not Found", "there is no such thing here")
        return json_answer(self._reader.mark(int(found[1]), _kind(environ, body)))

    def _log_in(self, environ: Dict[str, Any], given: str, then: Answer) -> Answer:
        refused = self._access.refused(environ, given.encode("utf-8"))
        if refused is not None:
            return self._form(refused.text, refused)
        return then._replace(headers=(*then.headers, ("Set-Cookie", self._access.cookie())))

    def _form(self, text: str, denied: Denied) -> Answer:
        page = self._static["/login.html"][0].replace(b"{message}", html.escape(text).encode())
        return Answer(page, HTML, denied.status, _headers(denied))


def _told(tell: Callable[[], Dict[str, Any]]) -> Answer:
    """A store that cannot be read is no error of the page's: it says so."""
    try:
        return json_answer(tell())
    except UserError as error:
        return json_answer(problem(error))


def _fields(text: str) -> Dict[str, list]:
    """Of a query or a form. Raises: UserError where there are more than any of ours has."""
    try:
        return parse_qs(text, max_num_fields=10)
    except ValueError:
        raise UserError("expected at most 10 fields") from None


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


def _refusal(denied: Denied) -> Answer:
    return error(denied.status, denied.text, list(_headers(denied)))


def _headers(denied: Denied) -> Tuple[Tuple[str, str], ...]:
    if denied.retry:
        return (("Retry-After", str(denied.retry)),)
    return (("WWW-Authenticate", "Bearer"),) if denied.status.startswith("401") else ()


def _not_allowed(allowed: str) -> Answer:
    return error("405 Method Not Allowed", f"expected {allowed}", [("Allow", allowed)])
