"""`edge bench`: what a frame costs on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from edge.golden import GOLDEN, read_golden
from edge.manifest import read_entry
from edge.preprocess import preprocess
from edge.runner import Runner

_WARM_UP = 5


def bench(bundle, precision=None, threads=1, runs=200) -> dict:
    """Times loading, the first frame and `runs` steady ones, on a golden picture of model size.

    Returns: milliseconds as `load_ms` (interpreter's import included), `first_ms`, `p50_ms`,
        `p95_ms`, `p99_ms`, `interpreter_p50_ms` (the graph alone), and `peak_rss_mb`.
    """
    start = time.perf_counter()
    runner = Runner(bundle, precision, threads)
    load = time.perf_counter() - start
    pictures, _, _ = read_golden(read_entry(bundle, runner.manifest.files[GOLDEN]))
    prepared = preprocess(pictures[0], runner.manifest.input)
    first = _seconds(runner.check, prepared)
    for _ in range(_WARM_UP):
        runner.check(prepared)
    # The two are timed in turns, so that a change of the clock speed meets both.
    pairs = [
        (_seconds(runner.check, prepared), _seconds(runner.infer, prepared)) for _ in range(runs)
    ]
    frame, graph = np.array(pairs).T * 1e3
    p50, p95, p99 = np.percentile(frame, (50, 95, 99))
    figures = {
        "load_ms": load * 1e3,
        "first_ms": first * 1e3,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "interpreter_p50_ms": np.median(graph),
        "peak_rss_mb": peak_rss_mb(),
    }
    rounded = {name: round(float(value), 3) for name, value in figures.items()}
    return {**rounded, "precision": runner.precision, "threads": threads, "runs": runs}


def _seconds(call, argument) -> float:
    start = time.perf_counter()
    call(argument)
    return time.perf_counter() - start


def peak_rss_mb() -> float:
    """The most memory this process has had resident, in MiB; 0 where the system does not tell."""
    try:
        # Not getrusage: on Linux its maximum goes back to before exec, to whoever started us.
        status = Path("/proc/self/status").read_text()
        return next(int(s.split()[1]) / 1024 for s in status.splitlines() if s.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
