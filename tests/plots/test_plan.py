"""The figure of a planned run shows the plan's own numbers."""

import numpy as np
import optax
import pytest

import optaxwd
from optaxwd.plots import plot_plan

pytest.importorskip("matplotlib")
COSINE = optax.warmup_cosine_decay_schedule(0.0, 0.1, 100, 1000)


def test_curves():
    plan = optaxwd.describe(COSINE, 0.04, 1000)
    upper, middle, lower = plot_plan(plan).axes
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), plan.rates.learning_rate)
    np.testing.assert_array_equal(middle.lines[0].get_ydata(), plan.rates.rate)
    steps, left = lower.lines[0].get_data()
    assert (steps[0], left[0]) == (0, 1)
    assert (steps[-1], left[-1]) == (1000, pytest.approx(plan.remaining))
    assert [axes.get_xlabel() for axes in (upper, middle, lower)][-1] == "step"


def test_half_lives_are_marked_where_they_are_reached():
    plan = optaxwd.describe(0.1, 0.1, 100)
    texts = [text.get_text() for text in plot_plan(plan).axes[2].texts]
    assert texts == ["50% after 69 steps"]


def test_rounding_is_said():
    titles = [
        plot_plan(optaxwd.describe(COSINE, weight_decay, 1000))
        .axes[1]
        .get_title(loc="right")
        for weight_decay in (0.001, 0.1)
    ]
    assert titles[0].startswith("too small") and titles[1].startswith("dotted")


def test_a_schedule_of_weight_decay_has_an_axis_of_its_own():
    rising = optaxwd.cosine_weight_decay_schedule(0.04, 0.4, 1000)
    axes = plot_plan(optaxwd.describe(COSINE, rising, 1000)).axes
    assert [one.get_ylabel() for one in axes][-1] == "λ (dashed)"


def test_long_runs_are_thinned_and_saved(tmp_path):
    figure = plot_plan(optaxwd.describe(1e-3, 0.1, 100_000))
    assert all(len(line.get_xdata()) <= 4001 for line in figure.axes[0].lines)
    for kind in ("png", "svg"):
        figure.savefig(tmp_path / f"plan.{kind}")
        assert (tmp_path / f"plan.{kind}").stat().st_size > 5000


def test_a_half_life_late_in_the_run_is_named_to_its_left(check_drawn):
    figure = plot_plan(optaxwd.describe(0.1, 0.1, 70))
    (text,) = figure.axes[2].texts
    assert text.get_text() == "50% after 69 steps" and text.get_ha() == "right"
    check_drawn(figure)


def test_no_decay_and_a_single_step_are_seen():
    assert (
        "half-life ∞ steps"
        in plot_plan(optaxwd.describe(0.1, 0, 9)).axes[0].get_title()
    )
    (line,) = plot_plan(optaxwd.describe(0.1, 0.1, 1)).axes[0].lines
    assert line.get_marker() == "o"
