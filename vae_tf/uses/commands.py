"""The uses on the command line: `python -m vae_tf generate RUN OUT.png` and its siblings.

TensorFlow is imported by the command that runs, not by this file. Every command writes a picture,
and prints a line of JSON: what was written, and the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vae_tf.quiet import quiet


def add_commands(commands) -> None:
    """Adds the uses to argparse's subparsers."""
    for name, text, add, run in _COMMANDS:
        parser = commands.add_parser(name, help=text, description=_sentence(text))
        parser.add_argument("run_folder", metavar="RUN", help="the folder that `train` made")
        add(parser)
        parser.add_argument("--label", metavar="CLASS", help="of a conditional model: name, number")
        parser.add_argument("--seed", type=int, default=0, help="of what is random (0)")
        parser.set_defaults(run=run)


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
        help="draw codes from a mixture of K Gaussians (20) fitted to the training pictures' codes",
    )
    parser.add_argument("--npy", type=Path, metavar="FILE", help="write the samples as an array")


def _generate(options) -> int:
    subject = _open(options)
    from vae_tf.uses import sheet
    from vae_tf.uses.generate import generate
    from vae_tf.uses.mixture import LatentMixture

    label = subject.label(options.label)
    mixture = None
    if options.mixture is not None:
        x, classes = subject.reference(label)
        mixture = LatentMixture.of(subject.vae, x, classes, options.mixture, options.seed)
    x = generate(subject.vae, options.number, options.seed, label, mixture)
    sheet.save_png(options.out, sheet.grid(sheet.tiles(x)))
    if options.npy:
        _save_array(options.npy, x)
    return _told([options.out, options.npy], n=len(x), source="mixture" if mixture else "prior")


def _interpolate_options(parser) -> None:
    for name in ("A", "B"):
        parser.add_argument(name.lower(), metavar=name, help=_NAMED)
    _out(parser, "OUT", "the strip, OUT.png, and the film, OUT.gif, to write")
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="of the strip (9)")
    parser.add_argument("--how", choices=("linear", "spherical"), default="linear")


def _interpolate(options) -> int:
    subject = _open(options)
    from vae_tf.uses import sheet
    from vae_tf.uses.interpolate import interpolate

    label = subject.label(options.label)
    a, b = (subject.codes(word, label).mean(axis=0) for word in (options.a, options.b))
    strip = interpolate(subject.vae, a, b, options.steps, options.how, label)
    film = interpolate(subject.vae, a, b, 3 * options.steps, options.how, label)
    still, moving = options.out.with_suffix(".png"), options.out.with_suffix(".gif")
    sheet.save_png(still, sheet.grid(sheet.tiles(strip), len(strip)))
    sheet.save_gif(moving, sheet.tiles(film, side=128))
    return _told([still, moving], steps=options.steps, how=options.how)


def _traverse_options(parser) -> None:
    _out(parser)
    parser.add_argument("--picture", default="test:0", metavar="P", help=f"{_NAMED} (test:0)")
    parser.add_argument(
        "--latents", type=_whole_numbers, metavar="I,J", help="default: those with the most KL"
    )
    parser.add_argument("--count", type=int, default=8, metavar="N", help="how many of them (8)")


def _traverse(options) -> int:
    subject = _open(options)
    from vae_tf.uses import sheet
    from vae_tf.uses.codes import latent_kl
    from vae_tf.uses.traverse import traverse

    label = subject.label(options.label)
    z = subject.codes(options.picture, label)[0]
    x, classes = subject.reference(label)
    kl = latent_kl(subject.vae, x, classes)
    moved = traverse(subject.vae, z, options.latents, kl, options.count, label=label)
    words = [f"{latent}: {kl[latent]:.2f} nats" for latent in moved.latents]
    heads = [f"{value:+.1f}" for value in moved.values]
    rows = [sheet.tiles(row) for row in moved.x]
    sheet.save_png(options.out, sheet.rows_of(rows, words, heads))
    of = {str(latent): round(float(kl[latent]), 4) for latent in moved.latents}
    return _told([options.out], latents=of, kl=round(float(kl.sum()), 3))


def _arithmetic_options(parser) -> None:
    for name in ("A", "B", "C"):
        parser.add_argument(name.lower(), metavar=name, help=_NAMED)
    _out(parser)


def _arithmetic(options) -> int:
    subject = _open(options)
    from vae_tf.uses import sheet
    from vae_tf.uses.arithmetic import combine
    from vae_tf.uses.codes import decode

    label = subject.label(options.label)
    codes = [subject.codes(word, label) for word in (options.a, options.b, options.c)]
    z = combine(*codes)
    x = decode(subject.vae, [*(c.mean(axis=0) for c in codes), z], label)
    row = sheet.tiles(x, side=96)
    sheet.save_png(options.out, sheet.rows_of([row], [""], ["a", "- b", "+ c", "= "]))
    return _told([options.out])


def _manifold_options(parser) -> None:
    _out(parser)
    parser.add_argument("--side", type=int, default=20, metavar="N", help="cells a side (20)")
    parser.add_argument(
        "--latents", type=_whole_numbers, metavar="I,J", help="default: the two with the most KL"
    )
    parser.add_argument("--picture", metavar="P", help=f"whose other latents stay; {_NAMED}")


def _manifold(options) -> int:
    subject = _open(options)
    import numpy as np

    from vae_tf.uses import sheet
    from vae_tf.uses.codes import latent_kl
    from vae_tf.uses.manifold import manifold

    label = subject.label(options.label)
    latents = options.latents
    if latents is None:
        x, classes = subject.reference(label)
        latents = sorted(np.argsort(-latent_kl(subject.vae, x, classes))[:2].tolist())
    around = subject.codes(options.picture, label)[0] if options.picture else None
    cells = manifold(subject.vae, options.side, latents, around, label)
    x = cells.reshape(-1, *cells.shape[2:])
    sheet.save_png(options.out, sheet.grid(sheet.tiles(x, side=32), options.side, gap=0))
    return _told([options.out], latents=list(latents))


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


def _denoise_options(parser) -> None:
    _restore_options(parser)
    parser.add_argument("--sigma", type=float, metavar="S", help="of the noise, 1 is white")


def _denoise(options) -> int:
    if options.sigma is not None:
        options.damage = f"noise={options.sigma:g}"
    return _restore(options, default="noise=0.3")


def _restore(options, default="photo") -> int:
    subject = _open(options)
    from vae_tf.uses import sheet
    from vae_tf.uses.damages import Damage
    from vae_tf.uses.restore import before_and_after, restore

    label = subject.label(options.label)
    if options.pictures:
        x = subject.pictures(options.pictures)
        rows = [sheet.tiles(v[:_SHOWN], side=96) for v in (x, restore(subject.vae, x, label))]
        sheet.save_png(options.out, sheet.rows_of(rows, ["given", "restored"]))
        return _told([options.out], n=len(x))
    subject.require_pictures("damages")
    own = getattr(subject.vae, "damage", None)
    how = Damage.parse(options.damage) if options.damage else own or Damage.parse(default)
    done = before_and_after(subject.vae, subject.first(options.number), how, options.seed, label)
    rows = [sheet.tiles(v[:_SHOWN], side=96) for v in (done.damaged, done.restored, done.clean)]
    of = done.figures
    words = [
        f"damaged, {of['psnr_before']:.1f} dB",
        f"restored, {of['psnr_after']:.1f} dB",
        "the original",
    ]
    sheet.save_png(options.out, sheet.rows_of(rows, words))
    return _told([options.out], **of, trained_for=str(own) if own else None)


def _impute_options(parser) -> None:
    _out(parser)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="with gaps where --mask is")
    parser.add_argument("--mask", metavar="FILE", help="a picture, white where they miss pixels")
    parser.add_argument("--missing", type=float, default=0.5, metavar="SHARE", help="drawn (0.5)")
    parser.add_argument("--draws", type=int, default=8, metavar="N", help="fillings (8)")
    parser.add_argument("--how", choices=("gibbs", "importance"), default="gibbs")
    parser.add_argument("--level", type=float, default=0.9, help="of the intervals (0.9)")
    parser.add_argument(
        "-n", "--number", type=int, default=200, metavar="N", help="held-out pictures (200)"
    )


def _impute(options) -> int:
    subject = _open(options)
    from vae_tf.uses import imputing

    label = subject.label(options.label)
    picture, figures = (
        imputing.of_pictures(subject, options, label)
        if options.pictures
        else imputing.of_held_out(subject, options, label)
    )
    from vae_tf.uses import sheet

    sheet.save_png(options.out, picture)
    return _told([options.out], **figures)


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


def _embed(options) -> int:
    subject = _open(options)
    import numpy as np

    from vae_tf.uses.embed import embed, probe

    label = subject.label(options.label)
    told = getattr(subject.vae, "labels", None) is not None

    def codes_of(x, classes):
        return embed(subject.vae, x, (classes if label is None else label) if told else None)

    figures = {}
    if options.pictures:
        codes = codes_of(subject.pictures(options.pictures), None)
    elif options.classes:
        train, test = subject.with_classes()
        fitted = codes_of(np.asarray(train.images), train.classes)
        codes = codes_of(np.asarray(test.images), test.classes)
        figures = probe(fitted, train.classes, codes, test.classes, options.seed)
    else:
        codes = codes_of(*subject.all_held_out())
    _save_array(options.out, codes)
    return _told([options.out], n=len(codes), latents=codes.shape[1], **figures)


def _compress_options(parser) -> None:
    _out(parser)
    parser.add_argument(
        "-n", "--number", type=int, default=1000, metavar="N", help="held-out pictures (1000)"
    )


def _compress(options) -> int:
    subject = _open(options)
    from vae_tf import plots
    from vae_tf.uses import compress
    from vae_tf.uses.figures import rate_distortion_figure

    subject.require_pictures("bits a pixel")
    label = subject.label(options.label)
    x = subject.first(options.number)
    reference, _ = subject.reference(label)
    ours = compress.rate_distortion(subject.vae, x, reference, label=label)
    theirs = compress.jpeg_curve(x)
    lossless = compress.bits_per_dimension(subject.vae, x, seed=options.seed, label=label)
    plots.save_figure(rate_distortion_figure({"VAE": ours, "JPEG": theirs}), options.out)
    return _told(
        [options.out],
        n=len(x),
        bits_per_dimension=lossless,
        vae=[point._asdict() for point in ours],
        jpeg=[point._asdict() for point in theirs],
    )


_NAMED = "a picture, a folder of them (their mean), test:N of the run, or codes in a .npy"
_SHOWN = 8  # pictures in a row
_COMMANDS = (
    ("generate", "new pictures, from the prior or a mixture", _generate_options, _generate),
    ("interpolate", "from one picture to another", _interpolate_options, _interpolate),
    ("traverse", "what each latent does", _traverse_options, _traverse),
    ("arithmetic", "a - b + c on codes", _arithmetic_options, _arithmetic),
    ("manifold", "the grid over two latents", _manifold_options, _manifold),
    ("denoise", "before and after, with PSNR and SSIM", _denoise_options, _denoise),
    ("restore", "the same for blur, age and gaps", _restore_options, _restore),
    ("impute", "fill what is missing, with intervals", _impute_options, _impute),
    ("embed", "codes, and how much of the classes they hold", _embed_options, _embed),
    ("compress", "bits per dimension, rate and distortion", _compress_options, _compress),
)


def _open(options):
    with quiet():
        from vae_tf.uses.subject import Subject

        subject = Subject.open(options.run_folder)
        subject.vae  # noqa: B018, loads it: no run without a model goes further
    return subject


def _told(written, **figures) -> int:
    paths = [str(path) for path in written if path]
    print(json.dumps({"written": paths, **figures}))
    return 0


def _save_array(path: Path, array) -> None:
    import io

    import numpy as np

    from edge.files import write_atomically

    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomically(path, buffer.getvalue())


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 3,7, got {text!r}") from None


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
