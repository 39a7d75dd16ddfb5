"""Who may see the page and mark: whoever brings the token, or, without one, this machine alone.

A browser brings the token once and gets a cookie: the time it ends, signed with a key that is
drawn slowly from the token, so that a stolen cookie does not give the token away.
Without a token, a page from elsewhere must not reach this one through the operator's browser:
neither under another name (DNS rebinding) nor by sending forms here (CSRF).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Dict, NamedTuple, Optional
from urllib.parse import urlsplit

from edge.page.guesses import Guesses
from edge.station.http_server import host_of, is_loopback

_DAYS = 30
_ROUNDS = 200_000  # of PBKDF2; 0.1 s on a PC
_COOKIE = re.compile(r"([0-9a-f]{1,12})\.([0-9a-f]{64})", re.ASCII)


class Denied(NamedTuple):
    """status: of HTTP. retry: seconds after which it may be tried again."""

    status: str
    text: str
    retry: int = 0


class Access:
    """token: None where none is asked for. port: makes a cookie of this page alone. salt: of this
    station alone."""

    def __init__(self, token: Optional[str], port: int, salt: str) -> None:
        self.needs_token = token is not None
        self._name = f"edge_{port}"
        self._guesses = Guesses()
        if token is not None:
            self._token = _digest(token.encode("utf-8"))
            self._key = hashlib.pbkdf2_hmac("sha256", token.encode(), salt.encode(), _ROUNDS)

    def denied(self, environ: Dict) -> Optional[Denied]:
        """Why nobody may send such a request here, whoever it is; None where somebody may."""
        host = environ.get("HTTP_HOST", "")
        if not self.needs_token and not is_loopback(host_of(host)):
            return Denied("403 Forbidden", f"without a token, this page is not served as {host!r}")
        from_page = environ.get("HTTP_SEC_FETCH_SITE", "same-origin") in ("same-origin", "none")
        if not from_page and environ.get("HTTP_SEC_FETCH_MODE") != "navigate":
            return Denied("403 Forbidden", "not from another site's page")
        if environ["REQUEST_METHOD"] == "POST":
            origin = environ.get("HTTP_ORIGIN")
            bearer = origin is None and "HTTP_AUTHORIZATION" in environ and self.needs_token
            if not bearer and (not host or _netloc(origin or "") != host.lower()):
                return Denied("403 Forbidden", "expected the header Origin to be this page's own")
        return None

    def kept_out(self, environ: Dict) -> Optional[Denied]:
        """Why who sent this is not let in; None where they are."""
        if not self.needs_token or self._has_cookie(environ.get("HTTP_COOKIE", "")):
            return None
        kind, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() == "bearer":
            return self.refused(environ, given.encode("latin-1"))
        return Denied("401 Unauthorized", "log in, or send the header Authorization: Bearer TOKEN")

    def refused(self, environ: Dict, given: bytes) -> Optional[Denied]:
        """Why a token is refused; None where it is the right one."""
        address = environ.get("REMOTE_ADDR", "")
        wait = self._guesses.wait(address)
        if wait:
            text = f"too many wrong tokens; wait {wait + 1:.0f} s and try again"
            return Denied("429 Too Many Requests", text, int(wait) + 1)
        if hmac.compare_digest(_digest(given), self._token):
            return None
        self._guesses.wrong(address)
        return Denied("401 Unauthorized", "that is not the token")

    def cookie(self) -> str:
        """The header that lets a browser in from now on."""
        ends = f"{int(time.time()) + _DAYS * 86400:x}"
        return self._set(f"{ends}.{self._signature(ends)}", _DAYS * 86400)

    def no_cookie(self) -> str:
        """The header that takes it back."""
        return self._set("", 0)

    def _set(self, value: str, age: int) -> str:
        return f"{self._name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict"

    def _has_cookie(self, header: str) -> bool:
        for part in header.split(";")[:50]:
            name, _, value = part.strip().partition("=")
            found = _COOKIE.fullmatch(value) if name == self._name else None
            if (
                found
                and hmac.compare_digest(self._signature(found[1]), found[2])
                and int(found[1], 16) > time.time()
            ):
                return True
        return False

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode("ascii"), "sha256").hexdigest()


def _digest(content: bytes) -> bytes:
    """Of one length whatever the token's is."""
    return hashlib.sha256(content).digest()


def _netloc(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
