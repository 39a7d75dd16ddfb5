"""What the device pays: start-up, memory, and everything that is not the network.

    python -m benchmarks.device BUNDLE PICTURE

Ratios are taken side by side in one run, since the machine's speed varies from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

_IMPORTS_ALONE = "import numpy, PIL.Image, ai_edge_litert.interpreter; print(flush=True)"
_FORBIDDEN = ("tensorflow", "keras", "vae_tf", "export")
_MODULES = "import sys, edge.__main__ as m; m.main(sys.argv[1:]); print(*sys.modules, sep='\\n')"


def start_up(bundle: str, picture: str, runs: int) -> dict:
    """Seconds to the first verdict, and to the end of the imports alone; medians of paired runs."""
    check = [sys.executable, "-m", "edge", "check", bundle, picture]
    pairs = [
        (_seconds([sys.executable, "-c", _IMPORTS_ALONE]), _seconds(check)) for _ in range(runs)
    ]
    alone, whole = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return {"imports_alone_s": alone, "first_verdict_s": whole, "ratio": ratio}


def modules(bundle: str, picture: str) -> list[str]:
    """Which of the training side's packages `edge check` has imported: none, it should be."""
    command = [sys.executable, "-c", _MODULES, "check", bundle, picture]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted(set(done.stdout.split()) & set(_FORBIDDEN))


def peak_rss_mb(bundle: str, picture: str) -> float:
    """The most memory that `edge check` has resident, in MiB."""
    command = [sys.executable, "-m", "edge", "check", bundle, picture]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss / 1024


def frame(bundle: str, precision: str) -> dict:
    """`edge bench`, with the share of a frame that is not the interpreter's."""
    command = [sys.executable, "-m", "edge", "bench", bundle, "--precision", precision]
    command += ["--runs", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    return {**figures, "outside_interpreter": 1 - figures["interpreter_p50_ms"] / figures["p50_ms"]}


def _seconds(command: list[str]) -> float:
    """From the start of the process to its first line of output."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), f"no output from {command}"
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("picture")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    where = options.bundle, options.picture
    figures = {
        "detector_int8_kib": (Path(options.bundle) / "detector.int8.tflite").stat().st_size / 1024,
        "imported_from_training_side": modules(*where),
        "start_up": start_up(*where, options.runs),
        "peak_rss_mb": peak_rss_mb(*where),
        "int8": frame(options.bundle, "int8"),
        "float32": frame(options.bundle, "float32"),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
