"""A graph as the manifest describes it."""

from __future__ import annotations

import numpy as np

from edge.interpreter import Graph
from edge.manifest import FileEntry, GraphEntry


def graph_entry(file: str, content: bytes, graph: Graph, precision: str) -> GraphEntry:
    """The entry of a graph file, loaded as `graph`; int8 outputs with their quantisation step."""

    def described(tensors: dict) -> dict:
        return {n: {"shape": list(s), "dtype": str(d)} for n, (_, s, d) in tensors.items()}

    outputs = described(graph.outputs)
    if precision == "int8":
        for name, step in _steps(graph).items():
            outputs[name]["step"] = step
    return GraphEntry(FileEntry.of(file, content), described(graph.inputs), outputs)


def _steps(graph: Graph) -> dict[str, float]:
    """The quantisation step of each output: the least distance of two values that it takes."""
    rng = np.random.default_rng(0)
    seen: dict[str, list] = {name: [] for name in graph.outputs}
    for _ in range(8):
        inputs = {
            n: rng.integers(0, 256, s) if d == np.uint8 else rng.normal(size=s)
            for n, (_, s, d) in graph.inputs.items()
        }
        for name, value in graph(**inputs).items():
            seen[name].append(value.ravel())
    steps = {n: np.diff(np.unique(np.concatenate(v))) for n, v in seen.items()}
    return {n: float(s.min()) if s.size else 0.0 for n, s in steps.items()}
