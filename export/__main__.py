"""`python -m export RUN OUT`: SavedModel and verified bundle from a finished run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge.errors import UserError
from vae_tf.quiet import quiet


def main(arguments=None) -> int:
    """Returns the exit status: 1 where a graph fails verification, 2 on bad input."""
    options = _parser().parse_args(arguments)
    # TensorFlow and the converter log to standard error by themselves; before it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        from export.bundle import export
        from export.verify import VerificationError

    try:
        export(options.run, options.out, options.name, lambda line: print(line, file=sys.stderr))
    except VerificationError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except UserError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(Path(options.out) / "bundle")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the folder that `vae_tf train` wrote")
    parser.add_argument("out", metavar="OUT", help="gets saved_model/ and bundle/")
    parser.add_argument("--name", help="of the bundle; default: the run folder's")
    return parser


if __name__ == "__main__":
    sys.exit(main())
