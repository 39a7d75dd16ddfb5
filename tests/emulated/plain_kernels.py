"""`edge` on ai-edge-litert without XNNPACK: its plain kernels, which round int8 otherwise.

tflite-runtime runs int8 graphs with these kernels, so this is what it has to agree with.

    python tests/emulated/plain_kernels.py check BUNDLE PATH…
"""

import functools
import sys

from ai_edge_litert import interpreter


def main() -> int:
    """The same command line, on interpreters without the delegate."""
    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter.Interpreter = functools.partial(
        interpreter.Interpreter, experimental_op_resolver_type=plain
    )
    sys.path.insert(0, "")  # the current folder, where `edge` lies, as `python -m` has it
    from edge.__main__ import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
