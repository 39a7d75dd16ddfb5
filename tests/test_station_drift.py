"""The drift watch: quiet for as long as nothing changes, and it knows what did."""

import json
import math
import re

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from edge.calibration import calibrate
from edge.preprocess import read_picture
from edge.station.drift import DriftWatch
from edge.station.looks import Looks, looks
from edge.station.twosample import count_limit, gap_limit, gap_probability, share_bound, widest_gap

YEAR = 365 * 86400


def a_look(rng):
    return Looks(*rng.normal([100, 0.3, 0.4], [5, 0.02, 0.03]))


def feed(watch, rng, n, shift=0.0, look=a_look, start=0.0):
    """n frames whose scores are drawn like the calibration's, then shifted. Returns the events."""
    events = []
    for i in range(n):
        score = rng.lognormal() * math.exp(shift)
        label = feed.calibration.label(score)
        event = watch.add(score, label, look(rng), start + i)
        if event is not None:
            events.append((i, event))
    return events


def watch_of(rng, n=160, **options):
    feed.calibration = calibrate(rng.lognormal(size=n))
    return DriftWatch(feed.calibration, **options)


# Nothing changes


@pytest.mark.parametrize("n", [8, 30, 160])
def test_false_warnings_come_no_more_often_than_allowed(n):
    # So many are allowed here that some come: at most 0.25 a run. With few calibration pictures
    # hardly any do: the bounds of the tests that rest on those are far from tight.
    rng = np.random.default_rng(n)
    runs, frames = 100, 600
    allowed = 0.25 * YEAR / frames
    warned = 0
    for _ in range(runs):
        watch = watch_of(rng, n, window=40, false_warnings=allowed)
        warned += sum(not event.over for _, event in feed(watch, rng, frames))
    expected = 0.25 * runs
    assert warned <= expected + 4 * math.sqrt(expected)
    assert warned >= (1 if n == 160 else 0), "such a rate of errors would show"


def test_half_a_day_without_a_warning():
    rng = np.random.default_rng(1)
    assert feed(watch_of(rng), rng, 40_000) == []


@pytest.mark.slow
def test_six_days_without_a_warning():
    # Six days in 8 runs at one false warning a year: 0.13 expected at the very most. The tests are
    # discrete and their windows overlap, so that there are fewer.
    for seed in range(8):
        rng = np.random.default_rng([2, seed])
        assert feed(watch_of(rng, 30 + 20 * seed), rng, 500_000) == []


# Something does


@pytest.mark.parametrize("n", [30, 160])
@pytest.mark.parametrize(
    ("shift", "says"),
    [(1.3, "score higher"), (-1.3, "score lower"), (5.0, "did not pass, which is more than bad")],
)
def test_a_shift_of_the_scores_is_told_within_some_hundred_frames(n, shift, says):
    rng = np.random.default_rng(3)
    watch = watch_of(rng, n)
    assert feed(watch, rng, 500) == []
    events = feed(watch, rng, 500, shift)
    at, event = events[0]
    assert at < 400
    assert says in event.text
    assert "light and sharpness are as they were: look at the parts" in event.text
    assert watch.warning is not None
    assert len(events) <= 3, "only further reasons are news"


def test_bad_parts_alone_are_no_drift():
    rng = np.random.default_rng(4)
    watch = watch_of(rng)
    feed(watch, rng, 500)
    for i in range(3000):
        bad = rng.random() < 0.15
        score = 1e3 if bad else rng.lognormal()
        assert watch.add(score, feed.calibration.label(score), a_look(rng), float(i)) is None


def test_a_warning_ends_when_things_are_as_before():
    rng = np.random.default_rng(5)
    watch = watch_of(rng)
    feed(watch, rng, 500)
    feed(watch, rng, 300, 2.0)
    assert watch.warning is not None
    events = feed(watch, rng, 600)
    assert [event.over for _, event in events] == [True]
    assert watch.warning is None


CHANGES = {
    "darker than": lambda p: ImageEnhance.Brightness(p).enhance(0.78),
    "brighter than": lambda p: ImageEnhance.Brightness(p).enhance(1.25),
    "less sharp than": lambda p: p.filter(ImageFilter.GaussianBlur(1.2)),
    "lower in contrast than": lambda p: ImageEnhance.Contrast(p).enhance(0.6),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_reason_is_in_words(change, pictures):
    good = [read_picture(path) for path in sorted((pictures / "train" / "good").glob("*.png"))]
    rng = np.random.default_rng(6)

    def before(rng):
        return looks(good[rng.integers(len(good))])

    def after(rng):
        changed = CHANGES[change](Image.fromarray(good[rng.integers(len(good))]))
        return looks(np.asarray(changed))

    watch = watch_of(rng, window=100)
    assert feed(watch, rng, 500, look=before) == []
    events = feed(watch, rng, 200, look=after)
    assert events, "the same scores, yet other pictures"
    said = events[-1][1].text
    assert f"% {change} when calibrated" in said
    assert not any(other in said for other in set(CHANGES) - {change})
    if change == "darker than":
        # The medians of two handfuls of different pictures.
        assert int(re.search(r"pictures are (\d+)% ", said)[1]) == pytest.approx(22, abs=6)


def test_looks_of_large_pictures_of_colour_and_of_what_is_not_ignored():
    rng = np.random.default_rng(7)
    picture = rng.integers(0, 200, (480, 640, 3), np.uint8)
    of_all = looks(picture)
    assert of_all.brightness == pytest.approx(99.5, abs=1)
    assert of_all.contrast == pytest.approx(200 / math.sqrt(12) / 99.5, rel=0.02)
    ignored = np.zeros((480, 640), bool)
    ignored[100:300, 50:600] = True
    painted = picture.copy()
    painted[ignored] = 255
    assert looks(painted, ignored) == looks(picture, ignored)
    assert looks(painted, ignored) == pytest.approx(of_all, rel=0.03)
    flat = looks(np.zeros((8, 8), np.uint8))
    assert flat == (0, 0, 0)
    shown = np.ones((8, 8), bool)
    shown[1, 1] = False
    assert all(map(math.isfinite, looks(picture[:8, :8], shown)))


# Which frames count, and restarts


def test_frames_of_the_same_moment_count_once():
    rng = np.random.default_rng(8)
    watch = watch_of(rng, window=40, every=10.0)
    for i in range(4000):  # ten frames a second, all far too high: 40 of them count
        watch.add(1e3, "fail", a_look(rng), 5.0 + 0.1 * i)
    assert watch.warning is not None
    quick = watch_of(rng, window=40, every=10.0)
    for i in range(390):
        quick.add(1e3, "fail", a_look(rng), 5.0 + i)
    assert quick.warning is None
    assert quick.due(400.0)
    assert not quick.due(386.0)
    assert quick.due(1.0), "the machine was started again"


def test_a_restart_goes_on_where_it_was():
    rng = np.random.default_rng(9)
    watch = watch_of(rng)
    feed(watch, rng, 500)
    feed(watch, rng, 150, 2.0)
    other = DriftWatch(feed.calibration)
    assert other.restore(json.loads(json.dumps(watch.state())))
    assert other.state() == watch.state()
    assert other.warning == watch.warning
    assert feed(other, rng, 400, 2.0)[0][1].text


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: None,
        lambda s: [],
        lambda s: {},
        lambda s: {**s, "calibration": "0" * 12},
        lambda s: {**s, "window": 100},
        lambda s: {**s, "scores": ["x"]},
        lambda s: {**s, "first": [[1.0, 2.0]]},
        lambda s: {**s, "looks": 5},
        lambda s: {**s, "reasons": []},
    ],
)
def test_a_state_that_does_not_fit_is_not_taken(damage):
    rng = np.random.default_rng(10)
    watch = watch_of(rng)
    feed(watch, rng, 300)
    other = DriftWatch(feed.calibration)
    fresh = other.state()
    assert not other.restore(damage(watch.state()))
    assert other.state() == fresh


# The arithmetic


def test_the_exact_distribution_by_counting_every_order():
    from itertools import combinations

    for n, m in ((3, 5), (4, 4), (2, 7)):
        sizes = []
        for of_first in combinations(range(n + m), n):
            first = np.array(of_first, float)
            second = np.array(sorted(set(range(n + m)) - set(of_first)), float)
            sizes.append(widest_gap(first, second).size)
        for size in sorted(set(sizes)):
            share = np.mean([s >= size - 1e-12 for s in sizes])
            assert gap_probability(n, m, size) == pytest.approx(share)


@pytest.mark.parametrize(("n", "m"), [(152, 200), (30, 200), (200, 200), (9, 40)])
@pytest.mark.parametrize("rate", [1e-2, 3e-7])
def test_limits_are_just_within_the_rate(n, m, rate):
    stats = pytest.importorskip("scipy.stats")
    limit = gap_limit(n, m, rate)
    assert gap_probability(n, m, limit) <= rate
    assert gap_probability(n, m, 0.98 * limit) > rate
    count = count_limit(m, 0.3, rate)
    assert stats.binom.sf(count - 1, m, 0.3) <= rate < stats.binom.sf(count - 2, m, 0.3)
    assert share_bound(n, 3, rate) == pytest.approx(stats.beta.isf(rate, 4, n - 3), abs=1e-5)


def test_too_few_for_the_rate_means_never():
    assert gap_limit(2, 3, 1e-3) > 1
    assert count_limit(3, 0.5, 1e-3) == 4
    assert count_limit(3, 1.0, 1e-3) == 4
