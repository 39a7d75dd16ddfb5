"""Train on good parts, evaluate, and see it all at once: train, evaluate, demo."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys

from edge.errors import UserError
from edge.files import write_atomically
from vae_tf.config import LIKELIHOODS, MODELS, OBJECTIVES, PRESETS, Config, DataConfig
from vae_tf.quiet import quiet
from vae_tf.uses.commands import add_commands


def main(arguments=None) -> int:
    """Runs one command. Returns the exit status: 2 on bad input, after one line on stderr."""
    options = _parser().parse_args(arguments)
    # TensorFlow logs to standard error by itself; it reads this when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return options.run(options)
    except UserError as error:
        print(f"vae_tf {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"vae_tf {options.command}: stopped", file=sys.stderr)
        return 130


def say(line: str) -> None:
    """Lines for a person go to standard error; standard output is for results."""
    print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_tf", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole job on embedded data, with a report")
    demo.add_argument("out", nargs="?", default="demo", metavar="OUT", help="default: demo")
    demo.set_defaults(run=_demo)

    train = commands.add_parser("train", help="train on pictures of good parts")
    train.add_argument("data", metavar="DATA", help="a folder, tfds:NAME, surfaces, or an .npz")
    train.add_argument("out", metavar="RUN", help="the run directory to make")
    train.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    _add_data_options(train)
    _add_training_options(train)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure on labelled test pictures")
    evaluate.add_argument("run_folder", metavar="RUN", help="the folder that `train` made")
    evaluate.add_argument("data", metavar="DATA", help="as for train; its test pictures are used")
    evaluate.add_argument("--json", metavar="FILE", help="write the figures")
    evaluate.add_argument("--report", metavar="FILE", help="write one self-contained HTML page")
    evaluate.add_argument("--bundle", metavar="DIR", help="adds its size and latency to the report")
    evaluate.add_argument("--plots", metavar="DIR", help="default: RUN/plots")
    evaluate.add_argument(
        "--score",
        metavar="NAME",
        help="another way of scoring than the run's, see vae_tf/scores",
    )
    evaluate.add_argument("--data-dir", metavar="DIR", help="of TFDS; default: the run's")
    evaluate.add_argument("--normal-class", metavar="K", help="default: the run's")
    evaluate.set_defaults(run=_evaluate)
    add_commands(commands)
    return parser


def _add_data_options(parser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data-dir", metavar="DIR", help="where TFDS data sets are")
    group.add_argument("--normal-class", metavar="K", help="this class against the rest")
    group.add_argument(
        "--group-by",
        metavar="PATTERN",
        help="regular expression; pictures whose names match alike stay on one side of a split "
        "('folder': by sub-folder)",
    )
    group.add_argument("--size", type=_size, help="N or HxW; default: told by the pictures")
    group.add_argument(
        "--tile", type=int, metavar="N", help="look at pictures in tiles of N pixels a side"
    )
    group.add_argument("--channels", type=int, choices=(1, 3), help="default: told by the pictures")
    group.add_argument(
        "--calibration", type=float, default=0.2, metavar="SHARE", help="held out (0.2)"
    )
    group.add_argument("--limit", type=int, metavar="N", help="use only so many pictures")


def _add_training_options(parser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument("--preset", choices=tuple(PRESETS), default="standard")
    group.add_argument(
        "--objective", choices=OBJECTIVES, help="restore: finds defects (default); plain: a VAE"
    )
    group.add_argument(
        "--augmentation",
        metavar="LIST",
        help="what keeps a good part good: mirror, flip, rotation=DEGREES, shift=SHARE, "
        "brightness=SPREAD, comma-separated, or none; default: auto, told by the pictures",
    )
    group.add_argument(
        "--camera-noise",
        type=float,
        metavar="LEVELS",
        help="deviation at most, in grey levels of 255, of noise that shall not alarm (2)",
    )
    group.add_argument("--likelihood", choices=LIKELIHOODS, help="of a pixel (gaussian)")
    group.add_argument(
        "--sigma", type=float, help="of a gaussian: where it starts, or what it stays (0.3)"
    )
    group.add_argument("--latent-dim", type=int, metavar="N")
    group.add_argument("--beta", type=float, help="weight of the KL (1)")
    group.add_argument("--batch-size", type=int, metavar="N")
    group.add_argument("--steps", type=int, metavar="N", help="optimiser steps")
    group.add_argument("--learning-rate", type=float, metavar="R")
    group.add_argument(
        "--false-alarm-rate",
        type=float,
        metavar="R",
        help="default: 0.01; 0.05 where fewer than 99 good pictures are held out",
    )
    group.add_argument("--seed", type=int)
    group = parser.add_argument_group("the family", "models that only generate")
    group.add_argument(
        "--model",
        choices=MODELS,
        help="conditional: told the class; adversarial: a discriminator in place of the KL; "
        "importance: the IWAE bound; ladder: latents on three levels; recurrent: sequences of a "
        ".npz; denoising: undoes --damage; default: vae",
    )
    group.add_argument("--warm-up", type=int, metavar="STEPS", help="beta (or capacity) rises")
    group.add_argument("--cycles", type=int, metavar="N", help="beta rises so many times")
    group.add_argument(
        "--free-bits", type=float, metavar="NATS", help="of KL that a latent has free"
    )
    group.add_argument("--capacity", type=float, metavar="NATS", help="the KL is drawn to")
    group.add_argument("--samples", type=int, metavar="N", help="draws of an importance model (5)")
    group.add_argument(
        "--damage",
        metavar="LIST",
        help="of a denoising model: noise=SIGMA (0.3), blur=PIXELS, photo=AGE, missing=SHARE",
    )


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected N or HxW such as 128 or 96x128, got {text!r}")
    height = int(found[1])
    size = height, int(found[2] or height)
    if not 16 <= min(size) <= max(size) <= 2048:
        raise argparse.ArgumentTypeError(f"expected sides of 16 to 2048 pixels, got {text}")
    return size


def _train(options) -> int:
    config = _config(options)
    with quiet():
        from vae_tf.train import train

    train(config, options.out, options.resume, say=say)
    if config.has_detector:
        say(f"next: python -m vae_tf evaluate {options.out} {options.data}")
    else:
        say(f"next: python -m vae_tf generate {options.out} OUT.png")
    say(f"      python -m export {options.out} OUT")
    print(options.out)
    return 0


def _config(options) -> Config:
    def chosen(*names: str) -> dict:
        return {name: getattr(options, name) for name in names}

    data = DataConfig(
        options.data,
        **chosen(
            *("data_dir", "normal_class", "group_by", "size", "tile"),
            *("channels", "calibration", "limit"),
        ),
    )
    return Config.for_preset(
        data,
        options.preset,
        **chosen("likelihood", "latent_dim", "beta", "batch_size", "steps", "learning_rate"),
        **chosen("objective", "augmentation", "camera_noise", "false_alarm_rate", "seed"),
        **chosen(
            "model", "sigma", "warm_up", "cycles", "free_bits", "capacity", "samples", "damage"
        ),
    )


def _evaluate(options) -> int:
    with quiet():
        from vae_tf.data import load_test
        from vae_tf.detector import Detector
        from vae_tf.evaluate import evaluate, table
        from vae_tf.results import bundle_rows, plot_evaluation, write_run_report
        from vae_tf.run import Run
        from vae_tf.train import calibrate

    run = Run.open(options.run_folder)
    detector = run.load_detector()
    if options.score:
        detector = Detector(detector.vae, options.score)  # before the pictures are read
    pictures = load_test(
        options.data,
        run.spec,
        data_dir=options.data_dir or run.config.data.data_dir,
        normal_class=options.normal_class or run.config.data.normal_class,
    )
    if options.score:
        splits = run.load_splits()
        detector.fit(splits.train, splits.validation)
        calibrate(detector, run.config, splits)
    evaluation = evaluate(detector, pictures)
    if options.json:
        write_atomically(options.json, json.dumps(evaluation.figures, indent=1).encode())
    plot_evaluation(evaluation, detector, options.plots or run.folder / "plots")
    if options.report:
        rows = bundle_rows(options.bundle) if options.bundle else None
        write_run_report(options.report, run, detector, evaluation, bundle=rows)
    print(table(evaluation.figures))
    return 0


def _demo(options) -> int:
    with quiet():
        from vae_tf.demo import demo

    print(demo(options.out, say=say))
    return 0


if __name__ == "__main__":
    sys.exit(main())
