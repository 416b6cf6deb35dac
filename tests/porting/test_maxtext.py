"""What docs/porting/maxtext.md says gives the numbers of MaxText."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical, run_step_by_step
from porting_problem import (
    STEPS,
    as_tree,
    assert_same_numbers,
    by_them,
    by_us,
    page,
    problem,
    schedule,
)

PAGE = "porting/maxtext.md"
PATTERNS = ["bias", ".*norm", "scale"]


def mask_fn(params):
    """optimizers.py:_get_path_mask_fn with match_returns_true=False."""

    def decays(path, _):
        path = jax.tree_util.keystr(path, simple=True, separator="/")
        return not any(re.search(pattern, path) for pattern in PATTERNS)

    return jax.tree_util.tree_map_with_path(decays, params)


def adam_pax(weight_decay, beta1=0.9, beta2=0.95, epsilon=1e-8):
    """optimizers.py:adam_pax, with epsilon_root 0."""
    mu = nu = count = 0

    def corrected(decay):
        t = count + 1
        return decay * (1 - decay ** (t - 1)) / (1 - decay**t)

    def step(update, param, learning_rate, decays):
        nonlocal mu, nu, count
        mu = (1 - corrected(beta1)) * update + corrected(beta1) * mu
        nu = (1 - corrected(beta2)) * update**2 + corrected(beta2) * nu
        count += 1
        direction = mu / (np.sqrt(nu) + epsilon)
        if decays:
            direction = direction + weight_decay * param
        return param - learning_rate * direction

    return step


def test_adam_pax():
    ours = page(PAGE)["adamw"](schedule(), PATTERNS, 0.4, max_grad_norm=1.0)
    assert_same_numbers(by_us(ours), by_them(lambda: adam_pax(0.4), max_norm=1.0))


@pytest.mark.slow
def test_adamw_is_the_same_bits():
    start, _, noise = problem()
    params = as_tree({k: np.float32(p) for k, p in start.items()})
    gradients = [
        as_tree({k: np.float32(n[t]) for k, n in noise.items()}) for t in range(20)
    ]
    rate = page(PAGE)["schedule_of"](0.02, 24)
    theirs = optax.adamw(rate, b2=0.95, weight_decay=0.4, mask=mask_fn)
    ours = page(PAGE)["adamw"](rate, PATTERNS, 0.4)
    expected, _ = run_step_by_step(theirs, params, gradients)
    got, _ = run_step_by_step(ours, params, gradients)
    assert_identical(got, expected)


@pytest.mark.slow
def test_their_schedule():
    """create_learning_rate_schedule of MaxText's utilities, up to its last step."""
    warmup = int(STEPS * 0.1)

    def theirs(step):
        if step < warmup:
            return 3e-5 * step / warmup
        a = 0.5 * (jnp.cos(jnp.pi * (step - warmup) / (STEPS - warmup)) + 1)
        return 3e-5 * a + 3e-6 * (1 - a)

    ours = page(PAGE)["schedule_of"](3e-5, STEPS)
    for step in range(STEPS):
        assert abs(float(ours(step)) - float(theirs(step))) < 1e-10
