"""A site for phones behind `App`: the files that `python -m export web` wrote, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from edge.page.answers import TYPES, Answer
from edge.page.pictures import open_file

_WORKER = "sw.js"
_TYPES = {
    **TYPES,
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
}
_POLICY = "frame-ancestors 'none'"  # the site brings what else binds it


def is_site(folder: Path) -> bool:
    """Whether `python -m export web` wrote this folder."""
    return (folder / _WORKER).is_file() and (folder / "app.webmanifest").is_file()


class SitePage:
    """Called by several threads.

    folder: of the site, as it is now; what is written there later is not served.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            "/" + path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file()
        }

    def get(self, path: str, query: Dict[str, list]) -> Optional[Answer]:
        """None where there is no such file."""
        file = self._files.get("/index.html" if path == "/" else path)
        type_ = _TYPES.get(file.suffix, "application/octet-stream") if file else ""
        stored = open_file(file, type_) if file else None
        return Answer(stored, type_, policy=_POLICY, cache="no-cache") if stored else None

    def post(self, path: str, environ: Dict[str, Any], body: bytes) -> Optional[Answer]:
        """Nothing can be sent to a site: it keeps what it sees on the phone."""
        return None
