"""The bundle's manifest: what the graphs are, what they take, how their scores are judged.

`manifest.json` names every other file of the bundle with size and SHA-256, and carries its own
hash: "digest" is the SHA-256 of the file's bytes with the digest's 64 digits replaced by zeros.
So any flipped byte of a bundle is found, by a program in any language.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from edge.calibration import Calibration
from edge.errors import BundleError
from edge.files import write_atomically
from edge.preprocess import InputSpec
from edge.score import ScoreSpec

SCHEMA = 1
MANIFEST = "manifest.json"
PRECISIONS = ("float32", "int8")
_NO_DIGEST = "0" * 64
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024


class FileEntry(NamedTuple):
    """A file of the bundle: its name, size in bytes and SHA-256 in hex."""

    file: str
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> FileEntry:
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


class GraphEntry(NamedTuple):
    """A graph file and the names, shapes and dtypes of its tensors: name -> {"shape", "dtype"}."""

    entry: FileEntry
    inputs: dict
    outputs: dict


class SequenceSpec(NamedTuple):
    """What a model of sequences takes: float32 (steps, features), in the features' own units."""

    steps: int
    features: int


class Manifest(NamedTuple):
    """A bundle's description, schema 1.

    input: `InputSpec` of pictures, or `SequenceSpec`.
    graphs: role ("detector", "encoder", "decoder") -> precision -> GraphEntry. A bundle without a
        detector generates; it judges nothing.
    score: None without a detector.
    knees: precision -> output name -> knee, in place of the score's, where good pictures reach
        otherwise in its graph; see `score_of`.
    calibrations: precision -> Calibration, each from its own graph's scores.
    files: the other files (golden vectors, card) by name.
    made_from, made_with, quality: free-form facts for a person.
    """

    name: str
    created: str
    input: Any
    graphs: dict
    score: Any
    calibrations: dict
    files: dict
    made_from: dict
    made_with: dict
    quality: dict
    knees: dict = {}  # noqa: RUF012, a NamedTuple's default; nobody changes it

    def score_of(self, precision: str) -> ScoreSpec:
        """How the outputs of this precision's detector become a score."""
        own = self.knees.get(precision, {})
        knees = {name: own.get(name, knee) for name, knee in self.score.knees.items()}
        return self.score._replace(knees=knees)

    def graph(self, role: str, precision: str) -> GraphEntry:
        """Raises: BundleError naming what the bundle has where it lacks this one."""
        by_precision = self.graphs.get(role, {})
        if role == "detector" and not by_precision:
            raise BundleError(
                "the bundle has no detector: its model was trained to generate, not to judge; "
                "train one with `python -m vae_tf train DATA RUN` and export that"
            )
        if precision not in by_precision:
            have = [f"{r}.{p}" for r, ps in sorted(self.graphs.items()) for p in sorted(ps)]
            raise BundleError(f"the bundle has no {role}.{precision}; it has {', '.join(have)}")
        return by_precision[precision]

    def entries(self) -> list:
        """Every file but the manifest itself, as FileEntry."""
        graphs = [g.entry for ps in self.graphs.values() for g in ps.values()]
        return graphs + list(self.files.values())


def read_manifest(bundle) -> Manifest:
    """Reads and checks `bundle`/manifest.json.

    Raises: BundleError where it is missing, damaged, of another schema, or incomplete.
    """
    bundle = Path(bundle)
    path = bundle / MANIFEST
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: larger than 16 MiB, which no manifest is")
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{bundle} is not a bundle: expected a folder with {MANIFEST}, "
            "as `python -m export` writes it"
        ) from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from None
    return _parsed(content, path)


def _parsed(content: bytes, path: Path) -> Manifest:
    try:
        record = json.loads(content.decode("utf-8"))
        schema = record["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"{path} is damaged: it is not a manifest; copy it again") from None
    if schema != SCHEMA:
        raise BundleError(
            f"{path} has schema {schema!r}, this program reads schema {SCHEMA}; "
            "update the program, or export again with this version"
        )
    if _digest(content, str(record.get("digest"))) != record.get("digest"):
        raise BundleError(
            f"{path} is damaged or was changed by hand (its digest does not match); copy it again, "
            "and use `python -m edge calibrate` to change a threshold"
        )
    try:
        return _from_record(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} lacks or misstates a field: {error!r}") from None


def _digest(content: bytes, digest: str) -> str:
    if len(digest) != 64:
        return ""
    return hashlib.sha256(
        content.replace(digest.encode("utf-8", "replace"), _NO_DIGEST.encode(), 1)
    ).hexdigest()


def _from_record(record: dict) -> Manifest:
    graphs = {
        role: {p: _graph(g) for p, g in by_precision.items()}
        for role, by_precision in record["graphs"].items()
    }
    detects = bool(graphs.get("detector"))
    judges = record["score"] is not None
    if judges and not detects:
        raise ValueError("no detector among the graphs, though there is a score")
    if not detects and not graphs.get("decoder"):
        raise ValueError("neither detector nor decoder among the graphs")
    calibrations = {p: Calibration.from_record(c) for p, c in record["calibration"].items()}
    return Manifest(
        name=record["name"],
        created=record["created"],
        input=_input(record["input"], detects),
        graphs=graphs,
        score=ScoreSpec(**record["score"]) if detects else None,
        calibrations=calibrations,
        files={name: _entry(name, f) for name, f in record["files"].items()},
        made_from=record["made_from"],
        made_with=record["made_with"],
        quality=record["quality"],
        knees={p: _knees(by_name) for p, by_name in record.get("knees", {}).items()},
    )


def _knees(record: dict) -> dict:
    knees = {name: float(knee) for name, knee in record.items()}
    if not all(map(math.isfinite, knees.values())):
        raise ValueError(f"knees {record}")
    return knees


def _input(record: dict, detects: bool) -> Any:
    spec = dict(record)
    kind = spec.pop("kind")
    if kind == "sequence" and not detects:
        spec.pop("dtype")
        return SequenceSpec(**spec)
    wanted = ("picture", "uint8", "bilinear")
    if (kind, spec.pop("dtype"), spec.pop("filter")) != wanted or spec.get("resize") != "stretch":
        raise ValueError(f"input of another kind than this program prepares: {record}")
    return InputSpec(**spec)


def _entry(name: str, record: dict) -> FileEntry:
    # A name with a path in it could point outside the bundle.
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"file name {name!r}")
    return FileEntry(name, int(record["size"]), str(record["sha256"]))


def _graph(record: dict) -> GraphEntry:
    return GraphEntry(_entry(record["file"], record), record["inputs"], record["outputs"])


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as the bytes of its file, digest included."""
    record = {
        "schema": SCHEMA,
        "digest": _NO_DIGEST,
        "name": manifest.name,
        "created": manifest.created,
        "input": _input_record(manifest.input),
        "score": manifest.score._asdict() if manifest.score else None,
        "knees": manifest.knees,
        "graphs": {
            role: {
                p: {**g.entry._asdict(), "inputs": g.inputs, "outputs": g.outputs}
                for p, g in by_precision.items()
            }
            for role, by_precision in manifest.graphs.items()
        },
        "files": {name: {"size": f.size, "sha256": f.sha256} for name, f in manifest.files.items()},
        "quality": manifest.quality,
        "made_from": manifest.made_from,
        "made_with": manifest.made_with,
        "calibration": {p: c._asdict() for p, c in manifest.calibrations.items()},
    }
    content = json.dumps(record, indent=1, allow_nan=False).encode()
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def _input_record(spec) -> dict:
    if isinstance(spec, SequenceSpec):
        return {"kind": "sequence", "dtype": "float32", **spec._asdict()}
    return {"kind": "picture", "dtype": "uint8", **spec._asdict(), "filter": "bilinear"}


def write_manifest(bundle, manifest: Manifest) -> None:
    """Replaces `bundle`/manifest.json in one step. Raises: UserError where it cannot be written."""
    write_atomically(Path(bundle) / MANIFEST, manifest_bytes(manifest))


def read_entry(bundle, entry: FileEntry) -> bytes:
    """Reads a file once and checks those bytes. Load these, not the file again.

    Raises: BundleError where it is missing, or differs from the manifest by a byte.
    """
    path = Path(bundle) / entry.file
    try:
        content = path.read_bytes() if path.stat().st_size == entry.size else b""
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; copy the bundle again") from None
    if FileEntry.of(entry.file, content) != entry:
        raise BundleError(
            f"{path} is damaged (it differs from the manifest's hash); copy the bundle again"
        )
    return content
