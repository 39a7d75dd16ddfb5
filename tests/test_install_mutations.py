"""Mutated bundles by the thousand: damaged on the way, hostile, forged.

What was damaged, or packed by somebody hostile, is installed only where the same files come out of
it. What was forged, with every hash put right, is refused by its signature; where no key is
trusted, it passes only as what it then is, another bundle that works.
"""

import contextlib
import copy
import gzip
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import snapshot
from install_bundles import fake_bundle, leftovers, passes, put, reseal, sign, trust

from edge import Runner, UserError
from edge.install.active import active_bundle
from edge.install.archive import archive_bytes
from edge.install.install import install, status
from edge.install.trial import try_out


@pytest.fixture(scope="module")
def bolts(tmp_path_factory) -> Path:
    return fake_bundle(tmp_path_factory.mktemp("bolts") / "bolts", "bolts", size=700)


@contextlib.contextmanager
def no_hang(seconds=300):
    """A hang becomes a failure."""

    def expired(*_):
        raise TimeoutError("the installer hangs")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(source, store, trial, context) -> bool:
    """Installs. Returns whether it was not refused; a refusal is one line and leaves no trace."""
    before = snapshot(store)
    try:
        with no_hang():
            install(source, store, trial=trial)
    except UserError as error:
        assert len(str(error).splitlines()) == 1, context
        assert len(str(error)) < 1000, context
        assert snapshot(store) == before, context
        return False
    except AssertionError:
        raise
    except BaseException as error:
        raise AssertionError(f"{context}: {error!r}") from error
    finally:
        assert leftovers(store) == [], context
    return True


# Bytes changed at random: transmission, storage, a curious person


def flip(chance, content):
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def shorten(chance, content):
    return content[: chance.randrange(len(content))]


def lengthen(chance, content):
    tail = chance.choice([bytes, chance.randbytes])(chance.randrange(1, 3000))
    return content + tail


def insert(chance, content):
    at = chance.randrange(len(content))
    return content[:at] + chance.randbytes(chance.choice([1, 7, 512])) + content[at:]


def leave_out(chance, content):
    at = chance.randrange(len(content))
    return content[:at] + content[at + chance.choice([1, 7, 512]) :]


def repeat(chance, content):
    at, size = chance.randrange(len(content)), chance.choice([512, 1024, 2048])
    at -= at % 512
    return content[:at] + content[at : at + size] * 2 + content[at + size :]


def blank(chance, content):
    at, size = chance.randrange(len(content)), chance.choice([1, 512, 4096])
    return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]


BYTES = (flip, flip, shorten, lengthen, insert, leave_out, repeat, blank)

# Headers of an archive, as somebody hostile writes them: their checksums are right.

_FIELDS = ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8))
_VALUES = (
    b"../../x\0",
    b"/etc/passwd\0",
    b"manifest.json\0",
    b"./manifest.json\0",
    b"\xff" * 12,
    b"\x80" + bytes(10) + b"\x01",
    b"77777777777\0",
    b"00000000000\0",
    b"-0000000001\0",
    b"",
)


def header(chance, content):
    content = bytearray(content)
    at = 512 * chance.randrange(len(content) // 512)
    block = content[at : at + 512]
    for _ in range(chance.choice([1, 1, 2])):
        start, size = chance.choice(_FIELDS)
        value = chance.choice([*_VALUES, chance.randbytes(size)])
        if size == 1:
            value = chance.choice(b"\x000123456789ABDKLMNSVXgx").to_bytes(1, "big")
        block[start : start + size] = value[:size].ljust(size, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    content[at : at + 512] = block
    return bytes(content)


def damaged_archive(chance, bundle, target):
    content = archive_bytes(bundle)
    packed = chance.random() < 0.3
    kind = chance.choice((*BYTES, header, header, header))
    if packed and chance.random() < 0.5:
        content, packed = gzip.compress(content, 1, mtime=0), False
        kind = kind if kind is not header else flip
    content = kind(chance, content)
    target.write_bytes(gzip.compress(content, 1) if packed else content)
    return kind.__name__


# Folders


def swap_two(chance, bundle):
    a, b = chance.sample(sorted(bundle.iterdir()), 2)
    contents = a.read_bytes(), b.read_bytes()
    b.write_bytes(contents[0])
    a.write_bytes(contents[1])


def rename_one(chance, bundle):
    path = chance.choice(sorted(bundle.iterdir()))
    path.rename(
        bundle / chance.choice(["x", path.name + ".bak", path.name.upper(), "." + path.name])
    )


def remove_one(chance, bundle):
    chance.choice(sorted(bundle.iterdir())).unlink()


def add_one(chance, bundle):
    name = chance.choice(["x", ".x", "manifest.sig.bak", "detector.int8.tflite ", "a" * 200])
    (bundle / name).write_bytes(chance.randbytes(10))


def special_one(chance, bundle):
    path = chance.choice(sorted(bundle.iterdir()))
    path.unlink()
    kind = chance.randrange(4)
    if kind == 0:
        path.symlink_to(chance.choice(["/dev/zero", "/etc/passwd", path.name, "card.md"]))
    elif kind == 1:
        os.mkfifo(path)
    else:
        path.mkdir()


def change_one(chance, bundle):
    path = chance.choice(sorted(bundle.iterdir()))
    path.write_bytes(chance.choice(BYTES)(chance, path.read_bytes()))


def edit_unsealed(chance, bundle):
    path = bundle / "manifest.json"
    record = edited(chance, json.loads(path.read_text()))
    path.write_text(json.dumps(record, indent=1))


FOLDERS = (
    *(swap_two, rename_one, remove_one, add_one, special_one),
    *(change_one, change_one, change_one, edit_unsealed),
)


def damaged_folder(chance, bundle, target):
    shutil.copytree(bundle, target)
    kind = chance.choice(FOLDERS)
    kind(chance, target)
    return kind.__name__


def damage(times, bundle, tmp_path) -> int:
    """Tries to install that many damaged bundles. Returns how many were the same bundle still."""
    store = tmp_path / "store"
    put(bundle, store)
    files = {name: content for name, content in snapshot(bundle).items() if name != "manifest.sig"}
    same = 0

    def only_the_same(part):
        came = {name: content for name, content in snapshot(part).items() if name != "manifest.sig"}
        assert came == files

    for n in range(times):
        chance = random.Random(n)
        source = tmp_path / "source"
        make = damaged_archive if n % 2 else damaged_folder
        kind = make(chance, bundle, source)
        same += attempt(source, store, only_the_same, f"mutation {n}, {kind}")
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    assert snapshot(active_bundle(store)) == snapshot(bundle)
    return same


def test_damaged_bundles(bolts, tmp_path):
    assert damage(240, bolts, tmp_path) < 60


@pytest.mark.slow
def test_7000_damaged_bundles(bolts, tmp_path):
    assert damage(7000, bolts, tmp_path) < 1500


# Forged: the manifest edited, files exchanged, and every hash right again

_HOSTILE = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "x", "../x", "/", "\0", "a\nb", "\ud800", "9" * 5000),
    *([], {}, [[]], {"": {}}, [0] * 50_000, "card.md", "manifest.json", "detector.int8.tflite"),
    "00",
)


def places(record) -> list:
    """Every (container, key) of a JSON document."""
    items = record.items() if isinstance(record, dict) else enumerate(record)
    found = []
    for key, value in items:
        found.append((record, key))
        if isinstance(value, (dict, list)):
            found += places(value)
    return found


def edited(chance, record):
    """The record with one to three values replaced, removed or exchanged."""
    record = copy.deepcopy(record)
    for _ in range(chance.choice([1, 1, 1, 3])):
        by_depth = places(record)
        # Lists of scores are most of the document, and all alike.
        words = [(c, k) for c, k in by_depth if isinstance(c, dict)]
        container, key = chance.choice(words if chance.random() < 0.9 and words else by_depth)
        kind = chance.randrange(8)
        if kind == 0:
            del container[key]
        elif kind == 1:
            other, its_key = chance.choice(by_depth)
            container[key] = copy.deepcopy(other[its_key])
        elif kind == 2 and isinstance(container[key], (int, float)):
            container[key] *= chance.choice([-1, 0, 2, 1e6, 1e-6])
        else:
            container[key] = copy.deepcopy(chance.choice(_HOSTILE))
    return record


def forge_manifest(chance, bundle):
    def change(record):
        new = edited(chance, record)
        record.clear()
        record.update(new)

    reseal(bundle, change)


def forge_file(chance, bundle):
    path = chance.choice([p for p in sorted(bundle.iterdir()) if p.suffix in (".tflite", ".npz")])
    kind = chance.choice((flip, flip, shorten, leave_out, blank))
    path.write_bytes(kind(chance, path.read_bytes()))
    reseal(bundle)


def forge(chance, bundle, target):
    shutil.copytree(bundle, target)
    kind = forge_manifest if chance.random() < 0.7 else forge_file
    kind(chance, target)
    return kind.__name__


def forgeries(numbers, bundle, tmp_path, store, trial) -> Iterator:
    """Tries to install forged bundles. Yields the number of each that was taken."""
    for n in numbers:
        source = tmp_path / "forged"
        kind = forge(random.Random(n), bundle, source)
        if attempt(source, store, trial, f"forgery {n}, {kind}"):
            yield n
        shutil.rmtree(source)


def signed_forgeries(times, bolts, tmp_path) -> None:
    pytest.importorskip("cryptography")
    from export.sign import keygen

    bundle = Path(shutil.copytree(bolts, tmp_path / "signed"))
    store = tmp_path / "store"
    trust(store, "key.pub", keygen(tmp_path / "key").read_bytes())
    sign(bundle, tmp_path / "key")
    put(bundle, store)
    assert list(forgeries(range(times), bundle, tmp_path, store, passes)) == []
    assert status(store)["name"] == "bolts"
    assert snapshot(active_bundle(store)) == snapshot(bundle)


def test_forged_bundles_where_a_key_is_trusted(bolts, tmp_path):
    signed_forgeries(30, bolts, tmp_path)


@pytest.mark.slow
def test_1500_forged_bundles_where_a_key_is_trusted(bolts, tmp_path):
    signed_forgeries(1500, bolts, tmp_path)


def unsigned_forgeries(times, bolts, tmp_path) -> None:
    """Without a key and without a trial: whatever the edit, there is an answer."""
    store = tmp_path / "store"
    put(bolts, store)
    for _ in forgeries(range(times), bolts, tmp_path, store, passes):
        status(store)


def test_forged_bundles_without_a_key(bolts, tmp_path):
    unsigned_forgeries(20, bolts, tmp_path)


@pytest.mark.slow
def test_1000_forged_bundles_without_a_key(bolts, tmp_path):
    unsigned_forgeries(1000, bolts, tmp_path)


def tried_forgeries(numbers, bundle, tmp_path) -> None:
    """Real graphs, tried for real: what passes is a bundle that judges pictures."""
    store = tmp_path / "store"
    put(bundle, store)
    picture = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    for n in forgeries(numbers, bundle, tmp_path, store, lambda part: try_out(part, seconds=20)):
        for precision in ("float32", "int8"):
            verdict = Runner(active_bundle(store), precision).check(picture)
            assert verdict.label in ("pass", "warn", "fail"), n
            assert np.isfinite(verdict.score), n
            assert np.isfinite(verdict.threshold), n
        assert set(status(store)) >= {"name", "created"}


def test_forged_bundles_in_a_real_trial(bundle, tmp_path):
    tried_forgeries(range(10), bundle, tmp_path)


@pytest.mark.slow
def test_500_forged_bundles_in_a_real_trial(bundle, tmp_path):
    tried_forgeries(range(500), bundle, tmp_path)
