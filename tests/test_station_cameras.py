"""Real drivers in the capture's process: OpenCV on network streams and videos, and picamera2."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from station_cameras import colours, mean, mjpeg, nobody_answers, rtsp, served
from station_frames import END, children, is_running, reading, wait_until

from edge.station.sources import open_source
from edge.station.types import Frame, Trouble

cv2 = pytest.importorskip("cv2")


def hang():
    threading.Event().wait(60)


def few_then_hang():
    yield from colours(60, 0.02)  # RTSP is only open after a second of them
    hang()


@pytest.fixture(params=["http", "rtsp"])
def network(request):
    """How to serve pictures, and the start of the address."""
    return {"http": (mjpeg, "http://"), "rtsp": (rtsp, "rtsp://")}[request.param]


def test_a_network_camera_gives_colours_as_they_are(network):
    play, scheme = network
    with served(play(colours)) as port, reading(f"{scheme}127.0.0.1:{port}/live") as read:
        frame = read.frame()
        assert read.source.live
        assert frame.source == f"{scheme}127.0.0.1:{port}/live"
        assert frame.picture.shape == (48, 64, 3)
        red, _, blue = mean(frame)
        assert abs(red - 200) < 12
        assert abs(blue - 40) < 12
        greens = {round(mean(read.frame())[1] / 10) for _ in range(5)}
        assert len(greens) > 1, "the pictures change"


def test_a_network_camera_that_hangs_is_opened_again(network):
    play, scheme = network
    with served(play(few_then_hang)) as port:
        text = f"{scheme}127.0.0.1:{port}/live"
        with reading(text, timeout=1, retry=0.05) as read:
            read.frame()
            (child,) = children()
            trouble = read.trouble()
            assert trouble.lost
            assert "no picture for 1 s" in trouble.problem
            assert not is_running(child)
            read.frame()


def test_a_network_camera_that_goes_and_comes_back(network):
    play, scheme = network
    with served(play(lambda: colours(10))) as port:
        text = f"{scheme}127.0.0.1:{port}/live"
        with reading(text, timeout=5, retry=0.05) as read:
            read.frame()
            assert "gives no more pictures" in read.trouble().problem
            read.frame()


def test_a_camera_that_is_not_there_yet_is_waited_for():
    with served(mjpeg(colours)) as port:
        pass  # a free port
    with reading(f"http://127.0.0.1:{port}/", retry=0.05) as read:
        trouble = read.trouble()
        assert trouble.lost
        assert "cannot be opened" in trouble.problem
        with served(mjpeg(colours), port):
            read.frame()


def test_an_address_that_never_answers_is_given_up_in_time():
    with nobody_answers() as port, reading(f"rtsp://127.0.0.1:{port}/", patience=2) as read:
        assert "no picture for 2 s" in read.trouble().problem


def test_a_password_reaches_the_camera_and_nothing_else():
    with served(rtsp(lambda: colours(60), password="me:secret")) as port:
        with reading(f"rtsp://me:secret@127.0.0.1:{port}/live", retry=60) as read:
            frame = read.frame()
            (child,) = children()
            assert b"secret" not in Path(f"/proc/{child}/cmdline").read_bytes()
            assert b"secret" not in Path(f"/proc/{child}/environ").read_bytes()
            trouble = read.trouble()
        with reading(f"rtsp://me:wrong-one@127.0.0.1:{port}/live", retry=60) as read:
            refused = read.trouble()
    for text in (frame.source, trouble.source, trouble.problem, refused.source, refused.problem):
        assert "secret" not in text
        assert "wrong-one" not in text
    assert frame.source == f"rtsp://127.0.0.1:{port}/live"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtsp://u:p4ss@127.0.0.1:9/a@b", "rtsp://127.0.0.1:9/a@b"),
        (
            "rtsp://127.0.0.1:9/user=u_password=p4ss_channel=1",
            "rtsp://127.0.0.1:9/user=u_password=...",
        ),
        ("http://127.0.0.1:9/cgi?user=u&pwd=p4ss&n=1", "http://127.0.0.1:9/cgi?user=u&pwd=...&n=1"),
        ("http://127.0.0.1:9/?Token=p4ss", "http://127.0.0.1:9/?Token=..."),
    ],
)
def test_no_way_to_write_a_password_shows_it(text, name):
    with reading(text, retry=60) as read:
        trouble = read.trouble()
    assert trouble.source == name
    assert "p4ss" not in trouble.problem


@pytest.mark.parametrize("device", ["camera:99", "camera:/dev/null", "camera:/dev/absent"])
def test_a_device_that_is_no_camera_is_reported_and_tried_again(device):
    with reading(device, retry=0.05) as read:
        trouble = read.trouble()
        assert trouble.source == device
        assert trouble.lost
        assert "cannot be opened; is it there, on, and in nobody else's use?" in trouble.problem
        first = set(children())
        wait_until(lambda: set(children()) - first, 60, "another try")


def test_a_capture_by_hand_writes_pictures_that_any_viewer_opens(tmp_path, video):
    call = [sys.executable, "-m", "edge.station.capture"]
    setup = f'{{"source": "video:{video}"}}\n'.encode()
    done = subprocess.run(call, cwd=ROOT, input=setup, capture_output=True, check=True)
    (tmp_path / "one.ppm").write_bytes(done.stdout)
    with Image.open(tmp_path / "one.ppm") as picture:
        assert (picture.size, picture.mode) == ((64, 48), "RGB")


# Video files


def write_video(path: Path, colours_, rate=10.0) -> Path:
    """A Motion-JPEG video of whole pictures of one colour each, RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    for colour in colours_:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """40 pictures, red 200 and blue 40, whose green is six times their number."""
    folder = tmp_path_factory.mktemp("video")
    return write_video(folder / "clip.avi", [(200, 6 * number, 40) for number in range(40)])


@pytest.fixture(scope="module")
def long_video(tmp_path_factory) -> Path:
    """2000 pictures."""
    return write_video(tmp_path_factory.mktemp("video") / "long.avi", [(9, 9, 9)] * 2000)


def numbers(frames) -> list:
    return [round(mean(frame)[1] / 6) for frame in frames]


def test_a_video_gives_every_picture_in_order_with_its_number(video):
    with reading(f"video:{video}") as read:
        frames = read.rest(60)
    assert not read.source.live
    assert numbers(frames) == list(range(40))
    assert [frame.source for frame in frames] == [f"{video}#{n}" for n in range(1, 41)]
    assert read.source.dropped == 0
    red, _, blue = mean(frames[5])
    assert abs(red - 200) < 6
    assert abs(blue - 40) < 6
    assert children() == []


def test_a_video_waits_for_the_judge(long_video):
    source = open_source(f"video:{long_video}")
    frames = source.frames()
    next(frames)
    time.sleep(1.0)  # enough to decode it all
    assert len(children()) == 1, "decoded further than was asked for"
    rest = list(frames)
    assert [frame.source for frame in rest] == [f"{long_video}#{n}" for n in range(2, 2001)]
    source.close()


def test_a_video_at_a_lower_rate(video):
    with reading(f"video:{video}", every=0.5) as read:  # of ten pictures a second
        assert numbers(read.rest(60)) == [0, 5, 10, 15, 20, 25, 30, 35]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no video that OpenCV can read"),
        (b"no video" * 99, "is no video that OpenCV can read"),
    ],
)
def test_what_is_no_video_is_trouble_and_the_end(tmp_path, content, words):
    (tmp_path / "clip.avi").write_bytes(content)
    with reading(f"video:{tmp_path}/clip.avi") as read:
        (trouble,) = read.rest(60)
    assert trouble == Trouble(f"{tmp_path}/clip.avi", words)


def test_damaged_videos_end_without_harm(video, tmp_path):
    whole = video.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(3):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 60):
            content[at] = rng.integers(256)
        (tmp_path / "clip.avi").write_bytes(content[: rng.integers(len(whole) // 2, len(whole))])
        with reading(f"video:{tmp_path}/clip.avi", timeout=10) as read:
            arrivals = read.rest(60)
        assert 1 <= len(arrivals) <= 41
        for arrival in arrivals:
            assert isinstance(arrival, (Frame, Trouble))


def test_a_decoder_that_crashes_or_hangs_is_trouble_and_the_end(long_video):
    for signal_, words in ((signal.SIGSEGV, "ended by signal 11"), (signal.SIGSTOP, "no picture")):
        with reading(f"video:{long_video}", timeout=1) as read:
            read.frame()
            (child,) = children()
            os.kill(child, signal_)
            *_, last = read.rest(60)
        assert isinstance(last, Trouble)
        assert words in last.problem
        assert children() == []


def test_closing_a_video_in_the_middle(long_video):
    with reading(f"video:{long_video}") as read:
        read.frame()
        read.close()
        while (arrival := read.next()) is not END:
            assert isinstance(arrival, Frame)
    assert children() == []


# The Pi's camera, by a module that does as picamera2 does

FAKE_PICAMERA2 = """
import os, sys, time
import numpy as np

print("libcamera prints what it likes, on standard output too")
os.system("echo and so do its processes")


class Picamera2:
    @staticmethod
    def global_camera_info():
        return [{"Num": 0}, {"Num": 1}]

    def __init__(self, camera_num=0):
        self.number, self.count, self.started = camera_num, 0, False

    def create_video_configuration(self, main={}, buffer_count=6, queue=True):
        return {"main": {"format": "XBGR8888", "size": (1280, 720), **main}, "queue": queue}

    def configure(self, config):
        self.config = config

    def start(self):
        self.started = True

    def capture_array(self, name="main"):
        assert self.started and self.number == 1
        self.count += 1
        if self.count == 20:
            raise RuntimeError("Camera frontend has timed out")
        time.sleep(0.02)
        width, height = self.config[name]["size"]
        layout = self.config[name]["format"]
        red_green_blue = {"BGR888": [200, 100, 40], "RGB888": [40, 100, 200]}[layout]
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:] = red_green_blue
        picture[0, 0] = self.count, self.config["queue"], 0
        return picture
"""


@pytest.fixture
def picamera2(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "picamera2.py").write_text(FAKE_PICAMERA2)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))


@pytest.mark.usefixtures("picamera2")
def test_the_pis_camera_gives_rgb_of_the_size_asked_for():
    with reading("picamera:1", size=(80, 60), retry=0.05) as read:
        frame = read.frame()
        assert frame.source == "picamera:1"
        assert frame.picture.shape == (60, 80, 3)
        assert frame.picture[5, 5].tolist() == [200, 100, 40]
        assert frame.picture[0, 0, 1] == 1, "with a queue, for the highest rate"
        trouble = read.trouble()
        assert "RuntimeError: Camera frontend has timed out" in trouble.problem
        assert read.frame().picture[0, 0, 0] < 20


@pytest.mark.usefixtures("picamera2")
def test_the_pis_camera_at_a_lower_rate_takes_fresh_pictures():
    with reading("picamera:1", size=(80, 60), every=0.3) as read:
        first, second = read.frame(), read.frame()
    assert second.monotonic - first.monotonic > 0.25
    assert first.picture[0, 0, 1] == 0, "no queue"


@pytest.mark.usefixtures("picamera2")
def test_a_pis_camera_that_is_not_there():
    with reading("picamera:2", retry=60) as read:
        assert "no such camera; libcamera finds 2" in read.trouble().problem
