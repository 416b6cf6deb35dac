"""Runs of every method on every problem, at all positions of the sliders at once."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from docs.sandbox import _grid
from docs.sandbox._methods import METHODS, Method
from docs.sandbox._problems import PROBLEMS, Problem, draw_noise

_B1, _EPS = 0.9, 1e-8
# Decay per step below that is what subtraction leaves of none.
_NONE = 1e-12


class Runs(NamedTuple):
    """All runs. The axes are problem, method, η, λ, β₂, ratio, coordinate, point.

    Attributes:
      theta: θ at the start and after every ``EVERY`` steps.
      rates: the decay per step between each two of these points: with d the part of the
        step that is decay, −Σdθ / Σθ² over the steps, the fraction of θ removed.
      mean_rates: the same over the whole run; the last axis has length 1.
    """

    theta: np.ndarray
    rates: np.ndarray
    mean_rates: np.ndarray


def compute_runs() -> Runs:
    """Return all runs; in float64 if JAX has it switched on."""
    return _stack(
        _stack(_on_grid(problem, method) for method in METHODS.values())
        for problem in PROBLEMS.values()
    )


def run(
    problem: Problem, method: Method, eta: Any, lam: Any, b2: Any, ratio: Any
) -> tuple[jax.Array, jax.Array]:
    """Return θ before each step and after the last, and the decay part of each step."""
    optimizer, plain = method.make(eta, lam, b2), method.make(eta, 0 * lam, b2)
    mean = optax.ema(_B1, debias=True)

    def step(carry: Any, now: Any) -> Any:
        theta, state, mean_state = carry
        t, xi = now
        grads = problem.gradient(theta, xi, ratio)
        updates, new_state = optimizer.update(grads, state, theta)
        if method.is_l2:
            # The moment is linear in the gradients: this is the part of λθ in it.
            decay, mean_state = mean.update(lam * theta, mean_state)
            nu_hat = optax.tree.get(new_state, "nu") / (1 - b2 ** (t + 1))
            decay = -eta * decay / (jnp.sqrt(nu_hat) + _EPS)
        else:
            # Decay never enters the state, so that λ = 0 continues from the same one.
            without, _ = plain.update(grads, state, theta)
            decay = jax.tree.map(jnp.subtract, updates, without)
        carry = optax.apply_updates(theta, updates), new_state, mean_state
        return carry, (theta, decay)

    start = jnp.asarray(_grid.START)
    carry = start, optimizer.init(start), mean.init(start)
    xs = jnp.arange(_grid.STEPS), jnp.asarray(draw_noise())
    (end, *_), (theta, decay) = jax.lax.scan(step, carry, xs)
    return jnp.concatenate([theta, end[None]]), decay


def _on_grid(problem: Problem, method: Method) -> Runs:
    grid = _grid.LEARNING_RATES, _grid.WEIGHT_DECAYS, _grid.B2S, _grid.RATIOS
    settings = jnp.meshgrid(*(jnp.asarray(x, float) for x in grid), indexing="ij")
    runs = jax.vmap(functools.partial(run, problem, method))
    found = jax.jit(runs)(*(x.ravel() for x in settings))
    shape = *settings[0].shape, -1, 2
    # Coordinates before steps.
    theta, decay = (np.asarray(x).reshape(shape).swapaxes(-1, -2) for x in found)
    removed = -decay * theta[..., :-1], theta[..., :-1] ** 2
    windows = [_sums(x, _grid.EVERY) for x in removed]
    whole = [_sums(x, _grid.STEPS) for x in removed]
    return Runs(theta[..., :: _grid.EVERY], _quotient(*windows), _quotient(*whole))


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    """Return the sums over each ``length`` steps."""
    return values.reshape(*values.shape[:-1], -1, length).sum(-1)


def _quotient(removed: np.ndarray, squares: np.ndarray) -> np.ndarray:
    rates = removed / squares
    return np.where(np.abs(rates) < _NONE, 0.0, rates)


def _stack(runs: Iterable[Runs]) -> Runs:
    return Runs(*map(np.stack, zip(*runs, strict=True)))
