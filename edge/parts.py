"""Golden vectors of a bundle without a detector: its encoder and decoder, whatever they take.

`golden.npz` then holds `input/<role>/<tensor>`, (n, ...), and for each precision
`<precision>/<role>/<tensor>`, what the graph gave for them where it was made.
"""

from __future__ import annotations

import io

import numpy as np

from edge.errors import BundleError
from edge.golden import FLOAT_TOLERANCE, GOLDEN
from edge.interpreter import Graph
from edge.manifest import Manifest, read_entry

_INPUT = "input"


def run_parts(graphs: dict, inputs: dict) -> dict:
    """Runs each role's examples one by one.

    graphs: role -> Graph. inputs: role -> tensor name -> (n, ...).
    Returns: role -> output name -> (n, ...).
    """
    outputs = {}
    for role, tensors in inputs.items():
        count = len(next(iter(tensors.values())))
        rows = [
            graphs[role](**{name: values[i : i + 1] for name, values in tensors.items()})
            for i in range(count)
        ]
        outputs[role] = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return outputs


def parts_bytes(inputs: dict, expected: dict) -> bytes:
    """The golden file. expected: precision -> what `run_parts` returned."""
    arrays = {}
    for group, by_role in {_INPUT: inputs, **expected}.items():
        for role, tensors in by_role.items():
            arrays.update({f"{group}/{role}/{name}": v for name, v in tensors.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def check_parts(bundle, manifest: Manifest, precision: str, content: bytes) -> tuple:
    """Runs the golden inputs through the encoder and decoder of a precision.

    content: of the golden file. What may differ is as for `golden.compare`.
    Returns: (differences, a line each; number of examples).
    Raises: BundleError on a damaged file.
    """
    arrays = _read(content)
    inputs, expected, exact = (arrays.get(n, {}) for n in (_INPUT, precision, "float32"))
    if not inputs or expected.keys() != inputs.keys() or exact.keys() != inputs.keys():
        raise BundleError(f"{GOLDEN} lacks golden vectors of {precision}; export again")
    graphs = {r: Graph(read_entry(bundle, manifest.graph(r, precision).entry)) for r in inputs}
    got = run_parts(graphs, inputs)
    differences = []
    for role, tensors in expected.items():
        steps = manifest.graph(role, precision).outputs
        for name, want in tensors.items():
            limit = FLOAT_TOLERANCE * max(1.0, float(np.abs(want).max()))
            error = got[role][name].astype(np.float64) - want
            difference = float(np.abs(error).max())
            if precision == "int8":
                limit += steps[name].get("step", 0.0) + 2 * _rms(want - exact[role][name])
                difference = _rms(error)
            if not difference <= limit:
                differences.append(
                    f"{role}'s {name} differs by {difference:.3g}, allowed is {limit:.3g}"
                )
    return differences, len(next(iter(inputs["decoder"].values())))


def _read(content: bytes) -> dict:
    """group -> role -> tensor -> array."""
    found: dict = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for key in archive.files:
                group, role, name = key.split("/")
                found.setdefault(group, {}).setdefault(role, {})[name] = archive[key]
    except Exception as error:  # zipfile and NumPy raise many kinds on damage
        raise BundleError(f"{GOLDEN} is damaged ({error}); copy the bundle again") from None
    return found


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))
