"""Jitted steps, and what else is compiled to compare them with."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optaxwd
from benchmarks._tensors import Tensors, as_tree

Program = Callable[..., tuple[Any, Any]]


def step_of(optimizer: optax.GradientTransformation) -> Any:
    """Return a jitted step from gradients, parameters and state, which are donated."""

    def step(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(1, 2))


def identity() -> Any:
    """Return a program over a step's buffers that does nothing.

    It takes and donates the same ones and returns them: the cost of calling.
    """

    def same(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
        del grads
        return params, state

    # JAX would not even pass the gradients otherwise.
    return jax.jit(same, donate_argnums=(1, 2), keep_unused=True)


def loss_of(params: Any, inputs: Any) -> jax.Array:
    """Return a loss that every leaf has a part in, one layer each, side by side."""
    layers = [
        jnp.mean(jnp.tanh(inputs @ kernel) ** 2) for kernel in jax.tree.leaves(params)
    ]
    return jnp.sum(jnp.stack(layers))


def train_step_of(optimizer: optax.GradientTransformation | None) -> Any:
    """Return a train step from inputs, parameters and state.

    ``None`` returns the gradients in place of new parameters and the state as it is:
    the same buffers in and out, and no optimizer.
    """

    def step(inputs: Any, params: Any, state: Any) -> tuple[Any, Any]:
        grads = jax.grad(loss_of)(params, inputs)
        if optimizer is None:
            return grads, state
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(1, 2))


def on_device(tensors: Tensors, leaves: list[np.ndarray], dtype: str) -> Any:
    """Return leaves as a tree of arrays of JAX's, copied: they may be donated."""
    kind = jnp.dtype(dtype)
    return as_tree(tensors.names, [jnp.array(leaf, kind, copy=True) for leaf in leaves])


class JaxRunner:
    """Calls of a program from something that changes, parameters and state."""

    def __init__(self, program: Program, params: Any, state: Any, changing: list[Any]):
        """Keep what the program is called with.

        Args:
          program: from one of ``changing``, parameters and state to the latter two.
          params: a tree, donated to the program, as the state is.
          state: what the program returns beside parameters.
          changing: gradients or inputs, taken in turns.
        """
        self.program, self.params, self.state = program, params, state
        self._changing = itertools.cycle(changing)

    def step(self) -> None:
        """Call the program once."""
        self.params, self.state = self.program(
            next(self._changing), self.params, self.state
        )

    def wait(self) -> None:
        """Wait until the device is done."""
        jax.block_until_ready((self.params, self.state))

    def parameters(self, every: int = 1) -> list[np.ndarray]:
        """Return each ``every``-th entry of each leaf, exact if the state is."""
        params = self.params
        if any(leaf.dtype != jnp.float32 for leaf in jax.tree.leaves(params)):
            params = _exact(params, self.state)
        # A view of the whole leaf would keep it from being donated.
        return [
            np.asarray(leaf.ravel()[::every].astype(jnp.float32))
            for leaf in jax.tree.leaves(params)
        ]

    def state_bytes(self) -> int:
        """Return the size of the state."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.state))


def _exact(params: Any, state: Any) -> Any:
    """Return the float32 parameters that a state keeps, or those of 16 bits."""
    try:
        return optaxwd.float32_parameters(params, state)
    except ValueError:
        return params
