"""What the commands of the uses do: a run opened, a use called, a picture written, figures told."""

from __future__ import annotations

import io
import json

import numpy as np

from edge.files import write_atomically
from vae_tf import plots
from vae_tf.uses import compress, imputing, sheet
from vae_tf.uses.arithmetic import combine
from vae_tf.uses.codes import decode, latent_kl
from vae_tf.uses.damages import Damage
from vae_tf.uses.embed import embed, probe
from vae_tf.uses.figures import rate_distortion_figure
from vae_tf.uses.generate import generate
from vae_tf.uses.interpolate import interpolate
from vae_tf.uses.manifold import manifold
from vae_tf.uses.mixture import LatentMixture
from vae_tf.uses.restore import before_and_after, restore
from vae_tf.uses.subject import Subject
from vae_tf.uses.traverse import traverse

_SHOWN = 8  # pictures in a row


def _generate(options) -> int:
    subject = Subject.open(options.run_folder)
    label = subject.label(options.label)
    mixture = None
    if options.mixture is not None:
        x, classes = subject.reference(label)
        mixture = LatentMixture.of(subject.vae, x, classes, options.mixture, options.seed)
    x = generate(subject.vae, options.number, options.seed, label, mixture, options.temperature)
    sheet.save_png(options.out, sheet.grid(sheet.tiles(x)))
    if options.npy:
        _save_array(options.npy, x)
    return _told([options.out, options.npy], n=len(x), source="mixture" if mixture else "prior")


def _interpolate(options) -> int:
    subject = Subject.open(options.run_folder)
    label = subject.label(options.label)
    a, b = (subject.codes(word, label).mean(axis=0) for word in (options.a, options.b))
    strip = interpolate(subject.vae, a, b, options.steps, options.how, label)
    film = interpolate(subject.vae, a, b, 3 * options.steps, options.how, label)
    still, moving = options.out.with_suffix(".png"), options.out.with_suffix(".gif")
    sheet.save_png(still, sheet.grid(sheet.tiles(strip), len(strip)))
    sheet.save_gif(moving, sheet.tiles(film, side=128))
    return _told([still, moving], steps=options.steps, how=options.how)


def _traverse(options) -> int:
    subject = Subject.open(options.run_folder)
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


def _arithmetic(options) -> int:
    subject = Subject.open(options.run_folder)
    label = subject.label(options.label)
    codes = [subject.codes(word, label) for word in (options.a, options.b, options.c)]
    z = combine(*codes)
    x = decode(subject.vae, [*(c.mean(axis=0) for c in codes), z], label)
    row = sheet.tiles(x, side=96)
    sheet.save_png(options.out, sheet.rows_of([row], [""], ["a", "- b", "+ c", "= "]))
    return _told([options.out])


def _manifold(options) -> int:
    subject = Subject.open(options.run_folder)
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


def _denoise(options) -> int:
    if options.sigma is not None:
        options.damage = f"noise={options.sigma:g}"
    return _restore(options, default="noise=0.3")


def _restore(options, default="photo") -> int:
    subject = Subject.open(options.run_folder)
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


def _impute(options) -> int:
    subject = Subject.open(options.run_folder)
    label = subject.label(options.label)
    picture, figures = (
        imputing.of_pictures(subject, options, label)
        if options.pictures
        else imputing.of_held_out(subject, options, label)
    )
    sheet.save_png(options.out, picture)
    return _told([options.out], **figures)


def _embed(options) -> int:
    subject = Subject.open(options.run_folder)
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


def _compress(options) -> int:
    subject = Subject.open(options.run_folder)
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


def _told(written, **figures) -> int:
    paths = [str(path) for path in written if path]
    print(json.dumps({"written": paths, **figures}))
    return 0


def _save_array(path, array) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomically(path, buffer.getvalue())


ACTIONS = {
    "generate": _generate,
    "interpolate": _interpolate,
    "traverse": _traverse,
    "arithmetic": _arithmetic,
    "manifold": _manifold,
    "denoise": _denoise,
    "restore": _restore,
    "impute": _impute,
    "embed": _embed,
    "compress": _compress,
}
