"""What docs/sandbox.md says beside what the page says."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import precision_for

import optaxwd
from docs.sandbox import _grid
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS, draw_noise

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "sandbox.md"
# Where the page starts, and its index.
SETTING = {"eta": 0.01, "lam": 0.03, "b2": 0.999, "ratio": 100.0}
INDEX = 1, 4, 2, 4


def recorded(method):
    """The mean rates of a run, by the measure of record_decay."""
    problem, ratio = PROBLEMS["smaller"], SETTING["ratio"]
    settings = (SETTING[name] for name in ("eta", "lam", "b2"))
    optimizer = optaxwd.record_decay(method.make(*settings))

    @jax.jit
    def step(params, state, xi):
        theta = jnp.stack([params["1"], params["2"]])
        first, second = problem.gradient(theta, xi, ratio)
        updates, state = optimizer.update({"1": first, "2": second}, state, params)
        return optax.apply_updates(params, updates), state, theta

    params = dict(zip("12", jnp.asarray(_grid.START), strict=True))
    state, found = optimizer.init(params), []
    for xi in jnp.asarray(draw_noise()):
        params, state, theta = step(params, state, xi)
        measured = optaxwd.read_telemetry(state)
        found.append(([measured[f"decay_rate/{name}"] for name in "12"], theta))
    rates, theta = (np.stack(x) for x in zip(*found, strict=True))
    return (rates * theta**2).sum(0) / (theta**2).sum(0)


@pytest.mark.slow
def test_the_measure_of_record_decay(fresh):
    guide = " ".join(GUIDE.read_text("utf-8").split())
    index = 0, list(METHODS).index("adam_l2"), *INDEX
    first, second = 100 * fresh.mean_rates[index][:, 0]
    assert f"{first:.3f} % of θ₁ and {second:.1f} % of θ₂ per step are" in guide
    with precision_for("float64"):
        first, second = 100 * recorded(METHODS["adam_l2"])
    assert f"are {first:.3f} % and {second:.1f} % by that measure" in guide
    assert "still 280 times" in guide and 275 < second / first < 285


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "cautious", "independent", "sgd"])
def test_for_other_methods_it_is_the_same(name, fresh):
    with precision_for("float64"):
        found = recorded(METHODS[name])
    index = 0, list(METHODS).index(name), *INDEX
    np.testing.assert_allclose(found, fresh.mean_rates[index][:, 0], rtol=1e-5)
