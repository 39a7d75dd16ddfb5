"""Golden vectors: what the graphs gave where they were made, to be seen again on the device.

`golden.npz` holds `picture_0`, `picture_1`, ... (uint8, any size), `z` (n, latent) for the decoder,
and for each precision `<precision>/score` (n,), `<precision>/anomaly_map`, `<precision>/z_mean`
and `<precision>/image` (what the decoder makes of `z`).
"""

from __future__ import annotations

import io

import numpy as np

from edge.errors import BundleError
from edge.interpreter import Graph
from edge.manifest import Manifest, read_entry
from edge.preprocess import preprocess
from edge.score import MAP
from edge.tiles import joined, judge_tiles, look, tiling

GOLDEN = "golden.npz"
FLOAT_TOLERANCE = 1e-4  # relative to the output's own range, where that is above 1


def run_golden(
    manifest: Manifest, precision: str, graphs: dict, pictures: list, z: np.ndarray
) -> dict:
    """Runs pictures and codes through the three graphs of one precision.

    graphs: role -> Graph, of that precision. pictures: uint8 arrays of any size. z: float32
        (n, latent).
    Returns: "score" (n,), "anomaly_map" (n, h, w) of the input spec's size, "z_mean" (n, latent) of
        each picture's first tile, "image" (n, ...) of the model's size.
    """
    score = manifest.score_of(precision)
    how = tiling(manifest.input.shape, graphs["detector"].inputs["image"][1][1:])
    inputs = [preprocess(p, manifest.input) for p in pictures]
    outputs = [look(graphs["detector"], picture, how) for picture in inputs]
    first = [np.ascontiguousarray(next(how.cut(picture)))[None] for picture in inputs]
    return {
        "score": np.array([judge_tiles(o, score, how)[1] for o in outputs]),
        "anomaly_map": np.array([joined(o, MAP, how) for o in outputs]),
        "z_mean": np.array([graphs["encoder"](image=x)["z_mean"][0] for x in first]),
        "image": np.array([graphs["decoder"](z=code[None])["image"][0] for code in z]),
    }


def golden_bytes(pictures: list, z: np.ndarray, expected: dict) -> bytes:
    """The golden file. expected: precision -> what `run_golden` returned."""
    arrays = {f"picture_{i}": p for i, p in enumerate(pictures)}
    arrays["z"] = z
    for precision, values in expected.items():
        arrays.update({f"{precision}/{name}": value for name, value in values.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_golden(content: bytes) -> tuple:
    """Returns (pictures, z, expected by precision). Raises: BundleError on a damaged file."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # zipfile and NumPy raise many kinds on damage
        raise BundleError(f"{GOLDEN} is damaged ({error}); copy the bundle again") from None
    pictures = [
        arrays[f"picture_{i}"] for i in range(sum(n.startswith("picture_") for n in arrays))
    ]
    expected: dict = {}
    for name, value in arrays.items():
        precision, _, what = name.partition("/")
        if what:
            expected.setdefault(precision, {})[what] = value
    return pictures, arrays["z"], expected


def compare(manifest: Manifest, precision: str, golden: dict, got: dict) -> list:
    """Where golden outputs and those of this machine differ: one line each, none if they agree.

    golden: precision -> outputs. float32 may differ by 1e-4 of the output's range. int8 kernels
    round differently from one interpreter to the next, and the layers add that up; so an int8
    output may differ, root mean square, by twice what it differs from float32, and by one
    quantisation step. A score may differ by as much as its map, and in int8 by twice what it
    differs from float32 besides, the knees' own difference included.
    """
    outputs = {
        "anomaly_map": manifest.graph("detector", precision).outputs["anomaly_map"],
        "z_mean": manifest.graph("encoder", precision).outputs["z_mean"],
        "image": manifest.graph("decoder", precision).outputs["image"],
    }
    expected = golden[precision]
    differences = []
    allowed = {}
    for name, output in outputs.items():
        allowed[name] = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected[name]).max()))
        if precision == "int8":
            allowed[name] += output.get("step", 0.0) + 2 * _rms(
                expected[name], golden["float32"][name]
            )
    allowed["score"] = allowed["anomaly_map"]
    if precision == "int8":
        allowed["score"] += 2 * _rms(expected["score"], golden["float32"]["score"])
        allowed["score"] += 2 * _moved(manifest.score, manifest.score_of(precision))
    measure = _rms if precision == "int8" else _largest
    for name, limit in allowed.items():
        difference = measure(expected[name], got[name])
        if not difference <= limit:
            differences.append(f"{name} differs by {difference:.3g}, allowed is {limit:.3g}")
    return differences


def _moved(score, other) -> float:
    """What other knees alone may change of a score."""
    return sum(
        score.weights.get(name, 1.0) * abs(other.knees[name] - knee)
        for name, knee in score.knees.items()
    )


def _rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64))))


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def load_graphs(bundle, manifest: Manifest, precision: str) -> dict:
    """The three graphs of a precision, verified and loaded: role -> Graph."""
    roles = ("detector", "encoder", "decoder")
    return {r: Graph(read_entry(bundle, manifest.graph(r, precision).entry)) for r in roles}
