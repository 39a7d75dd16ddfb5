"""Signatures: with a trusted key in the store, nothing gets in that its owner did not sign."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, snapshot
from install_bundles import leftovers, put, refusal, reseal, sign, trust

from edge.install.active import ActiveBundle, active_bundle
from edge.install.archive import archive_bytes
from edge.install.install import install, status
from edge.install.local import local_calibrations, recalibrate_store

pytest.importorskip("cryptography")


@pytest.fixture
def good(pictures):
    return pictures / "test" / "good"


@pytest.fixture
def key(tmp_path) -> Path:
    from export.sign import keygen

    keygen(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def strict(store, key) -> Path:
    """A store that trusts `key`."""
    trust(store, "factory.pub", key.with_name("key.pub").read_bytes())
    return store


@pytest.mark.parametrize("packed", [False, True])
def test_a_signed_bundle_is_installed(bolts, strict, key, tmp_path, packed):
    sign(bolts, key)
    source = bolts
    if packed:
        source = tmp_path / "bundle.tar"
        source.write_bytes(archive_bytes(bolts))
    assert put(source, strict)["signed_by"] == "factory.pub"
    assert snapshot(active_bundle(strict)) == snapshot(bolts)
    assert status(strict)["signed"]
    assert status(strict)["trusted_keys"] == ["factory.pub"]


def test_an_unsigned_bundle_is_refused(bolts, strict):
    line = refusal(bolts, strict)
    assert "the bundle is not signed (manifest.sig is missing)" in line
    assert "private key of factory.pub" in line


def test_a_wrong_signature_is_refused(bolts, nuts, strict, key, tmp_path):
    from export.sign import keygen

    sign(bolts, key)
    for content, words in [
        ((bolts / "manifest.sig").read_bytes(), "not of this manifest and a trusted key"),
        (bytes(64), "not of this manifest"),
        (b"", "manifest.sig has 0 bytes, a signature 64"),
        (bytes(100), "manifest.sig has 100 bytes"),
    ]:
        (nuts / "manifest.sig").write_bytes(content)
        assert words in refusal(nuts, strict)
    keygen(tmp_path / "other")
    sign(nuts, tmp_path / "other")
    assert "not of this manifest and a trusted key" in refusal(nuts, strict)
    trust(strict, "other.pub", (tmp_path / "other.pub").read_bytes())
    assert put(nuts, strict)["signed_by"] == "other.pub"


def test_a_signed_manifest_cannot_be_changed(bolts, strict, key):
    sign(bolts, key)
    reseal(bolts, lambda record: record["calibration"]["int8"].update(threshold=1e9))
    assert "not of this manifest" in refusal(bolts, strict)


def test_the_signature_is_checked_before_the_manifest_is_read(bolts, strict):
    (bolts / "manifest.json").write_bytes(b"[" * 100_000)
    (bolts / "manifest.sig").write_bytes(bytes(64))
    assert "not of this manifest" in refusal(bolts, strict)


def test_keys_are_pem_or_base64(bolts, store, key):
    import base64

    from export.sign import load_key

    raw = load_key(key).public_key().public_bytes_raw()
    trust(store, "raw.pub", base64.b64encode(raw) + b"\n")
    sign(bolts, key)
    assert put(bolts, store)["signed_by"] == "raw.pub"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pub", b"", "a.pub is no key: expected an Ed25519 public key as PEM, or the base64"),
        ("a.pub", b"AAAA", "a.pub is no key"),
        ("a.pub", b"\xff\xfe", "a.pub is no key"),
        ("a.pub", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is no key"),
        ("a.pub", "private", "a.pub is no key"),
        ("a.pub", "rsa", "a.pub is a key of another kind"),
        ("a.pem", "public", "a.pem is none of the trusted keys, which end in .pub"),
    ],
)
def test_a_slip_with_the_keys_does_not_switch_the_check_off(
    bolts, store, key, name, content, words
):
    if content == "rsa":
        from cryptography.hazmat.primitives import serialization as s
        from cryptography.hazmat.primitives.asymmetric import rsa

        public = rsa.generate_private_key(65537, 2048).public_key()
        content = public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    elif isinstance(content, str):
        content = key.with_name({"private": "key", "public": "key.pub"}[content]).read_bytes()
    trust(store, name, content)
    assert words in refusal(bolts, store)


def test_a_signature_is_not_asked_for_without_keys(bolts, store):
    (bolts / "manifest.sig").write_bytes(b"of nobody")
    assert put(bolts, store)["signed_by"] is None


def test_without_the_package_a_store_with_keys_refuses(bolts, strict, key, tmp_path):
    sign(bolts, key)
    blocker = tmp_path / "block"
    (blocker / "cryptography").mkdir(parents=True)
    (blocker / "cryptography" / "__init__.py").write_text("raise ImportError('no such package')")
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from install_bundles import passes\n"
        "from edge.install.install import install\n"
        "try: install(sys.argv[1], sys.argv[2], trial=passes)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    call = [sys.executable, "-c", program, bolts, strict]
    env = {**os.environ, "PYTHONPATH": str(blocker)}
    done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("UserError cannot check signatures: no such package; run `pip in")
    assert not (strict / "versions").exists()
    # And without keys nobody asks for it.
    shutil.rmtree(strict / "trusted_keys")
    done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")
    assert snapshot(active_bundle(strict)) == snapshot(bolts)


def test_recalibration_leaves_the_bundle_as_it_was_signed(bundle_copy, strict, key, good):
    sign(bundle_copy, key)
    install(bundle_copy, strict)
    folder = active_bundle(strict)
    assert local_calibrations(folder) == {}
    report = recalibrate_store(strict, good, 0.05)
    assert snapshot(folder) == snapshot(bundle_copy)
    calibrations = local_calibrations(folder)
    assert set(calibrations) == {"float32", "int8"}
    for precision, calibration in calibrations.items():
        assert calibration.threshold == report[precision]["threshold"]
        assert calibration.threshold != report[precision]["old_threshold"]
        assert calibration.rate == 0.05
    assert leftovers(strict) == []
    assert status(strict)["local_calibration"]
    assert not ActiveBundle(strict).changed()
