"""A Debian of another processor, emulated: debootstrap makes it, QEMU's user mode runs it.

The kernel hands each program of that processor to QEMU, so `chroot` is all it takes. Three things
are otherwise than in a plain chroot, for the sake of the library by which the interpreter knows its
processor. sysfs is not mounted, as the library dies on what stands in this machine's. In its place
lie the two files that tell how many cores there are: without them the library gives up, and the
interpreter then leaves XNNPACK aside, as no Pi does. And /proc/cpuinfo is that of the Pi.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from emulated import UnavailableError
from emulated.cpus import CORES, Cpu

RELEASE = "bookworm"
PYTHON = "3.11"  # of that release
MIRROR = "http://deb.debian.org/debian"  # where apt knows none of this release
BINFMT = Path("/proc/sys/fs/binfmt_misc")

_TOOLS = ["debootstrap", "unshare", "chroot"]
_PACKAGES = ["debootstrap", "debian-archive-keyring", "qemu-user-static", "binfmt-support"]
_ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]


class Debian(NamedTuple):
    """An emulated Debian in the folder `root`, with a virtual environment in /venv of it."""

    root: Path
    cpu_name: str
    cpu: Cpu

    def command(self, folder: str, *arguments: str) -> list[str]:
        """What runs a program in `folder` of the Debian; it ends when this command is ended."""
        mount = 'mount --bind /etc/emulated-cpuinfo /proc/cpuinfo && exec "$@"'
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("--root", str(self.root), "--mount-proc", "--wd", folder),
            *("env", "-i", *_ENVIRONMENT, f"QEMU_CPU={self.cpu_name}"),
            *("sh", "-c", mount, "sh", *arguments),
        ]


def make(cpu_name: str, cpu: Cpu, cache: Path, packages: Sequence[str]) -> Debian:
    """The Debian for a processor, with Debian's `packages`; made where the cache lacks it.

    Raises: UnavailableError where this machine cannot make or run it.
    """
    _need_root()
    _need_tools(cpu)
    _need_binfmt(cpu)
    root = cache / f"{RELEASE}-{cpu.architecture}-{_short(' '.join(packages))}"
    if not root.is_dir():
        _debootstrap(root, cpu, packages)
    cores = root / "sys" / "devices" / "system" / "cpu"
    cores.mkdir(parents=True, exist_ok=True)
    for name in ("possible", "present"):
        (cores / name).write_text(f"0-{CORES - 1}\n")
    (root / "etc" / "emulated-cpuinfo").write_text(cpu.cpuinfo)
    return Debian(root, cpu_name, cpu)


def install(debian: Debian, requirements: Path, wheels: Sequence[str], system: bool) -> None:
    """Gives the Debian a virtual environment with what a requirements file asks for.

    wheels: what `pip download` is asked for, here; the Debian needs no network.
    system: whether the environment sees Debian's own Python packages.
    """
    venv = debian.root / "venv"
    wanted = _short(requirements.read_text() + " ".join(wheels))
    stamp = venv / "made-for"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(venv, ignore_errors=True)
    _download(debian, wheels)
    shutil.copy(requirements, debian.root / "requirements.txt")
    names = [w for w in wheels if not w.startswith("-") and w != str(requirements)]
    site = ["--system-site-packages"] if system else []
    pip = ["/venv/bin/pip", "install", "--quiet", "--no-index", "--find-links=/wheels"]
    for arguments in (
        ["python3", "-m", "venv", *site, "/venv"],
        [*pip, "-r", "/requirements.txt", *names],
    ):
        run(debian.command("/", *arguments), f"`{' '.join(arguments)}` in the emulated Debian")
    stamp.write_text(wanted)


def run(command: Sequence[str], what: str) -> None:
    """Runs a command, its output to standard error. Raises: UnavailableError where it fails."""
    print(f"{what} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=sys.stderr)
    if done.returncode:
        raise UnavailableError(f"{what} failed with status {done.returncode}; its output is above")


def fetch(command: Sequence[str], what: str) -> None:
    """`run` for what needs a network."""
    try:
        run(command, what)
    except UnavailableError as error:
        raise UnavailableError(f"{error}; is there a network?") from None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _need_root() -> None:
    """Raises: UnavailableError where this is somebody else."""
    if os.geteuid():
        raise UnavailableError("an emulated Debian has to be made and entered as root; use sudo")


def _need_tools(cpu: Cpu) -> None:
    tools = [*_TOOLS, f"qemu-{cpu.qemu}-static"]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing and shutil.which("apt-get"):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *_PACKAGES]
        fetch(["apt-get", "update"], "`apt-get update`")
        fetch(install, f"`{' '.join(install)}`")
        missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} missing; install {', '.join(_PACKAGES)}")


def _need_binfmt(cpu: Cpu) -> None:
    entry = BINFMT / f"qemu-{cpu.qemu}"
    for remedy in (
        ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)],
        ["update-binfmts", "--enable", entry.name],
    ):
        if entry.exists() or (remedy[0] == "mount" and (BINFMT / "register").exists()):
            continue
        if not shutil.which(remedy[0]) or subprocess.run(remedy, stdout=sys.stderr).returncode:
            raise UnavailableError(
                f"the kernel does not hand {cpu.architecture} programs to QEMU: "
                f"`{' '.join(remedy)}` does not help; it needs binfmt_misc and binfmt-support"
            )
    if not entry.exists():
        raise UnavailableError(f"{entry} is still missing; install {', '.join(_PACKAGES)}")


def _debootstrap(root: Path, cpu: Cpu, packages: Sequence[str]) -> None:
    partial = root.with_name(f"{root.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    include = ",".join(["python3-venv", *packages])
    call = ["debootstrap", f"--arch={cpu.architecture}", "--variant=minbase"]
    call += [f"--include={include}", RELEASE, str(partial), _mirror()]
    fetch(call, f"`{' '.join(call)}` (minutes)")
    partial.rename(root)


def _mirror() -> str:
    """Where apt gets this release from, if it does."""
    ask = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    if shutil.which(ask[0]):
        done = subprocess.run(ask, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            codename, _, address = line.partition(" ")
            if codename == RELEASE:
                return address
    return MIRROR


def _download(debian: Debian, wheels: Sequence[str]) -> None:
    folder = debian.root / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    # pip takes a platform by its very name, so each glibc up to the release's is listed.
    platforms = [f"manylinux_2_{minor}" for minor in range(17, 37)] + ["manylinux2014"]
    call = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    call += [f"--platform={p}_{debian.cpu.machine}" for p in platforms]
    call += ["--implementation=cp", f"--python-version={PYTHON}"]
    call += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    fetch([*call, f"--dest={folder}", *wheels], f"`pip download` of {debian.cpu.machine} wheels")
