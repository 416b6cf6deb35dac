"""Train a network in one precision, over seeds at once, and measure what came out."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from examples.low_precision._variants import MASK, Variant


class Task(NamedTuple):
    """Something to learn.

    Attributes:
      init: from a PRNG key to parameters in float32.
      batch: from a PRNG key to a batch of training data.
      loss: from parameters, in any dtype, and a batch to a float32 loss.
      valid, test: held-out data, batches like those that ``loss`` takes.
      peak_learning_rate: after a warmup of a tenth of the steps, before a cosine to 0.
      weight_decay: λ.
      steps: number of updates.
    """

    init: Callable[[jax.Array], Any]
    batch: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any], jax.Array]
    valid: Any
    test: Any
    peak_learning_rate: float
    weight_decay: float
    steps: int


class Trained(NamedTuple):
    """What one variant leaves behind.

    Attributes:
      steps: ``[checks]``, where ``valid`` was measured.
      valid: ``[checks, seeds]``, validation loss.
      test: ``[seeds]``, test loss at the end.
      norm: ``[seeds]``, of all decaying weights together at the end.
      bytes_per_parameter: of the parameters and the optimizer's state.
    """

    steps: list[int]
    valid: np.ndarray
    test: np.ndarray
    norm: np.ndarray
    bytes_per_parameter: float


def train(
    variant: Variant, task: Task, seeds: int, checks: int, advance: Callable[[], Any]
) -> Trained:
    """Train over ``seeds``, the same initial weights and batches for each variant.

    Held-out losses are computed in float32, from the weights as they are stored: they
    tell what rounding did to the weights and not what it does to a forward pass.
    """
    every = task.steps // checks
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), 3))
    first, order, rounding = keys(jnp.arange(seeds)).T
    begin, run = _loop(variant, task, every)
    params = optax.tree.cast(_over_seeds(task.init, first), variant.dtype)
    carry = params, begin(rounding, params)
    valid = []
    for i in range(checks):
        carry = run(rounding, order, carry, i * every)
        params = optax.tree.cast(carry[0], jnp.float32)
        valid.append(np.asarray(_over_seeds(task.loss, params, task.valid)))
        advance()
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Trained(
        steps=[every * (i + 1) for i in range(checks)],
        valid=np.stack(valid),
        test=np.asarray(_over_seeds(task.loss, params, task.test)),
        norm=np.asarray(_over_seeds(decaying_norm, params)),
        bytes_per_parameter=sum(x.nbytes for x in jax.tree.leaves(carry)) / count,
    )


def _loop(variant, task, every):
    """Return functions over seeds: to begin a state, and to train ``every`` steps."""
    learning_rate = optax.warmup_cosine_decay_schedule(
        0.0, task.peak_learning_rate, task.steps // 10, task.steps
    )

    def optimizer(key):
        return variant.build(learning_rate, task.weight_decay, key)

    def begin(key, params):
        return optimizer(key).init(params)

    def run(key, order, carry, done):
        tx = optimizer(key)

        def step(carry, i):
            params, state = carry
            data = task.batch(jax.random.fold_in(order, i))
            grads = jax.grad(task.loss)(params, data)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, carry, done + jnp.arange(every))[0]

    return jax.jit(jax.vmap(begin)), jax.jit(jax.vmap(run, (0, 0, 0, None)))


@functools.partial(jax.jit, static_argnums=0)
def _over_seeds(function, seeds, *shared):
    """Apply a function to what each seed has; compiled once for all variants."""
    return jax.vmap(lambda one: function(one, *shared))(seeds)


def decaying_norm(params: Any) -> jax.Array:
    """Return the Euclidean norm of all weights that decay."""
    kept = jax.tree.map(lambda x, decays: x * decays, params, MASK(params))
    return optax.tree.norm(kept)
