"""What the VAE is worth as a generative model, beside three tutorials; prints the README's tables.

    python -m benchmarks.generative --data-dir DIR --out OUT

DIR holds fashion_mnist as TFDS prepares it (downloaded where it is not there). Every row is trained
in this run: each tutorial by a loop in its manner and by `VAE.fit` with the same nets, batches,
learning rate and epochs, from the same weights; then members of the family. All are judged by one
code on the 10,000 test pictures (NLL: on 1,000); pictures are grey, the likelihood is Bernoulli,
figures in nats.
What is finished is kept in OUT and used again. `--steps N` is for a try: so many steps an epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.tutorials import TUTORIALS, Clock, Tutorial
from edge.files import write_atomically
from vae_tf.bounds import log_likelihood
from vae_tf.family import (
    AdversarialAutoencoder,
    ConditionalVAE,
    ImportanceWeightedVAE,
    LadderVAE,
)
from vae_tf.schedules import WarmUp
from vae_tf.uses import codes, frechet, sheet
from vae_tf.uses.embed import probe
from vae_tf.uses.generate import generate
from vae_tf.uses.interpolate import interpolate
from vae_tf.uses.labelled import load_labelled
from vae_tf.uses.mixture import LatentMixture
from vae_tf.vae import VAE

_PROBED = 10_000  # pictures that probes are fitted to
_LATENT, _EPOCHS = 32, 16  # of the default model
_COOL = 0.8  # temperature of further samples of classes
_WEIGHED = 1_000  # test pictures that the NLL is taken over, by 200 draws of each
COLUMNS = (
    ("ELBO", "elbo", "{:.1f}"),
    ("NLL", "nll", "{:.1f}"),
    ("RMSE", "rmse", "{:.4f}"),
    ("Fréchet, prior", "frechet_prior", "{:.1f}"),
    ("Fréchet, mixture", "frechet_mixture", "{:.1f}"),
    ("linear probe", "linear_probe", "{:.1%}"),
    ("kNN", "knn", "{:.1%}"),
    ("pictures a second", "speed", "{:,.0f}"),
    ("weights", "weights", "{:,.0f}"),
)

_NO_SPREAD = ("speed", "weights")  # the machine's, or none


class Judge:
    """Judges every model alike.

    data: see `load`. classifier: of the test pictures' classes, trained on the training pictures.
    samples: of the importance-weighted bound. number: samples for the Frechet distance.
    """

    def __init__(self, data, classifier, samples: int, number: int):
        self.data, self.classifier, self.samples, self.number = data, classifier, samples, number
        self._real = frechet.features(classifier, data["x_test"][:number])

    def figures(self, vae, seed: int) -> dict:
        """Of one trained model."""
        x, y = self.data["x_test"], self.data["y_test"]
        told = getattr(vae, "labels", None) is not None
        label = y if told else None
        elbo = [
            np.asarray(vae.elbo(x[i : i + 500], 1, seed, y[i : i + 500] if told else None))
            for i in range(0, len(x), 500)
        ]
        train = self.data["x_train"][:_PROBED]
        train_label = self.data["y_train"][:_PROBED]
        mixture = LatentMixture.of(vae, train, train_label if told else None, seed=seed)
        error = codes.reconstruct(vae, x, label) - x / np.float32(255)
        z_train, z_test = (
            codes.encode(vae, v, of if told else None)[0]
            for v, of in ((train, train_label), (x, y))
        )
        figures = {
            "elbo": float(np.concatenate(elbo).mean()),
            "nll": -float(self._log_likelihood(vae, seed, told).mean()),
            "rmse": float(np.sqrt(np.square(error).mean())),
            "frechet_prior": self.frechet(generate(vae, self.number, seed)),
            "frechet_mixture": self.frechet(generate(vae, self.number, seed, mixture=mixture)),
            **probe(z_train, train_label, z_test, y, seed),
            "weights": vae.count_params(),
            "active_units": int((z_test.var(axis=0) > 0.01).sum()),
        }
        if told:
            wanted = np.arange(self.number) % vae.labels
            ways = {
                "as_labelled": {},
                "as_labelled_mixture": {"mixture": mixture},
                "as_labelled_cool": {"temperature": _COOL},
            }
            for name, way in ways.items():
                made = generate(vae, self.number, seed, wanted, **way)
                figures[name] = float((frechet.predicted(self.classifier, made) == wanted).mean())
            real = frechet.predicted(self.classifier, x) == y
            figures["real_as_labelled"] = float(real.mean())
        return figures

    def _log_likelihood(self, vae, seed: int, told: bool) -> np.ndarray:
        rows = slice(_WEIGHED)
        label = self.data["y_test"][rows] if told else None
        return log_likelihood(vae, self.data["x_test"][rows], self.samples, seed, label)

    def frechet(self, x) -> float:
        """Distance of pictures in 0..1 from the test pictures."""
        return frechet.frechet_distance(frechet.features(self.classifier, x), self._real)


def load(data_dir) -> dict:
    """`x_train`, `y_train`, `x_test`, `y_test` of Fashion-MNIST; pictures uint8 (n, 28, 28, 1)."""
    return load_labelled("tfds:fashion_mnist", data_dir)._asdict()


def trained_classifier(data, out: Path, epochs: int, steps) -> keras.Model:
    """The judge of samples; its accuracy on the test pictures is said."""
    path = out / "classifier.keras"
    if path.exists():
        return keras.saving.load_model(path)
    net = frechet.classifier(data["x_train"].shape[1:], 10, seed=0)
    rows = slice(None if steps is None else 128 * steps)
    x, y = data["x_train"][rows] / np.float32(255), data["y_train"][rows]
    net.fit(x, y, epochs=epochs, batch_size=128, verbose=0)
    accuracy = (frechet.predicted(net, data["x_test"]) == data["y_test"]).mean()
    _say(f"classifier: {accuracy:.1%} of the test pictures")
    net.save(path)
    return net


def by_loop(tutorial: Tutorial, data, seed: int, epochs: int, steps):
    """The tutorial's nets, trained by its own loop. Returns: a `VAE` of them, pictures a second."""
    encoder, decoder = tutorial.nets(seed)
    x = data["x_train"] / np.float32(255)
    seconds = tutorial.loop(encoder, decoder, x, epochs, seed, steps)
    return VAE(encoder, decoder, "bernoulli", seed=seed), _speed(tutorial, x, seconds, steps)


def by_fit(tutorial: Tutorial, data, seed: int, epochs: int, steps):
    """The same nets from the same weights, trained by `VAE.fit`."""
    vae = VAE(*tutorial.nets(seed), "bernoulli", seed=seed)
    vae.compile(
        keras.optimizers.Adam(tutorial.learning_rate),
        steps_per_execution=16,
        jit_compile=xla(tutorial.dense),
    )
    clock = Clock()
    x = data["x_train"] if steps is None else data["x_train"][: steps * tutorial.batch_size]
    vae.fit(x, epochs=epochs, batch_size=tutorial.batch_size, verbose=0, callbacks=[clock])
    return vae, _speed(tutorial, data["x_train"], clock.seconds, steps)


def of_family(data, seed: int, epochs: int, steps, kind=VAE, warm_up: float = 0.0, **options):
    """A member of the family in its default shape; batches of 64, a learning rate that runs down.

    warm_up: share of the training in which beta rises.
    """
    options = {"latent_dim": _LATENT, "likelihood": "bernoulli", **options}
    keras.utils.set_random_seed(seed)
    vae = kind.for_pictures(data["x_train"].shape[1:], seed=seed, **options)
    rows = slice(None if steps is None else 64 * steps)
    x = data["x_train"][rows]
    total = epochs * -(-len(x) // 64)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - 100), warmup_target=2e-3, warmup_steps=100
    )
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=16, jit_compile=xla(False))
    clock = Clock()
    told = () if vae.labels is None else (data["y_train"][rows],)
    callbacks = [clock, WarmUp(max(1, round(warm_up * total)))] if warm_up else [clock]
    vae.fit(x, *told, epochs=epochs, batch_size=64, verbose=0, callbacks=callbacks)
    return vae, len(x) / min(clock.seconds)


def xla(dense: bool) -> bool:
    """Whether to compile: on a CPU it makes dense nets faster and convolutional ones slower."""
    return dense or bool(tf.config.list_physical_devices("GPU"))


def _speed(tutorial: Tutorial, x, seconds, steps) -> float:
    """Pictures a second, in the fastest epoch: the first traces, and other work slows some."""
    n = len(x) if steps is None else min(len(x), steps * tutorial.batch_size)
    return n / min(seconds)


def rows_to_train(data, options) -> dict:
    """Name -> a function of a seed that trains it: (vae, pictures a second)."""
    steps = options.steps
    rows = {}
    for tutorial in TUTORIALS:
        epochs = options.epochs or tutorial.epochs
        for way, train in (("its loop", by_loop), ("VAE.fit", by_fit)):
            rows[f"{tutorial.name}, {way}"] = lambda seed, a=tutorial, b=epochs, train=train: train(
                a, data, seed, b, steps
            )
    epochs = options.epochs or _EPOCHS
    members = {
        "ours": {},
        "ours, latent 2": {"latent_dim": 2},
        "ours, conditional": {"kind": ConditionalVAE, "labels": 10},
        "ours, importance-weighted": {"kind": ImportanceWeightedVAE, "samples": 5},
        # No more weights than the model of one layer has.
        "ours, ladder": {"kind": LadderVAE, "widths": (24, 48), "neck": 96, "warm_up": 0.3},
        "ours, adversarial": {"kind": AdversarialAutoencoder},
    }
    for name, chosen in members.items():
        rows[name] = lambda seed, chosen=chosen: of_family(data, seed, epochs, steps, **chosen)
    return rows


def table(records: list[dict], columns=COLUMNS, line: str = "model") -> str:
    """Markdown: a line a model, mean and spread over seeds."""
    titles = [line, "seeds", *(title for title, _, _ in columns)]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for name in dict.fromkeys(record[line] for record in records):
        of = [record for record in records if record[line] == name]
        cells = [name, str(len(of))]
        for _, key, form in columns:
            values = [record[key] for record in of]
            spread = (
                f" ± {np.std(values, ddof=1):.2g}" if len(of) > 1 and key not in _NO_SPREAD else ""
            )
            cells.append(form.format(np.mean(values)) + ("" if "%" in form else spread))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def begun(parser: argparse.ArgumentParser, out: str, samples: int) -> tuple:
    """Adds what both benchmarks ask for; returns the options, the data and who judges by them."""
    parser.add_argument("--data-dir", help="where TFDS data sets are")
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, help="an epoch, for a try")
    parser.add_argument("--samples", type=int, default=samples, help=f"of the NLL ({samples})")
    parser.add_argument("--test", type=int, default=10_000, help="test pictures (10,000)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.data_dir)
    for key in ("x_test", "y_test"):
        data[key] = data[key][: options.test]
    net = trained_classifier(data, options.out, 2 if options.steps else 8, options.steps)
    return options, data, Judge(data, net, options.samples, len(data["x_test"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="rows whose names begin so")
    parser.add_argument("--epochs", type=int, help="instead of each row's own")
    options, data, judge = begun(parser, "out/generative", samples=200)
    records = []
    for seed in options.seeds:
        for name, train in rows_to_train(data, options).items():
            if options.only and not name.startswith(tuple(options.only)):
                continue
            records.append(measured(name, train, judge, seed, options.out))
            print(table(records), file=sys.stderr)
    print(table(records))
    if not options.only:
        made = picture(data, options.out, options.seeds[0])
        sheet.save_png(options.out / "samples.png", made)
    for record in records:
        if "as_labelled" in record:
            print(
                f"\n{record['model']}: the judge classifies {record['as_labelled']:.1%} of the "
                f"prior's samples as their label, {record['as_labelled_cool']:.1%} at a "
                f"temperature of {_COOL}, {record['as_labelled_mixture']:.1%} of the mixture's, "
                f"{record['real_as_labelled']:.1%} of the real pictures."
            )


def measured(name: str, train, judge: Judge, seed: int, out: Path) -> dict:
    """The figures of one row and seed; trained where they are not in `out` yet."""
    stem = _stem(name, seed)
    path = out / f"{stem}.json"
    if path.exists():
        return json.loads(path.read_bytes())
    vae, speed = train(seed)
    record = {"model": name, "seed": seed, "speed": speed, **judge.figures(vae, seed)}
    vae.save(out / f"{stem}.keras")
    sheet.save_png(out / f"{stem}.png", sheet.grid(sheet.tiles(generate(vae, 60, seed)), 10))
    write_atomically(path, json.dumps(record, indent=1).encode())
    _say(f"{name}: {record}")
    return record


def picture(data, out: Path, seed: int) -> np.ndarray:
    """Samples of `ours` and of each class of `ours, conditional`, which are in OUT already."""
    ours, conditional = (
        keras.saving.load_model(out / f"{_stem(name, seed)}.keras")
        for name in ("ours", "ours, conditional")
    )
    x, y = data["x_train"][:_PROBED], data["y_train"][:_PROBED]
    mixture = LatentMixture.of(ours, x, seed=seed)
    of_classes = LatentMixture.of(conditional, x, y, seed=seed)
    rows = {
        "from the prior": generate(ours, 10, seed),
        "from a mixture": generate(ours, 10, seed, mixture=mixture),
        "a class each": generate(conditional, 10, seed, np.arange(10), of_classes),
        "between two": interpolate(ours, *codes.encode(ours, data["x_test"][:2])[0], 10),
    }
    return sheet.rows_of([sheet.tiles(x) for x in rows.values()], list(rows))


def _stem(name: str, seed: int) -> str:
    return f"{name.replace(', ', '-').replace(' ', '_')}-{seed}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
