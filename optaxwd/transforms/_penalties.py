"""Penalties: the pull that each puts on a parameter, the gradient of the penalty."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from optaxwd._checks import check_choice, check_positive


@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty on a parameter, known by its gradient.

    Not callable on purpose: ``optax.inject_hyperparams`` takes every callable argument
    for a schedule.

    Attributes:
      name: what to call it in messages.
      pull: the gradient of the penalty, an elementwise function of θ − anchor that
        keeps shape and dtype.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> cubic = optaxwd.Penalty("l3", lambda x: x * jnp.abs(x))
      >>> tx = optaxwd.sgdw(0.1, weight_decay=0.5, penalty=cubic)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * 2²
      -0.2
    """

    name: str
    pull: Callable[[jax.Array], jax.Array]


def huber(delta: float = 1.0) -> Penalty:
    r"""Huber penalty: L2 near the anchor, L1 far from it.

    The pull is :math:`\operatorname{clip}(\theta - a, -\delta, \delta)`.

    Args:
      delta: :math:`\delta > 0`, where the pull stops growing, in units of θ.

    Returns:
      A :class:`Penalty`, for the argument ``penalty`` of every decay transform.

    Raises:
      ValueError: if ``delta`` is not a finite number > 0.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(0.1, weight_decay=0.5, penalty=optaxwd.huber(0.5))
      >>> params = jnp.array([2.0, 0.1])
      >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
      >>> [round(float(u), 6) for u in updates]  # -0.1 * 0.5 * (0.5, 0.1)
      [-0.025, -0.005]

    References:
      Huber, `Robust Estimation of a Location Parameter
      <https://doi.org/10.1214/aoms/1177703732>`_, 1964.
    """
    check_positive(delta, "delta", "huber")

    def pull(x: jax.Array) -> jax.Array:
        if jnp.iscomplexobj(x):
            return jnp.sign(x) * jnp.minimum(jnp.abs(x), delta)
        return jnp.clip(x, -delta, delta)

    return Penalty(f"huber({delta})", pull)


L2 = Penalty("l2", lambda x: x)
L1 = Penalty("l1", jnp.sign)
_BY_NAME = {"l2": L2, "l1": L1, "huber": huber()}


def get_penalty(penalty: str | Penalty, owner: str) -> Penalty:
    """Return ``penalty`` itself, or the one with that name."""
    if isinstance(penalty, Penalty):
        return penalty
    if not isinstance(penalty, str):
        raise TypeError(
            f"{owner}: penalty must be a name or a Penalty, got {penalty!r} of type "
            f"{type(penalty).__name__}; wrap a function as Penalty(name, function)."
        )
    check_choice(penalty, _BY_NAME, "penalty", owner)
    return _BY_NAME[penalty]
