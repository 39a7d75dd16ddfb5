"""Archives of bundles: none leads out of its folder, fills the disk, or is taken by halves."""

import gzip
import os
import re
import tarfile
import time
from pathlib import Path

import pytest
from install_bundles import (
    fake_bundle,
    members,
    name_of,
    put,
    refusal,
    tar_bytes,
)

from edge.install.archive import archive_bytes


def special(name, kind, link="", size=0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def negative(name) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = -512
    return info


HOSTILE = {
    "absolute": [("/etc/cron.d/x", b"")],
    "up": [("../state.json", b"{}")],
    "below": [("sub/manifest.json", b"{}")],
    "dots": [("..", b"")],
    "dot": [("./.", b"")],
    "backslash": [("..\\x", b"")],
    "no name": [("", b"")],
    "twice": [("card.md", b"1"), ("card.md", b"2")],
    "twice, otherwise spelt": [("card.md", b"1"), ("./card.md", b"2")],
    "symlink": [(special("card.md", tarfile.SYMTYPE, "/etc/passwd"), b"")],
    "hard link": [(special("card.md", tarfile.LNKTYPE, "manifest.json"), b"")],
    "device": [(special("card.md", tarfile.CHRTYPE), b"")],
    "block device": [(special("card.md", tarfile.BLKTYPE), b"")],
    "pipe": [(special("card.md", tarfile.FIFOTYPE), b"")],
    "folder": [(special("sub", tarfile.DIRTYPE), b"")],
    "sparse": [(special("card.md", tarfile.GNUTYPE_SPARSE), b"")],
    "contiguous": [(special("card.md", tarfile.CONTTYPE), b"")],
    "pax header": [(special("x", tarfile.XHDTYPE, size=19), b"19 path=/etc/passwd\n")],
    "global pax header": [(special("x", tarfile.XGLTYPE, size=2**40), b"")],
    "long name": [(special("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=4), b"../x")],
    "negative size": [(negative("card.md"), b"")],
    "vast size": [(special("card.md", tarfile.REGTYPE, size=2**70), b"")],
    "many": [(f"file{i}", b"") for i in range(49)],
    "name beyond the disk": [("a" * 99 + "\udcff", b"")],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_members_are_refused(bolts, store, tmp_path, kind):
    put(bolts, store)
    whole = members(fake_bundle(tmp_path / "hostile", "hostile"))
    others = [(n, c) for n, c in whole if n != "card.md" or "card.md" not in str(HOSTILE[kind])]
    around = sorted(p for p in tmp_path.rglob("*") if store not in p.parents)
    for order in (others + HOSTILE[kind], HOSTILE[kind] + others):
        source = tmp_path / "bundle.tar"
        try:
            source.write_bytes(tar_bytes(order))
        except UnicodeEncodeError:
            source.write_bytes(tar_bytes([*others, ("a" * 99, b"")]).replace(b"a" * 9, b"\xff" * 9))
        line = refusal(source, store)
        assert "bundle.tar" in line
        source.unlink()
    assert sorted(p for p in tmp_path.rglob("*") if store not in p.parents) == around
    assert name_of(store) == "bolts"


def test_an_archive_may_be_large_only_up_to_the_limit(bolts, store, tmp_path):
    content = archive_bytes(bolts)
    source = tmp_path / "bundle.tar"
    source.write_bytes(content)
    size = sum(len(c) for _, c in members(bolts))
    assert "takes more than" in refusal(source, store, limit=size - 1)
    assert "takes more than" in refusal(bolts, store, limit=size - 1)
    put(source, store, limit=size)


MIB = 2**20
BOMBS = {
    "a large file": lambda: tar_bytes([("card.md", bytes(64 * MIB))]),
    "a large file without its end": lambda: tar_bytes([("card.md", bytes(64 * MIB))], end=False),
    "zeros after the end": lambda: tar_bytes([("card.md", b"")]) + bytes(64 * MIB),
    "nothing but zeros": lambda: bytes(64 * MIB),
    "folders without number": lambda: tar_bytes([(special("./", tarfile.DIRTYPE), b"")] * 20000),
    "empty members of gzip": lambda: b"",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_goes_off_in_vain(store, tmp_path, kind, monkeypatch):
    """It is stopped while it unpacks: hardly more is read out of it than the limit."""
    packed = gzip.compress(BOMBS[kind](), 1)
    if kind == "empty members of gzip":
        packed *= 200_000
    read = []
    original = gzip.GzipFile.read

    def counted(self, size=-1):
        content = original(self, size)
        read.append(len(content))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    (tmp_path / "bomb.tar.gz").write_bytes(packed)
    start = time.monotonic()
    line = refusal(tmp_path / "bomb.tar.gz", store, limit=MIB)
    assert "takes more than 1 MiB" in line or "no archive of a bundle" in line
    assert sum(read) <= 2 * MIB
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_cut_short_anywhere_is_refused(bolts, store, tmp_path, packed):
    content = archive_bytes(bolts)
    end = len(content.rstrip(b"\0")) + 511 & ~511  # of the last file; the rest is padding
    if packed:
        content = gzip.compress(content)
        end = len(content)
    source = tmp_path / "bundle.tar"
    for cut in {0, 1, 2, 100, 511, 512, 600, end // 3, end // 2, end - 1, end - 600}:
        source.write_bytes(content[:cut])
        line = refusal(source, store)
        assert re.search("cut short|damaged|no archive", line), (cut, line)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00 no gzip",
        b"text\n" * 500,
        b"\xff" * 5000,
    ],
)
def test_what_is_no_archive_is_refused(store, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert str(tmp_path / "file") in refusal(tmp_path / "file", store)


def test_what_can_be_read_without_end_is_refused(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", Path("/dev/zero")):
        assert f"{source} is no plain file" in refusal(source, store)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 * 2**30)
    assert "takes more than 64 MiB" in refusal(tmp_path / "sparse", store)


def test_what_is_not_there_is_named_and_makes_no_store(store, tmp_path):
    assert f"cannot read {tmp_path / 'absent'}: No such file" in refusal(tmp_path / "absent", store)
    assert not store.exists()
