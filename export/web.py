"""`python -m export web BUNDLE SITE`: a bundle as a site that judges pictures in a phone's browser.

The site is the app of `edge/web` and the bundle beside it. Any host serves it from any folder. A
list of all files with their hashes goes into the service worker, which keeps them for use without a
network.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from edge.errors import UserError
from edge.files import write_error
from edge.install.signature import SIGNATURE
from edge.manifest import MANIFEST, Manifest, SequenceSpec, read_entry, read_manifest
from export.web_app import WebError, built, cache

_CHECKS = "Checks parts for defects with this device's camera, offline."
_DRAWS = "Draws what a model has learnt, by sliders, offline."


def export_web(bundle, site, say=print) -> None:
    """Writes `site` from a bundle: the app, its runtime, the bundle, and what makes it installable.

    A site that is there already is replaced in one step; another folder that is not empty is not.
    say: takes lines meant for a person.
    Raises: BundleError where the bundle is damaged; WebError where the app cannot be built;
        UserError where `site` cannot be written.
    """
    site = Path(site)
    manifest = read_manifest(bundle)
    if isinstance(manifest.input, SequenceSpec):
        raise WebError("a site shows pictures; the bundle is of a model of sequences")
    files = {entry.file: read_entry(bundle, entry) for entry in manifest.entries()}
    files[MANIFEST] = (Path(bundle) / MANIFEST).read_bytes()
    with contextlib.suppress(FileNotFoundError):
        files[SIGNATURE] = (Path(bundle) / SIGNATURE).read_bytes()
    _check_place(site)
    app = built(say)
    stage = site.with_name(f".{site.name}.{os.getpid()}.part")
    try:
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(app, stage)
        (stage / "bundle").mkdir()
        for name, content in files.items():
            (stage / "bundle" / name).write_bytes(content)
        (stage / "app.webmanifest").write_text(_app_manifest(manifest), encoding="utf-8")
        _list_files(stage, _first(manifest))
        _put_in_place(stage, site)
    except OSError as error:
        raise write_error(site, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _check_place(site: Path) -> None:
    try:
        taken = site.exists() and (not site.is_dir() or any(site.iterdir()))
    except OSError as error:
        raise write_error(site, error) from error
    if taken and not (site / "sw.js").exists():
        raise WebError(f"{site} holds something that is no site; choose another or an empty folder")


def _app_manifest(manifest: Manifest) -> str:
    """The web app manifest: what makes a browser offer to install the site."""
    judges = "detector" in manifest.graphs
    icons = [
        {"src": f"icon-{size}.png", "sizes": f"{size}x{size}", "type": "image/png", "purpose": use}
        for size in (192, 512)
        for use in ("any", "maskable")
    ]
    return json.dumps(
        {
            "name": f"{manifest.name}: {'check parts' if judges else 'explore'}",
            "short_name": manifest.name,
            "description": _CHECKS if judges else _DRAWS,
            "id": "./",
            "start_url": "./",
            "scope": "./",
            "display": "standalone",
            "background_color": "#0e1114",
            "theme_color": "#0e1114",
            "icons": icons,
        },
        indent=1,
    )


def _first(manifest: Manifest) -> set:
    """Files of the bundle that a page needs to start: the graph that it shows first."""
    judges = "detector" in manifest.graphs
    graphs = manifest.graphs["detector" if judges else "decoder"]
    best = graphs.get("int8" if judges else "float32") or next(iter(graphs.values()))
    return {f"bundle/{MANIFEST}", f"bundle/{best.entry.file}"}


def _list_files(stage: Path, first: set) -> None:
    """Writes the list of files into the service worker."""
    worker = stage / "sw.js"
    paths = sorted(p for p in stage.rglob("*") if p.is_file() and p != worker)
    hashes = {p.relative_to(stage).as_posix(): _integrity(p.read_bytes()) for p in paths}
    later = [p for p in hashes if p.startswith("bundle/") and p not in first]
    script = worker.read_text(encoding="utf-8")
    listed = {"files": hashes, "first": [p for p in hashes if p not in later]}
    version = hashlib.sha256((script + json.dumps(listed)).encode()).hexdigest()[:16]
    site = json.dumps({"version": version, **listed})
    if script.count('"__SITE__"') != 1:
        raise WebError(
            f"{worker.name} of the built app has no place for the list of files; remove {cache()}"
        )
    worker.write_text(script.replace('"__SITE__"', site), encoding="utf-8")


def _integrity(content: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def _put_in_place(new: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def parser() -> argparse.ArgumentParser:
    """Of `python -m export web`."""
    made = argparse.ArgumentParser(
        prog="python -m export web",
        description="A site that judges pictures in a phone's browser, from a bundle.",
    )
    made.add_argument("bundle", metavar="BUNDLE", help="the folder that `python -m export` wrote")
    made.add_argument("site", metavar="SITE", help="gets the site; an earlier one is replaced")
    return made


def main(arguments) -> int:
    """Returns the exit status: 2 where the site cannot be made."""
    options = parser().parse_args(arguments)
    try:
        export_web(options.bundle, options.site, lambda line: print(line, file=sys.stderr))
    except UserError as error:
        print(f"export web: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(options.site)
    return 0
