"""The uses on the command line: `python -m vae_tf generate RUN OUT.png` and its siblings.

Every command writes a picture, and prints a line of JSON: what was written, and the figures. What
each does is in `actions`, which is imported by the command that runs, as it needs TensorFlow.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from vae_tf.quiet import quiet

_NAMED = "a picture, a folder of them (their mean), test:N of the run, or codes in a .npy"


def add_commands(commands) -> None:
    """Adds the uses to argparse's subparsers."""
    for name, (text, add) in _COMMANDS.items():
        description = f"{text[0].upper()}{text[1:]}."
        parser = commands.add_parser(name, help=text, description=description)
        parser.add_argument("run_folder", metavar="RUN", help="the folder that `train` made")
        add(parser)
        parser.add_argument("--label", metavar="CLASS", help="of a conditional model: name, number")
        parser.add_argument("--seed", type=int, default=0, help="of what is random (0)")
        parser.set_defaults(run=partial(_run, name))


def _run(name: str, options) -> int:
    with quiet():
        from vae_tf.uses.actions import ACTIONS

    return ACTIONS[name](options)


def _out(parser, name="OUT.png", text="the picture to write"):
    parser.add_argument("out", metavar=name, type=Path, help=text)


def _generate_options(parser) -> None:
    _out(parser)
    parser.add_argument("-n", "--number", type=int, default=64, metavar="N", help="how many (64)")
    parser.add_argument(
        "--mixture",
        type=int,
        nargs="?",
        const=20,
        metavar="K",
        help="draw codes from a mixture of K Gaussians (20) fitted to the training pictures' "
        "codes; a conditional model has one for each class",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="of the draws (1); below 1 they are more typical and less various",
    )
    parser.add_argument("--npy", type=Path, metavar="FILE", help="write the samples as an array")


def _interpolate_options(parser) -> None:
    for name in ("A", "B"):
        parser.add_argument(name.lower(), metavar=name, help=_NAMED)
    _out(parser, "OUT", "the strip, OUT.png, and the film, OUT.gif, to write")
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="of the strip (9)")
    parser.add_argument("--how", choices=("linear", "spherical"), default="linear")


def _traverse_options(parser) -> None:
    _out(parser)
    parser.add_argument("--picture", default="test:0", metavar="P", help=f"{_NAMED} (test:0)")
    parser.add_argument(
        "--latents", type=_whole_numbers, metavar="I,J", help="default: those with the most KL"
    )
    parser.add_argument("--count", type=int, default=8, metavar="N", help="how many of them (8)")


def _arithmetic_options(parser) -> None:
    for name in ("A", "B", "C"):
        parser.add_argument(name.lower(), metavar=name, help=_NAMED)
    _out(parser)


def _manifold_options(parser) -> None:
    _out(parser)
    parser.add_argument("--side", type=int, default=20, metavar="N", help="cells a side (20)")
    parser.add_argument(
        "--latents", type=_whole_numbers, metavar="I,J", help="default: the two with the most KL"
    )
    parser.add_argument("--picture", metavar="P", help=f"whose other latents stay; {_NAMED}")


def _denoise_options(parser) -> None:
    _restore_options(parser)
    parser.add_argument("--sigma", type=float, metavar="S", help="of the noise, 1 is white")


def _restore_options(parser) -> None:
    _out(parser)
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="damaged ones to restore, as they are"
    )
    parser.add_argument(
        "--damage", metavar="LIST", help="noise=SIGMA, blur=PIXELS, photo=AGE, missing=SHARE"
    )
    parser.add_argument(
        "-n", "--number", type=int, default=1000, metavar="N", help="held-out pictures (1000)"
    )


def _impute_options(parser) -> None:
    _out(parser)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="with gaps where --mask is")
    parser.add_argument("--mask", metavar="FILE", help="a picture, white where they miss pixels")
    parser.add_argument("--missing", type=float, default=0.5, metavar="SHARE", help="drawn (0.5)")
    parser.add_argument("--draws", type=int, default=8, metavar="N", help="fillings (8)")
    parser.add_argument(
        "--how", choices=("variational", "gibbs", "importance"), help="default: as it was trained"
    )
    parser.add_argument("--level", type=float, default=0.9, help="of the intervals (0.9)")
    parser.add_argument(
        "-n", "--number", type=int, default=200, metavar="N", help="held-out pictures (200)"
    )


def _embed_options(parser) -> None:
    _out(parser, "OUT.npy", "the codes to write, (n, latent)")
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="default: the run's held-out ones"
    )
    parser.add_argument(
        "--classes",
        action="store_true",
        help="read the run's source again with its classes, and say how well codes tell them",
    )


def _compress_options(parser) -> None:
    _out(parser)
    parser.add_argument(
        "-n", "--number", type=int, default=1000, metavar="N", help="held-out pictures (1000)"
    )


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 3,7, got {text!r}") from None


_COMMANDS = {
    "generate": ("new pictures, from the prior or a mixture", _generate_options),
    "interpolate": ("from one picture to another", _interpolate_options),
    "traverse": ("what each latent does", _traverse_options),
    "arithmetic": ("a - b + c on codes", _arithmetic_options),
    "manifold": ("the grid over two latents", _manifold_options),
    "denoise": ("before and after, with PSNR and SSIM", _denoise_options),
    "restore": ("the same for blur, age and gaps", _restore_options),
    "impute": ("fill what is missing, with intervals", _impute_options),
    "embed": ("codes, and how much of the classes they hold", _embed_options),
    "compress": ("bits per dimension, rate and distortion", _compress_options),
}
