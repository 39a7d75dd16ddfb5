"""Near-duplicates across splits: shots of one part on both sides make every figure a lie.

Pictures are compared as 32 x 32 thumbnails, whitened by the principal components of the set
itself. What all pictures of a set share (the part, the light, the background) then counts for
nothing, and the cosine of two pictures says how much they share beyond it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edge.preprocess import InputSpec, preprocess
from vae_tf.data.pictures import GOOD, Pictures

# Measured: of a random split of magnetic tile, with six shots of each, 75 % of the calibration
# pictures have a twin in training, of a split by tile none; of distinct solar modules 0.0 %, of
# Fashion-MNIST's sneakers 0.5 %, of all its classes 3.5 %.
THRESHOLD = 0.8
WORRYING = 0.05  # share of a split with a twin in another

_SIDE = 32  # pixels of a thumbnail
_COMPONENTS = 128
_CAP = 8_000  # pictures compared of one split; more take longer than a user waits
_FITTED = 4_000  # pictures that the components are learnt from
_WORST = 5
_CHUNK = 1024
_FAINTEST = 1 / 12  # variance by rounding to whole grey levels; less is no difference


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Of two splits: how many pictures of `second` have a near-duplicate in `first`.

    checked: pictures of `second` that were compared, with `against` of `first`. worst: the most
    similar (name in first, name in second, similarity up to 1).
    """

    first: str
    second: str
    count: int
    checked: int
    against: int
    sampled: bool
    worst: tuple[tuple[str, str, float], ...]

    @property
    def share(self) -> float:
        """Of the pictures checked, 0 to 1."""
        return self.count / self.checked if self.checked else 0.0


@dataclasses.dataclass(frozen=True)
class DuplicateReport:
    """What was found between each two splits, by the similarity from which pairs count."""

    overlaps: tuple[Overlap, ...]
    threshold: float = THRESHOLD

    @property
    def warning(self) -> str | None:
        """What to do, where too many pictures have a twin on the other side; else None."""
        bad = [o for o in self.overlaps if o.share > WORRYING]
        if not bad:
            return None
        found = "; ".join(
            f"{o.count} of {o.checked} {o.second} pictures have a near-duplicate in {o.first} "
            f"(such as {o.worst[0][1]} and {o.worst[0][0]})"
            for o in bad
        )
        return (
            f"{found}. Thresholds come out too low and figures too good. If these are shots of "
            "one part, keep them together with --group-by (a pattern in the file name, or folder)"
            + (
                ""
                if any(o.second == "calibration" for o in bad)
                else "; test pictures move by hand"
            )
        )

    def to_json(self) -> dict:
        """Everything, for the record of a run."""
        overlaps = [{**dataclasses.asdict(o), "share": o.share} for o in self.overlaps]
        return {"threshold": self.threshold, "overlaps": overlaps, "warning": self.warning}


def find_duplicates(train: Pictures, calibration: Pictures, test: Pictures, seed: int = 0):
    """Compares the splits with each other.

    train: what the model sees in any way, validation included. test: only its good pictures are
        compared, since a defect may be all that tells a picture from a good one of the same part.
    Returns: DuplicateReport.
    """
    good = [i for i, kind in enumerate(test.kinds) if kind == GOOD]
    rng = np.random.default_rng([seed, 2])
    splits = {}
    for name, pictures, rows in (
        ("train", train, np.arange(len(train))),
        ("calibration", calibration, np.arange(len(calibration))),
        ("test good", test, np.array(good, np.int64)),
    ):
        if len(rows) > _CAP:
            rows = np.sort(rng.choice(rows, _CAP, replace=False))
            splits[name] = rows, pictures, True
        else:
            splits[name] = rows, pictures, False
    thumbs = {name: _thumbnails(pictures, rows) for name, (rows, pictures, _) in splits.items()}
    codes = _whitened(thumbs, rng)
    pairs = (("train", "calibration"), ("train", "test good"), ("calibration", "test good"))
    return DuplicateReport(
        tuple(_overlap(a, b, splits, codes) for a, b in pairs if len(codes[a]) and len(codes[b]))
    )


def _thumbnails(pictures: Pictures, rows: np.ndarray) -> np.ndarray:
    """float32 (n, 1024), each less its own mean, so that exposure does not count."""
    spec = InputSpec(_SIDE, _SIDE, 1)
    thumbs = np.empty((len(rows), _SIDE * _SIDE), np.float32)
    for at in range(0, len(rows), _CHUNK):
        for i, picture in enumerate(pictures.batch(rows[at : at + _CHUNK])):
            thumbs[at + i] = preprocess(picture, spec).ravel()
    return thumbs - thumbs.mean(1, keepdims=True)


def _whitened(thumbs: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Unit vectors float32 (n, k + 1), whose products are similarities."""
    known = np.concatenate(list(thumbs.values()))
    if len(known) > _FITTED:
        known = known[rng.choice(len(known), _FITTED, replace=False)]
    mean = known.mean(0)
    # With as many components as pictures, whitening would push all of them equally far apart, so
    # a small set gets few. A large one needs more of them to tell its many alike apart.
    count = len(known)
    kept = max(1, min(count // 2, _COMPONENTS), min(count // 8, 2 * _COMPONENTS))
    variances, axes = _principal(known - mean, kept)
    axes = axes / np.sqrt(np.maximum(variances, _FAINTEST))
    codes = {}
    for name, of in thumbs.items():
        code = (of - mean) @ axes
        # One constant coordinate: pictures without any difference are equal, not undefined.
        code = np.concatenate([code, np.full((len(code), 1), 0.1, code.dtype)], 1)
        codes[name] = code / np.linalg.norm(code, axis=1, keepdims=True)
    return codes


def _principal(centred: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest variances (k,) of the rows of centred (n, d), and their unit axes (d, k)."""
    count, size = centred.shape
    if count >= size:
        variances, axes = np.linalg.eigh(centred.T @ centred / count)
        return variances[::-1][:kept], axes[:, ::-1][:, :kept]
    variances, weights = np.linalg.eigh(centred @ centred.T / count)  # the smaller problem
    variances, weights = variances[::-1][:kept], weights[:, ::-1][:, :kept]
    length = np.sqrt(count * np.maximum(variances, _FAINTEST))
    return variances, centred.T @ weights / length


def _overlap(first: str, second: str, splits: dict, codes: dict) -> Overlap:
    best = np.empty(len(codes[second]), np.float32)
    twin = np.empty(len(codes[second]), np.int64)
    for at in range(0, len(best), _CHUNK):
        similar = codes[second][at : at + _CHUNK] @ codes[first].T
        twin[at : at + _CHUNK] = similar.argmax(1)
        best[at : at + _CHUNK] = similar.max(1)
    (rows_a, a, sampled_a), (rows_b, b, sampled_b) = splits[first], splits[second]
    order = np.argsort(-best, kind="stable")[:_WORST]
    return Overlap(
        first,
        second,
        count=int((best > THRESHOLD).sum()),
        checked=len(best),
        against=len(rows_a),
        sampled=sampled_a or sampled_b,
        worst=tuple(
            (a.names[rows_a[twin[i]]], b.names[rows_b[i]], round(min(1.0, float(best[i])), 3))
            for i in order
            if best[i] > THRESHOLD
        ),
    )
