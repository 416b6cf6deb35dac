"""Weights of 1 whose gradient is zero: only decay moves them, or fails to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from examples.low_precision._variants import Variant

ETA, LAMBDA, WEIGHTS = 1e-3, 0.1, 2000
CHECKS = 100


def truth(steps: Any) -> Any:
    """Return what is left of 1 after ``steps``."""
    return (1 - ETA * LAMBDA) ** np.asarray(steps, np.float64)


def decay_alone(variant: Variant, steps: int) -> dict[str, Any]:
    """Return the weights' mean over time, and mean and spread at the end."""
    tx = variant.build(ETA, LAMBDA, jax.random.key(0))
    params: Any = {"kernel": jnp.ones(WEIGHTS, variant.dtype)}
    zeros = jax.tree.map(jnp.zeros_like, params)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(zeros, state, params)
        return (optax.apply_updates(params, updates), state), None

    def segment(carry: Any, _):
        carry, _ = jax.lax.scan(step, carry, length=steps // CHECKS)
        return carry, carry[0]["kernel"].astype(jnp.float32).mean()

    run = jax.jit(lambda carry: jax.lax.scan(segment, carry, length=CHECKS))
    (params, _), means = run((params, tx.init(params)))
    final = np.asarray(params["kernel"], np.float64)
    return {
        "path": [1.0, *np.asarray(means, np.float64).tolist()],
        "mean": float(final.mean()),
        "spread": float(final.std(ddof=1)),
        "lowest": float(final.min()),
        "highest": float(final.max()),
    }
