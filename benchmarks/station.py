"""What a running station pays for each frame besides the network, and the memory that it takes.

    python -m benchmarks.station BUNDLE PICTURES

Blocks of frames through `run`, from a camera whose pictures are arrays already, take turns with as
many calls of the interpreter alone. A block lasts about a second, so that each holds what is done
once a second: the store's commit and a file of JSON lines, health, the drift watch. The ratio of
`run` to the interpreter alone is the median over the blocks, by the clock and in processor time.
Beside other programs both are too high: whenever a thread has slept, it waits for its turn, and the
caches are full of others' data. So the quickest tenth of single frames is given too, in processor
time and without what is done once a second. Ends with status 1 where the ratio by the clock or the
memory is too high.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.soak import resident_mb

MOST_RATIO, MOST_MB = 1.15, 100.0
_CLOCKS = ("wall", "processor")
_LOOP = "from benchmarks.station import loop; import sys; loop(*sys.argv[1:])"


def loop(bundle: str, pictures: str, folder: str, blocks: str, frames: str) -> None:
    """The process that is measured. Prints, for each clock, pairs of seconds a frame: with `run`,
    and of the graph alone; and the same of the quickest tenth of single frames."""
    from edge.preprocess import preprocess, read_picture
    from edge.runner import Runner
    from edge.sources import picture_files
    from edge.station import run as station
    from edge.station.settings import load
    from edge.station.sources.base import Source
    from edge.station.types import Frame

    arrays = [read_picture(path) for path in picture_files(Path(pictures))]
    alone = Runner(bundle)
    prepared = [preprocess(array, alone.manifest.input) for array in arrays]
    size = int(frames)
    times: list = []
    singles: tuple = ([], [])

    class Blocks(Source):
        live = True

        def frames(self):
            for _ in range(int(blocks) + 1):
                moments = [_now()]
                for i in range(size):
                    array = arrays[i % len(arrays)]
                    yield Frame("camera", array, time.time(), time.monotonic())
                    singles[0].append(time.process_time())
                moments.append(_now())
                for i in range(size):
                    alone.infer(prepared[i % len(arrays)])
                    singles[1].append(time.process_time())
                times.append([*moments, _now()])

    station.open_source = lambda *_: Blocks()
    sink = f"jsonl:{folder}/verdicts.jsonl"
    options = {"bundle.path": bundle, "source.open": "-", "folder": folder, "sink": [sink]}
    done = station.run(load(None, options))
    pairs = {
        name: [((b[k] - a[k]) / size, (c[k] - b[k]) / size) for a, b, c in times[1:]]
        for k, name in enumerate(_CLOCKS)
    }
    pairs["quickest"] = [[_quickest(of) for of in singles]]
    print(json.dumps({**pairs, "failed": done.decisions.get("FAIL", 0) / done.scored}))


def _quickest(moments: list) -> float:
    """Seconds from one moment to the next, of the quickest tenth the longest."""
    steps = sorted(b - a for a, b in itertools.pairwise(moments))
    return steps[len(steps) // 10]


def _now() -> tuple:
    return time.perf_counter(), time.process_time()


def cost(bundle: str, pictures: str, blocks: int, frames: int) -> dict:
    """Milliseconds a frame and their ratio, by each clock."""
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-c", _LOOP, bundle, pictures, folder, str(blocks), str(frames)]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    return {"share_that_failed": record.pop("failed"), **{n: _ratio(p) for n, p in record.items()}}


def _ratio(pairs: list) -> dict:
    through, alone = zip(*pairs, strict=True)
    ratios = sorted(a / b for a, b in pairs)
    return {
        "through_run_ms": 1e3 * statistics.median(through),
        "interpreter_ms": 1e3 * statistics.median(alone),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
    }


def memory(bundle: str, pictures: str, size: int) -> dict:
    """Peak resident MiB of `edge run` on pictures of size x size pixels."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sorted(Path(pictures).rglob("*.png"))[:100]):
            picture = Image.open(path).convert("RGB").resize((size, size))
            picture.save(Path(folder) / f"{number:03d}.jpg", quality=90)
        call = [sys.executable, "-m", "edge", "run", bundle, "--source", folder]
        call += ["--station", f"{folder}/station", "--sink", f"jsonl:{folder}/verdicts.jsonl"]
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, resident_mb(process.pid, "VmHWM"))
            time.sleep(0.005)
    assert process.returncode == 0, f"status {process.returncode}"
    return {"pixels": f"{size} x {size}, RGB", "peak_rss_mb": peak}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("pictures")
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--frames", type=int, default=300, help="of a block")
    options = parser.parse_args()
    of = options.bundle, options.pictures
    figures = {
        "frame": cost(*of, options.blocks, options.frames),
        "memory": [memory(*of, size) for size in (128, 720)],
        "cpus": os.cpu_count(),
    }
    print(json.dumps(figures, indent=1))
    peak = max(m["peak_rss_mb"] for m in figures["memory"])
    return int(figures["frame"]["wall"]["ratio"] > MOST_RATIO or peak > MOST_MB)


if __name__ == "__main__":
    sys.exit(main())
