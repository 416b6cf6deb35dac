"""What is compared: AdamW with parameters and states in several precisions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import optaxwd
from examples.low_precision._decay_outside import decay_outside

MASK = optaxwd.rules.standard()


class Variant(NamedTuple):
    """One way to train.

    Attributes:
      dtype: of the parameters, and so of the gradients and matrix products.
      build: from a learning rate, λ and a PRNG key to an optimizer.
    """

    dtype: Any
    build: Callable[[Any, float, jax.Array], optax.GradientTransformation]


def _optax(learning_rate, weight_decay, key):
    del key
    return optax.adamw(learning_rate, weight_decay=weight_decay, mask=MASK)


def _outside(learning_rate, weight_decay, key):
    del key
    return decay_outside(learning_rate, weight_decay, MASK)


def _master(learning_rate, weight_decay, key):
    return optaxwd.with_master_weights(_optax(learning_rate, weight_decay, key))


def _rounded_last(learning_rate, weight_decay, key):
    plain = _optax(learning_rate, weight_decay, key)
    return optax.chain(plain, optaxwd.round_updates("stochastic", key=key))


def _policy(rounding: Any, state: Any = "float32"):
    def build(learning_rate, weight_decay, key):
        policy = optaxwd.Policy(rounding, state, key)
        return optaxwd.adamw(
            learning_rate, weight_decay=weight_decay, mask=MASK, precision=policy
        )

    return build


REFERENCE = "float32"
BFLOAT16 = {
    "optax.adamw": Variant(jnp.bfloat16, _optax),
    "nearest": Variant(jnp.bfloat16, _policy("nearest")),
    "Kahan, decay outside": Variant(jnp.bfloat16, _outside),
    "stochastic": Variant(jnp.bfloat16, _policy("stochastic")),
    "compensated": Variant(jnp.bfloat16, _policy("compensated")),
    "split": Variant(jnp.bfloat16, _policy("split")),
    "master weights": Variant(jnp.bfloat16, _master),
}
DECAY_ALONE = {
    **BFLOAT16,
    "optax.adamw + stochastic": Variant(jnp.bfloat16, _rounded_last),
    REFERENCE: Variant(jnp.float32, _optax),
}
TRAINED = {
    REFERENCE: Variant(jnp.float32, _optax),
    **BFLOAT16,
    "float32 + bfloat16 moments": Variant(jnp.float32, _policy("nearest", "bfloat16")),
    "float32 + int8 moments": Variant(jnp.float32, _policy("nearest", "int8")),
    "float32 + stochastic int8 moments": Variant(
        jnp.float32, _policy("nearest", "int8_stochastic")
    ),
}
# One without rounding, one that loses decay and one that keeps it.
FEW = {name: TRAINED[name] for name in (REFERENCE, "optax.adamw", "split")}
