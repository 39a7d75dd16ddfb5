"""Somewhere that `edge` runs: this machine, a virtual environment of it, an emulated Debian.

Each gets a folder of its own with copies of `edge`, its tests, a bundle and pictures, under the
same names everywhere. So what it prints can be compared line by line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emulated import UnavailableError, debian
from emulated.cpus import CPUS

ROOT = Path(__file__).resolve().parents[2]
XNNPACK, PLAIN = "XNNPACK", "plain kernels"
TFLITE_RUNTIME = "tflite-runtime==2.14.0"  # the last one
SIGNING = ("export/__init__.py", "export/sign.py")  # the tests sign what they install
TESTING = ["pytest", "hypothesis"]
TFLITE_PYTHONS = ("3.9", "3.10", "3.11")


class Machine(NamedTuple):
    """name: for a person. kernels: the family that runs int8 graphs there.

    folder: where it works, as seen from here; inside: the same, as seen from there.
    prefix: the command before `python`'s arguments. edge: those before `edge`'s arguments.
    emulated: whether QEMU runs it.
    """

    name: str
    kernels: str
    folder: Path
    inside: str
    prefix: list[str]
    edge: tuple = ("-m", "edge")
    emulated: bool = False

    def run(self, *arguments: str, variables=None, line=None) -> tuple:
        """Runs `python ARGUMENTS` in the machine's folder; returns (status, lines it printed).

        variables: of its environment. line: called with each line as it comes.
        """
        named = [f"{name}={value}" for name, value in (variables or {}).items()]
        command = [*self.prefix[:-1], "env", *named, self.prefix[-1], *arguments]
        lines = []
        with subprocess.Popen(command, cwd=self.folder, text=True, stdout=subprocess.PIPE) as run:
            try:
                for text in run.stdout or ():
                    lines.append(text.rstrip("\n"))
                    if line is not None:
                        line(lines[-1])
            except BaseException:
                run.kill()  # nothing else ends what `unshare` started
                raise
        return run.returncode, lines

    def lines(self, *arguments: str, status=(0,)) -> list[str]:
        """What `edge ARGUMENTS` prints. Raises: UnavailableError on another status."""
        got, lines = self.run(*self.edge, *arguments)
        if got not in status:
            last = lines[-1] if lines else "nothing printed"
            raise UnavailableError(
                f"`edge {' '.join(arguments)}` ended in status {got} on {self.name}: {last}"
            )
        return lines

    def verdicts(self, precision: str) -> dict:
        """What `edge check` says of every picture: source -> record."""
        arguments = ("check", "bundle", "pictures", "--precision", precision)
        return {r["source"]: r for r in map(json.loads, self.lines(*arguments))}

    def fill(self, bundle: Path, pictures: Path) -> None:
        """Puts `edge`, its tests, a bundle and pictures into the machine's folder."""
        ignore = shutil.ignore_patterns("__pycache__")
        for source, name in (
            (ROOT / "edge", "edge"),
            (ROOT / "tests", "tests"),
            (bundle, "bundle"),
            (pictures, "pictures"),
        ):
            shutil.copytree(source, self.folder / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        (self.folder / "export").mkdir()
        for name in SIGNING:
            shutil.copy(ROOT / name, self.folder / name)


@contextlib.contextmanager
def this_machine(kernels: str = XNNPACK) -> Iterator[Machine]:
    """The Python that runs this, with ai-edge-litert; with its plain kernels where asked for."""
    edge = ("tests/emulated/plain_kernels.py",) if kernels == PLAIN else ("-m", "edge")
    name = f"this machine, {kernels}"
    with tempfile.TemporaryDirectory() as folder:
        yield Machine(name, kernels, Path(folder), folder, [sys.executable], edge)


@contextlib.contextmanager
def tflite_runtime(cache: Path, python: str) -> Iterator[Machine]:
    """A virtual environment of this machine with tflite-runtime and the NumPy that it needs.

    python: the interpreter to make it with, a name or a path.
    """
    version = _version(python)
    wanted = [TFLITE_RUNTIME, "numpy<2", "Pillow>=9.1", *_optional(), *TESTING]
    made = cache / f"tflite-runtime-{version}-{_short(wanted)}"
    if not made.is_dir():
        partial = made.with_name(f"{made.name}.partial")
        debian.run([python, "-m", "venv", "--clear", str(partial)], "`python -m venv`")
        call = [str(partial / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
        debian.fetch(call, f"`pip install {' '.join(wanted)}`")
        partial.rename(made)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(made / "bin" / "python")]
        name = f"tflite-runtime 2.14 on {platform.machine()}, Python {version}"
        yield Machine(name, PLAIN, Path(folder), folder, command)


def _optional() -> list:
    """What `edge` uses where it is there; no interpreter and no NumPy."""
    lines = (ROOT / "edge" / "requirements-station.txt").read_text().splitlines()
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def _version(python: str) -> str:
    """Such as 3.11. Raises: UnavailableError where tflite-runtime has no wheel for it."""
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        version = "no Python"
    if version not in TFLITE_PYTHONS:
        raise UnavailableError(
            f"expected Python {', '.join(TFLITE_PYTHONS)}, which tflite-runtime 2.14 is there for; "
            f"{python} is {version}: give another with --python"
        )
    return version


@contextlib.contextmanager
def emulated(cpu_name: str, cache: Path) -> Iterator[Machine]:
    """A Pi: Debian with a Pi's processor, and the packages that its requirements file asks for."""
    cpu = CPUS[cpu_name]
    requirements = ROOT / "edge" / "requirements.txt"
    if cpu.architecture == "armhf":
        # PyPI has no NumPy and no Pillow for it: Debian's own serve.
        packages = [f"python3-{p}" for p in ("numpy", "pil", "cryptography", "pytest")]
        packages.append("python3-hypothesis")
        kernels, wheels = PLAIN, ["--no-deps", TFLITE_RUNTIME, "paho-mqtt>=2", "waitress"]
    else:
        packages, kernels = [], XNNPACK
        wheels = ["-r", str(requirements), *_optional(), *TESTING]
    made = debian.make(cpu_name, cpu, cache, packages)
    debian.install(made, requirements, wheels, system=bool(packages))
    with tempfile.TemporaryDirectory(dir=made.root / "srv") as folder:
        inside = f"/{os.path.relpath(folder, made.root)}"
        prefix = made.command(inside, "/venv/bin/python")
        name = f"emulated {cpu.board} ({cpu_name}, {cpu.architecture})"
        yield Machine(name, kernels, Path(folder), inside, prefix, emulated=True)


def _short(words: list[str]) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]
