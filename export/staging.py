"""Results are made beside their place, and put there when they are whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from edge.files import write_atomically, write_error
from edge.install.archive import archive_bytes
from edge.install.signature import SIGNATURE
from edge.manifest import MANIFEST, Manifest, manifest_bytes
from vae_tf.run import make_folder

ARCHIVE = "bundle.tar"


@contextlib.contextmanager
def staging(out: Path):
    """A folder beside the results, gone afterwards whatever happens."""
    for left in out.glob(".part-*"):
        if not _alive(left.name.removeprefix(".part-")):  # of an export that was killed
            shutil.rmtree(left, ignore_errors=True)
    stage = out / f".part-{os.getpid()}"
    try:
        make_folder(stage)
        yield stage
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _alive(pid: str) -> bool:
    if os.name != "posix":  # elsewhere, asking by a signal would end it
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def publish(
    stage: Path, out: Path, manifest: Manifest, files: dict[str, bytes], signer, archive: bool, say
) -> None:
    """Writes the bundle in `stage`, and puts it and the SavedModel there in their places.

    signer: the private key that signs the manifest, or None. archive: write the bundle as one file
        as well. say: takes lines meant for a person.
    """
    make_folder(stage / "bundle")
    for file, content in files.items():
        write_atomically(stage / "bundle" / file, content)
    content = manifest_bytes(manifest)
    if signer is not None:
        write_atomically(stage / "bundle" / SIGNATURE, signer.sign(content))
    # The manifest comes last: a folder without one is no bundle.
    write_atomically(stage / "bundle" / MANIFEST, content)
    if archive:
        write_atomically(stage / ARCHIVE, archive_bytes(stage / "bundle"))
    for part in ("saved_model", "bundle"):
        _put_in_place(stage / part, out / part)
    if archive:
        (stage / ARCHIVE).replace(out / ARCHIVE)
    elif (out / ARCHIVE).exists():
        say(f"{out / ARCHIVE} is still that of an earlier export")


def _put_in_place(new: Path, place: Path) -> None:
    old = place.with_name(f".old-{place.name}-{os.getpid()}")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)
