"""`edge doctor`: what would not work on this machine, and why."""

from __future__ import annotations

import base64
import platform
import sys
import zlib
from typing import Iterator

from edge.errors import UserError

_MIN_PYTHON = (3, 9)
_MIN_GLIBC = (2, 34)  # of the ai-edge-litert wheels

# A graph that adds x to itself, float32 (1, 4): the smallest proof that an interpreter runs.
_TINY_GRAPH = (
    "c-m!BJ!`^X5WZ+?MMG*alnxG397|B!F5Sdh2>4N~bP{49X$feA7{x;A)Ui`%M~4pnhW>&M{Q>@r&Q0&$T!P>W54rcb"
    "yXW4!O9=o5x9tlJ%20w+(4YVca#@hk2IK(V5L?8%1h7JUrvTD;M-!vz<U|(b<nX3&-X-D)F?0Nd>phva^JvY-fyk2"
    ")>o5#so4(KdrMrs0m|r4NtVi6IeS{*S+3P;E`u9e!Yj#?L#!X|;z_&#2$wKtjICkQCra$)rcjA}}$Dg@V4-Syu(0d"
    "Ro#0$rNaGg=oC(T7obcw47HY2zU=Yg0(JWE;3<JBLYRep_9ntPE&7C>FE*YxVX25HyytH{M?{TGIxhz)|~+G!j8a&"
    "zioAAw`*Vpf`nRFmqYsWMMH8FD{1*O^$Z2R!FER}=LW$a60Do>$mD=e<eXOMIjq0Q*K<=L>VlRbUPBm1(!gALIAV@&"
    "h-(Z8&z*8jr8593v$&JrO+tcNLvOWTVotuEe@Os9W6s_sk_K@9Iior)10G{ttMfWY_"
)


def doctor() -> Iterator:
    """Yields (ok, line) for each thing that the device needs."""
    yield True, f"machine: {platform.machine()}, {platform.system()} {platform.release()}"
    wanted = ".".join(map(str, _MIN_PYTHON))
    yield sys.version_info >= _MIN_PYTHON, f"Python {platform.python_version()}; {wanted} or later"
    yield _libc()
    yield _pillow()
    yield from _interpreter()


def _absent(package: str, error: ImportError) -> tuple:
    return False, f"{package}: {error}; run `pip install -r edge/requirements.txt`"


def _libc() -> tuple:
    name, version = platform.libc_ver()
    if name != "glibc":
        return True, f"C library: {name or 'unknown'} (wheels are made for glibc)"
    ok = tuple(int(n) for n in version.split(".")[:2]) >= _MIN_GLIBC
    hint = "" if ok else "; ai-edge-litert needs 2.34: Raspberry Pi OS Bookworm or later"
    # An older one still serves tflite-runtime, which the interpreter's line below will tell.
    return True, f"C library: glibc {version}{hint}"


def _pillow() -> tuple:
    try:
        from PIL import Image, features
        from PIL import __version__ as version
    except ImportError as error:
        return _absent("Pillow", error)

    missing = [codec for codec in ("jpg", "zlib") if not features.check(codec)]
    if missing:
        return False, f"Pillow {version} cannot read {', '.join(missing)}; `pip install Pillow`"
    return hasattr(Image, "Resampling"), f"Pillow {version}; 9.1 or later"


def _interpreter() -> Iterator:
    try:
        import numpy as np

        from edge.interpreter import Graph, find_interpreter
    except ImportError as error:
        yield _absent("NumPy", error)
        return
    try:
        distribution, _ = find_interpreter()
    except UserError as error:
        yield False, str(error)
        return
    yield True, f"interpreter: {distribution} {_version(distribution)}, NumPy {np.__version__}"
    try:
        doubled = Graph(tiny_graph())(x=np.arange(4.0)[None])["y"]
    except UserError as error:
        yield False, str(error)
        return
    ok = np.array_equal(doubled, [[0.0, 2.0, 4.0, 6.0]])
    yield ok, "interpreter runs a graph" if ok else f"interpreter computes 2 * 0..3 as {doubled}"


def tiny_graph() -> bytes:
    """The bytes of a .tflite file that adds `x`, float32 (1, 4), to itself as `y`."""
    return zlib.decompress(base64.b85decode(_TINY_GRAPH))


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)
