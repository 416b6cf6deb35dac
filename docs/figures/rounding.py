"""Decay that rounding takes from weights in bfloat16."""

import jax.numpy as jnp
import numpy as np
import optax

import optaxwd
from docs.figures._bfloat16 import draw_bfloat16
from docs.figures._common import line, panels

RATES = np.geomspace(1e-4, 1e-1, 61)


def _arrives(rate: float) -> float:
    """Return the mean decay of weights from 1 to 2 over what was asked for."""
    theta = jnp.arange(128, 256).astype(jnp.bfloat16) / 128
    tx = optaxwd.sgdw(1.0, weight_decay=rate)
    updates, _ = tx.update(jnp.zeros_like(theta), tx.init(theta), theta)
    after = optax.apply_updates(theta, updates).astype(jnp.float32)
    return float((1 - after / theta.astype(jnp.float32)).mean() / rate)


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    draw_bfloat16(left)
    left.set_title("A weight of 1 without gradient, η·λ = 10⁻⁴")
    left.legend(loc="lower left")
    arrives = [_arrives(rate) for rate in RATES]
    line(right, RATES, arrives, 1)
    for limit, text in ((2**-9, "2⁻⁹"), (2**-8, "2⁻⁸")):
        right.axvline(limit, color="0.4", linewidth=1)
        right.text(limit, 1.4, text, va="top", ha="right" if limit < 2**-8 else "left")
    right.set_xscale("log")
    right.set_title("How much of a step arrives in bfloat16")
    right.set_xlabel("decay per step, η·λ")
    return figure
