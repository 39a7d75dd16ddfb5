"""`edge selftest`: is the bundle whole, and does this machine compute what it should?"""

from __future__ import annotations

from typing import Iterator

from edge.errors import UserError
from edge.golden import GOLDEN, compare, load_graphs, read_golden, run_golden
from edge.manifest import MANIFEST, read_entry, read_manifest
from edge.parts import check_parts


def selftest(bundle) -> Iterator:
    """Yields (ok, line) for each check: the manifest, each file's hash, each precision's graphs."""
    try:
        manifest = read_manifest(bundle)
    except UserError as error:
        yield False, str(error)
        return
    yield True, f"{MANIFEST}: schema and digest"
    golden = None
    for entry in manifest.entries():
        try:
            content = read_entry(bundle, entry)
        except UserError as error:
            yield False, str(error)
        else:
            yield True, f"{entry.file}: {entry.size} bytes, SHA-256"
            if entry.file == GOLDEN:
                golden = content
    if golden is None:
        yield False, f"{GOLDEN}: missing or damaged, so the graphs were not run"
        return
    for precision in sorted({p for by_precision in manifest.graphs.values() for p in by_precision}):
        yield _golden_check(bundle, manifest, precision, golden)


def _golden_check(bundle, manifest, precision: str, golden: bytes) -> tuple:
    try:
        if "detector" in manifest.graphs:
            pictures, z, expected = read_golden(golden)
            graphs = load_graphs(bundle, manifest, precision)
            got = run_golden(manifest, precision, graphs, pictures, z)
            differences = compare(manifest, precision, expected, got)
            what = f"{len(pictures)} pictures"
        else:
            differences, count = check_parts(bundle, manifest, precision, golden)
            what = f"{count} examples through encoder and decoder"
    except UserError as error:
        return False, f"golden vectors, {precision}: {error}"
    if differences:
        return False, f"golden vectors, {precision}: {'; '.join(differences)}"
    return True, f"golden vectors, {precision}: {what}"
