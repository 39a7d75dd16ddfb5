"""The bundle store: what comes in, and what is refused before any graph is run."""

import gzip
import io
import os
import shutil
import subprocess
import tarfile

import pytest
from conftest import ROOT, snapshot
from install_bundles import (
    fails,
    fake_bundle,
    leftovers,
    name_of,
    put,
    refusal,
    reseal,
    versions,
)

from edge import UserError
from edge.install.active import active_bundle
from edge.install.archive import archive_bytes
from edge.install.verify import VERSION, verify

# A bundle comes in


@pytest.mark.parametrize("how", ["folder", "tar", "tar.gz", "tar -c", "tar -cz"])
def test_a_bundle_comes_as_a_folder_or_an_archive(bolts, store, tmp_path, how):
    source = tmp_path / "bundle.tar"
    if how == "folder":
        source = bolts
    elif how.startswith("tar -"):  # as a person would pack it
        subprocess.run(["tar", "-C", bolts, how[4:] + "f", source, "."], check=True)
    else:
        content = archive_bytes(bolts)
        source.write_bytes(gzip.compress(content) if how.endswith("gz") else content)
    report = put(source, store)
    folder = active_bundle(store)
    assert snapshot(folder) == snapshot(bolts)
    digest = verify(bolts).digest
    assert folder == store / "versions" / digest[:12]
    assert report == {
        "version": digest[:12],
        "name": "bolts",
        "created": "2026-01-01T00:00:00Z",
        "digest": digest,
        "signed_by": None,
        "installed": True,
        "previous": None,
        "state": "trial",
    }
    assert leftovers(store) == []


def test_the_same_files_give_the_same_archive(bolts, tmp_path):
    copy = shutil.copytree(bolts, tmp_path / "copy")
    for path in copy.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert archive_bytes(copy) == archive_bytes(bolts)
    with tarfile.open(fileobj=io.BytesIO(archive_bytes(bolts))) as archive:
        assert archive.getnames()[0] == "manifest.json"


def test_the_one_before_is_kept_and_older_ones_go(bolts, nuts, store, tmp_path):
    put(bolts, store, needed=0)
    put(nuts, store, needed=0)
    assert versions(store) == {verify(bolts).version, verify(nuts).version}
    report = put(fake_bundle(tmp_path / "cogs", "cogs"), store)
    assert report["previous"] == verify(nuts).version
    assert versions(store) == {report["version"], verify(nuts).version}


def test_the_one_before_is_one_that_was_confirmed(bolts, nuts, store, tmp_path):
    put(bolts, store, needed=0)
    put(nuts, store)
    report = put(fake_bundle(tmp_path / "cogs", "cogs"), store)
    assert report["previous"] == verify(bolts).version
    # Also where that very one is installed again.
    assert put(bolts, store)["previous"] is None
    assert versions(store) == {verify(bolts).version}


def test_installing_the_active_one_again_changes_nothing(bolts, store):
    put(bolts, store)
    active_bundle(store)
    before = snapshot(store)
    assert not put(bolts, store)["installed"]
    assert snapshot(store) == before


def test_installing_again_mends_a_damaged_version(bolts, store):
    put(bolts, store)
    (active_bundle(store) / "card.md").write_text("no longer")
    with pytest.raises(UserError, match="holds no bundle that works; install one"):
        active_bundle(store)
    assert put(bolts, store)["installed"]
    assert snapshot(active_bundle(store)) == snapshot(bolts)


def test_a_folder_of_other_things_is_no_store(bolts, nuts, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    assert "holds 'letter.txt'" in refusal(bolts, tmp_path / "home")
    assert "expected an empty folder" in refusal(bolts, nuts)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file: expected a folder"):
        put(bolts, tmp_path / "file")


def test_a_failed_trial_leaves_the_store_as_it_was(bolts, nuts, store):
    put(bolts, store)
    assert "as it was told to" in refusal(nuts, store, trial=fails)
    assert name_of(store) == "bolts"


# What is refused: folders


def a_link(bundle):
    (bundle / "card.md").unlink()
    (bundle / "card.md").symlink_to("/etc/passwd")


def a_pipe(bundle):
    os.mkfifo(bundle / "pipe")


def a_folder(bundle):
    (bundle / "more").mkdir()


def a_file_more(bundle):
    (bundle / "more").write_text("more")


def a_file_less(bundle):
    (bundle / "encoder.int8.tflite").unlink()


def a_flipped_bit(bundle):
    content = bytearray((bundle / "decoder.int8.tflite").read_bytes())
    content[1000] ^= 4
    (bundle / "decoder.int8.tflite").write_bytes(content)


def no_manifest(bundle):
    (bundle / "manifest.json").unlink()


def itself_in_the_list(bundle):
    reseal(bundle, lambda r: r["files"].update({"manifest.sig": {"size": 0, "sha256": ""}}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (a_link, "card.md: it is a link"),
        (a_pipe, "pipe is no plain file"),
        (a_folder, "more is no plain file"),
        (a_file_more, "the bundle holds 'more', not in its manifest.json"),
        (a_file_less, "the bundle lacks 'encoder.int8.tflite'"),
        (a_flipped_bit, "decoder.int8.tflite is damaged"),
        (no_manifest, "is not a bundle: expected a folder with manifest.json"),
        (itself_in_the_list, "names manifest.sig as a file of its own list"),
    ],
)
def test_folders_that_are_no_whole_bundle(bolts, nuts, store, change, words):
    put(bolts, store)
    change(nuts)
    assert words in refusal(nuts, store)
    assert name_of(store) == "bolts"


def set_to(*path, value):
    def change(record):
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return change


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_to("schema", value=2), "has schema 2"),
        (set_to("needs_edge", value="99.1"), f"needs edge 99.1, this is {VERSION}; update"),
        (set_to("needs_edge", value=1), 'expected "needs_edge" as in "0.1.0", got 1'),
        (set_to("needs_edge", value="9" * 5000), 'expected "needs_edge"'),
        (set_to("name", value=["x"]), "expected a name of one line"),
        (set_to("name", value="a\nb"), "expected a name of one line"),
        (set_to("name", value="x" * 10_000), "expected a name of one line"),
        (set_to("made_from", value=[]), "of another kind"),
        (set_to("files", "card.md", "size", value=INF), "misstates a field"),
        (set_to("graphs", "detector", value={}), "no detector"),
        (set_to("calibration", value={}), "no calibration for"),
        (set_to("calibration", "int8", "threshold", value=NAN), "expected finite numbers"),
        (set_to("calibration", "int8", "threshold", value="1"), "expected finite numbers"),
        (set_to("calibration", "int8", "threshold", value=-1e9), "lies above that"),
        (set_to("calibration", "int8", "rate", value=0), "false-alarm rate"),
        (set_to("calibration", "int8", "method", value="guess"), "unknown method"),
        (set_to("calibration", "int8", "scores", value=[]), "at least 8 scores"),
        (set_to("calibration", "int8", "scores", value=[9, 8, 7, 6, 5, 4, 3, 2]), "ascending"),
        (set_to("calibration", "int8", "scores", value=[10**400] * 8), "misstates a field"),
        (set_to("knees", value=["int8"]), "misstates a field"),
        (set_to("knees", value={"int8": {"features": NAN}}), "misstates a field"),
        (set_to("knees", value={"int8": {"features": "high"}}), "misstates a field"),
    ],
)
def test_manifests_that_are_whole_and_make_no_sense(nuts, store, change, words):
    reseal(nuts, change)
    assert words in refusal(nuts, store)


def test_a_manifest_of_many_megabytes_is_not_read(nuts, store):
    (nuts / "manifest.json").write_bytes(b"[" + b"[]," * 2**21 + b"[]]")
    assert "manifest.json is larger than 4 MiB" in refusal(nuts, store)


def test_an_older_program_than_this_may_be_asked_for(nuts, store):
    reseal(nuts, set_to("needs_edge", value="0.0.9"))
    assert put(nuts, store)["installed"]


def test_the_program_and_the_project_have_one_version():
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text()
