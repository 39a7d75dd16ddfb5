"""Signing: keys are made and read with care, and the signature is one that others can check."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, one_line_error, refused, run_python, snapshot
from install_bundles import fake_bundle, passes

from edge import UserError
from edge.install.archive import archive_bytes
from edge.install.install import install
from export.__main__ import main
from export.sign import keygen, load_key

pytest.importorskip("cryptography")


@pytest.fixture
def key(tmp_path) -> Path:
    keygen(tmp_path / "key")
    return tmp_path / "key"


def openssl(*arguments):
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Keys


def test_keygen_makes_a_pair(tmp_path, capsys):
    assert main(["keygen", str(tmp_path / "factory")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'factory.pub'}\n"
    assert stat.S_IMODE((tmp_path / "factory").stat().st_mode) == 0o600
    assert (tmp_path / "factory").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "factory.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    load_key(tmp_path / "factory")


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_keygen_overwrites_nothing(tmp_path, capsys, there):
    (tmp_path / there).write_text("dear to somebody")
    line = refused(capsys, main, "keygen", tmp_path / "key")
    assert line.startswith(f"export keygen: {tmp_path / there} is there already; ")
    assert snapshot(tmp_path) == {there: b"dear to somebody"}


def test_keygen_where_nothing_can_be_written(tmp_path, capsys):
    line = refused(capsys, main, "keygen", tmp_path / "absent" / "key")
    assert line.startswith(f"export keygen: cannot write {tmp_path / 'absent' / 'key'}: ")


def test_a_key_of_openssl_signs_as_well(tmp_path):
    openssl("genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key")
    load_key(tmp_path / "key")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("absent", "cannot read the key"),
        ("folder", "cannot read the key"),
        ("empty", "is no private key; expected an Ed25519 private key as PEM"),
        ("text", "is no private key"),
        ("cut", "is no private key"),
        ("public", "is no private key"),
        ("rsa", "is a private key of another kind"),
        ("passphrase", "is locked by a passphrase"),
    ],
)
def test_what_is_no_key_is_named_before_anything_is_done(tmp_path, key, kind, words, capsys):
    path = tmp_path / "bad"
    if kind == "folder":
        path.mkdir()
    elif kind == "rsa":
        openssl("genpkey", "-algorithm", "rsa", "-out", path)
    elif kind == "passphrase":
        openssl("pkcs8", "-topk8", "-in", key, "-out", path, "-passout", "pass:secret")
    elif kind != "absent":
        pem = key.read_bytes()
        public = key.with_name("key.pub").read_bytes()
        path.write_bytes({"empty": b"", "text": b"x" * 99, "cut": pem[:60], "public": public}[kind])
    # No run is there either: the key is what is looked at first.
    line = refused(capsys, main, tmp_path / "run", tmp_path / "out", "--sign", path)
    assert line.startswith("export: ")
    assert words in line
    assert str(path) in line
    assert "`python -m export keygen KEY`" in line
    assert not (tmp_path / "out").exists()


def test_without_the_package_signing_ends_in_the_line_that_installs_it(tmp_path, key):
    (tmp_path / "block" / "cryptography").mkdir(parents=True)
    broken = tmp_path / "block" / "cryptography" / "__init__.py"
    broken.write_text("raise ImportError('no such package')")
    program = f"from export.sign import load_key; load_key({str(key)!r})"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "block")}
    done = run_python("-c", program, status=1, env=env)
    assert done.stderr.strip().endswith(
        "UserError: cannot sign: no such package; run `pip install cryptography`"
    )


# Signatures


def test_openssl_checks_our_signature_and_makes_one_that_installs(tmp_path, key):
    bundle = fake_bundle(tmp_path / "bolts")
    manifest, signature = bundle / "manifest.json", bundle / "manifest.sig"
    signature.write_bytes(load_key(key).sign(manifest.read_bytes()))
    public = ("-pubin", "-inkey", key.with_name("key.pub"))
    files = ("-rawin", "-in", manifest, "-sigfile", signature)
    assert b"Verified Successfully" in openssl("pkeyutl", "-verify", *public, *files)

    signature.unlink()
    openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", manifest, "-out", signature)
    (tmp_path / "store" / "trusted_keys").mkdir(parents=True)
    shutil.copy(key.with_name("key.pub"), tmp_path / "store" / "trusted_keys")
    report = install(bundle, tmp_path / "store", trial=passes)
    assert report["signed_by"] == "key.pub"


# The command, with a real run


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """A run that was exported signed and packed: (OUT, key, process)."""
    out = tmp_path_factory.mktemp("signed")
    keygen(out / "key")
    call = ("-m", "export", tiny_run.folder, out / "out", "--sign", out / "key", "--archive")
    return out / "out", out / "key", run_python(*call)


def test_export_signs_and_packs(exported, tmp_path):
    out, key, done = exported
    assert done.stdout == f"{out / 'bundle'}\n"
    assert {p.name for p in out.iterdir()} == {"bundle", "bundle.tar", "saved_model"}
    assert (out / "bundle.tar").read_bytes() == archive_bytes(out / "bundle")
    store = tmp_path / "store"
    (store / "trusted_keys").mkdir(parents=True)
    shutil.copy(key.with_name("key.pub"), store / "trusted_keys")
    report = install(out / "bundle.tar", store)
    assert report["signed_by"] == "key.pub"
    folder = store / "versions" / report["version"]
    assert snapshot(folder) == snapshot(out / "bundle")


def test_a_signed_bundle_is_a_bundle_for_all_the_rest(exported):
    out, _, _ = exported
    done = run_python("-m", "edge", "selftest", out / "bundle")
    assert "FAIL" not in done.stdout


def test_a_threshold_set_in_the_folder_takes_the_signature_away(exported, pictures, tmp_path):
    """`edge calibrate BUNDLE` changes what was signed; in a store it would not."""
    out, key, _ = exported
    bundle = shutil.copytree(out / "bundle", tmp_path / "bundle")
    run_python("-m", "edge", "calibrate", bundle, pictures / "test" / "good")
    store = tmp_path / "store"
    (store / "trusted_keys").mkdir(parents=True)
    shutil.copy(key.with_name("key.pub"), store / "trusted_keys")
    with pytest.raises(UserError, match=r"manifest\.sig is not of this manifest"):
        install(bundle, store, trial=passes)


def test_a_bad_key_leaves_the_earlier_export(exported, tiny_run, tmp_path):
    out = shutil.copytree(exported[0], tmp_path / "out")
    before = snapshot(out)
    (tmp_path / "key").write_text("no key")
    call = ("-m", "export", tiny_run.folder, out, "--sign", tmp_path / "key")
    one_line_error(run_python(*call, status=2, cwd=ROOT), "export: ", "is no private key")
    assert snapshot(out) == before
