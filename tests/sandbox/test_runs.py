"""What the page carries is what the library computes, and NumPy too."""

import numpy as np
import pytest
import references
from helpers import precision_for

import optaxwd
from docs.sandbox import _encode, _grid, _page
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS, draw_noise
from docs.sandbox._runs import Runs, run

B1, EPS = 0.9, 1e-8
# Between versions of JAX a run in float64 differs by rounding alone.
ROUNDING = 1e-9
# η, λ, β₂ and ratio by index.
POINTS = [(1, 4, 2, 4), (3, 7, 0, 6), (0, 1, 1, 5), (2, 5, 2, 0), (1, 0, 0, 3)]


def settings(i, j, k, m):
    """η, λ, β₂ and ratio there."""
    return (
        _grid.LEARNING_RATES[i],
        _grid.WEIGHT_DECAYS[j],
        _grid.B2S[k],
        float(_grid.RATIOS[m]),
    )


@pytest.mark.slow
def test_the_page_carries_fresh_runs(fresh, shown, embedded):
    errors = np.abs(shown.theta - fresh.theta).max(axis=(0, 2, 3, 4, 5, 6, 7))
    assert (errors <= _encode.theta_error(embedded.layout) + ROUNDING).all()
    for name in ("rates", "mean_rates"):
        got, want = getattr(shown, name), np.maximum(getattr(fresh, name), 0)
        assert ((got == 0) == (want == 0)).all()
        error = np.abs(got - want) / np.where(want == 0, 1, want)
        assert error.max() <= _encode.rate_error(embedded.layout) + ROUNDING
    assert _page.embed(fresh).settings == embedded.settings


@pytest.mark.slow
def test_what_the_page_says_of_its_numbers(fresh, embedded, page):
    *adam, sgd = _encode.theta_error(embedded.layout)
    assert max(adam) <= 3e-5 and "θ is right to\n0.00003" in page
    assert sgd <= 3e-4 and "(0.0003 for SGD)" in page
    assert _encode.rate_error(embedded.layout) <= 2e-4 and "rates to 0.02 % of" in page
    # Two significant digits of a rate, and two decimals of θ, mean something.
    assert (fresh.mean_rates >= 0).all() and np.abs(fresh.theta[:, :4]).max() < 3


def numpy_run(problem, name, eta, lam, b2, ratio):
    """θ of every step and decay of every step, without JAX or the library."""
    scale = float(ratio) ** np.array(problem.scale_power)
    noise = np.array(problem.noise) * float(ratio) ** np.array(problem.noise_power)
    algorithm = references.sgd() if name == "sgd" else references.adam(b2=b2)
    theta, m, v = np.array(_grid.START), 0.0, 0.0
    path, decays = [theta], []
    for t, xi in enumerate(draw_noise(), start=1):
        g = scale * (theta - np.array(_grid.MINIMUM) + noise * xi)
        if name == "adam_l2":
            m = B1 * m + (1 - B1) * lam * theta
            v = b2 * v + (1 - b2) * (g + lam * theta) ** 2
            root = np.sqrt(v / (1 - b2**t)) + EPS
            decay = eta * m / (1 - B1**t) / root
            new = theta - algorithm(g + lam * theta, theta, eta)
        else:
            s = algorithm(g, theta, eta)
            rate = _grid.PEAK * lam if name == "independent" else eta * lam
            gate = s * theta >= 0 if name == "cautious" else 1.0
            decay = rate * gate * theta
            new = theta - s - decay
        decays.append(decay)
        theta = new
        path.append(theta)
    return np.array(path), np.array(decays)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_against_numpy(problem, name, fresh):
    outer = list(PROBLEMS).index(problem), list(METHODS).index(name)
    for point in POINTS:
        path, decays = numpy_run(PROBLEMS[problem], name, *settings(*point))
        at = (*outer, *point)
        np.testing.assert_allclose(
            fresh.theta[at].T, path[:: _grid.EVERY], atol=ROUNDING, rtol=ROUNDING
        )
        for length, found in ((_grid.EVERY, fresh.rates), (200, fresh.mean_rates)):
            removed = (decays * path[:-1]).reshape(-1, length, 2).sum(1)
            squares = (path[:-1] ** 2).reshape(-1, length, 2).sum(1)
            np.testing.assert_allclose(
                found[at].T, removed / squares, atol=1e-11, rtol=1e-6
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_parts_of_a_step_add_up_to_it(name):
    """Without its decay, a step is the mean of the gradients over the denominator."""
    problem, eta, lam, b2, ratio = PROBLEMS["smaller"], 0.03, 0.1, 0.99, 30.0
    with precision_for("float64"):
        theta, decay = run(problem, METHODS[name], eta, lam, b2, ratio)
        theta, decay = np.asarray(theta), np.asarray(decay)
        pairs = zip(theta[:-1], draw_noise(), strict=True)
        grads = np.stack([problem.gradient(x, xi, ratio) for x, xi in pairs])
    seen = grads + (lam * theta[:-1] if name == "adam_l2" else 0.0)
    m = v = 0.0
    for t, (g, s) in enumerate(zip(grads, seen, strict=True), start=1):
        m, v = B1 * m + (1 - B1) * g, b2 * v + (1 - b2) * s**2
        if name == "sgd":
            direction = g
        else:
            direction = m / (1 - B1**t) / (np.sqrt(v / (1 - b2**t)) + EPS)
        step = theta[t] - theta[t - 1]
        np.testing.assert_allclose(step, decay[t - 1] - eta * direction, atol=1e-12)


@pytest.mark.slow
def test_sgd_with_l2_takes_the_same_path(fresh):
    sgd = METHODS["sgd"]
    l2 = sgd._replace(make=lambda eta, lam, _: optaxwd.sgd_l2(eta, weight_decay=lam))
    at = list(METHODS).index("sgd")
    for p, problem in enumerate(PROBLEMS.values()):
        for point in POINTS:
            with precision_for("float64"):
                theta, _ = run(problem, l2, *settings(*point))
            np.testing.assert_allclose(
                np.asarray(theta)[:: _grid.EVERY].T,
                fresh.theta[(p, at, *point)],
                rtol=ROUNDING,
                atol=ROUNDING,
            )


def example_runs():
    """Runs with the axes of the real ones, in two settings."""
    random = np.random.default_rng(0)
    shape = (1, 2, 1, 2, 1, 2, 2)
    rates = 10 ** random.uniform(-7, 1, (*shape, 4))
    rates[..., 1] = 0.0
    rates[..., 2] *= -1
    return Runs(random.uniform(-3, 3, (*shape, 5)), rates, rates[..., :1])


def test_there_and_back():
    runs = example_runs()
    layout, data = _encode.encode(runs)
    found = _encode.decode(layout, data)
    errors = np.abs(found.theta - runs.theta).max(axis=(0, 2, 3, 4, 5, 6, 7))
    assert (errors <= _encode.theta_error(layout) * (1 + 1e-9)).all()
    positive = runs.rates > 0
    assert not found.rates[~positive].any()
    np.testing.assert_allclose(
        found.rates[positive], runs.rates[positive], rtol=_encode.rate_error(layout)
    )


def test_rates_that_do_not_fit_are_an_error():
    runs = example_runs()
    with pytest.raises(ValueError, match=r"got .* to 1000.0. Widen RATE_RANGE"):
        _encode.encode(runs._replace(rates=np.where(runs.rates > 0, 1000.0, 0.0)))


def test_the_noise_is_that_of_every_numpy():
    noise = draw_noise()
    np.testing.assert_allclose(noise[0], [1.764052345967664, 0.4001572083672233])
    assert noise.shape == (_grid.STEPS, 2)
