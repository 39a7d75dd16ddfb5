"""Slows down who guesses a token, without a thread that waits."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from typing import Deque, Dict

_FORGOTTEN = 60.0  # seconds
_OF_ONE, _OF_ALL = 5, 100  # wrong tokens in that time
_CLIENTS = 1000


class Guesses:
    """Counts wrong tokens, of each client and of all together: many may guess at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: Deque[float] = deque(maxlen=_OF_ALL)
        self._of: Dict[str, Deque[float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until this client's next token is looked at; 0 where it is now."""
        with self._lock:
            wrong = self._of.get(_client(address), ())
            return max(_wait(wrong, _OF_ONE), _wait(self._all, _OF_ALL))

    def wrong(self, address: str) -> None:
        """Counts a wrong token."""
        now, client = time.monotonic(), _client(address)
        with self._lock:
            self._all.append(now)
            mine = self._of.pop(client, None) or deque(maxlen=_OF_ONE)
            mine.append(now)
            self._of[client] = mine  # behind the others: the first is who was wrong longest ago
            if len(self._of) > _CLIENTS:
                del self._of[next(iter(self._of))]


def _wait(wrong, allowed: int) -> float:
    if len(wrong) < allowed:
        return 0.0
    return max(0.0, wrong[0] + _FORGOTTEN - time.monotonic())


def _client(address: str) -> str:
    """Who it is: whoever has an IPv6 address has 2**64 of them."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or int(ip) >> 64)
