"""Builds SavedModel and bundle, verifies them, and only then puts them in place."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image

import vae_tf
from edge.calibration import Calibration, calibrate
from edge.golden import GOLDEN, golden_bytes, run_golden
from edge.interpreter import Graph, find_interpreter
from edge.manifest import PRECISIONS, FileEntry, GraphEntry, Manifest
from edge.score import ScoreSpec, heights
from edge.tiles import judge_tiles, look, tiling
from export import generative, verify
from export.card import card
from export.entries import graph_entry
from export.macs import multiply_adds
from export.saved_model import ROLES, write_graph, write_saved_model
from export.sign import load_key
from export.staging import publish, staging
from export.tflite import REPRESENTATIVE, convert
from vae_tf.data import Pictures
from vae_tf.defects import with_defects
from vae_tf.detector import Detector
from vae_tf.evaluate import GOOD, image_figures
from vae_tf.quiet import quiet
from vae_tf.restoring import RestoringVAE
from vae_tf.run import Run, make_folder, versions

_VERIFIED = 64  # good pictures, and as many synthetic defects, that every graph is run on
_GOLDEN_PICTURES = 3


@dataclasses.dataclass
class _Graphs:
    """The files of one precision, loaded: role -> bytes, and role -> Graph."""

    contents: dict[str, bytes]
    graphs: dict[str, Graph]


def export(
    run_folder, out, name: str | None = None, say=print, key=None, archive: bool = False
) -> dict:
    """Writes `out`/saved_model and `out`/bundle from a finished run.

    name: of the bundle, by default the run folder's. say: takes lines meant for a person.
    key: file of the private key that signs the manifest, if any. archive: write the bundle as one
        file as well, `out`/bundle.tar.
    Returns: the figures of the manifest's "quality".
    Raises: RunError where the run is not finished; verify.VerificationError where a graph fails,
        and then nothing in `out` has changed; UserError where `out` cannot be written.
    """
    signer = load_key(key) if key is not None else None
    run = Run.open(run_folder)
    name = name or Path(run_folder).resolve().name
    if not run.config.has_detector:
        return generative.export(run, Path(out), name, say, signer, archive)
    detector = run.load_detector()
    splits = run.load_splits()
    out = Path(out)
    make_folder(out)
    with staging(out) as stage:
        write_saved_model(detector.vae, stage / "saved_model", detector)
        seen = splits.train.tiles(detector.by.size)
        precisions = _convert(detector, seen, stage / "one", say)
        report = verify.Report()
        _verify_outputs(report, detector, precisions, splits)
        judged = _judged(detector, precisions, seen)
        calibrations = _calibrations(detector, precisions, judged, splits)
        _verify_scores(report, detector, precisions, judged, calibrations, splits)
        for line in report.lines:
            say(line)
        report.require()
        manifest, files = _describe(
            run, name, detector, precisions, judged, calibrations, splits, report
        )
        publish(stage, out, manifest, files, signer, archive, say)
    return report.figures


def _convert(detector: Detector, train: Pictures, folder: Path, say) -> dict[str, _Graphs]:
    pictures = _representative(train, REPRESENTATIVE)
    codes = np.array(detector.vae.encode(pictures)[0])
    # Codes of pictures, and draws from the prior: the decoder serves generating as well.
    codes[1::2] = np.random.default_rng(0).normal(size=codes[1::2].shape)
    inputs = {
        "detector": [{"image": p[None]} for p in pictures],
        "encoder": [{"image": p[None]} for p in pictures],
        "decoder": [{"z": z[None]} for z in codes.astype(np.float32)],
    }
    contents: dict[str, dict[str, bytes]] = {p: {} for p in PRECISIONS}
    for role in ROLES:
        say(f"converting {role}")
        write_graph(detector.vae, folder, role, detector)
        for precision, content in convert(folder, role, inputs[role]).items():
            contents[precision][role] = content
        shutil.rmtree(folder)
    with quiet():
        return {
            p: _Graphs(by_role, {r: Graph(c, threads=2) for r, c in by_role.items()})
            for p, by_role in contents.items()
        }


def _representative(train: Pictures, count: int) -> np.ndarray:
    """Good training pictures, every other one with a synthetic defect, whose errors are larger."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(train), min(count, len(train)), replace=False))
    pictures = np.concatenate([train.batch(chosen)] * -(-count // len(chosen)))[:count]
    pictures[1::2] = with_defects(pictures[1::2], seed=0)
    return pictures


def _held_out(calibration: Pictures) -> np.ndarray:
    """Held-out good pictures, then each of them with a synthetic defect."""
    good = calibration.batch(np.arange(min(_VERIFIED, len(calibration))))
    return np.concatenate([good, with_defects(good, seed=1)])


def _verify_outputs(report, detector, precisions: dict[str, _Graphs], splits) -> None:
    vae = detector.vae
    pictures = _held_out(splits.calibration.tiles(detector.by.size))
    tiles = tiling(splits.spec.shape, detector.by.size).corners
    z_mean, z_log_var = map(np.asarray, vae.encode(pictures))
    expected = {
        "detector": {k: v.numpy() for k, v in detector.outputs(pictures).items()},
        "encoder": {"z_mean": z_mean, "z_log_var": z_log_var},
        "decoder": {"image": np.asarray(vae.decode(z_mean))},
    }
    weights = _weights(vae)
    for precision, of in precisions.items():
        for role in ROLES:
            name = f"{role}.{precision}"
            verify.check_structure(report, name, of.contents[role], weights[role])
            if name == "detector.int8":
                cost = multiply_adds(of.contents[role])
                what = "picture" if len(tiles) == 1 else f"tile, of {len(tiles)} a picture"
                report.lines.append(f"     {name}: {cost / 1e6:.0f} million multiply-adds a {what}")
                report.figures.setdefault("int8", {})["multiply_adds"] = cost * len(tiles)
            examples = z_mean if role == "decoder" else pictures
            argument = "z" if role == "decoder" else "image"
            got = [of.graphs[role](**{argument: e[None]}) for e in examples]
            outputs = {k: np.concatenate([g[k] for g in got]) for k in expected[role]}
            if precision == "float32":
                verify.check_float32(report, role, expected[role], outputs)
            else:
                verify.check_int8_outputs(report, role, expected[role], outputs)


def _weights(vae) -> dict[str, int]:
    """Kernel weights that each graph must hold; biases and batch norm may fold into them."""

    def count(model, without=""):
        kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
        return sum(int(np.prod(w.shape)) for w in kernels if not without or without not in w.path)

    encoder, decoder = count(vae.encoder), count(vae.decoder)
    # The detector reconstructs from the posterior's mean, so the variance's head is not in it.
    detector = count(vae.encoder, without="z_log_var") + decoder
    if isinstance(vae, RestoringVAE):
        detector += count(vae.head)
    return {"detector": detector, "encoder": encoder, "decoder": decoder}


def _device_scores(graph: Graph, batches, score) -> np.ndarray:
    """Scores as the device computes them. batches: of uint8 (b, h, w, c)."""
    scores = []
    for batch in batches:
        how = tiling(batch.shape[1:], graph.inputs["image"][1][1:])
        scores += [judge_tiles(look(graph, picture, how), score, how)[1] for picture in batch]
    return np.array(scores)


def _judged(detector, precisions: dict[str, _Graphs], train: Pictures) -> dict[str, ScoreSpec]:
    """How each precision's outputs become a score.

    Rounding in int8 lengthens a vector and flattens a map, on good pictures above all. What counts
    in a part is how far it is beyond what good ones reach, so the knees go with the graph.
    """
    score = detector.score
    if not score.knees:
        return dict.fromkeys(precisions, score)
    rows = np.linspace(0, len(train) - 1, min(len(train), _VERIFIED)).astype(int)
    reached: dict[str, list[dict[str, float]]] = {p: [] for p in precisions}
    for picture in train.batch(np.unique(rows)):
        for precision, of in precisions.items():
            outputs = of.graphs["detector"](image=picture[None])
            seen = {name: value[0] for name, value in outputs.items()}
            reached[precision].append(heights(seen, score)[1])
    judged = {}
    for precision, parts in reached.items():
        differences = {
            name: [a[name] - b[name] for a, b in zip(parts, reached["float32"], strict=True)]
            for name in score.knees
        }
        moved = {n: score.knees[n] + float(np.median(d)) for n, d in differences.items()}
        judged[precision] = score._replace(knees=moved)
    return judged


def _calibrations(detector, precisions: dict[str, _Graphs], judged, splits):
    """Each precision's threshold, from its own graph's scores."""
    return {
        p: calibrate(
            _device_scores(of.graphs["detector"], splits.calibration.batches(64), judged[p]),
            detector.calibration.rate,
            splits.calibration_groups,
        )
        for p, of in precisions.items()
    }


def _verify_scores(report, detector, precisions, judged, calibrations, splits) -> None:
    held_out = _held_out(splits.calibration)
    damaged = np.arange(len(held_out)) >= len(held_out) // 2
    keras_scores = detector.score_samples(_as_pictures(held_out))
    keras = (keras_scores, [detector.calibration.label(s) for s in keras_scores])
    labelled = _is_labelled(splits.test)
    if labelled:
        bad = np.array(splits.test.kinds) != GOOD
        keras_test = detector.score_samples(splits.test)
        report.figures["keras"] = _figures(keras_test, splits.test, detector.calibration)
    for precision, of in precisions.items():
        graph, calibration = of.graphs["detector"], calibrations[precision]
        scores = _device_scores(graph, [held_out], judged[precision])
        verdicts = [calibration.label(s) for s in scores]
        verify.check_scores(report, precision, damaged, keras, (scores, verdicts))
        if labelled:
            scores = _device_scores(graph, splits.test.batches(64), judged[precision])
            report.figures[precision].update(_figures(scores, splits.test, calibration))
            verify.check_auroc(report, precision, bad, keras_test, scores)


def _is_labelled(test: Pictures) -> bool:
    n_good = sum(kind == GOOD for kind in test.kinds)
    return 0 < n_good < len(test)


def _figures(scores, test: Pictures, calibration: Calibration) -> dict:
    figures = image_figures(scores, test.kinds, calibration)
    figures.pop("by_kind")
    return figures


def _as_pictures(images: np.ndarray) -> Pictures:
    names = [str(i) for i in range(len(images))]
    return Pictures(images=images, names=names, kinds=[GOOD] * len(images))


def _describe(run, name, detector, precisions, judged, calibrations, splits, report) -> tuple:
    """The manifest and the bundle's other files by name."""
    graphs: dict[str, dict[str, GraphEntry]] = {role: {} for role in ROLES}
    files: dict[str, bytes] = {}
    for precision, of in precisions.items():
        for role in ROLES:
            file, content = f"{role}.{precision}.tflite", of.contents[role]
            files[file] = content
            graphs[role][precision] = graph_entry(file, content, of.graphs[role], precision)
    manifest = Manifest(
        name=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        input=run.spec,
        graphs=graphs,
        score=detector.score,
        calibrations=calibrations,
        files={},
        made_from={
            "data": splits.source,
            "pictures": {
                "train": len(splits.train),
                "validation": len(splits.validation),
                "calibration": len(splits.calibration),
                "test": len(splits.test),
            },
            "preset": run.config.preset,
            "likelihood": run.config.likelihood,
            "latent_dim": run.config.latent_dim,
        },
        made_with={
            "vae_tf": vae_tf.__version__,
            **versions(),
            "interpreter": find_interpreter()[0],
        },
        quality=report.figures,
        knees={p: of.knees for p, of in judged.items() if of != detector.score},
    )
    files[GOLDEN] = _golden(manifest, detector, precisions, splits.calibration)
    files["card.md"] = card(manifest, report.lines).encode()
    extra = {n: FileEntry.of(n, files[n]) for n in (GOLDEN, "card.md")}
    return manifest._replace(files=extra), files


def _golden(manifest: Manifest, detector, precisions, calibration: Pictures) -> bytes:
    images = calibration.batch(np.arange(_GOLDEN_PICTURES))
    pictures = [i[:, :, 0] if i.shape[2] == 1 else i for i in images]
    # One of another size, so that the device's resizing is tested as well.
    larger = Image.fromarray(pictures[-1])
    pictures[-1] = np.asarray(larger.resize((larger.width * 3 // 2 + 1, larger.height * 2 + 1)))
    first = [next(tiling(images.shape[1:], detector.by.size).cut(i)) for i in images]
    z_mean = np.asarray(detector.vae.encode(np.stack(first))[0])
    expected = {
        p: run_golden(manifest, p, of.graphs, pictures, z_mean) for p, of in precisions.items()
    }
    return golden_bytes(pictures, z_mean, expected)
