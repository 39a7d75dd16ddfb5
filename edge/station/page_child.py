"""The page beside a running station, in a process of its own: no browser holds up a verdict."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from edge.errors import UserError
from edge.station.log import Log
from edge.station.sections import PageSettings
from edge.station.sources.child import environment

TOKEN = "EDGE_PAGE_TOKEN"
_LONGEST_WAIT = 60.0  # seconds between two trials to start it
_STOP = 2.0  # seconds that it may take to end


class PageChild:
    """Starts `edge serve` for a station, and again whenever it ends.

    Raises: UserError where it could never start.
    """

    def __init__(self, settings: PageSettings, folder: Path, log: Log) -> None:
        if importlib.util.find_spec("waitress") is None:
            raise UserError("page: needs waitress; run `pip install waitress`")
        self._settings, self._folder, self._log = settings, folder, log
        self._child: Optional[subprocess.Popen] = None
        self._wait, self._next = 1.0, 0.0

    def look(self) -> None:
        """Starts it where it does not run. To be called about once a second."""
        now = time.monotonic()
        if self._child is not None and self._child.poll() is not None:
            status, self._child = self._child.returncode, None
            self._next = now + self._wait
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self._log.error(f"page: ended with status {status}; started again", kind="page")
        if self._child is None and now >= self._next:
            self._start()

    def close(self) -> None:
        """Ends it."""
        if self._child is None:
            return
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP)
        self._child.kill()
        self._child.wait()

    def _start(self) -> None:
        of = self._settings
        call = [sys.executable, "-m", "edge", "serve", str(self._folder.resolve())]
        call += ["--host", of.host, "--port", str(of.port), "--parent", str(os.getpid())]
        surroundings = dict(environment())
        surroundings.pop("NOTIFY_SOCKET", None)  # only the station speaks for the service
        if of.token is not None:
            surroundings[TOKEN] = str(of.token)  # not as an argument: those are public
        try:
            self._child = subprocess.Popen(
                call, env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        except OSError as error:
            self._log.error(f"page: cannot be started: {error.strerror}", kind="page")
            self._next = time.monotonic() + self._wait
