"""Decay that keeps up with the size of steps: AdamS and SGDS."""

import jax
import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, no_gradient, panels, run
from docs.figures._effective_decay import LEARNING_RATE, decay_under_noise

SCALES = np.geomspace(1e-2, 1e1, 10)


def _rates(factory) -> np.ndarray:
    """Return the decay per step, over η·λ, of two layers at each scale of gradients.

    The gradients of the second layer are a tenth of those of the first.
    """
    weight_decay, layers = 1e-4, jnp.array([[1.0], [0.1]])

    def whole(scale):
        found = decay_under_noise(factory, weight_decay, (2, 50), scale * layers, 300)
        return found.mean(1) / (LEARNING_RATE * weight_decay)

    return np.asarray(jax.jit(jax.vmap(whole))(jnp.asarray(SCALES)))


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    kinds = ((1, "Adam + L2", optaxwd.adam_l2), (2, "AdamS", optaxwd.adams))
    for index, name, factory in (*kinds, (0, "AdamW", optaxwd.adamw)):
        found = _rates(factory)
        line(left, SCALES, found[:, 0], index, name)
        line(left, SCALES, found[:, 1], index)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_ylim(None, 3e4)
    left.set_title("Two layers, gradients ×1 and ×⅒")
    left.set_xlabel("size of all gradients")
    left.set_ylabel("decay per step, over η·λ")
    left.legend(loc="upper right", labelspacing=0.25)
    left.text(0.012, 2.2e3, "small gradients", va="bottom")
    left.text(0.012, 25, "large", va="top")
    steps = np.arange(401)
    at = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.05}
    for index, name, factory in (
        (0, "SGDW", optaxwd.sgdw),
        (1, "SGD + L2", optaxwd.sgd_l2),
        (2, "SGDS", optaxwd.sgds),
    ):
        way = run(factory(**at), jnp.array(1.0), no_gradient, 400)
        line(right, steps, way, index, name)
    right.set_title("A weight under SGD, momentum 0.9")
    right.set_xlabel("step")
    right.set_ylim(0, 1.05)
    right.legend(loc="lower left")
    return figure
