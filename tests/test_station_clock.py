"""Clocks that are set, steered, asleep, or without a past."""

import uuid

import pytest
from conftest import run_python
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.station.clock import Clock, boot_id

NOON = 1_750_000_000.0


class Hands:
    """Two clocks that a test moves."""

    def __init__(self):
        self.wall, self.monotonic = NOON, 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    def pass_by(self, seconds, jump=0.0):
        self.monotonic += seconds
        self.wall += seconds + jump
        return self.clock.jump()


def test_time_that_passes_is_no_jump():
    hands = Hands()
    assert [hands.pass_by(s) for s in (0, 0.5, 3600, 86400 * 30)] == [None] * 4
    assert hands.clock.now() == (hands.wall, hands.monotonic)


@pytest.mark.parametrize(
    ("jump", "says"),
    [
        (-86400.0, "back by 24.0 h; it now says 2025-06-14 15:06:42 UTC"),
        (-3 * 86400.0, "back by 3.0 days"),
        (2.5, "forward (or the machine slept) by 2.5 s"),
        (1.7e9, "forward"),
        (-2e9, "it now says 1962-"),
        (1e15, "s since 1970"),
    ],
)
def test_a_jump_is_told_once(jump, says):
    hands = Hands()
    assert hands.pass_by(1) is None
    assert says in hands.pass_by(1, jump)
    assert hands.pass_by(1) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(-5e-4, 5e-4)), max_size=50))
def test_a_clock_that_is_steered_does_not_jump(steps):
    hands = Hands()
    for seconds, rate in steps:
        assert hands.pass_by(seconds, seconds * rate) is None


def test_the_boot_is_the_same_in_every_process():
    there = "from edge.station.clock import boot_id; print(boot_id())"
    first, second = (run_python("-c", there).stdout.strip() for _ in range(2))
    assert first == second == boot_id()
    assert uuid.UUID(first)


@pytest.mark.parametrize("content", [None, "", "not-an-id", "\xff"])
def test_without_a_kernel_that_tells_no_two_are_the_same(content, tmp_path):
    path = tmp_path / "boot_id"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    assert boot_id(str(path)) != boot_id(str(path))


def test_by_default_it_is_the_machine_that_tells():
    import time

    before = (time.time(), time.monotonic())
    now = Clock().now()
    assert before[0] - 1 < now.taken < before[0] + 60
    assert before[1] <= now.monotonic < before[1] + 60
