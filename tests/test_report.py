"""The report: one file that needs nothing else, and that says what the evaluation says."""

import base64
import html.parser
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.calibration import Calibration
from edge.preprocess import InputSpec
from vae_tf import VAE, report
from vae_tf.cases import best_finds, typical_good, worst_false_alarms, worst_misses
from vae_tf.config import Config, DataConfig
from vae_tf.data import Pictures
from vae_tf.detector import Detector, Scored
from vae_tf.evaluate import Evaluation, evaluate, image_figures
from vae_tf.run import Run

SIZE = 24
NASTY = '<script>alert("x")</script>&.png'


def pictures(kinds, channels=1, seed=0, masked=True):
    """Speckled squares; in the defective ones a bright bar, more or less bright by its kind."""
    rng = np.random.default_rng(seed)
    images = rng.normal(110, 6, (len(kinds), SIZE, SIZE, channels))
    masks = np.zeros((len(kinds), SIZE, SIZE), bool)
    for i, kind in enumerate(kinds):
        if kind != "good":
            at = rng.integers(2, SIZE - 6)
            masks[i, at : at + 4, 4:12] = True
            images[i][masks[i]] += {"scratch": 90, "faint_stain": 4}[kind]
    names = [f"test/{kind}/{i}.png" for i, kind in enumerate(kinds)]
    names[-1] = NASTY
    images = np.clip(images, 0, 255).astype(np.uint8)
    if not masked:
        return Pictures(images, names, list(kinds))
    return Pictures(images, names, list(kinds), masks, np.ones(len(kinds), bool))


TEST_KINDS = ["good"] * 12 + ["scratch"] * 5 + ["faint_stain"] * 7


@pytest.fixture(scope="module")
def detector():
    vae = VAE.for_pictures((SIZE, SIZE, 1), latent_dim=4, widths=(4, 8), seed=0)
    good = pictures(["good"] * 40, seed=1)
    return Detector(vae).fit(good).calibrate(pictures(["good"] * 30, seed=2), rate=0.1)


@pytest.fixture(scope="module")
def evaluation(detector):
    return evaluate(detector, pictures(TEST_KINDS))


@pytest.fixture
def finished_run(tmp_path):
    config = Config.for_preset(DataConfig("surfaces"), "quick", latent_dim=4)
    run = Run.create(tmp_path / "run", config, InputSpec(SIZE, SIZE, 1))
    run.write("history.csv", b"epoch,loss,kl,val_loss\n1,900,3,950\n2,-20,5,-10\n3,-80,6,-60\n")
    return run


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: texts, pictures, and everything it would fetch."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.addresses, self.words, self.headings = [], [], [], []
        self.feed(content)
        self.close()
        self.text = " ".join(" ".join(self.words).replace("\xa0", " ").split())
        self.pictures = [a for a in self.addresses if a.startswith("data:image/")]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        names = ("src", "srcset", "href", "data", "action", "poster", "background")
        self.addresses += [value for name, value in attributes if name in names]

    def handle_data(self, data):
        inside = self.tags[-1] if self.tags else ""
        if inside == "h2" and data.strip():
            self.headings.append(data.strip())
        if inside != "style":
            self.words.append(data)


def written(evaluation, **facts):
    """The report, written and read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.html")
        report.write_report(path, evaluation, **facts)
        return path.read_text(encoding="utf-8")


def opened(address):
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        picture.load()
        return picture


def with_scores(scores, kinds, calibration):
    """An evaluation of given scores over speckle."""
    scores, of = np.asarray(scores, float), pictures(kinds, masked=False)
    of = Pictures(of.images.clip(100), of.names, of.kinds)
    figures = image_figures(scores, list(kinds), calibration)
    figures.update(pixel_auroc=None, pixel_pro=None)
    heat = np.ones((len(kinds), SIZE, SIZE), np.float32) * scores[:, None, None]
    return Evaluation(
        of, Scored(scores, heat.astype(np.float32)), calibration, calibration.threshold, figures
    )


CALIBRATION = Calibration(tuple(np.linspace(0, 1, 99)), 0.01, 1.0, 0.9, "conformal")


def test_report_is_one_file_that_needs_nothing_else(evaluation, detector, finished_run, tmp_path):
    path = tmp_path / "report.html"
    report.write_report(
        path,
        evaluation,
        title="Brackets",
        source="line 4",
        detector=detector,
        run=finished_run,
        splits_summary=["good pictures: 40 to train", "warning: twins in both splits"],
        precisions=[
            {"precision": "Keras", "image_auroc": 0.91},
            {"precision": "int8", "image_auroc": 0.9, "detector_kib": 812.0, "p50_ms": 3.94},
        ],
        measured_on="a test bench",
        training_seconds=200,
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert not [a for a in page.addresses if not a.startswith("data:")]
    assert "script" not in page.tags
    assert "url(" not in path.read_text()
    for address in page.pictures:
        assert address.startswith("data:image/png;base64,")
        assert opened(address).format == "PNG"
    for words in (
        "Brackets",
        "line 4",
        "3 epochs in 3 min 20 s",
        "Take the figures with care. twins in both splits",
        "812 KiB",
        "3.9 ms",
        "a test bench",
        "latent dim 4",
        evaluation.calibration.note,
    ):
        assert words in page.text
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["report.html"]


def test_figures_are_those_of_the_evaluation(evaluation):
    page = Page(written(evaluation, title="Brackets"))
    figures, scores = evaluation.figures, evaluation.scored.scores
    failed = scores > evaluation.calibration.threshold
    found, stopped = int(failed[12:].sum()), int(failed[:12].sum())
    missed = 12 - found
    assert (
        f"Of 12 defective parts it stopped {found} ({report.percent(found / 12)}) and missed "
        f"{missed} ({report.percent(missed / 12)}) . Of 12 good parts it stopped {stopped} "
        f"({report.percent(stopped / 12)}) by mistake."
    ).replace("\xa0", " ") in page.text
    assert missed == round(figures["miss_rate"] * 12)
    for name in ("image_auroc", "pixel_auroc", "pixel_pro"):
        assert f"{figures[name]:.3f}" in page.text
    for kind, of in figures["by_kind"].items():
        found = round((1 - of["miss_rate"]) * of["n"])
        row = f"{kind.replace('_', ' ')} {of['n']} {found} ("
        assert row in page.text
    assert f"{evaluation.calibration.threshold:.4g}" in page.text


def test_names_are_text_and_never_markup(evaluation):
    scores = evaluation.scored.scores.copy()
    scores[-1] = 1e-6  # the worst miss, so that it is shown
    scored = Scored(scores, evaluation.scored.heatmaps)
    figures = image_figures(scores, evaluation.pictures.kinds, evaluation.calibration)
    changed = Evaluation(
        evaluation.pictures,
        scored,
        evaluation.calibration,
        evaluation.limit,
        {**evaluation.figures, **figures},
    )
    content = written(changed, title="<b>bold</b>", source=NASTY)
    page = Page(content)
    assert "script" not in page.tags
    assert page.text.count(NASTY) >= 2
    assert "<b>bold</b>" in page.text


def test_names_that_are_no_text_are_written(evaluation):
    assert "part ?" in Page(written(evaluation, title="part \udcff")).text


def test_everything_optional_may_be_missing(detector):
    evaluation = evaluate(detector, pictures(TEST_KINDS, masked=False))
    page = Page(written(evaluation, title="Brackets"))
    assert "outlines the defect" not in page.text
    for heading in ("Training", "On the device", "The pictures"):
        assert heading not in page.headings
    full = Page(written(evaluation, title="Brackets", detector=detector))
    assert "Training" in full.headings
    assert len(full.pictures) > len(page.pictures)
    bare = written(evaluation, title="Brackets", history={}, precisions=[])
    assert Page(bare).headings == page.headings


def test_report_of_colour_pictures_stays_small():
    rng = np.random.default_rng(0)
    n, kinds = 24, ["good"] * 12 + ["scratch"] * 12
    noise = rng.integers(0, 256, (n, 200, 320, 3), np.uint8)  # as large as a PNG can get
    of = Pictures(noise, [f"{i}.png" for i in range(n)], kinds)
    scores = np.r_[np.linspace(0, 2, 12), np.linspace(0, 3, 12)]
    figures = {**image_figures(scores, kinds, CALIBRATION), "pixel_auroc": None, "pixel_pro": None}
    scored = Scored(scores, rng.random((n, 200, 320)).astype(np.float32))
    evaluation = Evaluation(of, scored, CALIBRATION, CALIBRATION.threshold, figures)
    assert len(written(evaluation, title="Noise")) < 4e6


@pytest.mark.parametrize(
    ("good", "bad", "level", "says"),
    [
        ([0.5] * 50, [0.4] * 40 + [2.0] * 10, "poor", "misses most of the defective parts"),
        ([0.5] * 50, [0.4] * 40 + [2.0] * 10, "poor", "hardly better than chance"),
        ([0.5] * 30 + [2] * 20, [3] * 50, "poor", "stops more good parts than agreed"),
        ([0.5] * 30 + [2] * 20, [3] * 50, "poor", "set to stop at most 1 %"),
        ([0.5] * 30 + [3] * 20, [0.4] * 20 + [3] * 30, "poor", "Do not rely on it"),
        ([0.5] * 50, [0.6] * 15 + [3] * 35, "fair", "beside your inspection"),
        ([0.5] * 50, [0.6] * 5 + [3] * 45, "fair", "most of the defective parts, not all"),
        ([0.5] * 50, [3] * 50, "good", "nearly all"),
        ([0.5] * 50, [0.95] * 10 + [3] * 40, "fair", "it noticed 50 of 50 (100 %)"),
    ],
)
def test_the_verdict_is_told_straight(good, bad, level, says):
    kinds = ["good"] * len(good) + ["scratch"] * len(bad)
    evaluation = with_scores([*good, *bad], kinds, CALIBRATION)
    counts = report.count_verdicts(evaluation)
    verdict = report.judge(counts, evaluation.figures, CALIBRATION)
    assert verdict.level == level
    assert says in " ".join([verdict.headline, *verdict.remarks]).replace("\xa0", " ")


def test_false_alarms_within_chance_are_no_reproach():
    counts = report.Counts(good=100, stopped=3, good_warned=0, bad=10, found=10, bad_warned=0)
    assert not report.stops_too_many(counts, CALIBRATION)
    assert report.stops_too_many(counts._replace(stopped=30), CALIBRATION)
    assert not report.stops_too_many(counts._replace(stopped=0), CALIBRATION)


def test_nothing_found_and_nothing_missed_are_said():
    none = with_scores([0.5] * 8 + [0.1] * 8, ["good"] * 8 + ["scratch"] * 8, CALIBRATION)
    every = with_scores([0.5] * 8 + [5] * 8, ["good"] * 8 + ["scratch"] * 8, CALIBRATION)
    none, every = (Page(written(e, title="Brackets")).text for e in (none, every))
    assert "Nothing: none of the 8 defective parts failed" in none
    assert "Nothing: all 8 defective parts failed" in every
    assert "None of 8" in every


cases = st.lists(
    st.tuples(
        st.sampled_from(["good", "crack", "pit"]),
        st.one_of(st.floats(0, 2), st.just(float("nan"))),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(cases, st.integers(0, 8))
def test_selections_hold_what_they_say(rows, count):
    kinds = [kind for kind, _ in rows]
    scores = np.array([score for _, score in rows], float)
    failed = np.array([CALIBRATION.label(s) == "fail" for s in scores], bool)
    bad = np.array([kind != "good" for kind in kinds], bool)
    chosen = {
        best_finds: (bad & failed),
        worst_misses: (bad & ~failed),
        worst_false_alarms: (~bad & failed),
    }
    for select, allowed in chosen.items():
        indices = select(scores, kinds, CALIBRATION, count)
        assert len(indices) == len(set(indices.tolist())) == min(count, allowed.sum())
        assert allowed[indices].all()
    misses = worst_misses(scores, kinds, CALIBRATION, count)
    left = np.setdiff1d(np.flatnonzero(bad & ~failed), misses)
    assert not len(misses) or not len(left) or scores[misses].max() <= scores[left].min()
    finds = best_finds(scores, kinds, CALIBRATION, count)
    kinds_found = {k for k, b, f in zip(kinds, bad, failed, strict=True) if b and f}
    assert len({kinds[i] for i in finds}) == min(count, len(kinds_found))
    usual = typical_good(scores, kinds, count)
    assert len(usual) == min(count, (~bad & np.isfinite(scores)).sum())
    assert not bad[usual].any()


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 400))
def test_percentages_read_back(k, n):
    share = min(k, n) / n
    number, unit = report.percent(share).split("\xa0")
    assert unit == "%"
    assert float(number) == pytest.approx(100 * share, abs=0.0501)


def test_durations_read_as_a_person_says_them():
    spelt = [report.duration(s) for s in (0.4, 59.4, 59.6, 200, 3600, 7500)]
    assert spelt == ["0 s", "59 s", "1 min 0 s", "3 min 20 s", "1 h 0 min", "2 h 5 min"]
