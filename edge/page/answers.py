"""What goes back to a browser, and the headers that bind it."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from edge.page.pictures import Stored

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = [
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
HTML, JSON = "text/html; charset=utf-8", "application/json"


class Answer(NamedTuple):
    """An HTTP answer."""

    body: Union[bytes, Stored]
    type: str
    status: str = "200 OK"
    headers: Tuple[Tuple[str, str], ...] = ()

    def send(self, environ: Dict, start_response: Callable) -> Any:
        """As WSGI has it. A file is sent as the client takes it, and no thread waits meanwhile."""
        stored = self.body if isinstance(self.body, Stored) else None
        length = stored.size if stored else len(self.body)
        kind = [("Content-Type", self.type), ("Content-Length", str(length))]
        start_response(self.status, [*kind, *_ALWAYS, *self.headers])
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
