"""`python -m export web`: what it writes, and what it refuses. Building needs Node.js."""

import base64
import hashlib
import json
import re
import shutil

import pytest
from conftest import ROOT, one_line_error, refused, run_python, snapshot
from web_site import require_node

from edge.manifest import read_manifest
from export import web, web_app
from export.__main__ import main


@pytest.fixture(scope="module")
def site(tmp_path_factory, bundle):
    require_node()
    folder = tmp_path_factory.mktemp("site") / "deep" / "site"
    done = run_python("-m", "export", "web", bundle, folder)
    assert done.stdout.strip() == str(folder)
    return folder


def test_the_site_holds_app_runtime_and_bundle(site, bundle):
    files = snapshot(site)
    names = {"index.html", "sw.js", "app.webmanifest", "icon-192.png", "icon-512.png"}
    assert names <= set(files)
    for name in ("litert_wasm_internal", "litert_wasm_compat_internal"):
        assert f"runtime/{name}.js" in files
        assert files[f"runtime/{name}.wasm.bin"][:2] == b"\x1f\x8b"
    for entry in read_manifest(bundle).entries():
        assert files[f"bundle/{entry.file}"] == (bundle / entry.file).read_bytes()
    assert not [path for path in site.parent.iterdir() if path != site]


def test_the_service_worker_knows_every_file(site):
    files = snapshot(site)
    script = files.pop("sw.js").decode()
    listed = json.loads(re.search(r"\{\"version\".*?\]\}", script)[0])
    assert set(listed["files"]) == set(files)
    for name, content in files.items():
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert listed["files"][name] == f"sha256-{digest}"
    assert "bundle/detector.int8.tflite" in listed["first"]
    assert "bundle/detector.float32.tflite" not in listed["first"]


def test_the_app_is_called_as_the_bundle(site, bundle):
    record = json.loads((site / "app.webmanifest").read_text())
    assert record["short_name"] == read_manifest(bundle).name
    assert record["start_url"] == record["scope"] == "./"
    assert all((site / icon["src"]).exists() for icon in record["icons"])


def test_app_and_runtime_are_small(site):
    """What a first visit loads besides the bundle, as a host sends it that compresses nothing."""
    files = snapshot(site)
    loaded = [n for n in files if not n.startswith("bundle/") and "_compat_" not in n]
    assert sum(len(files[name]) for name in loaded) < 4e6


def test_nothing_comes_from_elsewhere(site):
    for name, content in snapshot(site).items():
        if name.endswith((".html", ".css", ".webmanifest", "sw.js")):
            assert not re.findall(rb"https?://(?!www\.w3\.org)", content), name


def test_an_earlier_site_is_replaced(site, bundle, tmp_path):
    again = tmp_path / "site"
    shutil.copytree(site, again)
    (again / "old.txt").write_text("")
    web.export_web(bundle, again)
    assert snapshot(again) == snapshot(site)


def test_another_folder_is_left_alone(bundle, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    line = refused(capsys, main, "web", bundle, tmp_path)
    assert "no site" in line
    assert snapshot(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_damaged_bundle_is_refused(bundle_copy, tmp_path, capsys):
    file = bundle_copy / "decoder.int8.tflite"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    line = refused(capsys, main, "web", bundle_copy, tmp_path / "site")
    assert "decoder.int8.tflite is damaged" in line
    assert not (tmp_path / "site").exists()


def test_no_bundle(tmp_path, capsys):
    assert "not a bundle" in refused(capsys, main, "web", tmp_path, tmp_path / "site")


def test_without_node_one_line_says_what_to_do(bundle, tmp_path):
    """Even without NumPy's friends TensorFlow and Keras nothing but this line is said."""
    script = (
        "import sys; from export import web, web_app; web_app.sources_key = lambda: 'changed';"
        "sys.exit(web.main(sys.argv[1:]))"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = run_python("-c", script, bundle, tmp_path / "site", status=2, env=environment)
    one_line_error(done, "Node.js 18 or later", "not found", "https://nodejs.org")
    assert not (tmp_path / "site").exists()


def test_an_old_node_is_told(tmp_path, monkeypatch):
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\necho v16.20.2\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(web_app.WebError, match=r"18 or later.*v16\.20\.2"):
        web_app.find_npm()


def test_a_failed_build_says_why(tmp_path, monkeypatch):
    npm = require_node()
    app = tmp_path / "web"
    app.mkdir()
    (app / "package.json").write_text('{"scripts": {"build": "echo no such error; exit 3"}}')
    with pytest.raises(web_app.WebError, match="no such error"):
        web_app.run_npm(npm, app, "run", "build")


def test_making_a_site_imports_no_tensorflow():
    done = run_python("-c", "import sys, export.web; print('tensorflow' in sys.modules)")
    assert done.stdout.strip() == "False"


def test_the_lock_file_names_the_public_registry_alone():
    lock = json.loads((web_app.APP / "package-lock.json").read_text())
    packages = [p for name, p in lock["packages"].items() if name]
    assert packages
    for package in packages:
        assert package["resolved"].startswith("https://registry.npmjs.org/")
        assert package["integrity"].startswith("sha512-")
