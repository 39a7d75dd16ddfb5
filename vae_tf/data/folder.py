"""Picture folders: the MVTec layout, or flat, where every picture anywhere below is good.

MVTec: `train/good`, `test/<kind>`, `ground_truth/<kind>/<name>_mask.png` or `<name>.png`.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge.preprocess import PICTURE_SUFFIXES, read_picture
from vae_tf.data.parts import Entry, Part, read_mask
from vae_tf.data.pictures import GOOD
from vae_tf.errors import DataError

# Pictures to a person, but of formats that are not read: named instead of silently left out.
_FOREIGN_SUFFIXES = (".avif", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".npy")
_TRUTH = "ground_truth"


class _File(NamedTuple):
    name: str  # relative to the source, with "/"
    path: Path
    kind: str
    mask: Path | None


def train_part(root: Path, limit: int | None) -> Part:
    """The good pictures of a folder in MVTec layout or a flat one. Raises: DataError."""
    _require_folder(root)
    top = root / "train" / GOOD
    if not top.is_dir():
        _refuse_unlabelled(root)
        top = root
    return _part(root, "train", [(top, GOOD)], None, limit)


def test_part(root: Path, limit: int | None, required: bool) -> Part | None:
    """The test pictures, each with its kind and, where there is one, its mask.

    root: a folder in MVTec layout, or its `test` folder: `good` beside sub-folders of kinds.
    Returns: None where the folder holds no test pictures and `required` is false.
    Raises: DataError.
    """
    _require_folder(root)
    kinds = _sub_folders(root)
    top = root
    if "test" in kinds:
        top = root / "test"
    elif GOOD not in kinds or (len(kinds) == 1 and root.name != "test"):
        if not required:
            return None
        raise DataError(
            f"{root}: expected pictures to test in test/good and test/<kind of defect>, "
            "found neither these folders nor a folder good beside folders of defects"
        )
    truth = top.parent / _TRUTH
    tops = [(top / kind, kind) for kind in _sub_folders(top) if kind != _TRUTH]
    if not tops and not required:
        return None
    if not tops:
        raise DataError(
            f"{top}: expected sub-folders good and <kind of defect>, found none; "
            "move the pictures into them"
        )
    return _part(root, "test", tops, truth if truth.is_dir() else None, limit)


def _require_folder(root: Path) -> None:
    if not root.exists():
        raise DataError(f"{root}: no such folder; give a folder of pictures")
    if not root.is_dir():
        raise DataError(
            f"{root}: expected a folder of pictures, a .npz file, tfds:NAME or surfaces, got a file"
        )


def _refuse_unlabelled(root: Path) -> None:
    """A folder with defects below must not be taken for a flat one, where all is good."""
    kinds = _sub_folders(root)
    if "test" in kinds or _TRUTH in kinds:
        raise DataError(
            f"{root}: found {'test' if 'test' in kinds else _TRUTH} but no train/{GOOD}; "
            f"put the pictures of good parts into train/{GOOD}"
        )
    if GOOD in kinds and len(kinds) > 1:
        other = next(kind for kind in kinds if kind != GOOD)
        raise DataError(
            f"{root}: found {GOOD} beside {other}, which may hold defects; train on "
            f"{root / GOOD}, or put the good pictures into train/{GOOD} and these into test"
        )


def _sub_folders(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not _hidden(p.name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _part(
    root: Path,
    part: str,
    tops: list[tuple[Path, str]],
    truth: Path | None,
    limit: int | None,
) -> Part:
    files, refused, others = [], [], 0
    for top, kind in tops:
        for path in _walk(top):
            name = path.relative_to(root).as_posix()
            suffix = path.suffix.lower()
            if suffix in PICTURE_SUFFIXES:
                mask = _mask_of(path.relative_to(top), truth / kind) if truth else None
                files.append(_File(name, path, kind, mask))
            elif suffix in _FOREIGN_SUFFIXES:
                refused.append((name, f"{suffix} is not read; convert it to PNG or JPEG"))
            else:
                others += 1
    if not files:
        found = f"{others + len(refused)} other files" if others or refused else "nothing"
        raise DataError(
            f"{tops[0][0] if len(tops) == 1 else root}: expected pictures "
            f"({', '.join(s[1:] for s in PICTURE_SUFFIXES)}), found {found}"
        )
    chosen = files if limit is None else spread(files, limit)
    return Part(
        identity=f"folder {root.resolve()} {part} {limit}",
        fingerprint=_fingerprint(chosen),
        count=len(chosen),
        entries=lambda: map(_entry, chosen),
        sample=lambda count: map(_entry, spread(chosen, count)),
        masked=any(f.mask for f in chosen),
        refused=tuple(refused),
    )


def spread(values, count: int):
    """At most `count` of the values, evenly spaced, so that every kind and day is among them."""
    if len(values) <= count:
        return values
    return [values[i * len(values) // count] for i in range(count)]


def _entry(file: _File) -> Entry:
    mask = partial(read_mask, file.mask) if file.mask else None
    return Entry(file.name, file.kind, partial(read_picture, file.path), mask)


def _walk(top: Path) -> list[Path]:
    """All files below, links to folders followed once, sorted by path."""
    files, seen = [], set()
    for folder, subs, names in os.walk(top, followlinks=True):
        subs[:] = [s for s in subs if not _hidden(s)]
        real = os.path.realpath(folder)
        if real in seen:  # a link back to a folder above it
            subs.clear()
            continue
        seen.add(real)
        files += [Path(folder, name) for name in names if not _hidden(name)]
    return sorted(files)


def _mask_of(relative: Path, truth: Path) -> Path | None:
    for name in (f"{relative.stem}_mask.png", f"{relative.stem}.png"):
        path = truth / relative.with_name(name)
        if path.is_file():
            return path
    return None


def _fingerprint(files: list[_File]) -> str:
    digest = hashlib.sha256()
    for file in files:
        for path in (file.path, file.mask):
            if path is None:
                continue
            try:
                stat = path.stat()
                state = f"{stat.st_size} {stat.st_mtime_ns}"
            except OSError:  # a broken link: decoding will name it
                state = "unreadable"
            digest.update(
                f"{file.name}\0{file.kind}\0{path.name} {state}\n".encode("utf-8", "replace")
            )
    return digest.hexdigest()
