"""The uses on the command line: each writes its picture, and says in one line what was wrong."""

import json

import numpy as np
import pytest
from conftest import TINY, refused
from PIL import Image

from vae_tf.__main__ import main

USES = {
    "generate": ((), ("-n", 6)),
    "traverse": ((), ("--count", 2)),
    "manifold": ((), ("--side", 3)),
    "denoise": ((), ("-n", 6)),
    "restore": ((), ("-n", 6, "--damage", "blur=1,photo=0.5")),
    "impute": ((), ("-n", 6, "--draws", 3)),
    "compress": ((), ("-n", 6)),
    "interpolate": (("test:0", "test:1"), ("--steps", 3)),
    "arithmetic": (("test:0", "test:1", "test:2"), ()),
}


def told(capsys, *arguments):
    """What a command that goes well prints, read as JSON."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 0, capsys.readouterr().err
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("name", USES)
def test_every_use_writes_a_picture_and_its_figures(name, tiny_run, tmp_path, capsys):
    named, options = USES[name]
    out = tmp_path / "out.png"
    figures = told(capsys, name, tiny_run.folder, *named, out, *options)
    assert str(out) in figures["written"]
    with Image.open(out) as picture:
        picture.load()
        assert min(picture.size) > 30
        assert np.std(np.asarray(picture)) > 5
    again = tmp_path / "again.png"
    told(capsys, name, tiny_run.folder, *named, again, *options)
    if name != "compress":  # matplotlib's
        assert again.read_bytes() == out.read_bytes()


def test_a_mixture_gives_other_samples(tiny_run, tmp_path, capsys):
    for name, options in {"prior": ("--temperature", 0.9), "mixture": ("--mixture", 2)}.items():
        files = tmp_path / f"{name}.png", "--npy", tmp_path / f"{name}.npy"
        figures = told(capsys, "generate", tiny_run.folder, *files, "-n", 3, *options)
        assert figures["source"] == name
    x = [np.load(tmp_path / f"{name}.npy") for name in ("prior", "mixture")]
    assert x[0].shape == x[1].shape == (3, 16, 16, 1)
    assert np.abs(x[0] - x[1]).max() > 1e-3


def test_codes_go_out_and_come_back(tiny_run, pictures, tmp_path, capsys):
    folder = pictures / "train" / "good"
    codes = tmp_path / "codes.npy"
    figures = told(capsys, "embed", tiny_run.folder, codes, folder)
    assert figures["n"] == len(np.load(codes)) == 72
    assert figures["latents"] == 4
    out = tmp_path / "film"
    written = told(capsys, "interpolate", tiny_run.folder, codes, "test:0", out)["written"]
    with Image.open(written[1]) as film:
        assert film.n_frames > 10


def test_classes_are_probed(pictures, tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    x = rng.integers(0, 60, (120, 16, 16), np.uint8) + np.where(y, 150, 0)[:, None, None]
    data, run = tmp_path / "two.npz", tmp_path / "run"
    np.savez(
        data,
        x_train=x[:90].astype("uint8"),
        y_train=y[:90],
        x_test=x[90:].astype("uint8"),
        y_test=y[90:],
    )
    assert main(["train", str(data), str(run), *map(str, (*TINY, "--steps", 40))]) == 0
    figures = told(capsys, "embed", run, tmp_path / "codes.npy", "--classes")
    assert figures["n"] == len(np.load(tmp_path / "codes.npy")) == 30
    assert min(figures["linear_probe"], figures["knn"]) > 0.8


def test_pictures_of_ones_own(tiny_run, pictures, tmp_path, capsys):
    files = sorted((pictures / "test" / "stain").glob("*.png"))[:2]
    out = tmp_path / "out.png"
    assert told(capsys, "restore", tiny_run.folder, out, *files)["n"] == 2
    mask = np.zeros((64, 64), np.uint8)
    mask[:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = (tiny_run.folder, out, *files, "--mask", tmp_path / "mask.png")
    assert told(capsys, "impute", *arguments)["missing"] == pytest.approx(20 / 64, abs=0.05)


BAD = {
    "no label here": (("generate", "RUN", "o.png", "--label", "sneaker"), "without labels"),
    "none to make": (("generate", "RUN", "o.png", "-n", "0"), "`n` must be 1 or more"),
    "no such latent": (("traverse", "RUN", "o.png", "--latents", "1,9"), "0 to 3"),
    "no such plane": (("manifold", "RUN", "o.png", "--latents", "7,1"), "0 to 3"),
    "no numbers": (("manifold", "RUN", "o.png", "--latents", "a,b"), "expected numbers such as"),
    "no such picture": (
        ("interpolate", "RUN", "gone.png", "test:0", "o"),
        "gone.png: no such file",
    ),
    "none held out": (
        ("interpolate", "RUN", "test:9999", "test:0", "o"),
        "expected test:0 to test:",
    ),
    "no codes": (("arithmetic", "RUN", "BAD.npy", "test:0", "test:0", "o.png"), "expected codes"),
    "no such damage": (("restore", "RUN", "o.png", "--damage", "rain"), "expected a list of noise"),
    "no noise": (("denoise", "RUN", "o.png", "--sigma", "-1"), "expected noise above 0"),
    "all missing": (("impute", "RUN", "o.png", "--missing", "1"), "share between 0 and 1"),
    "no mask": (("impute", "RUN", "o.png", "PICTURE"), "--mask FILE"),
    "whole mask": (
        ("impute", "RUN", "o.png", "PICTURE", "--mask", "WHITE"),
        "every value of example",
    ),
    "no run": (("generate", "nowhere", "o.png"), "nowhere is not a run directory"),
    "no place": (("generate", "RUN", "gone/o.png", "-n", "2"), "cannot write gone/o.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(case, tiny_run, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    Image.new("L", (64, 64), 255).save("white.png")
    words = {
        "RUN": tiny_run.folder,
        "BAD.npy": "bad.npy",
        "WHITE": "white.png",
        "PICTURE": pictures / "test" / "good" / "000.png",
    }
    arguments, expected = BAD[case]
    line = refused(capsys, main, *(words.get(word, word) for word in arguments))
    assert expected in line
    assert not list(tmp_path.glob("o*.png"))
