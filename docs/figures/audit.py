"""What the auditor finds of `optax.adamw`: a bias decays, and bfloat16 does not."""

import jax.numpy as jnp
import optax

import optaxwd


def draw():
    """Draw the picture."""
    params = {
        "dense": {"kernel": jnp.ones((8, 4)), "bias": jnp.zeros(4)},
        "head": {"kernel": jnp.ones((4, 4), jnp.bfloat16)},
    }
    report = optaxwd.audit(optax.adamw, params, learning_rate=1e-3, weight_decay=0.1)
    return optaxwd.plots.plot_audit(report)
