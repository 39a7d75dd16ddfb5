"""What the tests of `edge/web` share: the built app behind a server, and how its page is used.

They need Node.js with npm, and are skipped where there is none.
"""

import contextlib
import functools
import http.server
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import web, web_app


def require_node() -> str:
    """The npm to build with; the test is skipped where there is none."""
    try:
        return web_app.find_npm()
    except web_app.WebError as error:
        pytest.skip(str(error))


class Served:
    """A folder behind a server on this machine. `answers` holds (path, status) of each request."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.answers: list[tuple[str, int]] = []
        handler = functools.partial(_Handler, self.answers, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # "localhost" is a secure origin without HTTPS: camera and service worker are allowed.
        self.url = f"http://localhost:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, answers, *arguments, **options):
        self._answers = answers
        super().__init__(*arguments, **options)

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a page that is closed wants no answer
            super().handle()

    def log_request(self, code="-", size="-"):
        self._answers.append((self.path, int(code)))

    def log_message(self, *_):
        pass


def wait(page, what: str, seconds: float = 60):
    """Waits until an expression is true in the page, and returns its value.

    Playwright's own waiting evaluates strings in the page, which its security policy forbids.
    """
    from playwright.sync_api import Error

    def value_now():
        with contextlib.suppress(Error):  # the page is being left for another
            return page.evaluate(what)
        return None

    end = time.monotonic() + seconds
    while not (value := value_now()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.03)
    return value


class Watched:
    """A page with all that it complained of, and all that it asked for."""

    def __init__(self, context):
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        context.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, url: str):
        """Opens the site and waits until it is ready, or says why it is not."""
        self.page.goto(url)
        wait(
            self.page,
            "document.getElementById('state').dataset.state === 'running'"
            " || !document.getElementById('trouble').hidden",
        )
        return self.page


def judge_files(page, files) -> None:
    """Picks files on the page and waits until all are in the list."""
    kept = "Number(document.querySelectorAll('#list .open').length)"
    before = page.evaluate(kept)
    page.set_input_files("#pick", [str(file) for file in files])
    wait(page, f"{kept} >= Math.min(200, {before} + {len(files)})", 120)


def csv_rows(page) -> list[dict]:
    """The list as the page saves it."""
    import csv

    if page.is_visible(".tabs [data-view=list]"):
        page.click(".tabs [data-view=list]")
    with page.expect_download() as download:
        page.click("#csv")
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def served_site(bundle: Path, folder: Path):
    """Yields the site of a bundle behind a server."""
    require_node()
    web.export_web(bundle, folder / "site")
    served = Served(folder / "site")
    yield served
    served.stop()


def y4m(path: Path, pictures: list, frames_each: int = 10, fps: int = 30) -> Path:
    """A video for Chromium's fake camera: grey pictures in the middle of 640 x 480 pixels."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W640 H480 F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            frame = np.full((480, 640), 40, np.uint8)
            square = Image.fromarray(picture).convert("L").resize((480, 480), Image.BICUBIC)
            frame[:, 80:560] = np.asarray(square)
            luma = np.rint(16 + frame * (219 / 255)).astype(np.uint8)  # ITU-R 601, studio range
            chroma = bytes([128]) * (640 * 480 // 2)
            file.write((b"FRAME\n" + luma.tobytes() + chroma) * frames_each)
    return path


def fake_camera(video: Path) -> tuple:
    """The flags of a browser whose camera shows a video, over and over, to whoever asks."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    )
