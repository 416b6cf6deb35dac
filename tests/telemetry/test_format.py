"""Telemetry in one line: what stands there, how wide it is, what is left out."""

import re

import jax.numpy as jnp
import pytest

from optaxwd.telemetry._format import format_telemetry
from optaxwd.telemetry._quantities import QUANTITIES

FULL = {
    "step": 100.0,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    **dict.fromkeys(QUANTITIES, 0.5),
    "decay_rate": 3e-4,
    "decay_share": 0.123,
    "decay_realised": 0.98,
    "rms_ratio": 0.97,
    "rotation_ratio": 1.03,
}


def test_by_hand():
    assert format_telemetry(FULL) == (
        "η 3.0e-03 · λ 0.100 · decay 3.0e-04/step, 12.3 % of step,  98 % kept · "
        "RMS 0.97×eq · turn 1.03×eq"
    )


def test_without_a_prediction():
    without = {k: v for k, v in FULL.items() if not k.endswith("_ratio")}
    assert format_telemetry(without).endswith("kept · RMS 5.0e-01 · turn 5.0e-01")


def test_of_one_leaf():
    telemetry = {
        "learning_rate": 0.1,
        "decay_rate": 0.01,
        "decay_rate/a/kernel": 0.02,
        "decay_share/a/kernel": 0.0012,
        "weight_rms/b": 0.3,
    }
    line = format_telemetry(telemetry, leaf="a/kernel")
    assert line == "η 1.0e-01 · decay 2.0e-02/step,  0.1 % of step"
    assert format_telemetry(telemetry, leaf="b") == "η 1.0e-01 · RMS 3.0e-01"
    assert format_telemetry(telemetry) == "η 1.0e-01 · decay 1.0e-02/step"


def test_groups():
    telemetry = {
        "learning_rate/a": 1e-3,
        "learning_rate/b": 1e-4,
        "weight_decay/a": 0.1,
        "weight_decay/b": 0.1,
        "decay_rate": 1e-4,
        "decay_rate/a": 2e-4,
    }
    assert format_telemetry(telemetry) == (
        "η 1.0e-04–1.0e-03 · λ 0.100 · decay 1.0e-04/step"
    )
    assert format_telemetry(telemetry, leaf="a") == (
        "η 1.0e-03 · λ 0.100 · decay 2.0e-04/step"
    )


@pytest.mark.parametrize("weight_decay", [0.0, 0.1, 1e-4, 30.0])
def test_of_all_sizes(weight_decay):
    line = format_telemetry({"weight_decay": weight_decay})
    shown = re.match(r"λ (\S+) ·", line).group(1)
    assert float(shown) == weight_decay


def test_before_the_first_record():
    nothing = "nothing recorded yet"
    assert format_telemetry({}) == format_telemetry({}, leaf="a") == nothing
    assert format_telemetry({"step": 3.0}) == nothing
    assert format_telemetry({"learning_rate": 0.05}) == f"η 5.0e-02 · {nothing}"
    assert format_telemetry({"learning_rate/a": 0.05}, leaf="b").endswith(nothing)


@pytest.mark.parametrize("missing", FULL)
def test_what_is_missing_is_left_out(missing):
    line = format_telemetry({k: v for k, v in FULL.items() if k != missing})
    assert "None" not in line and "nan" not in line and "·  ·" not in line
    assert 70 < len(line) <= 100 and "\n" not in line


def test_the_width_stays():
    lines = {
        format_telemetry(
            {
                **FULL,
                "learning_rate": 0.1 * scale,
                "decay_rate": 0.01 * scale,
                "decay_share": 0.9 * scale,
                "decay_realised": scale,
                "rms_ratio": 1 + scale,
                "rotation_ratio": 1 + scale,
            }
        )
        for scale in (1.0, 0.5, 0.034, 1e-3, 1e-9)
    }
    assert len(lines) == 5 and {len(line) for line in lines} == {97}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 1e30])
def test_any_number_can_be_shown(value):
    assert format_telemetry(dict.fromkeys(FULL, value)).count(" · ") == 4
    assert format_telemetry(dict.fromkeys(FULL, jnp.float32(value))).count(" · ") == 4


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ("dense/kernal", "got 'dense/kernal'. The nearest are 'dense/kernel'"),
        ("", "got ''. The nearest"),
    ],
)
def test_an_unknown_leaf(leaf, message):
    telemetry = {"decay_rate": 0.1, "decay_rate/dense/kernel": 0.1, "cosine/b": 0.1}
    with pytest.raises(ValueError, match=f"leaf must be one .* {message}"):
        format_telemetry(telemetry, leaf=leaf)


def test_no_leaf_is_recorded():
    with pytest.raises(ValueError, match="got 'a'. Leave it out: only all parameters"):
        format_telemetry({"decay_rate": 0.1}, leaf="a")


def test_no_totals_are_recorded():
    line = format_telemetry({"learning_rate": 0.1, "decay_rate/label": 0.1})
    assert line == "η 1.0e-01 · no totals recorded, choose a leaf"


def test_what_is_no_telemetry():
    with pytest.raises(TypeError, match="format_telemetry: telemetry must be .* got 3"):
        format_telemetry(3)
