"""The figure of effective decay against the formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optaxwd.plots import plot_effective_decay

pytest.importorskip("matplotlib")
RATES = {"learning_rate": 1e-3, "weight_decay": 0.1}
SPREAD = np.geomspace(1e-4, 10, 1001)


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_curves_are_the_formulas(texts, check_drawn):
    figure = plot_effective_decay(SPREAD.reshape(7, 11, 13), eps=1e-2, **RATES)
    upper, lower = figure.axes
    coupled, decoupled, crossing = upper.lines
    x, y = coupled.get_data()
    assert (x[0], x[-1]) == pytest.approx((1e-4, 10))
    np.testing.assert_allclose(y, 1e-4 / (x + 1e-2))
    assert list(decoupled.get_ydata()) == pytest.approx([1e-4] * 2)
    assert decoupled.get_linestyle() != coupled.get_linestyle()
    assert crossing.get_xdata()[0] == 1 - 1e-2
    assert crossing.get_ydata()[0] == pytest.approx(1e-4)
    assert (upper.get_xscale(), upper.get_yscale()) == ("log", "log")
    assert lower.get_xlim() == upper.get_xlim()
    assert lower.get_xlabel().endswith("in units of the gradient")
    median = 1 / (np.sqrt(1e-4 * 10) + 1e-2)
    assert f"median {median:.4g}," in figure.get_suptitle()
    assert {"coupled (L2 in Adam)", "decoupled (AdamW)"} <= set(texts(figure))
    check_drawn(figure)


def test_the_histogram_holds_every_coordinate():
    figure = plot_effective_decay(SPREAD, **RATES)
    (steps,) = figure.axes[1].patches
    shares, edges, _ = steps.get_data()
    assert shares.sum() == pytest.approx(100)
    counts, _ = np.histogram(SPREAD, edges)
    np.testing.assert_allclose(shares, 100 * counts / len(SPREAD))


def test_the_crossing_is_marked_only_in_range():
    figure = plot_effective_decay(SPREAD[SPREAD < 0.9], **RATES)
    assert len(figure.axes[0].lines) == 2
    assert not any("equal" in text.get_text() for text in figure.axes[0].texts)


def test_zeros_are_counted_and_left_out(check_drawn):
    figure = plot_effective_decay(np.array([0, 0, 0.1, 0.2, 0.5]), **RATES)
    title = figure.get_suptitle()
    assert "median 5," in title and "2 of 5 coordinates" in title
    assert "never had a gradient" in title
    check_drawn(figure)


@pytest.mark.parametrize("value", [0.5, [0.5], jnp.array([0.5], jnp.bfloat16)])
def test_a_single_coordinate(value, check_drawn):
    figure = plot_effective_decay(value, **RATES)
    shares, edges, _ = figure.axes[1].patches[0].get_data()
    assert shares.max() == 100 and edges[0] == 0.25 and edges[-1] == 1
    check_drawn(figure)


def test_leaves_are_strips(check_drawn):
    leaves = {
        "dense/kernel": SPREAD,
        "dense/bias": np.array([0.0, 1.0, 2.0]),
        "unused": np.zeros(4),
        "$none$": np.zeros(0),
    }
    figure = plot_effective_decay(leaves, **RATES)
    strips = figure.axes[2]
    assert labels(strips) == [
        "dense/kernel",
        "dense/bias (1 of 3 at 0)",
        "unused (all at 0)",
        "$none$ (no entries)",
    ]
    thin, thick = (lines.get_segments()[0] for lines in strips.collections)
    assert list(thin[:, 0]) == pytest.approx([1e-4, 10])
    assert list(thick[:, 0]) == pytest.approx(np.quantile(SPREAD, [0.05, 0.95]))
    medians = [np.median(SPREAD), 1.5]
    assert list(strips.lines[0].get_xdata()) == pytest.approx(medians)
    assert "5 of 1,008 coordinates" in figure.get_suptitle()
    check_drawn(figure)


def test_hundreds_of_leaves_are_sorted(check_drawn):
    medians = np.random.default_rng(0).permutation(np.geomspace(1e-6, 1e-2, 400))
    leaves = {f"h/{i}/w": np.array([0.5, 1, 2]) * m for i, m in enumerate(medians)}
    figure = plot_effective_decay(leaves, **RATES)
    strips = figure.axes[2]
    assert list(strips.lines[0].get_xdata()) == sorted(medians)
    order = np.argsort(medians)
    assert labels(strips) == [f"h/{order[0]}/w", f"h/{order[-1]}/w"]
    assert strips.get_ylabel() == "400 leaves, by median"
    check_drawn(figure)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("a", TypeError, "array of real numbers, got 'a' of type str"),
        (None, TypeError, "array of real numbers, got None"),
        ([[1.0], [1.0, 2.0]], TypeError, "array of real numbers"),
        (np.array([1j]), TypeError, "array of real numbers"),
        (np.array([True]), TypeError, "array of real numbers"),
        ({"a": {"b": np.ones(2)}}, TypeError, r"sqrt_nu\['a'\] must be an array"),
        ([1.0, -2.0], ValueError, "finite and >= 0, got -2.0 among 1 such of 2"),
        ([np.nan, np.nan], ValueError, "got nan among 2 such of 2 entries"),
        ({"w": [np.inf]}, ValueError, r"sqrt_nu\['w'\] must be finite"),
        (np.zeros(3), ValueError, "got 0 for all 3 coordinates"),
        ([], ValueError, "must have entries"),
        ({}, ValueError, "must have entries"),
    ],
)
def test_what_cannot_be_drawn(value, error, message):
    with pytest.raises(error, match=f"plot_effective_decay: .*{message}"):
        plot_effective_decay(value, **RATES)


def test_rates_are_checked():
    for name in RATES:
        with pytest.raises(ValueError, match=f"{name} must be > 0, got 0"):
            plot_effective_decay(SPREAD, **(RATES | {name: 0}))
    with pytest.raises(ValueError, match="eps must be finite and >= 0, got -1"):
        plot_effective_decay(SPREAD, eps=-1, **RATES)
    with pytest.raises(TypeError, match="Call it outside of `jax.jit`"):
        jax.eval_shape(lambda x: plot_effective_decay(x, **RATES), SPREAD)
