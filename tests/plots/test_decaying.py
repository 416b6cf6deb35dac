"""The figure of what decays shows the table's own numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import optaxwd
from optaxwd.plots import plot_decaying
from optaxwd.rules import everything, search

pytest.importorskip("matplotlib")
PARAMS = {"dense": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}}


def bars(figure):
    """Return (left, width) by row of what decays and of what does not."""
    return [
        {round(bar.get_y() + 0.35): (bar.get_x(), bar.get_width()) for bar in bars}
        for bars in figure.axes[0].containers
    ]


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_bars_are_the_numbers_of_parameters(texts, check_drawn):
    rules = optaxwd.DecayRules([(search("bias"), 0.0)], default=0.5)
    figure = plot_decaying(rules.explain(PARAMS, weight_decay=0.1))
    assert labels(figure) == ["search(bias)", "default"]
    decaying, still = bars(figure)
    assert decaying == {1: (0, 12)} and still == {0: (0, 3)}
    title = "decays: 12 of 15 parameters (80 %), 1 of 2 leaves"
    assert figure.get_suptitle() == title
    assert figure.axes[0].get_xlabel().startswith("parameters")
    wanted = {"0 of 3", "12 of 12", "0 of 1", "1 of 1", "20 %", "80 %", "0.5", "0.05"}
    assert wanted <= set(texts(figure))
    check_drawn(figure)


def test_what_does_not_decay_is_hatched():
    rules = optaxwd.DecayRules([(search("bias"), 0.0)], default=0.5)
    decaying, still = plot_decaying(rules.explain(PARAMS)).axes[0].containers
    assert not decaying[0].get_hatch() and still[0].get_hatch()


def test_a_group_may_decay_in_part(texts):
    found = everything().explain(PARAMS, weight_decay=0.1)
    bias, kernel = found.rows
    half = dataclasses.replace(bias, decays=False, multiplier=0.0, weight_decay=0.0)
    figure = plot_decaying(dataclasses.replace(found, rows=(half, kernel)))
    assert bars(figure) == [{0: (0, 12)}, {0: (12, 3)}]
    assert {"12 of 15", "1 of 2", "0 to 1", "0 to 0.1"} <= set(texts(figure))


def test_a_single_group(check_drawn):
    figure = plot_decaying(everything().explain(PARAMS))
    assert bars(figure) == [{0: (0, 15)}, {}]
    check_drawn(figure)


def test_an_empty_tree(texts, check_drawn):
    figure = plot_decaying(everything().explain({}))
    assert "no parameters" in texts(figure)
    assert figure.get_suptitle() == "decays: 0 of 0 parameters, 0 of 0 leaves"
    check_drawn(figure)


def big(count, size):
    shapes = {
        f"block_{i}": jax.ShapeDtypeStruct((size(i),), jnp.float32)
        for i in range(count)
    }
    rules = optaxwd.DecayRules([(name, i / 10) for i, name in enumerate(shapes)])
    return rules.explain(shapes)


def test_small_groups_are_seen_beside_large_ones(texts, check_drawn):
    figure = plot_decaying(big(30, lambda i: 10 ** (i % 9)))
    axes = figure.axes[0]
    assert len(axes.patches) == len(labels(figure)) == 30
    assert axes.get_xlim()[0] < 0
    assert all(bar.get_edgecolor()[:3] == (0, 0, 0) for bar in axes.patches)
    assert "1 of 1" in texts(figure) and "> 99.9 %" in figure.get_suptitle()
    check_drawn(figure)


def test_of_many_groups_the_smallest_are_one_bar(check_drawn):
    explanation = big(100, lambda i: i + 1)
    figure = plot_decaying(explanation)
    assert len(labels(figure)) == 40 and labels(figure)[-1] == "the 61 smallest groups"
    drawn = sum(width for part in bars(figure) for _, width in part.values())
    assert drawn == explanation.total == 5050
    check_drawn(figure)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_problems_and_other_leaves_are_said(texts, check_drawn):
    rules = optaxwd.DecayRules([("nothing", 0.0)], default=1.0, strict=False)
    params = {**PARAMS, "count": jnp.zeros((), int), "gone": None}
    figure = plot_decaying(rules.explain(params))
    (notes,) = [text for text in texts(figure) if text.startswith("problem: ")]
    assert "matches nothing" in notes
    assert notes.endswith("not shown: 2 leaves that are no parameter")
    check_drawn(figure)


def test_schedules_and_frozen_leaves_are_named(texts):
    rules = optaxwd.DecayRules(
        [(search("bias"), "frozen"), (search("kernel"), lambda count: 0.1)]
    )
    assert {"frozen", "schedule"} <= set(texts(plot_decaying(rules.explain(PARAMS))))


def test_something_else_is_refused():
    with pytest.raises(TypeError, match=r"explain returns, got \{\} of type dict"):
        plot_decaying({})
