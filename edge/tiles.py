"""Pictures larger than the model: looked at in overlapping tiles, one at a time.

A model that takes a large picture whole needs memory and time that a device does not have, and one
that takes it made small cannot see a scratch. So where a picture is larger than what the graph
takes, it is cut into tiles of that size. Their maps fade into one another where they overlap, and
the picture is judged, part of the score by part, as its worst tile is.
"""

from __future__ import annotations

import math
from typing import Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from edge.score import ScoreSpec, heights, total

OVERLAP = 0.25  # of a tile, at least; so each defect up to that size lies whole in some tile


class Tiling(NamedTuple):
    """How a picture of height x width is cut into tiles of tile_height x tile_width, in pixels.

    No side of a tile is longer than the picture's. A picture of a tile's size is one tile.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int

    @property
    def corners(self) -> List[tuple]:
        """(top, left) of each tile, in the order that `cut` gives and `join` takes them."""
        rows = _starts(self.height, self.tile_height)
        return [(y, x) for y in rows for x in _starts(self.width, self.tile_width)]

    def cut(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """Views of the tiles. picture: (height, width, ...)."""
        for y, x in self.corners:
            yield picture[y : y + self.tile_height, x : x + self.tile_width]

    def join(self, tiles: Sequence[np.ndarray]) -> np.ndarray:
        """The whole from its tiles, (tile_height, tile_width, ...) each; they fade where they meet.

        Returns: float32 (height, width, ...).
        """
        corners = self.corners
        if len(corners) == 1:
            return np.asarray(tiles[0], np.float32)
        further = (1,) * (tiles[0].ndim - 2)
        fade = np.multiply.outer(_fade(self.tile_height), _fade(self.tile_width))
        fade = fade.reshape(*fade.shape, *further)
        whole = np.zeros((self.height, self.width, *tiles[0].shape[2:]), np.float32)
        weight = np.zeros((self.height, self.width, *further), np.float32)
        for i, (y, x) in enumerate(corners):
            place = slice(y, y + self.tile_height), slice(x, x + self.tile_width)
            whole[place] += fade * tiles[i]
            weight[place] += fade
        return whole / weight


def tiling(picture_shape: Sequence[int], model_shape: Sequence[int]) -> Tiling:
    """How pictures of one shape are cut for a model of another; both (H, W, ...)."""
    return Tiling(*picture_shape[:2], *model_shape[:2])


def judge_tiles(
    outputs: List[dict], spec: ScoreSpec, how: Tiling, ignore: Optional[np.ndarray] = None
) -> tuple:
    """The heat map and the score of one picture.

    outputs: of the detector graph by name, for each tile: see `edge.score.heights`.
    ignore: bool (height, width), what counts for nothing, but not everything.
    Returns: (heatmap, score): float32 (height, width), and a float.
    """
    if ignore is None:
        parts = [heights(tile, spec) for tile in outputs]
        judged = parts
    else:
        unseen = list(how.cut(ignore))
        parts = [heights(tile, spec, unseen[i]) for i, tile in enumerate(outputs)]
        # A tile of which nothing counts has no say, its vectors neither.
        judged = [part for i, part in enumerate(parts) if not unseen[i].all()]
    heatmap = how.join([tile_map for tile_map, _ in parts])
    return heatmap, total([of for _, of in judged], spec)


def joined(outputs: List[dict], name: str, how: Tiling) -> np.ndarray:
    """One picture-like output, such as "anomaly_map", of the whole picture."""
    return how.join([tile[name] for tile in outputs])


def look(graph, picture: np.ndarray, how: Tiling) -> List[dict]:
    """What a detector graph gives for each tile of a picture, by name.

    graph: an `edge.interpreter.Graph`. picture: uint8 (height, width, channels).
    """
    tiles = (np.ascontiguousarray(tile) for tile in how.cut(picture))
    return [{n: v[0] for n, v in graph(image=tile[None]).items()} for tile in tiles]


def _starts(length: int, tile: int) -> List[int]:
    """Evenly spread, from the first to the last, with at least the overlap between neighbours."""
    if tile > length:
        raise ValueError(f"expected tiles of at most {length} pixels a side, got {tile}")
    steps = math.ceil((length - tile) / max(1, int(tile * (1 - OVERLAP))))
    return [round(i * (length - tile) / steps) for i in range(steps + 1)] if steps else [0]


def _fade(length: int) -> np.ndarray:
    """Weights along a side: full inside, next to nothing at the border."""
    margin = max(1.0, OVERLAP * length)
    from_border = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
    return np.minimum(from_border / margin, 1.0).astype(np.float32)
