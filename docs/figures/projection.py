"""Projections that hold weights where momentum would carry them."""

import jax
import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, panels, run

STEPS = 2_000


def _scale_invariant(params, key):
    """Return noise as before a normalisation: orthogonal to neurons, as 1/norm."""
    norms = jnp.linalg.norm(params, axis=0)
    noise = jax.random.normal(key, params.shape)
    radial = (noise * params).sum(0) / norms**2 * params
    return (noise - radial) / norms


def _norm(params):
    return jnp.linalg.norm(params, axis=0).mean()


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    start = jax.random.normal(jax.random.key(1), (64, 16))
    start /= jnp.linalg.norm(start, axis=0)
    steps = np.arange(STEPS + 1)
    off = {"weight_decay": 0.0}
    for index, name, tx in (
        (1, "momentum 0.9", optaxwd.sgdw(2e-3, momentum=0.9, **off)),
        (2, "momentum 0.9, projected", optaxwd.sgdp(2e-3, momentum=0.9, **off)),
        (0, "no momentum, η/(1 − μ)", optaxwd.sgdw(2e-2, **off)),
    ):
        line(left, steps, run(tx, start, _scale_invariant, STEPS, _norm), index, name)
    left.set_title("Norm before a normalisation, no decay")
    left.set_xlabel("step")
    left.set_ylim(0.9, 4.4)
    left.legend(loc="upper left")
    for index, name, tx in (
        (1, "Adam", optaxwd.adamw(0.05, weight_decay=0.0)),
        (0, "Adam with SPD", optaxwd.adamspd(0.05)),
    ):
        way = run(tx, jnp.array(0.0), lambda theta, key: theta - 1, 100)
        line(right, np.arange(101), way, index, name)
    right.set_title("From 0 to the minimum at 1")
    right.set_xlabel("step")
    right.set_ylabel("θ")
    right.legend(loc="lower right")
    return figure
