"""The WSGI application: lets in who may see a page, and hands on what they ask for.

| request | answer |
|---|---|
| GET / | the login form, without a token that is asked for |
| GET /?token=TOKEN, POST /login | the cookie, once |
| POST /logout | takes it back |
"""

from __future__ import annotations

import html
from typing import Any, Callable, Dict, Optional, Protocol, Tuple
from urllib.parse import parse_qs

from edge.errors import UserError
from edge.page.access import Access, Denied
from edge.page.answers import HTML, STATIC, Answer, error, json_answer
from edge.station.schema import StoreError

_PUBLIC = ("/look.css", "/icon.svg")  # what the login form shows
_MISSING = ("404 Not Found", "there is no such thing here")
_MOST = 4096  # bytes of a body
_FOUND = b'<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>Station</title>'


class Page(Protocol):
    """What only those see who are let in."""

    def get(self, path: str, query: Dict[str, list]) -> Optional[Answer]:
        """None where there is no such thing."""

    def post(self, path: str, environ: Dict[str, Any], body: bytes) -> Optional[Answer]:
        """None where there is no such thing. Raises: UserError where the body is none of it."""


class App:
    """Called by several threads."""

    def __init__(self, page: Page, access: Access) -> None:
        self._page, self._access = page, access

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
            return Answer(*STATIC[path])
        outside = self._access.kept_out(environ)
        if outside is not None:
            return self._form("", outside) if path == "/" else _refusal(outside)
        return self._page.get(path, query) or error(*_MISSING)

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
        return self._page.post(path, environ, body) or error(*_MISSING)

    def _log_in(self, environ: Dict[str, Any], given: str, then: Answer) -> Answer:
        refused = self._access.refused(environ, given.encode("utf-8"))
        if refused is not None:
            return self._form(refused.text, refused)
        return then._replace(headers=(*then.headers, ("Set-Cookie", self._access.cookie())))

    def _form(self, text: str, denied: Denied) -> Answer:
        page = STATIC["/login.html"][0].replace(b"{message}", html.escape(text).encode())
        return Answer(page, HTML, denied.status, _headers(denied))


def _fields(text: str) -> Dict[str, list]:
    """Of a query or a form. Raises: UserError where there are more than any of ours has."""
    try:
        return parse_qs(text, max_num_fields=10)
    except ValueError:
        raise UserError("expected at most 10 fields") from None


def _refusal(denied: Denied) -> Answer:
    return error(denied.status, denied.text, list(_headers(denied)))


def _headers(denied: Denied) -> Tuple[Tuple[str, str], ...]:
    if denied.retry:
        return (("Retry-After", str(denied.retry)),)
    return (("WWW-Authenticate", "Bearer"),) if denied.status.startswith("401") else ()


def _not_allowed(allowed: str) -> Answer:
    return error("405 Method Not Allowed", f"expected {allowed}", [("Allow", allowed)])
