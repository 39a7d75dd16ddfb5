"""The bundle of a run without a detector: encoder and decoder, for generating and exploring."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import vae_tf
from edge.golden import GOLDEN
from edge.interpreter import Graph, find_interpreter
from edge.manifest import PRECISIONS, FileEntry, GraphEntry, Manifest
from edge.parts import parts_bytes, run_parts
from export import verify
from export.card import card
from export.entries import graph_entry
from export.saved_model import write_graph, write_saved_model
from export.staging import publish, staging
from export.tflite import REPRESENTATIVE, convert
from vae_tf.family.recurrent import RecurrentVAE
from vae_tf.quiet import quiet
from vae_tf.run import Run, make_folder, versions

ROLES = ("encoder", "decoder")
_VERIFIED = 64  # held-out examples that every graph is run on
_GOLDEN = 3

Inputs = dict[str, dict[str, np.ndarray]]  # role -> tensor name -> (n, ...)


def export(run: Run, out: Path, name: str, say, signer, archive: bool) -> dict:
    """Writes `out`/saved_model and `out`/bundle. Arguments and errors as for `bundle.export`, but
    signer: the private key, loaded, or None."""
    run.require_finished()
    vae, splits = run.load_vae(), run.load_splits()
    make_folder(out)
    with staging(out) as stage:
        write_saved_model(vae, stage / "saved_model")
        seen = inputs_of(vae, splits.train, REPRESENTATIVE, prior=True)
        held_out = inputs_of(vae, splits.calibration, _VERIFIED)
        report = verify.Report()
        files: dict[str, bytes] = {}
        loaded: dict[str, dict[str, Graph]] = {}
        for role in ROLES:
            say(f"converting {role}")
            write_graph(vae, stage / "one", role)
            for precision, content in convert(stage / "one", role, _one_by_one(seen[role])).items():
                files[f"{role}.{precision}.tflite"] = content
            shutil.rmtree(stage / "one")
        for precision in PRECISIONS:
            with quiet():
                loaded[precision] = {
                    role: Graph(files[f"{role}.{precision}.tflite"], threads=2) for role in ROLES
                }
        _verify(report, vae, files, loaded, held_out)
        for line in report.lines:
            say(line)
        report.require()
        manifest = _describe(run, name, vae, splits, files, loaded, held_out, report)
        publish(stage, out, manifest, files, signer, archive, say)
    return report.figures


def inputs_of(vae, data, count: int, prior: bool = False) -> Inputs:
    """What both graphs are run on: examples of the data, and their codes.

    prior: every other code is a draw from the prior instead, for the decoder serves generating.
    """
    rows = np.unique(np.linspace(0, len(data) - 1, min(count, len(data))).astype(int))
    x = data.batch(rows)
    told = {"label": data.classes[rows].astype(np.int32)} if vae.labels else {}
    z = np.array(vae.encode(x, *told.values())[0])
    if prior:
        z[1::2] = np.random.default_rng(0).normal(size=z[1::2].shape)
    if isinstance(vae, RecurrentVAE):
        there = ~np.isnan(x)
        sequence = np.where(there, x, np.array(vae.offset)).astype(np.float32)
        mask = there.any(axis=-1).astype(np.float32)
        return {"encoder": {"sequence": sequence, "mask": mask}, "decoder": {"z": z}}
    return {"encoder": {"image": x, **told}, "decoder": {"z": z, **told}}


def expected_of(vae, inputs: Inputs) -> dict[str, dict[str, np.ndarray]]:
    """What Keras gives for `inputs`: role -> output name -> (n, ...)."""
    of = inputs["encoder"]
    if isinstance(vae, RecurrentVAE):
        x = np.where(of["mask"][..., None] > 0, of["sequence"], np.nan).astype(np.float32)
        codes = vae.encode(x)
        decoded = {"sequence": vae.decode(inputs["decoder"]["z"])}
    else:
        told = [of["label"]] if vae.labels else []
        codes = vae.encode(of["image"], *told)
        decoded = {"image": vae.decode(inputs["decoder"]["z"], *told)}
    names = ("z_mean", "z_log_var")
    return {
        "encoder": {name: np.asarray(value) for name, value in zip(names, codes, strict=True)},
        "decoder": {name: np.asarray(value) for name, value in decoded.items()},
    }


def _one_by_one(tensors: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    count = len(next(iter(tensors.values())))
    return [{name: values[i : i + 1] for name, values in tensors.items()} for i in range(count)]


def _verify(report: verify.Report, vae, files, loaded, held_out: Inputs) -> None:
    expected = expected_of(vae, held_out)
    weights = {"encoder": _kernels(vae.encoder), "decoder": _kernels(vae.decoder)}
    for precision, graphs in loaded.items():
        got = run_parts(graphs, held_out)
        for role in ROLES:
            name = f"{role}.{precision}"
            verify.check_structure(report, name, files[f"{name}.tflite"], weights[role])
            if precision == "float32":
                verify.check_float32(report, role, expected[role], got[role])
            else:
                verify.check_int8_outputs(report, role, expected[role], got[role])


def _kernels(model) -> int:
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
    return sum(int(np.prod(w.shape)) for w in kernels)


def _describe(run: Run, name, vae, splits, files, loaded, held_out: Inputs, report) -> Manifest:
    """The manifest; adds the golden vectors and the card to `files`."""
    graphs: dict[str, dict[str, GraphEntry]] = {
        role: {
            precision: graph_entry(file, files[file], loaded[precision][role], precision)
            for precision in PRECISIONS
            for file in [f"{role}.{precision}.tflite"]
        }
        for role in ROLES
    }
    made_from = {
        "data": splits.source,
        "pictures": {
            part: len(getattr(splits, part))
            for part in ("train", "validation", "calibration", "test")
        },
        "preset": run.config.preset,
        "model": run.config.model,
        "likelihood": run.config.likelihood,
        "latent_dim": vae.latent_dim,
    }
    if vae.labels:
        made_from["classes"] = list(splits.class_names)
    manifest = Manifest(
        name=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        input=run.spec,
        graphs=graphs,
        score=None,
        calibrations={},
        files={},
        made_from=made_from,
        made_with={
            "vae_tf": vae_tf.__version__,
            **versions(),
            "interpreter": find_interpreter()[0],
        },
        quality=report.figures,
    )
    few = {
        role: {n: values[:_GOLDEN] for n, values in tensors.items()}
        for role, tensors in held_out.items()
    }
    files[GOLDEN] = parts_bytes(few, {p: run_parts(g, few) for p, g in loaded.items()})
    files["card.md"] = card(manifest, report.lines).encode()
    return manifest._replace(files={n: FileEntry.of(n, files[n]) for n in (GOLDEN, "card.md")})
