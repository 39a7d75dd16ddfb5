"""The demo: every step of the main job, from pictures to a page."""

import dataclasses
import json

import pytest
from PIL import Image
from test_train import quiet

from vae_tf.demo import demo
from vae_tf.run import Run


@pytest.fixture(scope="module")
def shown(tiny_run, tmp_path_factory):
    """What `demo` left, and what it said. The training is that of `tiny_run`."""
    out, said = tmp_path_factory.mktemp("demo"), []
    report = demo(out, said.append, Run.open(tiny_run.folder).config)
    assert report == out / "report.html"
    return out, said


def test_four_steps_are_told(shown):
    _, said = shown
    assert [line[:3] for line in said if line[1:3] == "/4"] == ["1/4", "2/4", "3/4", "4/4"]


def test_parts_of_every_kind_are_checked(shown):
    out, _ = shown
    parts = {str(path) for path in (out / "parts").rglob("*.png")}
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert {v["source"] for v in verdicts} == parts
    assert len(parts) == 10 + 8 + 8
    assert {v["verdict"] for v in verdicts} <= {"pass", "warn", "fail"}
    for verdict in verdicts:
        with Image.open(verdict["heatmap"]) as heatmap, Image.open(verdict["source"]) as part:
            assert heatmap.size == part.size


def test_report_shows_figures_and_precisions(shown):
    out, _ = shown
    report = (out / "report.html").read_text()
    for words in ("AUROC", "Keras", "float32", "int8", "data:image/png;base64"):
        assert words in report
    # One file that can be sent: it loads nothing.
    assert 'src="http' not in report
    assert {"run", "bundle", "saved_model", "parts", "heatmaps"} <= {p.name for p in out.iterdir()}


def test_what_is_trained_is_used_again(shown, tiny_run):
    out, _ = shown
    said = []
    stop = RuntimeError("after training")

    def say(line):
        said.append(line)
        if line.startswith("2/4"):
            raise stop

    with pytest.raises(RuntimeError):
        demo(out, say, Run.open(tiny_run.folder).config)
    assert any("finished already" in line for line in said)


def test_a_demo_of_something_else_is_refused(shown, tiny_run):
    from vae_tf.errors import RunError

    out, _ = shown
    config = dataclasses.replace(Run.open(tiny_run.folder).config, beta=2.0)
    with pytest.raises(RunError, match=r"beta 1\.0, now 2\.0"):
        demo(out, quiet, config)
