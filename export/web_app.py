"""The phone's app, built with Node.js from `edge/web`, and kept until its sources change.

It is built from a copy in the user's cache: `edge` is copied to devices, and stays small.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import edge
from edge.errors import UserError
from edge.files import write_error

_EDGE = Path(edge.__file__).resolve().parent
APP = _EDGE / "web"
_SHARED = _EDGE / "page" / "static"  # the look and parts of the station's page
_MADE = ("node_modules", "dist", "dist-core")  # by who works on the app
_MIN_NODE = 18
_MINUTES = 15  # that one step of a build may take


class WebError(UserError):
    """The site cannot be built or written."""


def built(say=print, output: str = "dist") -> Path:
    """Builds the app, unless that was done from the very sources. Returns: the folder with it.

    output: "dist" for the site; "dist-core" for what computes, as a module without a page.
    say: takes lines meant for a person.
    Raises: WebError where Node.js is missing or too old, or a step of the build fails.
    """
    place = cache() / f"web-{sources_key()[:16]}-{output}"
    if place.exists():
        return place
    npm = find_npm()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, ignore_cleanup_errors=True) as scratch:
            app = Path(scratch, APP.name)
            shutil.copytree(APP, app, ignore=shutil.ignore_patterns(*_MADE))
            shutil.copytree(_SHARED, Path(scratch, *_SHARED.relative_to(_EDGE).parts))
            say("installing what the app is built with (npm)")
            run_npm(npm, app, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            say("building the app")
            run_npm(npm, app, "run", "build" if output == "dist" else "core")
            _keep(app / output, place)
    except OSError as error:
        raise write_error(place, error) from error
    return place


def cache() -> Path:
    """The folder of what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vae_tf")


def sources_key() -> str:
    """One hash over all that the app is built from."""
    found = hashlib.sha256()
    for root in (APP, _SHARED):
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            if inside.parts[0] not in _MADE and path.is_file():
                content = path.read_bytes()
                found.update(f"{inside.as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def find_npm() -> str:
    """The npm to build with. Raises: WebError where it or its Node.js is missing or too old."""
    npm, node = shutil.which("npm"), shutil.which("node")
    wanted = f"building the site needs Node.js {_MIN_NODE} or later with npm"
    remedy = "install it (https://nodejs.org, or `apt install nodejs npm`) and run this again"
    if npm is None or node is None:
        raise WebError(f"{wanted}, which was not found; {remedy}")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    major = re.match(r"v(\d+)", version)
    if major is None or int(major[1]) < _MIN_NODE:
        raise WebError(f"{wanted}, this is {version or 'of an unknown version'}; {remedy}")
    return npm


def run_npm(npm: str, app: Path, *arguments: str) -> None:
    """Runs npm in a folder. Raises: WebError with its last words where it fails."""
    step = f"npm {' '.join(arguments[:2])}"
    try:
        done = subprocess.run(
            [npm, *arguments], cwd=app, capture_output=True, text=True, timeout=60 * _MINUTES
        )
    except subprocess.TimeoutExpired:
        raise WebError(f"`{step}` took more than {_MINUTES} minutes") from None
    except OSError as error:
        raise WebError(f"`{step}` could not be started: {error.strerror}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        errors = [line for line in said if "error" in line.lower()] or said
        reason = "; ".join(errors[:3]) or f"status {done.returncode}"
        raise WebError(f"`{step}` failed: {reason}")


def _keep(new: Path, place: Path) -> None:
    """Puts what was built in place, and what was built from other sources away."""
    if not place.exists():  # else another process was quicker
        new.rename(place)
    for other in place.parent.glob("web-*"):
        if not other.name.startswith(place.name[: len("web-") + 16]):
            shutil.rmtree(other, ignore_errors=True)
