"""The address of a remote sink, taken apart and checked before anything runs."""

from __future__ import annotations

import ssl
from typing import NamedTuple, Optional
from urllib.parse import unquote, urlsplit

from edge.errors import UserError


class Address(NamedTuple):
    """host: never empty. login: user and password, decoded; None where there is none."""

    scheme: str
    host: str
    port: Optional[int]
    path: str
    query: str
    login: Optional[tuple]

    @property
    def name(self) -> str:
        """Without login and query, which may be secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{host}{port}{self.path}"


def parse(text: str, example: str) -> Address:
    """Raises: UserError that names the example, never what may hold a password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise UserError(f"expected an address such as {example}: {error}") from None
    if not host or any(character <= " " for character in host):
        raise UserError(f"expected an address such as {example}, got one without a host")
    if "#" in text:
        raise UserError(f"expected an address such as {example}, got one with a #")
    login = None
    if parts.username is not None:
        login = (unquote(parts.username), unquote(parts.password or ""))
    return Address(parts.scheme, host, port, parts.path, parts.query, login)


def trust(ca: Optional[str], name: str) -> ssl.SSLContext:
    """Which certificates are believed: of a file, else the system's. Raises: UserError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise UserError(f"cannot read the certificates {ca} for {name}: {error}") from None
