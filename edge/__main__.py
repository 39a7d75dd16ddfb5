"""The device's command line. What a station needs beyond single checks: `edge.station.commands`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from edge.errors import UserError

_MAX_THREADS = 256


def main(arguments=None) -> int:
    """Runs one command. Returns the exit status: 2 on bad input, after one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(arguments[0] if arguments else None).parse_args(arguments)
    try:
        status = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except UserError as error:
        return _complain(options.command, str(error))
    except ImportError as error:
        return _complain(options.command, f"{error}; `python -m edge doctor` tells what to do")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()  # the reader has what it wanted (`| head`)
        return 0
    except OSError as error:  # a full disk behind `> file`
        _drop_output()
        return _complain(options.command, f"cannot go on: {error}")


def _complain(command: str, message: str) -> int:
    print(f"edge {command}: {message}", file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Keeps Python from failing once more on the last flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(command=None) -> argparse.ArgumentParser:
    """The parser; with a command's name, only that one: the others would delay the verdict."""
    parser = argparse.ArgumentParser(prog="python -m edge", description=__doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="python -m edge"
    )
    known = _COMMANDS if command in _COMMANDS else _all_commands()
    for name in [command] if command in known else known:
        text, add_arguments, run = known[name]
        one = commands.add_parser(name, help=text)
        add_arguments(one)
        one.set_defaults(run=run)
    return parser


def _all_commands() -> dict:
    from edge.station.commands import COMMANDS

    return {**_COMMANDS, **COMMANDS}


def _add_check(parser) -> None:
    _add_bundle(parser)
    parser.add_argument(
        "paths", nargs="+", type=_path, metavar="PATH", help="picture files or folders of them"
    )
    parser.add_argument(
        "--heatmaps", type=_path, metavar="DIR", help="write each heat map over its picture"
    )
    parser.add_argument("--exit-code", action="store_true", help="status 1 where a picture failed")
    _add_interpreter_options(parser)


def _add_bench(parser) -> None:
    _add_bundle(parser)
    parser.add_argument("--runs", type=_positive, default=200, help="steady frames (200)")
    _add_interpreter_options(parser)


def _add_doctor(parser) -> None:
    parser.add_argument(
        "station", type=_path, nargs="?", metavar="STATION.toml", help="what this station needs too"
    )


def _add_calibrate(parser) -> None:
    _add_bundle(parser)
    parser.add_argument(
        "folder", type=_path, nargs="?", metavar="FOLDER", help="good pictures of this device"
    )
    parser.add_argument(
        "--false-alarm-rate", type=float, metavar="R", help="default: the bundle's own"
    )
    parser.add_argument(
        "--group-by",
        metavar="KEY",
        help="folder, or a regular expression: pictures with one key show one part, count as one",
    )
    parser.add_argument(
        "--station",
        type=_path,
        metavar="FOLDER|TOML",
        help="without good pictures: by the marks of this station; with them: its masks hold",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with marks: only tell what would change"
    )


def _add_bundle(parser) -> None:
    parser.add_argument(
        "bundle", type=_path, metavar="BUNDLE", help="the folder that `export` wrote"
    )


def _add_interpreter_options(parser) -> None:
    parser.add_argument("--precision", choices=("float32", "int8"), help="default: int8")
    parser.add_argument("--threads", type=_threads, default=1, metavar="N", help="default: 1")


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return number


def _threads(text: str) -> int:
    number = _positive(text)
    if number > _MAX_THREADS:
        raise argparse.ArgumentTypeError(f"expected at most {_MAX_THREADS} threads, got {number}")
    return number


def _path(text: str) -> str:
    # An unset shell variable; taken as a path it would be the current folder.
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty one")
    return text


def _check(options) -> int:
    from edge.check import check

    failed, unreadable = check(
        options.bundle, options.paths, options.heatmaps, options.precision, options.threads
    )
    if unreadable:
        print(f"edge check: {unreadable} of the pictures could not be checked", file=sys.stderr)
        return 2
    return 1 if options.exit_code and failed else 0


def _bench(options) -> int:
    from edge.bench import bench

    figures = bench(options.bundle, options.precision, options.threads, options.runs)
    print(json.dumps(figures, indent=1))
    return 0


def _selftest(options) -> int:
    from edge.selftest import selftest

    whole = True
    for ok, line in selftest(options.bundle):
        whole &= ok
        print(f"{'ok  ' if ok else 'FAIL'} {line}")
    return 0 if whole else 1


def _doctor(options) -> int:
    from edge.doctor import doctor
    from edge.station.commands import doctor_lines

    healthy = True
    for ok, line in (*doctor(), *doctor_lines(options.station)):
        healthy &= ok
        print(f"{'ok  ' if ok else 'FAIL'} {line}")
    return 0 if healthy else 1


def _calibrate(options) -> int:
    from edge.station.commands import calibrate

    report = calibrate(
        options.bundle,
        options.folder,
        options.false_alarm_rate,
        options.station,
        options.dry_run,
        options.group_by,
    )
    for reason in report.get("skipped", ()):
        print(f"edge calibrate: skipped {reason}", file=sys.stderr)
    print(json.dumps(report, indent=1))
    return 0


_COMMANDS = {
    "check": ("judge pictures: a JSON line each", _add_check, _check),
    "bench": ("measure latency and memory on this machine", _add_bench, _bench),
    "selftest": ("is the bundle whole, does it run right here?", _add_bundle, _selftest),
    "doctor": ("what would not work on this machine, and why", _add_doctor, _doctor),
    "calibrate": ("a new threshold from good pictures, or from marks", _add_calibrate, _calibrate),
}


if __name__ == "__main__":
    if sys.stdout is not None:  # a file name need not be text that the terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
