"""The figure of telemetry shows the records' own numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optaxwd
from optaxwd.plots import plot_telemetry
from optaxwd.telemetry import QUANTITIES

pytest.importorskip("matplotlib")


def records_of(paths, count=40, decaying="kernel"):
    records = []
    for t in range(count):
        record = {"step": 10 * t, "learning_rate": 1e-3, "weight_decay": 0.1}
        for at, path in enumerate(paths):
            record[f"weight_rms/{path}"] = (1 + at) * 0.9**t
            record[f"rotation/{path}"] = 0.01 / (1 + t)
            record[f"decay_rate/{path}"] = 0.0
            if decaying in path:
                record[f"decay_rate/{path}"] = 1e-4
                record[f"predicted_rms/{path}"] = 0.3 * (1 + at)
                record[f"predicted_rotation/{path}"] = 0.02
        records.append(record)
    return records


def names(axes):
    """Return the names at the ends of lines, without their symbols."""
    return {text.get_text()[2:] for text in axes.texts}


def test_lines_are_the_records(check_drawn):
    records = records_of(["dense/kernel", "dense/bias"])
    figure = plot_telemetry(records)
    upper, middle, lower = figure.axes
    kernel, predicted, bias = upper.lines
    steps = [record["step"] for record in records]
    for line, key in (
        (kernel, "weight_rms/dense/kernel"),
        (predicted, "predicted_rms/dense/kernel"),
        (bias, "weight_rms/dense/bias"),
        (middle.lines[1], "predicted_rotation/dense/kernel"),
        (lower.lines[0], "decay_rate/dense/kernel"),
    ):
        np.testing.assert_array_equal(line.get_xdata(), steps)
        np.testing.assert_array_equal(line.get_ydata(), [x[key] for x in records])
    assert kernel.get_color() == predicted.get_color() != bias.get_color()
    assert kernel.get_marker() != bias.get_marker()
    assert (kernel.get_linestyle(), predicted.get_linestyle()) == ("-", "--")
    assert names(upper) == {"dense/kernel", "dense/bias"}
    assert [axes.get_yscale() for axes in figure.axes] == ["log"] * 3
    for name, axes in (("weight_rms", upper), ("rotation", middle)):
        assert f"({QUANTITIES[name].unit})" in axes.get_ylabel()
    assert lower.get_xlabel() == "step"
    assert lower.get_title(loc="right") == "not drawn: 40 at 0"
    assert "dashed: predicted" in upper.get_title(loc="left")
    assert figure.get_suptitle() == "2 of 2 leaves"
    check_drawn(figure)


def test_what_a_real_state_records_is_drawn(check_drawn):
    params = {"dense": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)}}
    tx = optaxwd.record_decay(optaxwd.adamw(0.1, weight_decay=0.5))
    state = tx.init(params)
    records = [optaxwd.read_telemetry(state)]  # Nothing is recorded yet.
    update = jax.jit(tx.update)
    for _ in range(3):
        updates, state = update(params, state, params)
        params = optax.apply_updates(params, updates)
        records.append(optaxwd.read_telemetry(state))
    figure = plot_telemetry(records)
    expected = [record["weight_rms/dense/kernel"] for record in records[1:]]
    assert list(figure.axes[0].lines[0].get_xdata()) == [0, 1, 2]
    assert expected in [list(line.get_ydata()) for line in figure.axes[0].lines]
    check_drawn(figure)


def test_six_of_many_leaves_are_chosen(check_drawn):
    paths = [f"h/{i}/{name}" for i in range(200) for name in ("kernel", "bias")]
    figure = plot_telemetry(records_of(paths, count=5))
    assert names(figure.axes[0]) == {f"h/{i}/kernel" for i in range(194, 200)}
    title = "6 of 400 leaves: of the 200 that decay those with the largest RMS of the "
    assert figure.get_suptitle() == title + "weights"
    check_drawn(figure)


def test_leaves_that_decay_come_first():
    paths = ["a/kernel", *(f"b_{i}" for i in range(9))]
    figure = plot_telemetry(records_of(paths, count=2))
    assert names(figure.axes[0]) == {"a/kernel", *(f"b_{i}" for i in range(4, 9))}
    assert "the 1 that decays, and of the others" in figure.get_suptitle()


def test_leaves_can_be_chosen(check_drawn):
    paths = [f"block_{i}/some/layer/kernel" for i in range(12)]
    records = records_of(paths)
    figure = plot_telemetry(records, leaves=paths[3:5])
    assert names(figure.axes[0]) == set(paths[3:5])
    assert figure.get_suptitle() == "2 of 12 leaves, as chosen"
    figure = plot_telemetry(records, leaves=paths)
    looks = {(x.get_color(), x.get_marker()) for x in figure.axes[0].lines}
    assert len(looks) == 12
    check_drawn(figure)


def test_all_parameters_together():
    records = [{"step": t, "weight_rms": 1 + t} for t in range(3)]
    assert plot_telemetry(records).get_suptitle() == "all parameters together"
    both = [{**record, "weight_rms/a": 1.0} for record in records]
    assert names(plot_telemetry(both).axes[0]) == {"a"}
    figure = plot_telemetry(both, leaves=["a", ""])
    assert names(figure.axes[0]) == {"a", "all parameters"}
    assert list(figure.axes[0].lines[1].get_ydata()) == [1, 2, 3]
    assert "and all parameters together" in figure.get_suptitle()


def test_lines_join_what_is_there(texts, check_drawn):
    records = [
        {"step": 3, "weight_rms/w": 4.0},
        {"step": 1, "weight_rms/w": None, "rotation/w": 0.1},
        {"step": 0, "weight_rms/w": 9.0},
        {"step": 0, "weight_rms/w": jnp.asarray(1.0)},
        {"step": 2, "weight_rms/w": math.nan},
        {},
    ]
    figure = plot_telemetry(records)
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [0, 2, 3]
    np.testing.assert_array_equal(line.get_ydata(), [1, np.nan, 4])
    assert figure.axes[0].get_title(loc="right") == "not drawn: 1 not finite"
    assert texts(figure).count("not recorded") == 1
    check_drawn(figure)


def test_negative_values_make_an_axis_linear():
    records = [{"step": t, "decay_rate/w": 1e-4 * (-1) ** t} for t in range(5)]
    lower = plot_telemetry(records).axes[2]
    assert lower.get_yscale() == "linear" and not lower.get_title(loc="right")


def test_rounding_noise_does_not_fill_a_panel():
    rates = [1e-3 * (1 + 1e-6 * (-1) ** t) for t in range(10)]
    records = [{"step": t, "decay_rate/kernel": rate} for t, rate in enumerate(rates)]
    low, high = plot_telemetry(records).axes[2].get_ylim()
    assert low < 6e-4 and high > 1.8e-3


def test_a_path_is_not_mathematics(texts):
    assert "● a_$1$/b" in texts(plot_telemetry([{"step": 0, "rotation/a_$1$/b": 0.1}]))


def test_several_recorders():
    records = [{"step/a": t, "step/b": t, "weight_rms/a": 1.0} for t in range(3)]
    assert list(plot_telemetry(records).axes[0].lines[0].get_xdata()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([], ValueError, "must not be empty"),
        ({"step": 1}, TypeError, "got a dict. Put a single record in a list"),
        ([1], TypeError, "must hold dicts, got 1 of type int at index 0"),
        ([{"rotation": 1.0}], ValueError, "needs 'step', got one without at index 0"),
        ([{"step": 0, "loss": 1.0}], ValueError, "nothing to draw.*got 'step', 'loss'"),
        ([{"learning_rate": 1.0}], ValueError, "nothing to draw.*got nothing"),
        ([{"step": 0, "rotation": "x"}], TypeError, "'rotation' must be a number, got"),
    ],
)
def test_records_that_cannot_be_drawn(records, error, message):
    with pytest.raises(error, match=f"plot_telemetry: .*{message}"):
        plot_telemetry(records)


def test_unknown_leaves():
    records = records_of(["dense/kernel", "dense/bias"])
    with pytest.raises(
        ValueError,
        match="unknown leaf 'kernel'; of the 2 paths recorded choose from "
        "'dense/kernel', 'dense/bias'.",
    ):
        plot_telemetry(records, leaves=["kernel"])
    many = records_of([f"h_{i}/kernel" for i in range(400)], count=1)
    with pytest.raises(
        ValueError, match=r"of the 400 paths .*'h_7/kernel'.*, \.\.\.\."
    ):
        plot_telemetry(many, leaves=["h_7/kernl"])
    for wrong in ("dense/kernel", [], [1], 3):
        with pytest.raises(TypeError, match="leaves must be a sequence of at least"):
            plot_telemetry(records, leaves=wrong)
