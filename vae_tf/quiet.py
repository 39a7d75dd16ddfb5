"""Keeps the chatter of native libraries off standard error, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# TensorFlow logs these before it heeds TF_CPP_MIN_LOG_LEVEL; the converter heeds nothing.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]0000 |fully_quantize: "
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate"
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what is written to standard error meanwhile, then passes on all but chatter.

    Where the body raises, everything is passed on.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        chatter = None
        try:
            yield
            chatter = _CHATTER
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            held.seek(0)
            lines = [line for line in held if not (chatter and chatter.match(line))]
            with contextlib.suppress(OSError), open(2, "wb", closefd=False) as stderr:
                stderr.writelines(lines)
