"""A weight in bfloat16 under decay alone."""

import jax.numpy as jnp
import numpy as np
import optax

import optaxwd
from docs.figures._common import line, no_gradient, run

STEPS, EVERY = 10_000, 20


def draw_bfloat16(axes) -> None:
    """Draw what is left of a weight of 1, with and without rounding that keeps it."""
    stochastic = optaxwd.Policy(rounding="stochastic", key=0)
    rows = (
        ("bfloat16, optax.adamw", 1, optax.adamw(1e-3, weight_decay=0.1)),
        ("bfloat16, stochastic, one weight", 2, optaxwd.adamw(1e-3, weight_decay=0.1,
                                                  precision=stochastic)),
        ("bfloat16, split", 0, optaxwd.adamw(1e-3, weight_decay=0.1,
                                             precision="split")),
    )  # fmt: skip
    steps = np.arange(0, STEPS + 1, EVERY)
    axes.plot(steps, (1 - 1e-4) ** steps, color="black", linewidth=5, alpha=0.2,
              label="exact")  # fmt: skip
    for name, index, tx in rows:
        one = jnp.ones(256, jnp.bfloat16)

        def value(params):
            return params[3].astype(jnp.float32)

        found = run(tx, one, no_gradient, STEPS, value)
        line(axes, steps, found[::EVERY], index, name)
    axes.set_xlabel("step")
    axes.set_ylim(0, 1.08)
