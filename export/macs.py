"""What a graph costs to run, counted from the file itself."""

from __future__ import annotations

import math

from ai_edge_litert import schema_py_generated as schema

_OPS = schema.BuiltinOperator


def multiply_adds(content: bytes) -> int:
    """Multiplications with additions that one call of a .tflite graph takes.

    Those of convolutions and dense layers, which are nearly all. A resize or an addition counts
    nothing.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    total = 0
    for graph in model.subgraphs:
        shapes = [tuple(tensor.shape) for tensor in graph.tensors]
        for op in graph.operators:
            code = codes[op.opcodeIndex]
            if code not in (_OPS.CONV_2D, _OPS.DEPTHWISE_CONV_2D, _OPS.FULLY_CONNECTED):
                continue
            output, weights = shapes[op.outputs[0]], shapes[op.inputs[1]]
            if code == _OPS.CONV_2D:  # weights: (out, height, width, in)
                total += int(math.prod(output) * math.prod(weights[1:]))
            elif code == _OPS.DEPTHWISE_CONV_2D:  # weights: (1, height, width, out)
                total += int(math.prod(output) * math.prod(weights[1:3]))
            else:  # weights: (out, in)
                total += int(math.prod(output) * weights[1])
    return total
