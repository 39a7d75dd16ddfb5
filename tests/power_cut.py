"""Ends a change to a bundle store at every step of it, for tests; a program of its own.

`python power_cut.py HOW ACTION TEMPLATE SOURCE OUT` copies the store TEMPLATE once a step, and in
a fork runs the action on the copy until just before its n-th step: opening a file for writing,
making, renaming, removing something, flushing. HOW is what happens there:

    cut   the process is gone; OUT/n/live/store is the store as the process left it, in OUT/n/worst
          is what the disk would hold had it kept nothing but what was flushed, in OUT/n/torn all
          names, but of the files' content only what was flushed
    fail  the step fails with "Input/output error", once; OUT/n/live/store is the store afterwards

It prints a JSON line a step: how the action ended. The last line is of a whole run, and what
follows it is a power cut as well.
"""

import errno
import json
import os
import shutil
import stat
import sys
from pathlib import Path

from install_bundles import passes

from edge import UserError
from edge.install.active import ActiveBundle, active_bundle
from edge.install.install import install, rollback
from edge.install.local import save_calibrations
from edge.manifest import read_manifest

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
CUT = 99


def frames(store, count, ok=True):
    station = ActiveBundle(store)
    for _ in range(count):
        station.report_frame(ok)


def calibrate(store):
    folder = active_bundle(store)
    save_calibrations(store, folder.name, read_manifest(folder).calibrations, {"when": "now"})


ACTIONS = {
    "install": lambda store, source: install(source, store, trial=passes, needed=4),
    "start": lambda store, source: active_bundle(store),
    "confirm": lambda store, source: frames(store, 4),
    "error": lambda store, source: frames(store, 1, ok=False),
    "rollback": lambda store, source: rollback(store),
    "calibrate": lambda store, source: calibrate(store),
}


class Disk:
    """What a disk holds for certain: names of a folder, content of a file, as last flushed."""

    def __init__(self, root):
        self.root = root
        self.folders, self.files = {}, {}
        self.kept = []  # open files keep the system from giving their number to another
        self.start = root.stat().st_ino
        for path in [root, *root.rglob("*")]:
            handle = os.open(path, os.O_RDONLY)
            self.flushed(handle)
            os.close(handle)

    def flushed(self, handle):
        self.kept.append(os.dup(handle))
        status = os.fstat(handle)
        path = f"/proc/self/fd/{handle}"
        if stat.S_ISDIR(status.st_mode):
            entries = [(e.name, e.inode(), e.is_dir()) for e in os.scandir(path)]
            self.folders[status.st_ino] = entries
        else:
            self.files[status.st_ino] = Path(path).read_bytes()

    def write(self):
        self._write_worst(self.start, self.root.with_name("worst"))
        self._write_torn(self.root.with_name("torn"))

    def _write_worst(self, number, target):
        target.mkdir()
        for name, inner, is_folder in self.folders.get(number, []):
            if is_folder:
                self._write_worst(inner, target / name)
            else:
                (target / name).write_bytes(self.files.get(inner, b""))

    def _write_torn(self, target):
        shutil.copytree(self.root, target)
        for path in target.rglob("*"):
            if path.is_file():
                number = (self.root / path.relative_to(target)).stat().st_ino
                path.write_bytes(self.files.get(number, b""))


class Steps:
    """Counts the steps of this process and calls `at_last` before the n-th."""

    def __init__(self, n, at_last, disk):
        self.left, self.at_last, self.disk = n, at_last, disk
        self._fsync = os.fsync
        os.fsync = self.fsync
        sys.addaudithook(self.hear)

    def fsync(self, handle):
        self.step()
        self._fsync(handle)
        self.disk.flushed(handle)

    def hear(self, event, arguments):
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if event in CHANGES or (event == "open" and (arguments[2] or 0) & writing):
            self.step()

    def step(self):
        self.left -= 1
        if self.left == 0:
            self.at_last()


def run(how, action, store, source, n, answer):
    """The fork: runs the action to its n-th step."""
    disk = Disk(store.parent)

    def cut():
        disk.write()
        os._exit(CUT)

    def fail():
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    steps = Steps(n, cut if how == "cut" else fail, disk)
    try:
        ACTIONS[action](store, source)
        ended = "well"
    except UserError as error:
        ended = str(error)
    except BaseException as error:
        ended = f"TRACEBACK {error!r}"
    whole = steps.left > 0
    steps.at_last = lambda: None
    if how == "cut":
        disk.write()
    os.write(answer, json.dumps({"step": n, "ended": ended, "whole": whole}).encode())
    os._exit(0)


def main(how, action, template, source, out):
    for n in range(1, 1000):
        live = Path(out) / str(n) / "live"
        live.mkdir(parents=True)
        if Path(template).exists():
            shutil.copytree(template, live / "store")
        ear, answer = os.pipe()
        child = os.fork()
        if child == 0:
            run(how, action, live / "store", Path(source), n, answer)
        os.close(answer)
        with os.fdopen(ear) as pipe:
            said = json.loads(pipe.read() or "{}")
        _, status = os.waitpid(child, 0)
        said = said or {"step": n, "ended": "cut", "whole": False}
        assert os.waitstatus_to_exitcode(status) == (CUT if said["ended"] == "cut" else 0), status
        print(json.dumps(said), flush=True)
        if said["whole"]:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
