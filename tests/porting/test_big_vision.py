"""What docs/porting/big_vision.md says gives the numbers of big_vision."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical, run_step_by_step
from porting_problem import (
    PEAK,
    as_tree,
    assert_same_numbers,
    by_us,
    page,
    problem,
    schedule,
)

import optaxwd

PAGE = "porting/big_vision.md"
WD = 3e-3
MULTIPLIERS = {"dense/kernel": 1.0, "embed/embedding": 0.5}
RULES = optaxwd.DecayRules(list(MULTIPLIERS.items()), default=False)


def tree_of(value):
    return as_tree({path: value(path) for path in problem()[0]})


def their_decay():
    return [
        optax.add_decayed_weights(WD * multiplier, tree_of(lambda k, p=path: k == p))
        for path, multiplier in MULTIPLIERS.items()
    ]


def make(decay, *, grad_clip_norm=None, lr_mults=None, factor=None):
    """Write big_vision/optax.py:make again, with one schedule and nothing frozen."""
    factor = schedule(1 / PEAK) if factor is None else factor
    clip = (
        optax.clip_by_global_norm(grad_clip_norm)
        if grad_clip_norm
        else optax.identity()
    )
    scales = [optax.scale(PEAK)]
    for path, multiplier in (lr_mults or {}).items():
        where = tree_of(lambda k, p=path: k == p)
        scales.append(optax.masked(optax.scale(multiplier), where))
    return optax.chain(
        clip,
        optax.scale_by_adam(),
        *scales,
        *decay,
        optax.scale_by_schedule(factor),
        optax.scale(-1.0),
    )


@pytest.mark.slow
def test_adam():
    ours = page(PAGE)["adam"](schedule(), PEAK, WD, RULES, 1.0)
    theirs = make(their_decay(), grad_clip_norm=1.0)
    assert_same_numbers(by_us(ours), by_us(theirs))


@pytest.mark.slow
def test_learning_rate_multipliers():
    mults = {"dense/kernel": 0.1, "norm/scale": 3.0}
    ours = page(PAGE)["adam_with_lr_mults"](
        schedule(), PEAK, WD, tree_of(lambda k: mults.get(k, 1.0)), RULES
    )
    theirs = by_us(make(their_decay(), lr_mults=mults))
    assert_same_numbers(by_us(ours), theirs)


@pytest.mark.slow
def test_their_chain_with_our_stage():
    start, _, noise = problem()
    params = as_tree({k: np.float32(p) for k, p in start.items()})
    gradients = [
        as_tree({k: np.float32(n[t]) for k, n in noise.items()}) for t in range(20)
    ]
    factor = optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, 24)
    theirs = make(their_decay(), factor=factor)
    ours = make([optaxwd.add_decayed_weights(WD, RULES)], factor=factor)
    expected, _ = run_step_by_step(theirs, params, gradients)
    got, _ = run_step_by_step(ours, params, gradients)
    assert_identical(got, expected)


@pytest.mark.slow
def test_their_cosine():
    """big_vision/utils.py:create_learning_rate_schedule, decay_type="cosine"."""
    warmup, total = 5, 24

    def theirs(step):
        progress = jnp.clip((step - warmup) / float(total - warmup), 0.0, 1.0)
        return 0.5 * (1.0 + jnp.cos(jnp.pi * progress)) * min(1.0, step / warmup)

    ours = page(PAGE)["schedule_of"](1.0, warmup, total)
    for step in range(total + 1):
        assert abs(float(ours(step)) - float(theirs(step))) < 1e-6
