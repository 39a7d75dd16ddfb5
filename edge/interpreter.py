"""A LiteRT interpreter, whichever is installed: ai-edge-litert, else tflite-runtime."""

from __future__ import annotations

import importlib

import numpy as np

from edge.errors import InterpreterError

PACKAGES = {  # distribution -> module, in order of preference
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}


def find_interpreter() -> tuple:
    """Returns (distribution name, Interpreter class). Raises: InterpreterError if none works."""
    failures = []
    for distribution, module in PACKAGES.items():
        try:
            interpreter_class = importlib.import_module(module).Interpreter
        except ImportError as error:
            failures.append(f"{distribution}: {error}")
            continue
        # The import succeeds; the first graph would fail with pages from C.
        if distribution == "tflite-runtime" and int(np.__version__.split(".")[0]) > 1:
            raise InterpreterError(
                f"tflite-runtime needs NumPy 1, this is NumPy {np.__version__}; "
                "run `pip install 'numpy<2'`"
            )
        return distribution, interpreter_class
    raise InterpreterError(
        f"no LiteRT interpreter could be imported ({'; '.join(failures)}); "
        "run `pip install -r edge/requirements.txt`"
    )


class Graph:
    """One loaded graph, called by tensor names. Belongs to one thread at a time."""

    def __init__(self, content: bytes, threads: int = 1):
        """content: the bytes of a .tflite file, already verified (damaged ones can crash)."""
        distribution, interpreter_class = find_interpreter()
        try:
            self._interpreter = interpreter_class(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
            (signature,) = self._interpreter.get_signature_list()
            runner = self._interpreter.get_signature_runner(signature)
        except (ValueError, RuntimeError, SystemError) as error:
            message = " ".join(str(error).split())
            raise InterpreterError(f"{distribution} refuses the graph: {message}") from None
        self.inputs = {n: _tensor(d) for n, d in runner.get_input_details().items()}
        self.outputs = {n: _tensor(d) for n, d in runner.get_output_details().items()}

    def __call__(self, **inputs) -> dict:
        """Each input by name, with the tensor's shape. Returns: name -> array, a copy."""
        for name, (index, _, dtype) in self.inputs.items():
            self._interpreter.set_tensor(index, np.asarray(inputs[name], dtype=dtype))
        self._interpreter.invoke()
        get = self._interpreter.get_tensor
        return {name: get(index) for name, (index, _, _) in self.outputs.items()}


def _tensor(details: dict) -> tuple:
    return details["index"], tuple(int(n) for n in details["shape"]), np.dtype(details["dtype"])
