"""Sources that come to an end: files, folders, standard input; and the texts that name a source."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from station_frames import Stopwatch, encoded, picture, reading

from edge.errors import UserError
from edge.station.sources import SourceOptions, open_source
from edge.station.sources.stdin import StdinSource
from edge.station.types import Frame, Trouble

# Folders and files


def test_a_folder_gives_its_pictures_once_in_order(tmp_path):
    (tmp_path / "sub").mkdir()
    expected = []
    for number, name in enumerate(["a.png", "b.bmp", "sub/c.png"]):
        (tmp_path / name).write_bytes(encoded(picture(number), "BMP" if number == 1 else "PNG"))
        expected.append(str(tmp_path / name))
    (tmp_path / "notes.txt").write_text("not looked at")
    before, ticks = time.time(), time.monotonic()
    source = open_source(str(tmp_path))
    frames = list(source.frames())
    assert not source.live
    assert [frame.source for frame in frames] == expected
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.picture, picture(number))
        assert before <= frame.taken <= time.time()
        assert ticks <= frame.monotonic <= time.monotonic()
    assert source.dropped == 0


def test_the_next_file_is_read_only_when_asked_for(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(picture(1)))
    frames = open_source(str(tmp_path)).frames()
    next(frames)
    (tmp_path / "b.png").write_bytes(encoded(picture(2)))
    np.testing.assert_array_equal(next(frames).picture, picture(2))


def test_what_is_no_picture_is_trouble_and_the_others_come(tmp_path):
    whole = encoded(picture())
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")
    (tmp_path / "c.png").write_bytes(encoded(picture(shape=(4, 4))))
    (tmp_path / "d.png").write_bytes(whole)
    os.mkfifo(tmp_path / "e.png")
    (tmp_path / "f.png").write_bytes(b"")
    (tmp_path / "g.png").symlink_to("absent")
    big = np.zeros((400, 600), np.uint8)
    (tmp_path / "h.png").write_bytes(encoded(big))
    (tmp_path / "i.jpg").write_bytes(encoded(big, "JPEG"))
    with reading(tmp_path, max_pixels=100_000) as read:
        *bad, huge, jpeg = (arrivals := read.rest())
    assert [isinstance(arrival, Frame) for arrival in arrivals].index(True) == 3
    for arrival in (*bad[:3], *bad[4:]):
        assert isinstance(arrival, Trouble)
        assert not arrival.lost
        assert "\n" not in arrival.problem
        assert arrival.source not in arrival.problem
    for arrival, words in (
        (bad[0], "damaged"),
        (bad[1], "expected a picture"),
        (bad[6], "no such"),
    ):
        assert words in arrival.problem
    for arrival in (huge, jpeg):
        assert "too many pixels; expected at most 100000" in arrival.problem


def test_a_single_file_whatever_its_name(tmp_path):
    (tmp_path / "picture").write_bytes(encoded(picture(3), "JPEG", quality=95))
    (frame,) = open_source(str(tmp_path / "picture")).frames()
    assert frame.picture.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "expected a picture, a folder, camera:N"),
        ("absent", {}, "'absent'"),
        ("usb:0", {}, "camera:N, picamera:N, rtsp://"),
        ("camera:", {}, "expected camera:N"),
        ("camera:one", {}, "expected camera:N"),
        ("camera:-1", {}, "expected camera:N"),
        ("picamera:front", {}, "picamera:N"),
        ("rtsp:host", {}, "rtsp://HOST/PATH"),
        ("video:absent.avi", {}, "absent.avi: no such video file"),
        ("watch:absent", {}, "absent: no such folder"),
        ("stdin:file", {}, "expected pictures on standard input"),
        ("command:", {}, "expected a program"),
        ("command:no-such-program-here -x", {}, "'no-such-program-here' is none"),
        ("command:'", {}, "no closing quotation"),
        ("upload:", {}, "expected upload:PORT"),
        ("upload:99999", {}, "expected upload:PORT"),
        ("upload:a:b", {}, "expected upload:PORT"),
        ("upload:0.0.0.0:0", {}, "set a token"),
        ("upload:[::]:0", {}, "set a token"),
        ("upload:0", {"token": "short"}, "token: expected at least 8"),
        ("upload:192.0.2.1:0", {"token": "long enough"}, "cannot listen there"),
        ("upload:no.such.host.invalid:0", {"token": "long enough"}, "cannot listen there"),
        (".", {"every": -1}, "every: expected 0 to 86400 seconds, got -1"),
        (".", {"every": float("nan")}, "every: expected"),
        (".", {"timeout": 0}, "timeout: expected 0.1 to 86400 seconds, got 0"),
        (".", {"patience": float("inf")}, "patience: expected"),
        (".", {"retry": 0}, "retry: expected"),
        (".", {"poll": 0}, "poll: expected"),
        (".", {"max_bytes": 0}, "max_bytes: expected at least 64, got 0"),
        (".", {"max_pixels": -5}, "max_pixels: expected"),
        (".", {"size": (0, 480)}, "size: expected"),
        (".", {"size": (640,)}, "size: expected"),
        ("watch:.", {"done": "burn"}, "expected keep, delete or"),
        ("watch:.", {"done": "move to ../up"}, "expected keep, delete or"),
        ("watch:.", {"done": "move to "}, "expected keep, delete or"),
        ("watch:.", {"done": "move to .."}, "expected keep, delete or"),
    ],
)
def test_what_cannot_be_opened_is_one_line(text, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        open_source(text, SourceOptions(**options))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "module", "hint"),
    [
        ("camera:0", "cv2", "pip install opencv-python-headless"),
        ("camera:/dev/v4l/by-id/usb-cam", "cv2", "pip install opencv-python-headless"),
        ("rtsp://me:secret@host/1", "cv2", "pip install opencv-python-headless"),
        ("video:clip.avi", "cv2", "pip install opencv-python-headless"),
        ("picamera:0", "picamera2", "apt install python3-picamera2"),
        ("upload:0", "waitress", "pip install waitress"),
    ],
)
def test_what_is_not_installed_is_said_with_how_to_get_it(
    text, module, hint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.avi").write_bytes(b"video")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as caught:
        open_source(text)
    assert hint in str(caught.value)
    assert module in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_source_loads_nothing_that_it_does_not_need(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    program = (
        "import sys; from edge.station.sources import open_source; "
        f"list(open_source({str(tmp_path)!r}).frames()); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "edge.station.sources.folder" in loaded
    assert not loaded & {"cv2", "waitress", "picamera2", "http", "multiprocessing", "sqlite3"}


# Standard input

READ_STDIN = """
import signal, sys
from edge.station.sources import SourceOptions, open_source
from edge.station.types import Frame
source = open_source(sys.argv[1], SourceOptions(max_bytes=2**20))
signal.signal(signal.SIGTERM, lambda *_: source.close())
print("ready", flush=True)
for arrival in source.frames():
    if isinstance(arrival, Frame):
        print(arrival.source, arrival.picture.shape, arrival.picture.sum(), flush=True)
    else:
        print("trouble", arrival.problem, flush=True)
print("end", flush=True)
"""


def start_stdin(text="-", **options):
    call = [sys.executable, "-c", READ_STDIN, text]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        call, cwd=ROOT, stdout=pipe, stderr=pipe, **{"stdin": pipe, **options}
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def said(array) -> str:
    return f"stdin {array.shape} {array.sum()}"


@pytest.mark.parametrize("text", ["-", "stdin:"])
def test_pictures_on_standard_input_as_they_come(text):
    process = start_stdin(text)
    for number, kind in enumerate(["PNG", "BMP", "PPM", "PNG"]):
        process.stdin.write(encoded(picture(number), kind))
        process.stdin.flush()
        # Each is judged before the next one comes: nothing is held back to see what follows.
        assert process.stdout.readline().decode().strip() == said(picture(number))
    process.stdin.write(b"garbage!" * 10 + encoded(picture(9)) + encoded(picture(8))[:-30])
    out, err = process.communicate(timeout=60)
    assert out.decode().splitlines() == [
        "trouble skipped 80 bytes of the stream: no picture",
        said(picture(9)),
        f"trouble skipped {len(encoded(picture(8))) - 30} bytes of the stream: "
        "a picture that is cut short",
        "end",
    ]
    assert (process.returncode, err) == (0, b"")


def test_standard_input_can_be_a_file(tmp_path):
    (tmp_path / "stream").write_bytes(encoded(picture(1)) + encoded(picture(2)))
    with (tmp_path / "stream").open("rb") as stream:
        out, _ = start_stdin(stdin=stream).communicate(timeout=60)
    assert out.decode().splitlines() == [said(picture(1)), said(picture(2)), "end"]


def test_closing_ends_the_wait_for_standard_input_from_a_signal_handler():
    process = start_stdin()
    with Stopwatch() as closing:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"end\n"
        process.wait(timeout=60)
    assert process.returncode == 0
    assert closing.seconds < 2
    process.stdin.close()


def test_a_writer_waits_while_a_picture_is_judged():
    stream = encoded(picture(0, (512, 512)), "PPM") * 64  # 16 MiB
    read, write = os.pipe()
    os.set_blocking(write, False)
    source = StdinSource(SourceOptions(), read)
    frames = source.frames()
    taken = queue.Queue()
    threading.Thread(target=lambda: taken.put(next(frames)), daemon=True).start()
    sent = 0
    until = time.monotonic() + 10
    while taken.empty():  # the first frame is asked for, and no other
        assert time.monotonic() < until
        with contextlib.suppress(BlockingIOError):
            sent += os.write(write, stream[sent : sent + 2**16])
    for _ in range(64):
        with contextlib.suppress(BlockingIOError):
            sent += os.write(write, stream[sent : sent + 2**16])
    np.testing.assert_array_equal(taken.get().picture, picture(0, (512, 512)))
    assert sent < len(stream) / 4, "the source took more than it was asked for"
    source.close()
    os.close(write)
    os.close(read)


def test_what_cannot_be_read_is_trouble_and_the_end(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    (trouble,) = StdinSource(SourceOptions(), folder).frames()
    os.close(folder)
    assert trouble == Trouble("stdin", "cannot be read any more: Is a directory")


def test_a_terminal_is_no_stream():
    main, terminal = os.openpty()
    call = [sys.executable, "-c", "from edge.station.sources import open_source; open_source('-')"]
    done = subprocess.run(call, cwd=ROOT, stdin=terminal, capture_output=True, text=True)
    os.close(main)
    os.close(terminal)
    assert "UserError: source '-': expected pictures on standard input" in done.stderr
