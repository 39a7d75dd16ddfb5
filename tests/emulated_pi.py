"""A Pi without a Pi: are a bundle's verdicts the same there, and do the tests of `edge` pass?

    python tests/emulated_pi.py --target arm64            # a Pi 4; --cpu for others
    python tests/emulated_pi.py --target armhf            # a Pi 2, 32 bits
    python tests/emulated_pi.py --target tflite-runtime   # the older interpreter, on this machine
    python tests/emulated_pi.py --target x86              # this machine with itself

--bundle compares your own; else a small one is trained first, which the tests use in any case. The
emulated ones need root and Debian's debootstrap and qemu-user-static, which they install where apt
is there; all but x86 need a network the first time. In them the tests take an hour or more, the
comparison minutes. A line a comparison goes to standard error, all as JSON to standard output.
Status 0: what is asked holds. 1: it does not. 2: it could not be tried.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from emulated import UnavailableError
from emulated.agreement import PRECISIONS, agreement, limit
from emulated.cpus import CPUS
from emulated.drawn import FOR_TESTS, TO_COMPARE, draw, make_bundle
from emulated.edge_tests import PATTERNS, for_devices, run_tests
from emulated.machine import PLAIN, ROOT, XNNPACK, emulated, tflite_runtime, this_machine

_CPU = {"arm64": "cortex-a72", "armhf": "cortex-a7"}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def main(arguments=None) -> int:
    """Runs the command line. Returns its status."""
    options = _parser().parse_args(arguments)
    report: dict = {}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _try_out(options, Path(scratch), report)
    except UnavailableError as error:
        print(f"emulated_pi: {error}", file=sys.stderr)
        return 2
    report["holds"] = _holds(report)
    print(json.dumps(report, indent=1))
    return 0 if report["holds"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emulated-pi"
    parser.add_argument("--target", required=True, choices=[*_CPU, "tflite-runtime", "x86"])
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="to compare; default: one made for the tests"
    )
    parser.add_argument(
        "--bundle-for-tests", type=Path, metavar="DIR", help="of an earlier run, to save the minute"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="to compare; default: 200 drawn surfaces"
    )
    parser.add_argument("--count", type=int, default=200, help="how many of them (200)")
    parser.add_argument("--cpu", choices=CPUS, help="default: a Pi 4, in 32 bits a Pi 2")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="for tflite-runtime: another Python, 3.9 to 3.11 (default: the one that runs this)",
    )
    parser.add_argument("--only", choices=("compare", "tests"), help="default: both")
    parser.add_argument(
        "--tests", nargs="+", metavar="GLOB", default=PATTERNS, help=f"{' '.join(PATTERNS)}"
    )
    parser.add_argument(
        "--cache", type=Path, default=cache, help=f"where the emulated Debian is kept ({cache})"
    )
    return parser


def _try_out(options, scratch: Path, report: dict) -> None:
    """Fills the report with what was found."""
    for bundle in (options.bundle, options.bundle_for_tests):
        if bundle is not None and not (bundle / "manifest.json").is_file():
            raise UnavailableError(f"{bundle}: expected a bundle, which has manifest.json")
    with _device(options):  # what is lacking is said before anything is trained
        pass
    to_compare = None if options.only == "tests" else _to_compare(options, scratch)
    for_tests, bundle = None, options.bundle_for_tests
    if options.only != "compare" or not (options.bundle or bundle):
        for_tests = draw(scratch / "for-tests", FOR_TESTS, size=64)
        bundle = bundle or make_bundle(scratch, for_tests)
    if to_compare:
        with _device(options) as device:
            report["machine"] = device.name
            device.fill(options.bundle or bundle, to_compare)
            _compare(device, options.bundle or bundle, to_compare, report)
    if options.only != "compare":
        with _device(options) as device:
            report["machine"] = device.name
            device.fill(bundle, for_tests)
            names, report["left_out"] = for_devices(ROOT / "tests", options.tests)
            with _timed(report, "tests"):
                report["tests"] = run_tests(device, names)


def _device(options):
    if options.target == "x86":
        return this_machine()
    cache = options.cache.resolve()
    if options.target == "tflite-runtime":
        return tflite_runtime(cache, options.python)
    cpu = options.cpu or _CPU[options.target]
    if CPUS[cpu].architecture != options.target:
        raise UnavailableError(f"expected a processor of {options.target}, got --cpu {cpu}")
    return emulated(cpu, cache)


def _to_compare(options, scratch: Path) -> Path:
    """A folder of `count` pictures, spread evenly over what there is."""
    source = options.pictures
    if source is None:
        source = draw(scratch / "drawn", TO_COMPARE, size=160) / "test"
    files = sorted(f for f in source.rglob("*") if f.suffix.lower() in _SUFFIXES)
    if not 1 <= options.count <= len(files):
        raise UnavailableError(f"{source}: expected {options.count} pictures, got {len(files)}")
    chosen = scratch / "to-compare"
    chosen.mkdir()
    for i in range(options.count):
        file = files[i * len(files) // options.count]
        shutil.copy(file, chosen / f"{i:04d}-{file.parent.name}{file.suffix}")
    return chosen


def _compare(device, bundle: Path, pictures: Path, report: dict) -> None:
    """What the device and this machine say of the pictures; what is asked is that they agree."""
    report["doctor"] = device.lines("doctor", status=(0, 1))
    report["selftest"] = device.lines("selftest", "bundle", status=(0, 1))
    for line in [*report["doctor"], *report["selftest"]]:
        print(line, file=sys.stderr)
    there = {}
    for precision in PRECISIONS:
        with _timed(report, precision):
            there[precision] = device.verdicts(precision)
    report["comparisons"] = []
    for kernels in (XNNPACK, PLAIN):
        with this_machine(kernels) as here:
            here.fill(bundle, pictures)
            for precision in PRECISIONS:
                result = agreement(
                    here.verdicts(precision),
                    there[precision],
                    limit(bundle, precision),
                    precision,
                    against=here.name,
                    judged=precision == "float32" or kernels == device.kernels,
                )
                print(result.line(), file=sys.stderr, flush=True)
                report["comparisons"].append({**result._asdict(), "holds": result.holds})


@contextlib.contextmanager
def _timed(report: dict, name: str):
    """Notes how many seconds something took on the device."""
    start = time.monotonic()
    yield
    report.setdefault("seconds", {})[name] = round(time.monotonic() - start, 1)


def _holds(report: dict) -> bool:
    whole = all(line.startswith("ok") for line in report.get("selftest", ()))
    agree = all(c["holds"] for c in report.get("comparisons", ()) if c["judged"])
    return whole and agree and report.get("tests", {}).get("status", 0) == 0


if __name__ == "__main__":
    sys.exit(main())
