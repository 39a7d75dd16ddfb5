"""A bundle on its way to the device: damage is found, and the manifest is whole or not there."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, one_line_error, run_python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import BundleError, Runner, UserError
from edge.__main__ import main
from edge.files import write_atomically
from edge.golden import compare, load_graphs, read_golden, run_golden
from edge.manifest import FileEntry, read_manifest, write_manifest

FILES = [
    *(f"{r}.{p}.tflite" for r in ("detector", "encoder", "decoder") for p in ("float32", "int8")),
    "golden.npz",
    "card.md",
    "manifest.json",
]


def flip(path, position=None, mask=1):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= mask
    path.write_bytes(content)


def reseal(bundle, change):
    """Changes the manifest's record and gives it a valid digest, as its module describes it."""
    path = bundle / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    record["digest"] = "0" * 64
    content = json.dumps(record).encode()
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content.replace(b"0" * 64, digest, 1))


def edge(capfd, *arguments) -> tuple:
    """(status, lines on stdout, lines on stderr but for those of the interpreter)."""
    status = main([str(a) for a in arguments])
    out, err = (s.splitlines() for s in capfd.readouterr())
    return status, out, [line for line in err if not line.startswith("INFO:")]


@pytest.fixture
def good(pictures):
    return pictures / "test" / "good"


def test_the_tests_know_every_file_of_a_bundle(bundle):
    assert sorted(p.name for p in bundle.iterdir()) == sorted(FILES)


# One flipped byte, one missing file: each file of the bundle.


@pytest.mark.parametrize("name", FILES)
def test_selftest_finds_a_flipped_byte(bundle_copy, name, capfd):
    flip(bundle_copy / name)
    status, lines, _ = edge(capfd, "selftest", bundle_copy)
    assert status == 1
    faults = [line for line in lines if line.startswith("FAIL")]
    assert name in faults[0]
    assert "damaged" in faults[0]


@pytest.mark.parametrize("name", FILES)
def test_selftest_finds_a_missing_file(bundle_copy, name, capfd):
    (bundle_copy / name).unlink()
    status, lines, _ = edge(capfd, "selftest", bundle_copy)
    assert status == 1
    assert any(line.startswith("FAIL") and name in line for line in lines)


@pytest.mark.parametrize("spoil", [flip, os.remove, lambda p: p.write_bytes(b"")])
@pytest.mark.parametrize("name", ["manifest.json", "detector.int8.tflite"])
def test_check_refuses_what_it_would_have_used(bundle_copy, name, spoil, good, capfd):
    spoil(bundle_copy / name)
    status, lines, errors = edge(capfd, "check", bundle_copy, good)
    assert (status, lines) == (2, [])
    assert len(errors) == 1
    assert name in errors[0]


def test_check_uses_the_other_precision_of_a_damaged_bundle(bundle_copy, good, capfd):
    flip(bundle_copy / "detector.int8.tflite")
    status, lines, _ = edge(capfd, "check", bundle_copy, good, "--precision", "float32")
    assert (status, len(lines)) == (0, 16)


@pytest.mark.parametrize("command", ["bench", "calibrate"])
def test_the_other_commands_refuse_a_damaged_bundle(bundle_copy, command, good, capfd):
    flip(bundle_copy / "detector.int8.tflite")
    arguments = [good] if command == "calibrate" else []
    status, lines, errors = edge(capfd, command, bundle_copy, *arguments)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert "detector.int8.tflite is damaged" in errors[0]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(position=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_flipped_byte_of_the_manifest_is_found(bundle, tmp_path, position, mask):
    content = bytearray((bundle / "manifest.json").read_bytes())
    content[int(position * len(content))] ^= mask
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        read_manifest(tmp_path)
    assert "manifest.json" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_flipped_digit_of_the_digest_itself_is_found(bundle, bundle_copy):
    content = (bundle / "manifest.json").read_bytes()
    start = content.index(b'"digest": "') + len(b'"digest": "')
    for position in (start, start + 31, start + 63):
        (bundle_copy / "manifest.json").write_bytes(content)
        flip(bundle_copy / "manifest.json", position)
        with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
            read_manifest(bundle_copy)


def test_a_threshold_changed_by_hand_is_found_and_calibrate_named(bundle_copy):
    path = bundle_copy / "manifest.json"
    path.write_text(path.read_text().replace('"threshold": ', '"threshold": 1'))
    with pytest.raises(BundleError, match="edge calibrate"):
        read_manifest(bundle_copy)


# Manifests that are whole, and still not for this program.


def test_resealing_alone_changes_nothing(bundle, bundle_copy):
    reseal(bundle_copy, lambda record: None)
    assert read_manifest(bundle_copy) == read_manifest(bundle)


def newer_schema(record):
    record["schema"] = 2


def other_input(record):
    record["input"]["kind"] = "window"


def no_score(record):
    del record["score"]


def no_detector(record):
    del record["graphs"]["detector"]


def strange_calibration(record):
    record["calibration"]["int8"] = {"threshold": 3}


def graph_outside(record):
    record["graphs"]["detector"]["int8"]["file"] = "../detector.int8.tflite"


def file_outside(record):
    record["files"]["/etc/hostname"] = record["files"]["card.md"]


def file_up(record):
    record["files"][".."] = record["files"]["card.md"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (newer_schema, "has schema 2, this program reads schema 1; update the program"),
        (other_input, "input of another kind"),
        (no_score, "'score'"),
        (no_detector, "no detector among the graphs"),
        (strange_calibration, "lacks or misstates a field"),
        (graph_outside, "'../detector.int8.tflite'"),
        (file_outside, "'/etc/hostname'"),
        (file_up, "'..'"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(bundle_copy, change, words, good, capfd):
    # The file that a path would lead to is there, so only the path can be what is refused.
    shutil.copy(bundle_copy / "detector.int8.tflite", bundle_copy.parent)
    reseal(bundle_copy, change)
    status, lines, errors = edge(capfd, "check", bundle_copy, good)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert words in errors[0]
    status, lines, _ = edge(capfd, "selftest", bundle_copy)
    assert status == 1
    assert any(line.startswith("FAIL") and words in line for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[1, 2]",
        b'"text"',
        b"{}",
        b"null",
        b"\xff\xfe{}",
        b"[" * 200_000,
        b'{"schema": 1}',
        b'{"schema": 1, "digest": 5}',
        b'{"schema": 1, "digest": "' + b"\\ud800" * 64 + b'"}',
        b'{"schema": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
def test_what_is_no_manifest_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json") as caught:
        read_manifest(tmp_path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_a_huge_manifest_is_refused_unread(tmp_path):
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(10 * 2**30)  # sparse: it takes no disk, but reading it would take memory
    with pytest.raises(BundleError, match="larger than 16 MiB"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json: Is a directory"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("what", ["empty", "absent", "picture", "pictures"])
@pytest.mark.parametrize("command", ["check", "bench", "selftest", "calibrate"])
def test_what_is_no_bundle_is_named(tmp_path, pictures, good, what, command, capfd):
    (tmp_path / "empty").mkdir()
    path = {
        "empty": tmp_path / "empty",
        "absent": tmp_path / "absent",
        "picture": good / "000.png",
        "pictures": pictures,
    }[what]
    arguments = [good] if command in ("check", "calibrate") else []
    status, lines, errors = edge(capfd, command, path, *arguments)
    assert status == (1 if command == "selftest" else 2)
    (line,) = lines + errors
    assert f"{path} is not a bundle: expected a folder with manifest.json" in line


def test_a_bundle_of_one_precision(bundle_copy, good):
    def drop_int8(record):
        del record["graphs"]["detector"]["int8"]

    reseal(bundle_copy, drop_int8)
    assert Runner(bundle_copy).precision == "float32"
    with pytest.raises(BundleError, match=r"no detector\.int8; it has .*detector\.float32"):
        Runner(bundle_copy, "int8")


# Golden vectors: files that are whole, on a machine that computes something else.


@pytest.mark.parametrize("output", ["score", "anomaly_map", "z_mean", "image"])
def test_selftest_finds_a_machine_that_computes_otherwise(bundle_copy, output, capfd):
    path = bundle_copy / "golden.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    # As the golden vectors would be, had they been made on a machine that adds something.
    spread = arrays[f"float32/{output}"].std()
    for precision in ("float32", "int8"):
        arrays[f"{precision}/{output}"] = arrays[f"{precision}/{output}"] + 5 * max(1.0, spread)
    np.savez_compressed(path, **arrays)
    manifest = read_manifest(bundle_copy)
    entry = FileEntry.of("golden.npz", path.read_bytes())
    files = {**manifest.files, "golden.npz": entry}
    write_manifest(bundle_copy, manifest._replace(files=files))
    status, lines, _ = edge(capfd, "selftest", bundle_copy)
    faults = [line for line in lines if line.startswith("FAIL")]
    assert (status, len(faults)) == (1, 2)
    for precision, fault in zip(("float32", "int8"), faults, strict=True):
        assert fault.startswith(f"FAIL golden vectors, {precision}: {output} differs by")


def test_selftest_holds_float32_to_one_part_in_ten_thousand(bundle):
    manifest = read_manifest(bundle)
    pictures, z, golden = read_golden((bundle / "golden.npz").read_bytes())
    got = run_golden(manifest, "float32", load_graphs(bundle, manifest, "float32"), pictures, z)
    assert compare(manifest, "float32", golden, got) == []
    got["score"] = got["score"] + 2e-4 * max(1.0, golden["float32"]["anomaly_map"].max())
    (line,) = compare(manifest, "float32", golden, got)
    assert line.startswith("score differs by")


def test_golden_vectors_that_are_no_archive(bundle_copy, capfd):
    (bundle_copy / "golden.npz").write_bytes(b"PK no archive")
    manifest = read_manifest(bundle_copy)
    entry = FileEntry.of("golden.npz", b"PK no archive")
    write_manifest(bundle_copy, manifest._replace(files={**manifest.files, "golden.npz": entry}))
    status, lines, _ = edge(capfd, "selftest", bundle_copy)
    assert status == 1
    assert any("golden.npz is damaged" in line for line in lines)
    status, _, errors = edge(capfd, "bench", bundle_copy, "--runs", 1)
    assert status == 2
    assert "golden.npz is damaged" in errors[0]


# Writing: the old manifest or the new one, never a piece.


def listing(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_file_size_limit_leaves_the_bundle_as_it_was(bundle_copy, good):
    before = listing(bundle_copy)
    program = (
        "import resource, sys; from edge.__main__ import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.exit(main(sys.argv[1:]))"
    )
    done = run_python("-c", program, "calibrate", bundle_copy, good, status=2)
    one_line_error(done, "cannot write", "manifest.json", "size limit")
    assert done.stdout == ""
    assert listing(bundle_copy) == before


MOUNTED = """
mount -t tmpfs -o size=4m tmpfs "$FOLDER" && cp "$BUNDLE"/* "$FOLDER" || exit 99
case $HOW in
full) head -c 9000000 /dev/zero > "$FOLDER/filler" 2> /dev/null ;;
read-only) mount -o remount,ro "$FOLDER" || exit 99 ;;
esac
"$PYTHON" -m edge calibrate "$FOLDER" "$GOOD"
status=$?
rm -f "$FOLDER/filler" 2> /dev/null
diff -r "$BUNDLE" "$FOLDER" || exit 98
exit $status
"""


@pytest.mark.parametrize(("how", "words"), [("full", "disk is full"), ("read-only", "read-only")])
def test_a_full_or_read_only_disk_leaves_the_bundle_as_it_was(bundle, good, tmp_path, how, words):
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    probe = [*mount, f'mount -t tmpfs tmpfs "{tmp_path}"']
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this system gives no mount namespace")
    names = {"FOLDER": tmp_path, "BUNDLE": bundle, "GOOD": good, "HOW": how}
    env = {**os.environ, "PYTHON": sys.executable, **{k: str(v) for k, v in names.items()}}
    done = subprocess.run([*mount, MOUNTED], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    one_line_error(done, "cannot write", "manifest.json", words)


def test_write_atomically_replaces_the_whole_file(tmp_path):
    write_atomically(tmp_path / "file", b"a longer first content")
    write_atomically(tmp_path / "file", b"second")
    assert listing(tmp_path) == {"file": b"second"}


def test_a_write_that_cannot_be_finished_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*folder"):
        write_atomically(tmp_path / "folder", b"content")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
