"""What goes back to a browser, and the headers that bind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from edge.page.pictures import Stored

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
]
HTML, JSON = "text/html; charset=utf-8", "application/json"
TYPES = {
    ".html": HTML,
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_STATIC = Path(__file__).with_name("static")
STATIC = {
    "/" + path.relative_to(_STATIC).as_posix(): (path.read_bytes(), TYPES[path.suffix])
    for path in _STATIC.rglob("*.*")
    if path.suffix in TYPES
}


class Answer(NamedTuple):
    """An HTTP answer."""

    body: Union[bytes, Stored]
    type: str
    status: str = "200 OK"
    headers: Tuple[Tuple[str, str], ...] = ()
    policy: str = _POLICY
    cache: str = "no-store"

    def send(self, environ: Dict, start_response: Callable) -> Any:
        """As WSGI has it. A file is sent as the client takes it, and no thread waits meanwhile."""
        stored = self.body if isinstance(self.body, Stored) else None
        length = stored.size if stored else len(self.body)
        kind = [("Content-Type", self.type), ("Content-Length", str(length))]
        own = [("Content-Security-Policy", self.policy), ("Cache-Control", self.cache)]
        start_response(self.status, [*kind, *own, *_ALWAYS, *self.headers])
        if environ["REQUEST_METHOD"] == "HEAD":
            if stored:
                stored.file.close()
            return []
        return environ["wsgi.file_wrapper"](stored.file, 2**16) if stored else [self.body]


def json_answer(content: Any, status: str = "200 OK", headers: Optional[List] = None) -> Answer:
    """`content` has no number that JSON cannot hold."""
    body = json.dumps(content, allow_nan=False).encode("utf-8")
    return Answer(body, JSON, status, tuple(headers or ()))


def error(status: str, text: str, headers: Optional[List] = None) -> Answer:
    """text: one line for a person."""
    return json_answer({"error": text}, status, headers)
