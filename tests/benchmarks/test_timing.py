"""Turns, drift and refusal, on candidates whose times are made up."""

import itertools

import pytest

from benchmarks._contention import Ticks, share_of_others
from benchmarks._timing import Effort, alternate, drift_of, in_turns, measure, turn_of


def test_every_other_round_is_reversed():
    assert in_turns(["a", "b", "c"], 0) == ["a", "b", "c"]
    assert in_turns(["a", "b", "c"], 1) == ["c", "b", "a"]
    calls = []

    def turn(name):
        return lambda: calls.append(name) or float(len(calls))

    found = alternate({name: turn(name) for name in "abc"}, 3)
    assert "".join(calls) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_drift_compares_halves():
    assert drift_of([1.0, 1.0, 1.3, 1.3]) == pytest.approx(0.3)
    assert drift_of([1.3, 1.3, 1.0, 1.0]) == pytest.approx(0.3 / 1.3)
    assert drift_of([1.0, 9.0, 1.0]) == 0  # The round in the middle is in no half.
    assert drift_of([1.0]) == 0


def test_what_drifts_is_repeated():
    times = iter([9.0, 1.0, 2.0, 1.0, 1.1])
    timed = measure({"x": lambda: next(times)}, "x", 2, limit=0.2, attempts=3)
    assert timed.drifts == pytest.approx([1.0, 0.1])
    assert timed.seconds == {"x": [1.0, 1.1]}
    assert not timed.refused


def test_what_always_drifts_is_refused_and_kept():
    times = itertools.chain([9.0], itertools.cycle([1.0, 2.0]))
    timed = measure({"x": lambda: next(times)}, "x", 2, limit=0.2, attempts=3)
    assert timed.refused
    assert timed.drifts == [1.0, 1.0, 1.0]
    assert timed.seconds == {"x": [1.0, 2.0]}


def test_only_the_reference_may_refuse():
    times = itertools.cycle([1.0, 2.0])
    turns = {"reference": lambda: 1.0, "other": lambda: next(times)}
    assert not measure(turns, "reference", 2, limit=0.2, attempts=3).refused


@pytest.mark.parametrize("wait_each", [True, False])
def test_a_turn_waits_for_its_last_step(wait_each):
    events = []

    class Recorder:
        def step(self):
            events.append("step")

        def wait(self):
            events.append("wait")

    turn_of(Recorder(), Effort(1, 1e-4, wait_each))()
    assert events[-1] == "wait"
    assert events.count("step") > 1


def test_the_share_of_others():
    # Of 10 s of two processors together 6 were busy, and 4 of these were ours.
    before, after = Ticks(100.0, 50.0, 1.0), Ticks(110.0, 56.0, 5.0)
    assert share_of_others(before, after) == pytest.approx(0.2)
    assert share_of_others(None, after) is None
    assert share_of_others(after, after) is None
