"""A bundle in one file: a tar, plain or gzipped, of the bundle's files side by side.

The reader trusts nothing. `tarfile` decodes one header at a time for it and never walks the file:
it would follow links, long names and sparse members that no bundle has, and the versions on
devices in use hang on a negative size (CVE-2025-8194).
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Tuple

from edge.errors import BundleError
from edge.files import write_error
from edge.manifest import MANIFEST

MAX_BYTES = 64 * 2**20
MAX_FILES = 48
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 2**18
_OVERHEAD = 2**20  # headers, padding and the end of an archive
_HINT = "expected a bundle's folder, or the .tar that `python -m export RUN OUT --archive` writes"

Member = Tuple[str, int, Callable[[int], bytes]]  # name, size, what reads that many bytes


def archive_bytes(bundle) -> bytes:
    """A bundle's folder as a tar, the manifest first. The same files give the same bytes."""
    buffer = io.BytesIO()
    files = sorted(Path(bundle).iterdir(), key=lambda path: (path.name != MANIFEST, path.name))
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in files:
            content = path.read_bytes()
            info = tarfile.TarInfo(path.name)  # of nobody, at no time
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def require(source) -> None:
    """Raises: BundleError where there is nothing at all."""
    try:
        Path(source).stat()
    except OSError as error:
        raise BundleError(f"cannot read {source}: {error.strerror}; {_HINT}") from None


def fetch(source, folder, limit: int = MAX_BYTES) -> None:
    """Copies the files of a bundle, archive or folder, into the empty `folder`.

    limit: bytes that they may take unpacked. It holds while unpacking, not afterwards.
    Raises: BundleError where `source` is no such thing, is cut short, too large, or holds anything
        but plain files without a path; UserError where `folder` cannot be written.
    """
    source, left = Path(source), limit
    members = _of_folder(source) if source.is_dir() else _of_archive(source, limit)
    for count, (name, size, read) in enumerate(members, 1):
        if count > MAX_FILES:
            raise BundleError(f"{source} holds more than {MAX_FILES} files; {_HINT}")
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise BundleError(f"{source} holds {name!r}, which is no plain file name; {_HINT}")
        if size > left:
            raise _too_large(source, limit)
        left -= size
        _save(source, Path(folder) / name, size, read)


def _save(source: Path, target: Path, size: int, read) -> None:
    try:
        with target.open("xb") as file:
            while size:
                chunk = read(min(size, _CHUNK))
                size -= len(chunk)
                file.write(chunk)
    except FileExistsError:
        raise BundleError(f"{source} holds {target.name!r} twice; {_HINT}") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise BundleError(f"{source} holds {target.name!r}, which is no file name") from None
        raise write_error(target, error) from None


def _of_folder(source: Path) -> Iterator[Member]:
    try:
        paths = sorted(source.iterdir())
    except OSError as error:
        raise BundleError(f"cannot read {source}: {error.strerror}") from None
    for path in paths:
        with _opened(path, os.O_NOFOLLOW) as file:
            size = os.fstat(file.fileno()).st_size
            yield path.name, size, _Reader(file, path, size).read


def _of_archive(source: Path, limit: int) -> Iterator[Member]:
    with _opened(source) as raw:
        if os.fstat(raw.fileno()).st_size > limit + _OVERHEAD:
            raise _too_large(source, limit)
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if zipped else raw
        reader = _Reader(file, source, limit)
        first = block = reader.read(_BLOCK)
        while any(block):
            info = _header(source, block)
            # GNU tar calls files "./NAME" and lists their folder, when it is asked for ".".
            if not (info.isdir() and info.name == "."):
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
                    raise BundleError(f"{source}: {info.name!r} is no plain file; {_HINT}")
                name = info.name[2:] if info.name.startswith("./") else info.name
                yield name, info.size, reader.read
                reader.read(-info.size % _BLOCK)
            block = reader.read(_BLOCK)
        if not any(first) or any(reader.read(_BLOCK)) or not reader.only_zeros_left():
            raise BundleError(f"{source} is no archive of a bundle; {_HINT}")


def _header(source: Path, block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError, OverflowError):
        raise BundleError(f"{source} is damaged, or no archive of a bundle; {_HINT}") from None


def _opened(path: Path, flags: int = 0) -> BinaryIO:
    """Opens a plain file, through no link where `flags` say so; never waits at a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise BundleError(f"cannot read {path}: {reason}; {_HINT}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BundleError(f"{path} is no plain file; {_HINT}")
    return os.fdopen(handle, "rb")


class _Reader:
    """Gives exactly the bytes asked for, and little more than `limit` in all: a bomb ends here."""

    def __init__(self, file, source: Path, limit: int):
        self._file, self._source, self._limit = file, source, limit
        self._left = limit + _OVERHEAD

    def read(self, size: int) -> bytes:
        content = self._some(size)
        if len(content) != size:
            raise BundleError(f"{self._source} is cut short; copy it again")
        return content

    def only_zeros_left(self) -> bool:
        """Reads to the end, which also compares a gzip's checksum."""
        while chunk := self._some(min(_CHUNK, self._left + 1)):
            if any(chunk):
                return False
        return True

    def _some(self, size: int) -> bytes:
        if size > self._left:
            raise _too_large(self._source, self._limit)
        try:
            content = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise BundleError(f"{self._source} is damaged: {error}; copy it again") from None
        self._left -= len(content)
        return content


def _too_large(source: Path, limit: int) -> BundleError:
    return BundleError(f"{source} takes more than {limit / 2**20:.3g} MiB, the most allowed")
