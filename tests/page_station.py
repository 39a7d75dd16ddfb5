"""A station that seems to run, and its page served by a real process."""

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conftest import ROOT
from PIL import Image

from edge.runner import Verdict
from edge.station.clock import boot_id
from edge.station.health import Health, HealthFile, health
from edge.station.live import Live
from edge.station.sinks.failures import Failures
from edge.station.store import Store
from edge.station.types import Record

TOKEN = "correct-horse-battery"
THRESHOLD = 0.5
SCORES = {"pass": 0.31, "warn": 0.47, "fail": 0.82, "error": None}


class FakeStation:
    """What a running station leaves for the page to read. folder: a new one."""

    def __init__(self, folder: Path):
        self.folder = folder / "line-1"
        self.memory = folder / "memory"
        self.memory.mkdir()
        self.store = Store(self.folder)
        self.store.set_state("memory", str(self.memory))
        self.failures = Failures(self.folder)
        self.store.flush()
        self.health()

    def health(self, fresh_s=30.0, **known) -> None:
        now = time.monotonic()
        told = {"scored": 9, "live": True, "last": now, "ms": 3.2, "free_mb": 5120.0, **known}
        made = health(Health(started=now - 600, now=now, taken=time.time(), **told))
        assert HealthFile("test", self.memory).write(made, fresh_s)

    def record(self, verdict="pass", decision=None, ago=0.0, **known) -> Record:
        score = SCORES[verdict]
        return Record(
            taken=time.time() - ago,
            monotonic=time.monotonic() - ago,
            boot=known.pop("boot", boot_id()),
            source="camera:0",
            verdict=verdict,
            decision=decision or verdict.upper(),
            score=known.pop("score", score),
            p_value=None if score is None else 0.2,
            threshold=None if score is None else THRESHOLD,
            ms=known.pop("ms", 3.25),
            bundle="0123456789ab",
            error="no picture" if verdict == "error" else None,
            **known,
        )

    def add(self, verdict="pass", keep=False, **known) -> Record:
        """A frame that was judged; its record is durable. keep: its picture as well."""
        if keep:
            known["picture"] = self.failures.save("camera-0", surface(), seen())
        made = self.store.add(self.record(verdict, **known))
        self.store.flush()
        return made

    def fill(self, n=120) -> None:
        """A while of frames, some of which fail; the pictures of the last ones are there."""
        rng = np.random.default_rng(1)
        for i in range(n):
            verdict = "fail" if i % 17 == 16 else "warn" if i % 13 == 12 else "pass"
            score = SCORES[verdict] * float(rng.normal(1, 0.08))
            picture = None
            if verdict == "fail" and i > n - 40:
                picture = self.failures.save("camera-0", surface(i), seen())
            ms = float(rng.gamma(9, 0.4))
            self.store.add(self.record(verdict, ago=n - i, score=score, ms=ms, picture=picture))
        self.store.drop(12)
        self.store.note("camera", "camera:0 was lost and opened again after 4 s")
        self.store.note("bundle", "0123456789ab is confirmed")
        self.store.flush()

    def look(self, verdict="pass", **known) -> Record:
        """What the station writes while somebody looks."""
        made = self.record(verdict, **known)
        Live(self.memory).show(made, surface(), seen())
        return made

    def close(self) -> None:
        self.store.close()


def surface(seed=0) -> np.ndarray:
    """uint8 (128, 128, 3): brushed metal with a scratch."""
    rng = np.random.default_rng(seed)
    lines = rng.normal(150, 14, (128, 1)) + rng.normal(0, 4, (128, 128))
    lines[40:90, 60:64] -= 70
    return np.repeat(np.clip(lines, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def seen() -> Verdict:
    """What the model says of `surface()`."""
    y, x = np.mgrid[:32, :32]
    heatmap = np.exp(-((x - 15.5) ** 2 / 4 + (y - 16) ** 2 / 60)).astype(np.float32)
    blurred = Image.fromarray(surface()).resize((32, 32)).resize((128, 128))
    return Verdict(
        label="fail",
        score=0.82,
        p_value=0.01,
        threshold=THRESHOLD,
        limit=0.6,
        heatmap=heatmap,
        reconstruction=np.asarray(blurred),
        method="conformal",
        ms=3.25,
    )


class Page(NamedTuple):
    """A page that is served. process: the one that does."""

    port: int
    process: subprocess.Popen

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, method="GET", body=None, headers=None, host=None) -> "Answer":
        """One request on a connection of its own; as a browser sends it where headers is None."""
        headers = dict(headers or {})
        headers.setdefault("Host", f"127.0.0.1:{self.port}" if host is None else host)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers)
        finally:
            connection.close()

    def mark(self, id, kind, **headers) -> "Answer":
        usual = {"Origin": self.address, "Content-Type": "application/json"}
        body = json.dumps({"kind": kind}).encode()
        sent = {k: v for k, v in {**usual, **headers}.items() if v is not None}
        return self.ask(f"/api/records/{id}/mark", "POST", body, sent)

    def stop(self) -> float:
        """Seconds that it took to end."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - start


class Answer(NamedTuple):
    """status, body and headers of one answer."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def picture(self) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.body)))


SERVE = """
import sys
from edge.errors import UserError
from edge.page import serve
folder, host, port, token = sys.argv[1:]
try:
    serve(folder, host, int(port), token or None, ready=lambda a: print(a, flush=True))
except UserError as error:
    sys.exit(f"edge serve: {error}")
"""


def start(folder, host="127.0.0.1", port=0, token="") -> subprocess.Popen:
    """The process that serves a page; it prints its address when it does."""
    call = [sys.executable, "-c", SERVE, folder, host, port, token]
    return subprocess.Popen(
        [str(argument) for argument in call],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def served(folder, **options):
    """Yields the `Page` of a station's folder."""
    process = start(folder, **options)
    try:
        address = process.stdout.readline().strip()
        assert address, process.communicate(timeout=30)
        yield Page(int(address.rstrip("/").rpartition(":")[2]), process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def decoded(text) -> np.ndarray:
    """The picture of a base64 JPEG."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def is_root() -> bool:
    return os.getuid() == 0
