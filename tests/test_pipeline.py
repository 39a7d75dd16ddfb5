"""The main job from the command line: train, evaluate, export, check."""

import json

from conftest import run_python


def test_from_pictures_to_verdicts(pictures, bundle, tmp_path):
    done = run_python("-m", "edge", "check", bundle, pictures / "test", "--heatmaps", tmp_path)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == 32
    assert {"source", "score", "p_value", "verdict", "ms"} <= verdicts[0].keys()
    assert len(list(tmp_path.glob("*.png"))) == 32
