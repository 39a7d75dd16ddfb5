"""`edge check`: a JSON line a picture, and heat maps where asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge.errors import PictureError
from edge.files import write_atomically, write_error
from edge.preprocess import read_picture
from edge.runner import Runner
from edge.sources import expand


def check(bundle, paths, heatmaps=None, precision=None, threads=1, out=None) -> tuple:
    """Judges every picture below `paths` and writes a line for each to `out` (standard output).

    Returns: (failed, unreadable), the counts of "fail" verdicts and of pictures with an error.
    """
    out = out or sys.stdout
    runner = Runner(bundle, precision, threads)
    folder = _HeatmapFolder(heatmaps) if heatmaps is not None else None
    failed = unreadable = 0
    for path, error in expand(paths):
        record: dict = {"source": str(path)}
        try:
            if error is not None:
                raise error
            picture = read_picture(path)
            verdict = runner.check(picture)
        except PictureError as problem:
            unreadable += 1
            record["error"] = str(problem)
        else:
            failed += verdict.label == "fail"
            record.update(
                score=verdict.score,
                p_value=verdict.p_value,
                verdict=verdict.label,
                ms=round(verdict.ms, 3),
                threshold=verdict.threshold,
                calibration=verdict.method,
            )
            if folder is not None:
                record["heatmap"] = folder.save(path, picture, verdict)
        print(json.dumps(record), file=out, flush=True)
    return failed, unreadable


class _HeatmapFolder:
    """Names each heat map after its picture and the folder that it came from."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._taken = set()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from None

    def save(self, path: Path, picture, verdict) -> str:
        from edge.heatmap import overlay, png_bytes  # not needed for the first verdict

        stem = f"{path.parent.name}-{path.stem}" if path.parent.name else path.stem
        name, n = stem, 1
        while name in self._taken:
            n += 1
            name = f"{stem}-{n}"
        self._taken.add(name)
        target = self._folder / f"{name}.png"
        image = overlay(picture, verdict.heatmap, verdict.limit)
        write_atomically(target, png_bytes(image))
        return str(target)
