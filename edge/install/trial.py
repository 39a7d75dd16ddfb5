"""Tries a bundle in a process of its own, where a crash, a hang or a greedy graph harms nobody.

`python -m edge.install.trial FOLDER SECONDS MIB` runs the self-test and judges the golden pictures
as a station would, with every precision that the bundle has. It is a trial, not a jail: what a
bundle may do is bounded by the interpreter's operations, and who may send one, by the signature.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from edge.errors import BundleError, UserError

SECONDS = 120  # of computing, of which a desktop takes one
MIB = 2048  # of address space, of which a trial was seen to use a tenth
_WAITING = 3  # times as long it may take by the clock, beside a busy station
_GRACE = 10  # seconds for the child to end by itself
_PASSED = "trial passed"


def try_out(bundle, seconds: int = SECONDS, mib: int = MIB) -> None:
    """Returns when the bundle passed. Raises: BundleError with the reason, one line."""
    root = str(Path(__file__).resolve().parents[2])
    call = [sys.executable, "-m", "edge.install.trial"]
    # Each BLAS thread reserves address space, which would count against the limit.
    paths = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    env = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*call, str(Path(bundle).resolve()), str(seconds), str(mib)],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_WAITING * seconds + _GRACE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BundleError(f"the bundle failed its trial: {_too_long(seconds)}") from None
    lines = _lines(done.stdout)
    if done.returncode != 0 or _PASSED not in lines[-1:]:
        reason = _reason(done.returncode, lines, _lines(done.stderr), seconds)
        raise BundleError(f"the bundle failed its trial: {reason:.400}")


def _lines(output: bytes) -> list:
    text = output.decode("utf-8", "replace")
    return ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]


def _reason(status: int, lines: list, errors: list, seconds: int) -> str:
    if status in (-signal.SIGALRM, -signal.SIGXCPU):
        return _too_long(seconds)
    if status < 0:
        return f"the process crashed (signal {-status}, {signal.strsignal(-status)})"
    fault = [line[5:] for line in lines if line.startswith("FAIL ")] or errors[-1:]
    return "; ".join(fault) or f"the process ended with status {status} and without a word"


def _too_long(seconds: int) -> str:
    return f"it did not end within {seconds} s of computing"


def main(arguments: list) -> int:
    """The child: limits itself, then runs the trial."""
    folder, seconds, mib = arguments[0], int(arguments[1]), int(arguments[2])
    _limit_myself(seconds, mib)
    try:
        _run(folder)
    except MemoryError:
        print(f"FAIL it takes more than {mib} MiB of memory")
        return 1
    except UserError as error:
        print(f"FAIL {error}")
        return 1
    except Exception as error:  # whatever a strange bundle leads to, it is a rejection
        print(f"FAIL {type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    print(_PASSED)
    return 0


def _limit_myself(seconds: int, mib: int) -> None:
    # By signals whose default action ends the process inside a graph as well, and also where the
    # installing process is gone and nobody waits any more.
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(_WAITING * seconds)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_AS, mib * 2**20)
    _limit(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError):  # where memory runs out, rather this than the station
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(what, (most, hard))


def _run(folder) -> None:
    from edge.golden import GOLDEN, read_golden
    from edge.manifest import read_entry, read_manifest
    from edge.runner import Runner
    from edge.selftest import selftest

    faults = [line for ok, line in selftest(folder) if not ok]
    if faults:
        raise BundleError("; ".join(faults))
    manifest = read_manifest(folder)
    pictures, _, _ = read_golden(read_entry(folder, manifest.files[GOLDEN]))
    for precision in manifest.graphs["detector"]:
        runner = Runner(folder, precision)
        for picture in pictures:
            verdict = runner.check(picture)
            if not (math.isfinite(verdict.score) and 0 < verdict.p_value <= 1):
                raise BundleError(f"{precision}: a golden picture scores {verdict.score}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
