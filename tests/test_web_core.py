"""The second implementation, in TypeScript, computes what `edge` computes.

It runs in Chromium, as a module without a page; what it is given and gives are JSON.
"""

import base64
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from browsers import start_browser
from PIL import Image
from web_site import Served, require_node

from edge import heatmap, score, tiles
from edge.calibration import calibrate
from edge.manifest import MANIFEST, _parsed
from edge.preprocess import InputSpec, preprocess
from edge.station.judgement import Judgement
from export import web_app

RNG = np.random.default_rng(6)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Calls a JavaScript function of (core, argument) in a page that has imported the module."""
    require_node()
    folder = tmp_path_factory.mktemp("core")
    shutil.copy(web_app.built(output="dist-core") / "core.js", folder)
    (folder / "index.html").write_text("<!doctype html><title>core</title>")
    served = Served(folder)
    browsers = start_browser()
    page = next(browsers).new_page()
    page.goto(served.url)

    def call(function: str, argument=None):
        script = f"""async (text) => {{
            const core = await import("/core.js");
            const bytes = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
            const base64 = (b) => btoa(Array.from(b, (v) => String.fromCharCode(v)).join(""));
            const floats = (s) => new Float32Array(bytes(s).buffer);
            return await ({function})(core, JSON.parse(text), {{ bytes, base64, floats }});
        }}"""
        return page.evaluate(script, json.dumps(argument))

    yield call
    browsers.close()
    served.stop()


def packed(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def unpacked(text: str, dtype=np.uint8) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def noise(height: int, width: int, channels: int) -> np.ndarray:
    """Noise, edges and flat places: whatever rounding may stumble over."""
    picture = RNG.integers(0, 256, (height, width, channels), np.uint8)
    picture[: height // 3] = np.where(picture[: height // 3] > 127, 255, 0)
    picture[-height // 4 :] = RNG.integers(0, 256, channels)
    return picture


SIZES = [(int(a), int(b)) for a, b in RNG.integers(8, 400, (40, 2))]
SIZES += [(8, 8), (9, 1000), (1000, 9), (480, 640), (128, 128), (129, 127), (64, 192)]


def pillow(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's resize, rows first; Pillow 13 takes the columns of tall pictures first."""
    image = Image.fromarray(picture).resize((width, picture.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_pillows_bit_for_bit(core, channels):
    for height, width in SIZES:
        picture = noise(height, width, channels)
        to = (32, 32) if RNG.random() < 0.2 else tuple(int(n) for n in RNG.integers(8, 200, 2))
        expected = pillow(picture.squeeze(2) if channels == 1 else picture, *to)
        got = core(
            "({ resize }, [p, ...n], { bytes, base64 }) => base64(resize(bytes(p), ...n))",
            [packed(picture), height, width, channels, *to],
        )
        assert np.array_equal(unpacked(got), expected.ravel()), (height, width, to)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("of", [1, 3])
def test_preprocess(core, of, channels):
    for height, width in SIZES[::3]:
        picture = noise(height, width, of)
        spec = InputSpec(48, 40, channels)
        opaque = np.full((height, width, 1), 255, np.uint8)
        rgba = np.concatenate([np.broadcast_to(picture, (height, width, 3)), opaque], 2)
        got = core(
            "({ preprocess }, [data, width, height, spec], { bytes, base64 }) =>"
            " base64(preprocess({ data: bytes(data), width, height }, spec))",
            [packed(rgba), width, height, spec._asdict()],
        )
        assert np.array_equal(unpacked(got), preprocess(picture, spec).ravel()), (height, width)


@pytest.mark.parametrize(
    ("size", "alpha", "word"), [((7, 9), 255, "at least 8"), ((9, 9), 254, "transparent")]
)
def test_refused_pictures(core, size, alpha, word):
    picture = np.full((*size, 4), alpha, np.uint8)
    message = core(
        "({ checkPicture }, [data, width, height], { bytes }) => {"
        " try { checkPicture({ data: bytes(data), width, height }); }"
        " catch (error) { return error.name + error.message; } }",
        [packed(picture), size[1], size[0]],
    )
    assert message.startswith("PictureError") and word in message


SPECS = [
    score.ScoreSpec(1, 1.0),
    score.ScoreSpec(3, 0.01),
    score.ScoreSpec(9, 0.0048828125, {"anomaly_map": 2.2, "features": 2.5}),
    score.ScoreSpec(1, 0.003, {"anomaly_map": 1.0, "features": 0.5}, {"features": 2.5}),
    score.ScoreSpec(101, 0.5, {"anomaly_map": 1e-3}, {"anomaly_map": 0.25}),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "how",
    [tiles.Tiling(40, 56, 40, 56), tiles.Tiling(50, 100, 32, 32), tiles.Tiling(33, 32, 32, 32)],
)
def test_score_and_heat_map(core, spec, how):
    n = len(how.corners)
    maps = RNG.gamma(2, 1, (n, how.tile_height, how.tile_width)).astype(np.float32)
    vectors = RNG.normal(0, 0.2, (n, 20)).astype(np.float32)
    outputs = [{score.MAP: m, "features": v} for m, v in zip(maps, vectors, strict=True)]
    expected_map, expected = tiles.judge_tiles(outputs, spec, how)
    got = core(
        """({ Tiling, judgeTiles, limit }, [how, spec, outputs], { floats, base64 }) => {
            const tiling = new Tiling(...how);
            const of = outputs.map(([m, v]) => ({ anomaly_map: floats(m), features: floats(v) }));
            const [map, score] = judgeTiles(of, spec, tiling);
            const bytes = new Uint8Array(map.buffer);
            return { score, map: base64(bytes), corners: tiling.corners, limit: limit(spec, 1.5) };
        }""",
        [
            list(how),
            spec._asdict(),
            [[packed(m), packed(v)] for m, v in zip(maps, vectors, strict=True)],
        ],
    )
    assert [tuple(corner) for corner in got["corners"]] == how.corners
    assert np.array_equal(unpacked(got["map"], np.float32), expected_map.ravel())
    assert got["score"] == pytest.approx(expected, rel=1e-12)
    assert got["limit"] == pytest.approx(spec.limit(1.5), rel=1e-12)


def test_tiles_are_cut_alike(core):
    picture = noise(50, 70, 3)
    how = tiles.Tiling(50, 70, 32, 32)
    got = core(
        "({ Tiling }, [how, p], { bytes, base64 }) =>"
        " new Tiling(...how).cut(bytes(p), 3).map(base64)",
        [list(how), packed(picture)],
    )
    for text, tile in zip(got, how.cut(picture), strict=True):
        assert np.array_equal(unpacked(text), tile.ravel())


@pytest.mark.parametrize("n", [8, 12, 40, 99, 160, 500])
@pytest.mark.parametrize("rate", [0.5, 0.1, 0.05, 0.01, 0.001])
def test_calibration(core, n, rate):
    scores = RNG.gamma(1, 1, n)
    scores[: n // 4] = scores[n // 2]  # ties
    expected = calibrate(scores, rate)
    asked = [*RNG.gamma(1, 2, 30), *scores[:5], expected.threshold, expected.warn_threshold, 1e9]
    got = core(
        """({ calibrate, pValue, label, note }, [scores, rate, asked]) => {
            const record = calibrate(scores, rate);
            const of = asked.map((score) => [pValue(record, score), label(record, score)]);
            return { record, of, note: note(record), lost: label(record, NaN) };
        }""",
        [scores.tolist(), rate, [float(a) for a in asked]],
    )
    record = got["record"]
    for name in ("threshold", "warn_threshold"):
        assert record[name] == pytest.approx(getattr(expected, name), rel=1e-12)
    assert (record["method"], tuple(record["scores"])) == (expected.method, expected.scores)
    assert got["note"] == expected.note
    assert got["lost"] == "fail"
    for value, (p_value, label) in zip(asked, got["of"], strict=True):
        assert p_value == pytest.approx(expected.p_value(value), rel=1e-12)
        if abs(value - expected.threshold) > 1e-9 and abs(value - expected.warn_threshold) > 1e-9:
            assert label == expected.label(value)


@pytest.mark.parametrize("rate", [0.2, 0.01])
@pytest.mark.parametrize("parts", [3, 8, 30])
def test_calibration_by_groups(core, parts, rate):
    scores = RNG.gamma(1, 1, 90)
    calibration = calibrate(scores, rate, RNG.integers(0, parts, 90).tolist())
    asked = [*RNG.gamma(1, 2, 30), *scores[:5], 1e9]
    got = core(
        "({ pValue, note }, [record, asked]) =>"
        " [asked.map((score) => pValue(record, score)), note(record)]",
        [calibration._asdict(), [float(a) for a in asked]],
    )
    assert got[0] == pytest.approx([calibration.p_value(a) for a in asked], rel=1e-9)
    assert got[1] == calibration.note


@pytest.mark.parametrize(
    ("scores", "rate", "word"),
    [([1] * 7, 0.1, "at least 8"), ([1] * 9, 0.6, "0.5]"), ([1] * 9 + [1e400], 0.1, "finite")],
)
def test_calibration_refuses(core, scores, rate, word):
    message = core(
        "({ calibrate }, [scores, rate]) => { try { calibrate(scores.map(Number), rate) }"
        " catch (error) { return error.message } }",
        [[str(s).replace("inf", "Infinity") for s in scores], rate],
    )
    assert word in message


def test_sha256_without_the_browsers_own(core):
    contents = [RNG.bytes(n) for n in [*range(0, 130), 1000, 100_003]]
    got = core(
        "({ sha256Plain }, texts, { bytes, base64 }) =>"
        " texts.map((t) => base64(sha256Plain(bytes(t))))",
        [base64.b64encode(c).decode() for c in contents],
    )
    assert [base64.b64decode(g) for g in got] == [hashlib.sha256(c).digest() for c in contents]


def test_heat_map_has_the_same_colours(core):
    values = np.linspace(0, 4, 1024, dtype=np.float32).reshape(32, 32)
    ground = np.full((32, 32, 3), 90, np.uint8)
    expected = heatmap.overlay(ground, values, 2.0).astype(float)
    got = core(
        "({ coloured }, [map], { floats, base64 }) => base64(coloured(floats(map), 2))",
        [packed(values)],
    )
    rgba = unpacked(got).reshape(32, 32, 4).astype(float)
    alpha = rgba[..., 3:] / 255
    assert np.abs(ground * (1 - alpha) + rgba[..., :3] * alpha - expected).max() <= 2


def test_vote(core):
    frames = RNG.choice(["pass", "warn", "fail"], 200, p=[0.5, 0.2, 0.3]).tolist()
    for votes, of in [(1, 1), (2, 3), (3, 5), (5, 5)]:
        judgement = Judgement(votes, of)
        expected = [judgement.decide(v, float(i)).lower() for i, v in enumerate(frames)]
        got = core(
            "({ Vote }, [votes, of, frames]) => {"
            " const vote = new Vote(votes, of); return frames.map((v) => vote.decide(v)); }",
            [votes, of, frames],
        )
        assert got == expected


PARSE = """async ({ parseManifest }, text, { bytes }) => {
    try { return { manifest: await parseManifest(bytes(text)) }; }
    catch (error) { return { name: error.name, kind: error.kind, message: error.message }; }
}"""


def test_manifest_is_read_alike(core, bundle):
    content = (bundle / MANIFEST).read_bytes()
    got = core(PARSE, packed(np.frombuffer(content, np.uint8)))["manifest"]
    expected = _parsed(content, bundle / MANIFEST)
    assert (got["input"]["height"], got["input"]["channels"]) == expected.input.shape[::2]
    assert got["score"] == expected.score._asdict()
    assert got["calibration"]["int8"]["scores"] == list(expected.calibrations["int8"].scores)
    entry = expected.graph("decoder", "float32").entry
    assert got["graphs"]["decoder"]["float32"]["sha256"] == entry.sha256


def test_no_flipped_bit_of_a_manifest_passes(core, bundle):
    content = (bundle / MANIFEST).read_bytes()
    for at in RNG.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[at] ^= 1 << int(RNG.integers(8))
        got = core(PARSE, packed(np.frombuffer(bytes(changed), np.uint8)))
        assert got.get("name") == "BundleError", got
        assert got["kind"] in ("damaged", "schema")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"schema": 2}, "schema"),
        ({"score": {"window": 1, "top": 1, "new": 1}}, "damaged"),
        ({"input": None}, "damaged"),
        ({"graphs": {}}, "damaged"),
        ({"files": {"../up": {"size": 1, "sha256": ""}}}, "damaged"),
    ],
)
def test_manifest_of_another_kind_is_refused(core, bundle, change, kind):
    record = {**json.loads((bundle / MANIFEST).read_bytes()), **change, "digest": "0" * 64}
    content = json.dumps(record).encode()
    content = content.replace(b"0" * 64, hashlib.sha256(content).hexdigest().encode(), 1)
    got = core(PARSE, packed(np.frombuffer(content, np.uint8)))
    assert (got["name"], got["kind"]) == ("BundleError", kind), got


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(core, save):
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.float32([1.5]), "d": np.uint8([[7, 8]])}
    buffer = io.BytesIO()
    save(buffer, **arrays)
    got = core(
        "async ({ readNpz }, text, { bytes }) => [...await readNpz(bytes(text))]"
        ".map(([name, { shape, data }]) => [name, shape, Array.from(data)])",
        base64.b64encode(buffer.getvalue()).decode(),
    )
    assert got == [[k, list(a.shape), a.ravel().tolist()] for k, a in arrays.items()]
