"""Power cuts, `kill -9`, full and failing disks: a working bundle is active afterwards."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, largest_file, run_python, snapshot
from install_bundles import fake_bundle, leftovers, passes, put

from edge import UserError
from edge.install.active import active_bundle
from edge.install.install import install, status
from edge.install.store import Store
from edge.install.verify import verify

NAMES = ("bolts", "nuts", "cogs")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("bundles")
    return {name: fake_bundle(folder / name, name) for name in NAMES}


def template(kind, bundles, folder) -> Path:
    """A store from which a change starts."""
    store = folder / "template"
    if kind == "none":
        return store
    put(bundles["bolts"], store, needed=0)
    if kind == "one":
        return store
    put(bundles["nuts"], store, needed=4)
    if kind == "used up":
        for _ in range(3):
            active_bundle(store)
    if kind == "damaged":
        (active_bundle(store) / "card.md").unlink()
    if kind == "littered":
        shutil.copytree(bundles["cogs"], store / ".part-0123456789ab")
        shutil.copytree(bundles["cogs"], store / "versions" / verify(bundles["cogs"]).version)
        (store / "state.json").write_bytes(b"{")
    return store


def check_it_works(store, bundles, had_one, install_next=True) -> None:
    """One of the bundles is active and whole, and the next installation works."""
    whole = {verify(b).version: snapshot(b) for b in bundles.values()}
    if had_one:
        folder = active_bundle(store)
        assert snapshot(folder) == whole[folder.name]
    elif Store.is_one(store):
        try:
            folder = active_bundle(store)
            assert snapshot(folder) == whole[folder.name]
        except UserError as error:
            assert "holds no bundle that works; install one" in str(error)
    if install_next:
        fresh = bundles["bolts" if had_one and status(store)["name"] == "nuts" else "nuts"]
        put(fresh, store)
        assert snapshot(active_bundle(store)) == snapshot(fresh)
        assert leftovers(store) == []
        assert len(list((store / "versions").iterdir())) <= 2


CHANGES = [
    ("install", "none"),
    ("install", "one"),
    ("install", "two"),
    ("install", "damaged"),
    ("install", "littered"),
    ("start", "two"),
    ("start", "used up"),
    ("start", "damaged"),
    ("start", "littered"),
    ("confirm", "two"),
    ("error", "two"),
    ("rollback", "two"),
    ("calibrate", "two"),
]
QUICK = [("install", "two"), ("start", "used up")]


def steps_of(how, action, kind, bundles, tmp_path) -> list:
    """Runs an action to each of its steps. Returns how each ended."""
    store = template(kind, bundles, tmp_path)
    call = (Path(__file__).parent / "power_cut.py", how, action, store, bundles["cogs"])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = run_python(*call, tmp_path / "out", env=env)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"step": len(lines), "ended": "well", "whole": True}
    return lines


def after_a_power_cut(action, kind, bundles, tmp_path) -> None:
    lines = steps_of("cut", action, kind, bundles, tmp_path)
    assert all(line["ended"] == "cut" for line in lines[:-1])
    for line in lines:
        for disk in ("live", "worst", "torn"):
            store = tmp_path / "out" / str(line["step"]) / disk / "store"
            if line["whole"] and action == "install":
                assert status(store)["name"] == "cogs", "installed is installed"
            check_it_works(store, bundles, kind != "none", install_next=line["step"] % 4 == 1)


@pytest.mark.parametrize(("action", "kind"), QUICK)
def test_a_power_cut_at_every_step(action, kind, bundles, tmp_path):
    after_a_power_cut(action, kind, bundles, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "kind"), [c for c in CHANGES if c not in QUICK])
def test_a_power_cut_at_every_step_of_every_change(action, kind, bundles, tmp_path):
    after_a_power_cut(action, kind, bundles, tmp_path)


def test_the_model_of_a_disk_loses_what_was_not_flushed(bundles, tmp_path, monkeypatch):
    """Were the flushing left out, the tests above would find bundles that do not work."""
    program = Path(__file__).with_name("power_cut.py").read_text()
    hasty = "import edge.install.install as i; i.flush = lambda folder: None\n"
    (tmp_path / "power_cut.py").write_text(program.replace("CHANGES =", hasty + "CHANGES =", 1))
    store = template("one", bundles, tmp_path)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    call = (tmp_path / "power_cut.py", "cut", "install", store, bundles["cogs"], tmp_path / "out")
    done = run_python(*call, env={**os.environ, "PYTHONPATH": path})
    steps = len(done.stdout.splitlines()) - 1
    new = verify(bundles["cogs"]).version
    broken = 0
    for n in range(1, steps + 1):
        store = Store(tmp_path / "out" / str(n) / "torn" / "store")
        state = store.read()
        broken += state.active == new and not store.works(new)
    assert broken > 0


def after_a_failure(action, kind, bundles, tmp_path) -> None:
    for line in steps_of("fail", action, kind, bundles, tmp_path):
        assert "TRACEBACK" not in line["ended"], line
        assert len(line["ended"].splitlines()) == 1
        assert "None" not in line["ended"]
        store = tmp_path / "out" / str(line["step"]) / "live" / "store"
        check_it_works(store, bundles, kind != "none", install_next=line["step"] % 4 == 1)


@pytest.mark.parametrize(("action", "kind"), QUICK)
def test_a_disk_that_fails_at_any_step(action, kind, bundles, tmp_path):
    after_a_failure(action, kind, bundles, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "kind"), [c for c in CHANGES if c not in QUICK])
def test_a_disk_that_fails_at_any_step_of_every_change(action, kind, bundles, tmp_path):
    after_a_failure(action, kind, bundles, tmp_path)


# kill -9

# Installs, starts, confirms, rolls back, for ever; a fork for each time that it is to be killed.
BUSY = """
import os, random, sys
sys.path.insert(0, "tests")
from power_cut import ACTIONS
from edge import UserError

store, sources, seed = sys.argv[1], sys.argv[2:5], sys.argv[5]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        chance = random.Random(seed + line)
        os.write(1, b"%d\\n" % os.getpid())
        while True:
            action = chance.choice(["install"] * 4 + ["start", "confirm", "error", "rollback"])
            try:
                ACTIONS[action](store, chance.choice(sources))
            except UserError as error:
                assert "no previous version" in str(error), error
    _, status = os.waitpid(child, 0)
    os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(status))
"""


def killed_at_random(times, bundles, tmp_path) -> None:
    store = tmp_path / "store"
    put(bundles["bolts"], store)
    call = [sys.executable, "-c", BUSY, store, *bundles.values(), str(times)]
    chance = random.Random(times)
    with subprocess.Popen(
        call, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as busy:
        for n in range(times):
            print(n, file=busy.stdin, flush=True)
            child = int(busy.stdout.readline())
            time.sleep(chance.uniform(0, 0.3))
            os.kill(child, signal.SIGKILL)
            assert int(busy.stdout.readline()) == -signal.SIGKILL, "it ended before it was killed"
            check_it_works(store, bundles, had_one=True, install_next=n % 2 == 0)
        busy.stdin.close()


def test_kill_9_at_random_moments(bundles, tmp_path):
    killed_at_random(20, bundles, tmp_path)


@pytest.mark.slow
def test_kill_9_at_200_random_moments(bundles, tmp_path):
    killed_at_random(200, bundles, tmp_path)


@pytest.mark.slow
def test_kill_9_while_a_real_bundle_is_tried(bundle, tmp_path):
    """With the trial in its process, which nobody kills: it ends by itself."""
    store = tmp_path / "store"
    put(bundle, store)
    program = "import sys; from edge.install.install import install; install(*sys.argv[1:])"
    chance = random.Random(0)
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "manifest.json").write_bytes(_renamed(other))
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", program, other, store], cwd=ROOT)
        time.sleep(chance.uniform(0.2, 1.5))
        process.kill()
        process.wait()
        verify(active_bundle(store))
    install(other, store)
    assert leftovers(store) == []


def _renamed(bundle) -> bytes:
    from edge.manifest import manifest_bytes, read_manifest

    return manifest_bytes(read_manifest(bundle)._replace(name="other"))


# Disks that are full or read-only


def test_a_file_size_limit_leaves_the_store_as_it_was(bundles, tmp_path):
    store = tmp_path / "store"
    put(bundles["bolts"], store)
    before = snapshot(store)
    for kib in (0, 1, 2):
        with largest_file(kib), pytest.raises(UserError, match=r"cannot write .*size limit"):
            put(bundles["nuts"], store)
        assert snapshot(store) == before
        assert leftovers(store) == []


FULL = """
import os, sys
sys.path.insert(0, "tests")
from pathlib import Path
from install_bundles import leftovers, passes, versions
from edge import UserError
from edge.install.active import ActiveBundle, active_bundle
from edge.install.install import install, rollback, status
from edge.install.verify import verify

disk, bolts, nuts = map(Path, sys.argv[1:4])
store, filler = disk / "store", disk / "filler"
install(bolts, store, trial=passes, needed=0)
ends = []
for pages in range(40):
    with filler.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            os.ftruncate(file.fileno(), max(0, file.tell() - 4096 * pages))
    try:
        install(nuts, store, trial=passes, needed=2)
    except UserError as error:
        ends.append("full")
        assert "the disk is full; free some space" in str(error), error
        assert status(store)["name"] == "bolts"
        station = ActiveBundle(store)
        assert station.folder.name == verify(bolts).version and not station.changed()
    else:
        ends.append("well")
        station = ActiveBundle(store)
        try:
            for _ in range(4):
                station.report_frame(True)
        except UserError as error:
            assert "the disk is full" in str(error), error
        assert verify(active_bundle(store)).manifest.name == "nuts"
        filler.unlink()
        for _ in range(4):
            station.report_frame(True)
        assert status(store)["state"] == "confirmed"
        rollback(store)
    assert leftovers(store) == []
    filler.unlink(missing_ok=True)
assert ends[0] == "full" and ends[-1] == "well" and ends == sorted(ends), ends
print("done", ends.count("full"))
"""

READ_ONLY = """
import subprocess, sys
sys.path.insert(0, "tests")
from pathlib import Path
from install_bundles import passes
from edge import UserError
from edge.install.active import ActiveBundle, active_bundle
from edge.install.install import install, rollback, status
from edge.install.verify import verify

disk, bolts, nuts = map(Path, sys.argv[1:4])
store = disk / "store"
install(bolts, store, trial=passes, needed=0)
install(nuts, store, trial=passes)
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
for _ in range(5):
    assert verify(active_bundle(store)).manifest.name == "nuts"
station = ActiveBundle(store)
for change in (lambda: install(bolts, store, trial=passes), lambda: rollback(store),
               lambda: station.report_frame(False)):
    try:
        change()
    except UserError as error:
        assert "the disk is read-only" in str(error), error
    else:
        raise AssertionError("it wrote to a read-only disk")
assert status(store)["starts"] == 0
print("done", 0)
"""


@pytest.mark.parametrize("program", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_a_full_or_read_only_disk(bundles, tmp_path, program):
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    tmpfs = f'mount -t tmpfs -o size=300k tmpfs "{disk}"'
    if (
        not shutil.which("unshare")
        or subprocess.run([*mount, tmpfs], capture_output=True).returncode
    ):
        pytest.skip("this system gives no mount namespace")
    call = [*mount, f'{tmpfs} && exec "$0" "$@"', sys.executable, "-c", program]
    done = subprocess.run(
        [*call, disk, bundles["bolts"], bundles["nuts"]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done")


def test_trials_that_fail_leave_nothing_behind(bundles, tmp_path):
    store = tmp_path / "store"
    put(bundles["bolts"], store)
    before = snapshot(store)

    def breaks(part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(bundles["nuts"], store, trial=breaks)
    assert snapshot(store) == before
    put(bundles["nuts"], store, trial=passes)
