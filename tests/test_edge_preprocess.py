"""Pictures on their way to the graph: what is taken, what is refused, and to which bytes."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge import InputSpec, PictureError, preprocess, read_picture

GREY = InputSpec(32, 32, 1)
RGB = InputSpec(32, 32, 3)


def noise(height, width, channels=3, seed=0) -> np.ndarray:
    shape = (height, width) if channels == 0 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path, picture, **options):
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(path, **options)
    return path


def png_chunks(width, height, depth, colour_type, rows: bytes) -> bytes:
    """A PNG of any bit depth; Pillow writes no 16-bit colour."""
    import zlib

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def wide_png(channels, colour_type) -> bytes:
    row = b"\0" + bytes(range(2 * channels)) * 16
    return png_chunks(16, 16, 16, colour_type, row * 16)


def bmp_565() -> bytes:
    pixels = np.full(16 * 16, 0xF800, "<u2").tobytes()  # red
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    start = 14 + len(header) + len(masks)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + masks + pixels


# Refused: what is wrong, and what the message says of it.


def truncated_png(path):
    content = saved(path, noise(64, 64)).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped_png(path):
    content = bytearray(saved(path, noise(64, 64)).read_bytes())
    content[200] ^= 4
    path.write_bytes(content)


def transparent_palette(path):
    picture = Image.fromarray(noise(16, 16, 0) % 4).convert("P")
    picture.save(path, transparency=0)


def two_frames(path, kind):
    frames = [Image.fromarray(noise(16, 16, seed=s)) for s in range(2)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])


BAD_FILES = {
    "truncated.png": (truncated_png, "damaged or cut short"),
    "flipped.png": (flipped_png, "damaged or cut short"),
    "text.jpg": (lambda p: p.write_text("no picture at all"), "a file that is none"),
    "empty.png": (lambda p: p.write_bytes(b""), "a file that is none"),
    "grey16.png": (lambda p: p.write_bytes(wide_png(1, 0)), "8 bits a channel"),
    "rgb16.png": (lambda p: p.write_bytes(wide_png(3, 2)), "8 bits a channel"),
    "rgba16.png": (lambda p: p.write_bytes(wide_png(4, 6)), "8 bits a channel"),
    "rgb16.ppm": (lambda p: p.write_bytes(b"P6 16 16 65535\n" + bytes(1536)), "8 bits a channel"),
    "float.tif": (lambda p: saved(p, np.ones((16, 16), np.float32)), "8 bits a channel"),
    "cmyk.jpg": (lambda p: saved(p, Image.new("CMYK", (16, 16))), "got CMYK"),
    "animated.gif": (lambda p: two_frames(p, "GIF"), "2 frames"),
    "animated.png": (lambda p: two_frames(p, "PNG"), "2 frames"),
    "pages.tif": (lambda p: two_frames(p, "TIFF"), "2 frames"),
    "pixel.png": (lambda p: saved(p, noise(1, 1)), "at least 8 pixels a side, got 1 x 1"),
    "thin.png": (lambda p: saved(p, noise(7, 90)), "at least 8 pixels a side, got 90 x 7"),
    "alpha.png": (lambda p: saved(p, noise(16, 16, 4)), "transparent"),
    "grey_alpha.png": (lambda p: saved(p, noise(16, 16, 2)), "transparent"),
    "palette.png": (transparent_palette, "transparent"),
    "folder.png": (lambda p: p.mkdir(), "got a folder"),
    "absent.png": (lambda p: None, "no such file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_in_one_line_that_names_it(tmp_path, name):
    make, words = BAD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(PictureError) as caught:
        read_picture(tmp_path / name)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name)), "the path, not only the name"
    assert "\n" not in str(caught.value)


WITH_NAN = np.full((16, 16), np.nan, np.float32)
BAD_ARRAYS = {
    "nan": (WITH_NAN, "NaN"),
    "float": (np.ones((16, 16)), "expected a picture of dtype uint8, got float64"),
    "uint16": (np.ones((16, 16), np.uint16), "uint16"),
    "bool": (np.ones((16, 16), bool), "bool"),
    "text": (np.full((16, 16), "x"), "dtype uint8"),
    "two channels": (noise(16, 16, 2), "(16, 16, 2)"),
    "four channels": (noise(16, 16, 4), "(16, 16, 4)"),
    "channels first": (noise(3, 16, 16), "(3, 16, 16)"),
    "batch": (noise(16, 16)[None], "(1, 16, 16, 3)"),
    "row": (np.ones(16, np.uint8), "(16,)"),
    "number": (np.uint8(3), "got ()"),
    "none": (None, "dtype uint8"),
    "small": (noise(7, 40), "at least 8 pixels"),
    "no pixels": (np.ones((0, 0), np.uint8), "at least 8 pixels"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_array_is_refused_in_one_line(name):
    picture, words = BAD_ARRAYS[name]
    with pytest.raises(PictureError) as caught:
        preprocess(picture, RGB)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# Taken: with the very pixels that are in the file.


def test_grey_and_colour_keep_their_pixels(tmp_path):
    grey, colour = noise(20, 30, 0), noise(20, 30)
    assert np.array_equal(read_picture(saved(tmp_path / "g.png", grey)), grey)
    assert np.array_equal(read_picture(saved(tmp_path / "c.png", colour)), colour)
    assert np.array_equal(read_picture(str(saved(tmp_path / "c.bmp", colour))), colour)


def test_open_file_is_read(tmp_path):
    path = saved(tmp_path / "c.png", noise(20, 30))
    with path.open("rb") as file:
        assert np.array_equal(read_picture(file), noise(20, 30))


def test_one_bit_is_black_and_white(tmp_path):
    bits = noise(20, 30, 0) > 127
    path = saved(tmp_path / "bits.png", Image.fromarray(bits))
    assert np.array_equal(read_picture(path), bits * np.uint8(255))


def test_palette_is_looked_up(tmp_path):
    picture = Image.fromarray(noise(20, 30) // 64 * 64).convert("P", palette=Image.Palette.ADAPTIVE)
    read = read_picture(saved(tmp_path / "p.gif", picture))
    assert np.array_equal(read, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_alpha_is_dropped(tmp_path, channels):
    picture = noise(20, 30, channels)
    picture[..., -1] = 255
    read = read_picture(saved(tmp_path / "a.png", picture))
    assert np.array_equal(read, picture[..., 0] if channels == 2 else picture[..., :3])


def test_mpo_of_a_phone_gives_its_first_picture(tmp_path):
    first, second = (Image.fromarray(noise(24, 24, seed=s)) for s in (1, 2))
    path = tmp_path / "phone.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    with Image.open(path) as opened:
        assert (opened.format, opened.n_frames) == ("MPO", 2)
    alone = io.BytesIO()
    first.save(alone, "JPEG")
    assert np.array_equal(read_picture(path), np.asarray(Image.open(alone)))


def test_16_bits_a_pixel_are_not_16_bits_a_channel(tmp_path):
    (tmp_path / "old.bmp").write_bytes(bmp_565())
    assert np.array_equal(read_picture(tmp_path / "old.bmp"), np.full((16, 16, 3), [255, 0, 0]))


@pytest.mark.parametrize("channels", [0, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_set_upright(tmp_path, suffix, orientation, channels):
    upright = noise(20, 30, min(channels, 3))
    # What a camera stores so that the viewer's turn makes it upright, from the EXIF standard.
    transposed = upright.swapaxes(0, 1)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: transposed,
        6: transposed[::-1],
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],
    }[orientation]
    if channels == 4:
        stored = np.dstack([stored, np.full(stored.shape[:2], 255, np.uint8)])
    picture = Image.fromarray(np.ascontiguousarray(stored))
    exif = picture.getexif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"turned.{suffix}", picture, exif=exif, **options)
    grey_webp = suffix == "webp" and channels == 0  # WebP knows colour only
    read = read_picture(path)
    assert np.array_equal(read[..., 0] if grey_webp else read, upright)


# To the model's size and colours.

sides = st.integers(8, 300)
channels = st.sampled_from([0, 1, 3])


@settings(max_examples=60, deadline=None)
@given(sides, sides, channels, sides, sides, st.sampled_from([1, 3]))
def test_any_size_and_colour_gives_the_spec(height, width, depth, to_height, to_width, to_depth):
    spec = InputSpec(to_height, to_width, to_depth)
    picture = noise(height, width, depth, seed=height)
    prepared = preprocess(picture, spec)
    assert prepared.shape == spec.shape == (to_height, to_width, to_depth)
    assert prepared.dtype == np.uint8
    assert picture.min() <= prepared.min() <= prepared.max() <= picture.max()


@settings(max_examples=25, deadline=None)
@given(sides, sides, st.sampled_from([0, 3]), st.sampled_from([GREY, RGB]))
def test_file_and_array_are_prepared_alike(height, width, depth, spec):
    picture = noise(height, width, depth, seed=width)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    file.seek(0)
    assert np.array_equal(preprocess(read_picture(file), spec), preprocess(picture, spec))


@given(sides, sides, channels)
@settings(max_examples=25, deadline=None)
def test_a_picture_of_the_models_size_is_left_as_it_is(height, width, depth):
    picture = noise(height, width, depth)
    spec = InputSpec(height, width, depth or 1)
    assert np.array_equal(preprocess(picture, spec), picture.reshape(spec.shape))


def test_grey_is_itu_601_luma():
    picture = noise(32, 32)
    red, green, blue = picture.astype(np.int64).transpose(2, 0, 1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    assert np.array_equal(preprocess(picture, GREY)[..., 0], luma)


def test_colour_of_grey_repeats_it_and_grey_comes_back():
    grey = noise(32, 32, 0)
    colour = preprocess(grey, RGB)
    assert np.array_equal(colour, np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(preprocess(colour, GREY)[..., 0], grey)


def test_shrinking_averages_and_does_not_skip_pixels():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 254
    prepared = preprocess(stripes, InputSpec(16, 16, 1))
    assert np.abs(prepared.astype(int) - 127).max() <= 16


def test_views_are_prepared_as_their_copies():
    bgr = noise(40, 50)
    assert np.array_equal(preprocess(bgr[..., ::-1], RGB), preprocess(bgr[..., ::-1].copy(), RGB))
    assert np.array_equal(preprocess(bgr[::2, ::2], GREY), preprocess(bgr[::2, ::2].copy(), GREY))


@pytest.mark.parametrize("shape", [(301, 40), (40, 301), (97, 64, 3)])
def test_rows_are_scaled_before_columns_whatever_the_shape(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    spec = InputSpec(24, 32, 1 if len(shape) == 2 else 3)
    rows = Image.fromarray(picture).resize((32, shape[0]), Image.Resampling.BILINEAR)
    expected = rows.resize((32, 24), Image.Resampling.BILINEAR)
    assert np.array_equal(preprocess(picture, spec), np.asarray(expected).reshape(spec.shape))
