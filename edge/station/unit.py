"""`edge service`: the systemd unit of a station, to be read, changed and installed by a person.

The station may write to its own folders only, gains no privileges, and is started again whatever
happens. Devices stay open to it: the camera, GPIO, a GPU; the groups that own them are named where
the machine has them.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path
from typing import Iterator, List, Optional

from edge.errors import UserError
from edge.install.store import Store
from edge.station.settings import Settings, load

_GROUPS = ("video", "render", "gpio", "i2c", "dialout")
_WATCHDOG = 60  # seconds
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

_UNIT = """\
# {name}.service, written by `python -m edge service`. To install and start it:
#   python -m edge service {shown} | sudo tee /etc/systemd/system/{name}.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now {name}
# Then `systemctl status {name}` and `journalctl -u {name}` tell how it does.
[Unit]
Description=Visual inspection, {described}
After=network.target
# Never give up: nobody is there to start it again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
{groups}WorkingDirectory={directory}
ExecStart={command}
Restart=always
RestartSec=5
# No frame scored for so long: start anew.
WatchdogSec={watchdog}
TimeoutStartSec=120
# SIGTERM to the station alone; what it started ends with it.
KillMode=mixed
TimeoutStopSec=30
# /run/{name}/health.json, in memory
RuntimeDirectory={name}
RuntimeDirectoryPreserve=restart
UMask=0027
NoNewPrivileges=yes
# Nothing here may name devices, ProtectClock= neither: all others, cameras too, would be closed.
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
"""


def unit(path, user: Optional[str] = None, python: Optional[str] = None) -> str:
    """The text of the unit that runs a station.

    path: the TOML file that describes it. user: that it runs as, by default the file's owner.
    python: the interpreter, by default this one.
    Raises: UserError where the settings, the user or a path make no unit.
    """
    station = Path(path).resolve()
    settings = load(station)
    user = user or _owner(station)
    if not _USER.fullmatch(user):
        raise UserError(f"expected the name of a user, got {user!r}")
    folders = [*dict.fromkeys(folder.resolve() for folder in _written(settings))]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; make it, for {user} to write to")
    directory = Path(__file__).resolve().parents[2]
    for path in (station, directory, *folders):
        if not str(path).isprintable():
            raise UserError(f"expected a path without line breaks, got {str(path)!r}")
    call = [python or sys.executable, "-m", "edge", "run", str(station)]
    return _UNIT.format(
        name=f"edge-{settings.name}",
        shown=shlex.quote(str(station)),
        described=settings.name,
        user=user,
        groups=_groups(),
        directory=str(directory).replace("%", "%%"),
        command=" ".join(_quoted(word).replace("$", "$$") for word in call),
        # Time for four frames: one or two may be lost, and no station is ended for that.
        watchdog=max(_WATCHDOG, math.ceil(4 * settings.source.options.every)),
        writable=" ".join(_quoted(str(folder)) for folder in folders),
    )


def _written(settings: Settings) -> Iterator[Path]:
    """The folders that the station writes to."""
    yield settings.folder
    if Store.is_one(settings.bundle.path):  # confirms a new bundle, or goes back to the one before
        yield Path(settings.bundle.path)
    for sink in settings.sinks:
        kind, _, file = sink.to.partition(":")
        if kind == "jsonl" and file != "-":
            yield Path(file).parent
    kind, _, watched = settings.source.open.partition(":")
    if kind == "watch" and settings.source.options.done != "keep":
        yield Path(watched)


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError, NotImplementedError):
        raise UserError(f"{path} belongs to nobody known here; name a user") from None


def _groups() -> str:
    # A unit that names a group which the machine lacks does not start.
    try:
        import grp
    except ImportError:  # not on Windows, where a unit may still be written
        return ""
    there = {group.gr_name for group in grp.getgrall()}
    found: List[str] = [group for group in _GROUPS if group in there]
    return f"SupplementaryGroups={' '.join(found)}\n" if found else ""


def _quoted(word: str) -> str:
    """One word of a unit's line."""
    word = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"' if re.search(r"[\s'\"\\;]", word) else word
