"""The commands of a station: run, serve, service, mark, install, rollback; and what others ask it.

Imported by `edge.__main__` for these alone: `edge check` stays as light as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Iterator, Optional, Tuple

from edge.errors import UserError

_DEFAULT_STATION = "station"


def _path(text: str) -> str:
    if not text:  # an unset shell variable; taken as a path it would be the current folder
        raise argparse.ArgumentTypeError("expected a path, got an empty one")
    return text


def _numbers(text: str) -> list:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected LEFT,TOP,RIGHT,BOTTOM as numbers, got {text!r}"
        ) from None


def _add_run(parser) -> None:
    parser.add_argument(
        "what",
        type=_path,
        metavar="STATION.toml|BUNDLE",
        help="a file that describes a station; or a bundle or bundle store, with --source",
    )
    add = parser.add_argument
    add("--source", metavar="S", help="FOLDER, watch:FOLDER, camera:0, picamera:0, rtsp://..., -")
    add("--sink", action="append", metavar="K", help="-, jsonl:FILE, mqtt://..., https://..., ...")
    add("--station", type=_path, metavar="FOLDER", help=f"of the store ({_DEFAULT_STATION})")
    add("--precision", choices=("float32", "int8"), help="default: int8")
    add("--threads", type=int, metavar="N", help="of the interpreter (1)")
    add("--every", type=float, metavar="SECONDS", help="between frames of a camera; 0 takes all")
    add("--votes", type=int, metavar="K", help="FAIL where K ...")
    add("--of", type=int, metavar="N", help="... of the last N frames fail (1 of 1)")
    add("--release", type=int, metavar="M", help="a FAIL stands until M frames in a row pass")
    add("--roi", type=_numbers, metavar="L,T,R,B", help="region of interest; shares or pixels")
    add("--mask", type=_path, metavar="PICTURE", help="its white is ignored")
    add("--page", action="store_true", default=None, help="serve the page as well, see `serve`")
    add("--port", type=int, metavar="P", help="of the page (8080)")


def _run(options) -> int:
    from edge.station.run import run
    from edge.station.settings import load

    given = {
        "folder": options.station,
        "source.open": options.source,
        "sink": options.sink,
        "bundle.precision": options.precision,
        "bundle.threads": options.threads,
        "source.every": options.every,
        "judgement.votes": options.votes,
        "judgement.of": options.of,
        "judgement.release": options.release,
        "masks.roi": options.roi,
        "masks.picture": options.mask,
        "page.serve": options.page,
        "page.port": options.port,
    }
    if options.what.endswith(".toml"):
        settings = load(options.what, given)
    else:
        if options.source is None:
            raise UserError(
                f"expected --source beside the bundle {options.what}, or a STATION.toml; for one "
                f"with every key see {_example()}"
            )
        settings = load(None, {"bundle.path": options.what, **given})
    done = run(settings)
    decisions = ", ".join(f"{n} {name}" for name, n in sorted(done.decisions.items()))
    print(
        f"edge run: {done.scored} scored, {done.failed} failed, {done.dropped} dropped"
        f"{f'; {decisions}' if decisions else ''} ({done.reason})",
        file=sys.stderr,
    )
    return 0


def _example() -> str:
    from edge.station.settings import EXAMPLE

    return os.path.relpath(EXAMPLE)


def _add_serve(parser) -> None:
    parser.add_argument(
        "station",
        type=_path,
        metavar="STATION",
        help="a station's folder, its TOML file, or a site of `python -m export web`",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1); others need a token")
    parser.add_argument("--port", type=int, metavar="P", help="default: 8080")
    parser.add_argument(
        "--token", metavar="T", help="text, env:NAME or file:PATH; default: $EDGE_PAGE_TOKEN"
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)


def _serve(options) -> int:
    from edge.page import serve
    from edge.station.page_child import TOKEN
    from edge.station.settings import load

    if options.parent is not None:
        from edge.station.guard import die_with_parent

        die_with_parent(options.parent)
    token = options.token or (f"env:{TOKEN}" if os.environ.get(TOKEN) else None)
    given = {"page.host": options.host, "page.port": options.port, "page.token": token}
    if options.station.endswith(".toml"):
        settings = load(options.station, given)
    else:
        nothing = {"bundle.path": ".", "source.open": "."}
        settings = load(None, {"folder": options.station, **nothing, **given})
    page = settings.page
    serve(settings.folder, page.host, page.port, page.token)
    return 0


def _add_service(parser) -> None:
    parser.add_argument("station", type=_path, metavar="STATION.toml")
    parser.add_argument("--user", metavar="NAME", help="that it runs as; default: the file's owner")


def _service(options) -> int:
    from edge.station.unit import unit

    print(unit(options.station, options.user), end="")
    return 0


def _add_mark(parser) -> None:
    from edge.station.editor import MARKS, UNMARK

    parser.add_argument("id", type=int, metavar="ID", help="of the record, as every sink gives it")
    parser.add_argument("kind", choices=(*MARKS, UNMARK))
    _add_station(parser)


def _mark(options) -> int:
    from edge.station.editor import UNMARK, StoreEditor
    from edge.station.lines import to_json

    with StoreEditor(_folder(options.station)) as store:
        if options.kind == UNMARK:
            if not store.unmark(options.id):
                raise UserError(f"record {options.id} has no mark to take back")
            return 0
        mark = store.mark(options.id, options.kind)
    print(to_json(mark.record, mark=mark.kind))
    return 0


def _add_install(parser) -> None:
    parser.add_argument("source", type=_path, metavar="FILE|FOLDER", help="what `export` made")
    parser.add_argument("--to", type=_path, required=True, metavar="STORE", help="the bundle store")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="good frames that confirm it; 0: at once (100)"
    )


def _install(options) -> int:
    from edge.install.install import install
    from edge.install.state import NEEDED

    needed = NEEDED if options.frames is None else options.frames
    if needed < 0:
        raise UserError(f"expected --frames from 0, got {needed}")
    print(json.dumps(install(options.source, options.to, needed), indent=1))
    return 0


def _add_rollback(parser) -> None:
    parser.add_argument("store", type=_path, metavar="STORE")


def _rollback(options) -> int:
    from edge.install.install import rollback

    print(json.dumps(rollback(options.store), indent=1))
    return 0


def _add_status(parser) -> None:
    parser.add_argument("what", type=_path, metavar="STATION|STORE")


def _status(options) -> int:
    """Of a station: its health and its counts. Of a bundle store: what it holds."""
    from edge.install.store import Store

    if Store.is_one(options.what):
        from edge.install.install import status

        print(json.dumps(status(options.what), indent=1))
        return 0
    from edge.station.health import read_health
    from edge.station.monitor import MEMORY
    from edge.station.store import open_store

    with open_store(_folder(options.what)) as store:
        counts = store.counts()._asdict()
        events = [event._asdict() for event in store.events(5)]
        now = read_health(store.state(MEMORY))
    print(json.dumps({"running": now, "counts": counts, "events": events}, indent=1))
    return 0 if now is not None and now["status"] != "bad" else 1


def _add_station(parser) -> None:
    parser.add_argument(
        "--station",
        type=_path,
        default=_DEFAULT_STATION,
        metavar="STATION",
        help=f"its folder or its TOML file ({_DEFAULT_STATION})",
    )


def _folder(station: str) -> Path:
    """Of a station that is named by its folder or by its TOML file."""
    if not station.endswith(".toml"):
        return Path(station)
    from edge.station.settings import load

    return load(station).folder


def doctor_lines(station: Optional[str]) -> Iterator[Tuple[bool, str]]:
    """What `edge doctor` tells besides the interpreter. station: its TOML file, or None."""
    from edge.station.doctor import station_lines

    described = None
    if station is not None:
        from edge.station.settings import load  # needs a Pillow that works

        described = load(station)
    yield from station_lines(described)


def calibrate(
    bundle: str,
    folder: Optional[str],
    rate: Optional[float],
    station: Optional[str],
    dry_run: bool,
    group_by: Optional[str] = None,
) -> dict:
    """`edge calibrate` in its three forms: good pictures, with a station's masks, or its marks."""
    from edge.install.store import Store

    if folder is None:
        if station is None:
            raise UserError("expected a FOLDER of good pictures, or --station with marks")
        if group_by is not None:
            raise UserError(
                "--group-by goes with a FOLDER of good pictures; marks stay as they are"
            )
        from edge.station.feedback import calibrate_from_marks

        precision = None
        if station.endswith(".toml"):
            from edge.station.settings import load

            precision = load(station).bundle.precision
        return calibrate_from_marks(bundle, _folder(station), precision, rate, not dry_run)
    if dry_run:
        raise UserError("--dry-run goes with marks: leave FOLDER out and name the --station")
    masks = None
    if station is not None:
        if not station.endswith(".toml"):
            raise UserError(f"expected a STATION.toml, whose masks hold, got {station}")
        from edge.station.settings import load

        masks = load(station).masks.open()
    if Store.is_one(bundle):
        from edge.install.local import recalibrate_store

        return recalibrate_store(bundle, folder, rate, masks, group_by)
    from edge.recalibrate import recalibrate

    return recalibrate(bundle, folder, rate, masks, group_by)


COMMANDS = {
    "run": ("judge what a source gives, until told to stop", _add_run, _run),
    "serve": ("a station's page: live view, verdicts, marks", _add_serve, _serve),
    "status": ("how a station does, or what a bundle store holds", _add_status, _status),
    "mark": ("an operator's word on a verdict", _add_mark, _mark),
    "install": ("verify, try and activate a bundle", _add_install, _install),
    "rollback": ("back to the bundle before", _add_rollback, _rollback),
    "service": ("print the systemd unit of a station", _add_service, _service),
}
