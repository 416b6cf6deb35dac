"""Tests of one's own optimizer: three lines guard what weight decay does.

pytest examples/test_my_optimizer.py
"""

import jax.numpy as jnp
import optax
import pytest

import optaxwd

LEARNING_RATE, WEIGHT_DECAY = 3e-4, 0.1


def init_params():
    """Return the parameters of a model: here, those of two layers."""
    return {
        "hidden": {"kernel": jnp.ones((8, 16)), "bias": jnp.zeros(16)},
        "norm": {"scale": jnp.ones(16)},
        "head": {"kernel": jnp.ones((16, 4)), "bias": jnp.zeros(4)},
    }


def make_optimizer(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY):
    """Return the optimizer under test."""
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            learning_rate, weight_decay=weight_decay, mask=optaxwd.rules.standard()
        ),
    )


def test_weight_decay_does_what_we_mean():
    """The right leaves decay, at the rate we mean, and rounding leaves it alive."""
    report = optaxwd.audit(
        make_optimizer,
        init_params(),
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        mask=optaxwd.rules.standard(),
    )
    report.raise_if("warning")
    assert report.leaves["head/kernel"].coupling == "learning_rate"
    assert report.leaves["head/kernel"].half_life == pytest.approx(23_104.6, abs=0.1)


def test_a_bug_would_be_caught():
    """A mask that matches nothing any more is an error, with the leaf's name."""

    def without_mask(learning_rate, weight_decay):
        return optax.adamw(learning_rate, weight_decay=weight_decay)

    report = optaxwd.audit(without_mask, init_params(), mask=optaxwd.rules.standard())
    with pytest.raises(AssertionError, match="mask-mismatch 'norm/scale'"):
        report.raise_if("error")
