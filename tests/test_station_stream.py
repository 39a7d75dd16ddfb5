"""Pictures cut out of a stream of bytes: whole ones, damaged ones, and what lies between."""

import random
import re
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from station_frames import KINDS, encoded, mutated, picture

from edge.station.sources import SourceOptions
from edge.station.sources.decode import decode
from edge.station.sources.stream import PictureStream, Skipped
from edge.station.types import Frame, Trouble


def cut(stream: bytes, step=None, max_bytes=2**22, max_pixels=10**6, **options) -> list:
    """All that the splitter gives for a stream that comes in pieces of `step` bytes."""
    at = 0

    def read(size):
        nonlocal at
        got = stream[at : at + (min(size, step) if step else size)]
        at += len(got)
        return got

    return list(PictureStream(read, max_bytes, max_pixels, **options))


@pytest.mark.parametrize("step", [None, 1, 7, 4096])
def test_every_kind_comes_out_as_it_went_in(step):
    parts = list(KINDS.values())
    assert [bytes(p) for p in cut(b"".join(parts), step)] == parts


def test_padding_between_pictures_is_nothing_to_speak_of():
    parts = list(KINDS.values())
    assert [bytes(p) for p in cut(b"\0\0\n".join(parts) + b"\0" * 1000)] == parts


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_ends_without_a_byte_of_the_next_one(kind):
    """Else a live stream would be one picture late."""
    sent = [KINDS[kind]]

    def read(size):
        assert sent, "waits for what comes behind the picture"
        return sent.pop()

    assert bytes(next(iter(PictureStream(read, 2**22, 10**6)))) == KINDS[kind]


DAMAGED = "damaged|cut short"
GARBAGE = {
    "words": (b"no picture at all", "no picture"),
    "ppm signature": (b"P6 is a signature, but 12 34 is no size", "no picture"),
    "pgm signature alone": (b"P5\n", "no picture"),
    "ppm of no width": (b"P6\n0 9\n255\n", "no picture"),
    "ppm of impossible size": (b"P6\n99999 99999\n255\n", "99999 x 99999 pixels"),
    "ppm of too many digits": (b"P6\n9999999999 1\n255\n", "no picture"),
    "ppm too large": (b"P6\n900 900\n65535\n", "more than 4194304 bytes"),
    "a word that begins like a bmp": (b"BM begins many a word" + b"." * 30, "no picture"),
    "ones behind a bmp's signature": (b"BM" + b"\xff" * 40, "no picture"),
    "png signature alone": (b"\x89PNG\r\n\x1a\n", DAMAGED),
    "png of impossible size": (KINDS["png"][:16] + b"\xff" * 8 + KINDS["png"][24:], "pixels"),
    "png with a long chunk": (KINDS["png"][:33] + b"\x7f" + KINDS["png"][34:], DAMAGED),
    "png cut": (KINDS["png"][:100], DAMAGED),
    "png without end": (KINDS["png"][:-4], DAMAGED),
    "jpeg cut in its tables": (KINDS["jpeg"][:200], DAMAGED),
    "jpeg cut in its scan": (KINDS["jpeg"][:-40], DAMAGED),
    "jpeg without end": (KINDS["jpeg"][:-2], DAMAGED),
    "bmp of wrong length": (b"BM\xff\xff\xff\x7f" + KINDS["bmp"][6:], "damaged BMP"),
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("behind", ["jpeg", "png", "large png", "ppm", "bmp"])
def test_garbage_is_skipped_and_named_and_what_follows_is_found(kind, behind):
    garbage, reason = GARBAGE[kind]
    stream = KINDS["png"] + garbage + KINDS[behind] + KINDS["jpeg"] + bytes(9000)
    first, skipped, second, third = cut(stream)
    assert isinstance(skipped, Skipped)
    assert skipped.size == len(garbage)
    assert re.search(reason, skipped.reason)
    expected = [KINDS["png"], KINDS[behind], KINDS["jpeg"]]
    assert [bytes(p) for p in (first, second, third)] == expected


def test_the_thumbnail_in_a_damaged_picture_is_no_picture():
    thumbnail = encoded(picture(0, (16, 16, 3)), "JPEG")
    exif = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    start, rest = KINDS["jpeg"][:2], KINDS["jpeg"][2:]
    assert [bytes(p) for p in cut(start + exif + rest)] == [start + exif + rest]
    skipped, whole = cut(start + exif + b"?" + rest + KINDS["png"])
    assert isinstance(skipped, Skipped)
    assert bytes(whole) == KINDS["png"]


def test_a_stream_that_ends_early_says_so():
    for kind, whole in KINDS.items():
        *pictures, skipped = cut(KINDS["png"] + whole[:-7])
        assert [bytes(p) for p in pictures] == [KINDS["png"]], kind
        assert skipped.size == len(whole) - 7, kind
        assert "cut short" in skipped.reason, kind


def test_a_wrong_length_at_the_end_does_not_hide_the_pictures_behind_it():
    liar = KINDS["large png"][:33] + b"\0\x05\0\0" + KINDS["large png"][37:500]
    skipped, *pictures = cut(liar + KINDS["jpeg"] + KINDS["png"])
    assert isinstance(skipped, Skipped)
    assert [bytes(p) for p in pictures] == [KINDS["jpeg"], KINDS["png"]]


def test_a_segment_longer_than_what_is_left_does_not_hide_the_pictures_in_it():
    damaged = b"\xff\xd8\xff\xe0\x5e\x51" + bytes(range(1, 99))
    stream = damaged + KINDS["png"] + KINDS["ppm"]
    items = cut(stream, None)
    assert [bytes(i) for i in items if not isinstance(i, Skipped)] == [KINDS["png"], KINDS["ppm"]]
    assert [i.size for i in items if isinstance(i, Skipped)] == [len(damaged)]


def test_garbage_without_an_end_is_said_in_time_and_kept_nowhere():
    sent = 0

    def read(size):
        nonlocal sent
        sent += 2**16
        return bytes(2**16) if sent % 2**17 else random.Random(sent).randbytes(2**16)

    stream = PictureStream(read, 2**20, 10**6, report_after=2**20)
    items = [next(stream.__iter__()) for _ in range(3)]
    assert all(isinstance(item, Skipped) for item in items)
    assert sent < 2**23
    assert len(stream._buffer) < 2**18


def test_a_picture_larger_than_allowed_is_passed_over():
    items = cut(KINDS["large png"] + KINDS["png"], max_bytes=50_000)
    assert bytes(items[-1]) == KINDS["png"]
    assert "more than 50000 bytes" in items[0].reason
    items = cut(KINDS["large png"] + KINDS["png"], max_pixels=100_000)
    assert bytes(items[-1]) == KINDS["png"]
    assert "400 x 300 pixels" in items[0].reason


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(
        st.one_of(st.sampled_from(sorted(KINDS)).map(KINDS.get), st.binary(max_size=60)),
        max_size=8,
    ),
    step=st.one_of(st.none(), st.integers(1, 300)),
)
def test_any_stream_is_accounted_for_to_the_byte(parts, step):
    stream = b"".join(parts)
    items = cut(stream, step)
    sizes = [item.size if isinstance(item, Skipped) else len(item) for item in items]
    padding = len(re.findall(rb"[\0 \t\r\n]", b"".join(p for p in parts if len(p) <= 60)))
    assert len(stream) - padding <= sum(sizes) <= len(stream)


def test_2000_mutated_pictures_neither_crash_nor_hang_nor_hide_whole_ones():
    rng = random.Random(4)
    kinds = [content for name, content in KINDS.items() if name != "large png"]
    whole = {bytes(content): decode("whole", content, OPTIONS) for content in kinds}
    marker = KINDS["jpeg"]
    start = time.process_time()
    found = frames = troubles = 0
    for _ in range(2000 // 5):
        stream = b"".join(mutated(rng.choice(kinds), rng) + marker * 2 for _ in range(5))
        for item in cut(stream, rng.choice((None, 100, 5000))):
            if isinstance(item, Skipped):
                continue
            arrival = decode("x", item, OPTIONS)
            found += bytes(item) == marker
            frames += isinstance(arrival, Frame)
            troubles += isinstance(arrival, Trouble)
            if bytes(item) in whole:
                np.testing.assert_array_equal(arrival.picture, whole[bytes(item)].picture)
    # A raw picture whose header says more than came takes what follows with it, by its nature.
    assert found > 0.85 * 4000
    assert frames > found
    assert troubles > 50
    assert time.process_time() - start < 20


OPTIONS = SourceOptions(max_bytes=2**22, max_pixels=10**6)


# One picture


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoded_picture_is_what_was_written(kind):
    arrival = decode("x", KINDS[kind], OPTIONS, (1.0, 2.0))
    assert isinstance(arrival, Frame), arrival
    assert (arrival.source, arrival.taken, arrival.monotonic) == ("x", 1.0, 2.0)
    assert arrival.picture.dtype == np.uint8
    if "ppm" in kind or kind == "bmp" or kind == "png":
        seed = {"png": 1, "ppm": 8, "ppm with comments": 10, "bmp": 11}[kind]
        np.testing.assert_array_equal(arrival.picture, picture(seed))


def test_raw_pixels_are_not_copied():
    raw = bytearray(KINDS["ppm"])
    frame = decode("x", raw, OPTIONS)
    raw[-1] ^= 0xFF
    assert frame.picture[-1, -1, -1] == raw[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected a picture"),
        (b"GIF89a" + bytes(40), "expected a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "expected a picture"),
        (b"P6\n9 9\n65535\n" + bytes(486), "8 bits a channel"),
        (b"P6\n9 9\n255\n" + bytes(100), "cut short"),
        (b"P5\n4 4\n255\n" + bytes(16), "at least 8 pixels a side"),
        (b"P5\n9000 9000\n255\n", "too many pixels"),
        (encoded(np.zeros((1200, 1000), np.uint8)), "too many pixels"),
        (encoded(np.zeros((1200, 1000), np.uint8), "JPEG"), "too many pixels"),
    ],
)
def test_what_cannot_be_decoded_is_one_line(content, words):
    trouble = decode("stdin", content, OPTIONS)
    assert isinstance(trouble, Trouble)
    assert not trouble.lost
    assert words in trouble.problem
    assert "\n" not in trouble.problem
    assert not trouble.problem.startswith("stdin")
