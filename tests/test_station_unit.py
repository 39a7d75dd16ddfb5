"""The systemd unit: what systemd itself says of it, and that odd paths survive it."""

import re
import shutil
import subprocess
import sys

import pytest

from edge.errors import UserError
from edge.station.settings import EXAMPLE
from edge.station.unit import unit

TOML = """
[bundle]
path = "bundle"
[source]
open = "camera:0"
"""


def station(folder, text=TOML, name="station.toml"):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(text)
    return folder / name


def line(text, key):
    return re.search(f"^{key}=(.*)$", text, re.MULTILINE)[1]


@pytest.mark.parametrize("folder", ["line-1", "a line", "per%cent", "it's $HOME", 'quo"te', "ä\\b"])
def test_systemd_finds_nothing_to_say(folder, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = unit(station(tmp_path / folder), user="root")
    (tmp_path / "edge-test.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "edge-test.service"],
        capture_output=True,
        text=True,
    )
    assert "edge-test" not in done.stdout + done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_a_mistake_would_have_been_found(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = unit(station(tmp_path), user="root").replace("WatchdogSec=60", "WatchdogSec=soon")
    (tmp_path / "edge-test.service").write_text(text)
    call = ["systemd-analyze", "verify", "--man=no", tmp_path / "edge-test.service"]
    assert "edge-test" in subprocess.run(call, capture_output=True, text=True).stderr


def test_it_runs_this_python_with_that_station(tmp_path):
    text = unit(station(tmp_path / "line-1"), user="pi")
    assert line(text, "ExecStart") == f"{sys.executable} -m edge run {tmp_path}/line-1/station.toml"
    assert line(text, "User") == "pi"
    assert line(text, "Type") == "notify"
    assert line(text, "WatchdogSec") == "60"
    assert line(text, "RuntimeDirectory") == "edge-line-1"
    assert line(text, "ReadWritePaths") == f"{tmp_path}/line-1"
    assert (tmp_path / line(text, "WorkingDirectory") / "edge" / "__main__.py").is_file()
    assert text.startswith("# edge-line-1.service")


def test_the_camera_stays_open(tmp_path):
    text = unit(station(tmp_path), user="pi")
    # systemd.resource-control(5): with any DeviceAllow=, which ProtectClock= implies, DevicePolicy=
    # is no longer to allow all.
    assert not re.search("^(Device|PrivateDevices|ProtectClock)", text, re.MULTILINE)


def test_it_may_write_where_the_settings_say_and_nowhere_else(tmp_path):
    for folder in ("logs", "in", "data", "store/versions", "bundle"):
        (tmp_path / folder).mkdir(parents=True)
    described = station(
        tmp_path / "etc",
        """
        folder = "../data"
        [bundle]
        path = "../store"
        [source]
        open = "watch:../in"
        done = "delete"
        every = 100
        [[sink]]
        to = "jsonl:../logs/a.jsonl"
        [[sink]]
        to = "-"
        [[sink]]
        to = "https://example.com/x"
        """,
        "two words.toml",
    )
    text = unit(described, user="pi")
    writable = line(text, "ReadWritePaths").split()
    assert writable == [f"{tmp_path}/{name}" for name in ("data", "store", "logs", "in")]
    assert line(text, "WatchdogSec") == "400"
    assert line(text, "RuntimeDirectory") == "edge-two-words"
    kept = described.read_text().replace('"delete"', '"keep"').replace("../store", "../bundle")
    described.write_text(kept)
    assert line(unit(described, user="pi"), "ReadWritePaths").split() == [writable[0], writable[2]]


def test_the_owner_of_the_file_by_default(tmp_path):
    described = station(tmp_path)
    assert line(unit(described), "User") == described.owner()


def test_the_example_makes_a_unit(tmp_path):
    assert "ExecStart=" in unit(station(tmp_path, EXAMPLE.read_text(encoding="utf-8")), user="pi")


@pytest.mark.parametrize("user", ["", "Root\nExecStart=/bin/sh", "a b", "-", "$USER"])
def test_users_that_are_none(user, tmp_path):
    if user == "":
        return
    with pytest.raises(UserError, match="name of a user"):
        unit(station(tmp_path), user=user)


def test_paths_that_no_unit_can_hold(tmp_path):
    with pytest.raises(UserError, match="without line breaks"):
        unit(station(tmp_path / "two\nlines"), user="pi")
    with pytest.raises(UserError, match=r"absent: no such folder; make it, for pi to write to"):
        unit(station(tmp_path, f'folder = "absent"\n{TOML}'), user="pi")
    with pytest.raises(UserError, match=r"cannot read .*none.toml"):
        unit(tmp_path / "none.toml", user="pi")
