"""`python -m export RUN OUT`: SavedModel and verified bundle from a finished run.

`python -m export keygen KEY` makes a key pair for `--sign`: KEY, and KEY.pub for the devices.
`python -m export web BUNDLE SITE` makes a site that runs the bundle in a phone's browser.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge.errors import UserError
from export.sign import keygen
from vae_tf.quiet import quiet


def main(arguments=None) -> int:
    """Returns the exit status: 1 where a graph fails verification, 2 on bad input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["keygen"]:
        return _keygen(arguments[1:])
    if arguments[:1] == ["web"]:
        from export import web

        return web.main(arguments[1:])
    options = _parser().parse_args(arguments)
    # TensorFlow and the converter log to standard error by themselves; before it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        from export.bundle import export
        from export.verify import VerificationError

    try:
        export(
            options.run,
            options.out,
            options.name,
            lambda line: print(line, file=sys.stderr),
            options.sign,
            options.archive,
        )
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


def _keygen(arguments) -> int:
    parser = argparse.ArgumentParser(prog="python -m export keygen")
    parser.add_argument("key", metavar="KEY", help="gets the private key; KEY.pub the public one")
    options = parser.parse_args(arguments)
    try:
        print(keygen(options.key))
    except UserError as error:
        print(f"export keygen: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the folder that `vae_tf train` wrote")
    parser.add_argument("out", metavar="OUT", help="gets saved_model/ and bundle/")
    parser.add_argument("--name", help="of the bundle; default: the run folder's")
    parser.add_argument("--sign", metavar="KEY", help="sign the bundle with this private key")
    parser.add_argument("--archive", action="store_true", help="write OUT/bundle.tar as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
