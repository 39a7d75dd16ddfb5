"""Children that do not outlive their station, even where it is killed with SIGKILL.

Run as a script, it starts a command and ends it, with all that it started, when the station is
gone: `python guard.py STATION_PID PROGRAM ARGUMENT...`. It imports little, because it stays.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, by: int = signal.SIGKILL) -> None:
    """Has the kernel send this process a signal when its parent is gone.

    parent: its process id; where it is gone already, this process ends here. The kernel counts the
    thread that started this process as the parent, so that has to be one that stays.
    """
    import ctypes

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux
        prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _end_group(*_: object) -> None:
    os.killpg(0, signal.SIGKILL)


def main(parent: str, *command: str) -> int:
    """Runs a command in this process's group, which the station made for it; returns its status."""
    signal.signal(signal.SIGTERM, _end_group)
    die_with_parent(int(parent), signal.SIGTERM)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    # The command's output ends where the command does, and not only with this process.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
