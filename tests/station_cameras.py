"""Cameras for tests: a program that fails in every way, and servers of real network streams."""

import base64
import contextlib
import io
import shlex
import socket
import socketserver
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

# Each start takes the next of its acts and logs when it was; the last one repeats. Its frames carry
# the number of the start in red and of the frame in green.
PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path

folder, acts = Path(sys.argv[1]), sys.argv[2:]
with open(folder / "starts", "a") as log:
    log.write(f"{time.monotonic()} {os.getpid()}\\n")
start = len((folder / "starts").read_text().splitlines())
number = 0
out = sys.stdout.buffer


def send(data):
    out.write(data)
    out.flush()


def frame(width=32, height=24):
    global number
    number += 1
    return b"P6 %d %d 255\\n" % (width, height) + bytes([start, number % 256, 9]) * (width * height)


def frames(count, seconds="0", *size):
    for _ in range(int(count)):
        send(frame(*map(int, size)))
        time.sleep(float(seconds))


def hang():
    while True:
        time.sleep(1000)


def deaf():
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(name, signal.SIG_IGN)


def child():
    program = "import time\\nwhile True: time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    (folder / "child").write_text(str(process.pid))


def end(status, *words):
    with open(folder / "ends", "a") as log:
        log.write(f"{time.monotonic()}\\n")
    print(*words, file=sys.stderr, flush=True)
    os._exit(int(status))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def raw(text, count="1"):
    send(text.encode().decode("unicode_escape").encode("latin-1") * int(count))


def drip(seconds):
    for byte in frame(999, 999):
        send(bytes([byte]))
        time.sleep(float(seconds))


def chatter(count):
    for _ in range(int(count)):
        sys.stderr.write("warning: " + "x" * 1000 + "\\n")


def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.01)


def close_out():
    os.close(1)
    hang()


for call in acts[min(start, len(acts)) - 1].split(";"):
    name, *arguments = call.split(",")
    globals()[name](*arguments)
"""


class Program:
    """A camera program and what it left behind."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "camera.py").write_text(PROGRAM)

    def text(self, *acts: str) -> str:
        call = [sys.executable, self.folder / "camera.py", self.folder, *acts]
        return "command:" + shlex.join(map(str, call))

    @property
    def starts(self) -> list:
        """(time of the monotonic clock, process id) of each start."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "starts").read_text().splitlines()
            return [(float(line.split()[0]), int(line.split()[1])) for line in lines]
        return []

    @property
    def ends(self) -> list:
        """The time of each end by itself."""
        return [float(line) for line in (self.folder / "ends").read_text().splitlines()]

    @property
    def child(self) -> int:
        return int((self.folder / "child").read_text())


def jpeg(colour, size=(64, 48), **options) -> bytes:
    """A JPEG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def served(play, port=0):
    """Runs a server; play: what each connection does with its socket file. Yields its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                play(self)

    server = _Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def mjpeg(pictures):
    """What a connection to a network camera's MJPEG address does. pictures: an iterable of JPEG."""

    def play(connection):
        while connection.rfile.readline().strip():
            pass
        connection.wfile.write(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n"
        )
        for picture in pictures():
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            connection.wfile.write(head.encode() + picture + b"\r\n")

    return play


def rtsp(pictures, password=None):
    """A connection to an RTSP camera: RTP of JPEG (RFC 2435), interleaved with RTSP on TCP."""

    def play(connection):
        read, write = connection.rfile, connection.wfile
        while True:
            request = read.readline().split()
            if not request:
                return
            headers = {}
            while line := read.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.strip().lower()] = value.strip()
            method, number = request[0], headers[b"cseq"].decode()
            reply, body = f"CSeq: {number}\r\nSession: 7\r\n", ""
            status = "200 OK"
            if method == b"OPTIONS":
                reply += "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
            elif method == b"DESCRIBE":
                expected = b"Basic " + base64.b64encode((password or "").encode())
                if password is not None and headers.get(b"authorization") != expected:
                    status = "401 Unauthorized"
                    reply += 'WWW-Authenticate: Basic realm="camera"\r\n'
                else:
                    body = (
                        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\n"
                        "t=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track\r\na=framerate:25\r\n"
                    )
                    reply += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == b"SETUP":
                reply += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            write.write(f"RTSP/1.0 {status}\r\n{reply}\r\n{body}".encode())
            if method == b"PLAY":
                for count, picture in enumerate(pictures()):
                    write.write(_rtp(picture, count))
                return

    return play


def _rtp(content: bytes, count: int) -> bytes:
    """One JPEG of 4:2:0, standard tables and quality 90 in one RTP packet, interleaved."""
    width, height = Image.open(io.BytesIO(content)).size
    scan = content[content.index(b"\xff\xda") :]
    scan = scan[2 + struct.unpack_from(">H", scan, 2)[0] : -2]
    header = struct.pack(">IBBBB", 0, 1, 90, width // 8, height // 8)
    packet = struct.pack(">BBHII", 0x80, 0x80 | 26, count, count * 3600, 7) + header + scan
    return b"$\0" + struct.pack(">H", len(packet)) + packet


def colours(count=1000, seconds=0.03):
    """Pictures whose green counts up, with a pause between them."""
    for number in range(count):
        yield jpeg((200, 10 * (number % 20), 40))
        time.sleep(seconds)


def mean(frame) -> np.ndarray:
    """The mean colour of a frame."""
    return frame.picture.reshape(-1, 3).mean(0)


@contextlib.contextmanager
def nobody_answers():
    """The port of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
