"""Penalties: the pull that each puts on a parameter, and its proximal operator."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd._checks import check_choice, check_number, check_positive
from optaxwd._typing import Form


@dataclasses.dataclass(frozen=True)
class Penalty:
    r"""A penalty on a parameter, known by its gradient, its proximal operator, or both.

    Not callable on purpose: ``optax.inject_hyperparams`` takes every callable argument
    for a schedule.

    Attributes:
      name: what to call it in messages.
      pull: the gradient of the penalty P, an elementwise function of θ − anchor that
        keeps shape and dtype; ``None``: none, and then only ``form="proximal"`` works.
      prox: the proximal operator
        :math:`\arg\min_y \tfrac12 (y-x)^2 + \tau P(y)`, an elementwise function of x, τ
        and θ − anchor before the step, which most ignore; ``None``: none, and then
        ``form="proximal"`` does not work.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> cubic = optaxwd.Penalty("l3", lambda x: x * jnp.abs(x))
      >>> tx = optaxwd.sgdw(0.1, weight_decay=0.5, penalty=cubic)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * 2²
      -0.2

    References:
      Parikh and Boyd, `Proximal Algorithms
      <https://web.stanford.edu/~boyd/papers/prox_algs.html>`_, 2014.
    """

    name: str
    pull: Callable[[jax.Array], jax.Array] | None
    prox: Callable[[jax.Array, Any, jax.Array], jax.Array] | None = None

    def __post_init__(self) -> None:
        """Raise unless there is a name, and a pull or a proximal operator."""
        if not isinstance(self.name, str):
            raise TypeError(f"Penalty: name must be a text, got {self.name!r}.")
        for field in ("pull", "prox"):
            value = getattr(self, field)
            if not (value is None or callable(value)):
                raise TypeError(
                    f"Penalty: {field} must be a function or None, got {value!r}."
                )
        if self.pull is None and self.prox is None:
            raise ValueError(
                f"Penalty: {self.name!r} has neither pull nor prox. Give one of them."
            )


def huber(delta: float = 1.0) -> Penalty:
    r"""Huber penalty: L2 near the anchor, L1 far from it.

    .. math::

        \mathrm{pull}(x) &= \operatorname{clip}(x, -\delta, \delta) \\
        \mathrm{prox}_\tau(x) &= \begin{cases}
            x / (1 + \tau) & |x| \le (1 + \tau)\delta \\
            x - \tau\delta \operatorname{sign} x & \text{otherwise}
        \end{cases}

    Both forms are in use under the same names: ``form="additive"`` takes the pull,
    ``form="proximal"`` the operator. They differ where :math:`|x| \lesssim \delta`. A
    reconstruction of the second paper below, of which summaries disagree on the form;
    it adapts δ to each layer, here it is a number.

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

      Guo and Fan, `AdamHD: Decoupled Huber Decay Regularization for Language Model
      Pre-Training <https://arxiv.org/abs/2511.14721>`_, 2025.
    """
    check_positive(delta, "delta", "huber")

    def pull(x: jax.Array) -> jax.Array:
        if jnp.iscomplexobj(x):
            return jnp.sign(x) * jnp.minimum(jnp.abs(x), delta)
        return jnp.clip(x, -delta, delta)

    def prox(x: jax.Array, tau: Any, before: jax.Array) -> jax.Array:
        del before
        inside = jnp.abs(x) <= (1 + tau) * delta
        return jnp.where(inside, x / (1 + tau), x - tau * delta * jnp.sign(x))

    return Penalty(f"huber({delta})", pull, prox)


def elastic_net(l1_ratio: float = 0.5) -> Penalty:
    r"""Elastic net: a share of L1 and the rest of L2.

    With ρ the share, the penalty is :math:`\rho|x| + \tfrac12(1-\rho)x^2`:

    .. math::

        \mathrm{pull}(x) &= \rho \operatorname{sign} x + (1 - \rho) x \\
        \mathrm{prox}_\tau(x) &= \frac{\operatorname{sign}(x) \max(|x| - \tau\rho, 0)}
            {1 + \tau(1 - \rho)}

    Only ``form="proximal"``, the soft threshold, gives exact zeros: the pull steps over
    zero and comes back.

    Args:
      l1_ratio: ρ in [0, 1]; 1 is L1, 0 is L2. Scikit-learn's argument of that name.

    Returns:
      A :class:`Penalty`, for the argument ``penalty`` of every decay transform.

    Raises:
      ValueError: if ``l1_ratio`` is not a number in [0, 1].

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(
      ...     0.1, weight_decay=1.0, form="proximal", penalty=optaxwd.elastic_net(1.0)
      ... )
      >>> params = jnp.array([2.0, 0.05])
      >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
      >>> [round(float(x), 6) for x in params + updates]
      [1.9, 0.0]

    References:
      Zou and Hastie, `Regularization and Variable Selection via the Elastic Net
      <https://doi.org/10.1111/j.1467-9868.2005.00503.x>`_, 2005.
    """
    ratio = check_number(l1_ratio, "l1_ratio", "elastic_net")
    if ratio > 1:
        raise ValueError(
            f"elastic_net: l1_ratio must be in [0, 1], got {l1_ratio!r}. It is the "
            "share of L1; weight_decay sets the strength."
        )

    def pull(x: jax.Array) -> jax.Array:
        return ratio * jnp.sign(x) + (1 - ratio) * x

    def prox(x: jax.Array, tau: Any, before: jax.Array) -> jax.Array:
        del before
        shrunk = jnp.maximum(jnp.abs(x) - tau * ratio, 0)
        return jnp.sign(x) * shrunk / (1 + tau * (1 - ratio))

    return Penalty(f"elastic_net({ratio:g})", pull, prox)


def p_norm(p: float) -> Penalty:
    r"""The p-th power of the p-norm, :math:`\tfrac1p |x|^p`.

    With :math:`x` after and :math:`b` before the step, both less the anchor,

    .. math::

        \mathrm{pull}(x) &= |x|^{p-1} \operatorname{sign} x \\
        \mathrm{prox}_\tau(x) &= x \, / \left(1 + \tau |b|^{p-2}\right)

    p = 2 is L2 and p = 1 is L1. The second is the proximal operator of a quadratic that
    touches the penalty at b, as in the paper, and works for p < 1 too, where the pull
    has no bound. Three things to know:

    1. This λ is that of the paper's update. The authors' code multiplies its own by p,
       as for a penalty without the factor 1/p.
    2. For p < 2 a parameter that is exactly zero stays zero under
       ``form="proximal"``: do not decay what is initialised to zero.
    3. Its p = 1 is not the soft threshold, which is ``penalty="l1"``.

    Args:
      p: a number > 0; below 1 only with ``form="proximal"``.

    Returns:
      A :class:`Penalty`, for the argument ``penalty`` of every decay transform.

    Raises:
      ValueError: if ``p`` is not a finite number > 0.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(0.1, weight_decay=0.5, penalty=optaxwd.p_norm(1.5))
      >>> params = jnp.array([4.0])
      >>> updates, _ = tx.update(jnp.zeros(1), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * √4
      -0.1

    References:
      Outmezguine and Levi, `Decoupled Weight Decay for Any p Norm
      <https://arxiv.org/abs/2404.10824>`_, 2024.
    """
    power = check_number(p, "p", "p_norm", positive=True)

    def pull(x: jax.Array) -> jax.Array:
        return jnp.abs(x) ** (power - 1) * jnp.sign(x)

    def prox(x: jax.Array, tau: Any, before: jax.Array) -> jax.Array:
        if power >= 2:
            return x / (1 + tau * jnp.abs(before) ** (power - 2))
        # Multiplied out, so that a parameter near zero divides nothing by zero.
        weight = jnp.abs(before) ** (2 - power)
        total = weight + tau
        return jnp.where(total > 0, x * weight / jnp.where(total > 0, total, 1), x)

    return Penalty(f"p_norm({power:g})", pull if power >= 1 else None, prox)


L2 = Penalty("l2", lambda x: x, lambda x, tau, before: x / (1 + tau))
L1 = Penalty("l1", jnp.sign, elastic_net(1.0).prox)
_BY_NAME = {"l2": L2, "l1": L1, "huber": huber()}


def get_penalty(penalty: str | Penalty, form: Form, owner: str) -> Penalty:
    """Return ``penalty`` itself, or the one with that name, if ``form`` fits it."""
    if not isinstance(penalty, (str, Penalty)):
        advice = "wrap a function as Penalty(name, function)"
        if penalty in (huber, elastic_net, p_norm):
            advice = f"call it: {penalty.__name__}(...)"
        raise TypeError(
            f"{owner}: penalty must be a name or a Penalty, got {penalty!r} of type "
            f"{type(penalty).__name__}; {advice}."
        )
    if penalty in ("elastic_net", "p_norm"):
        raise ValueError(
            f"{owner}: penalty={penalty!r} has no default strength. Pass "
            f"optaxwd.{penalty}(...)."
        )
    if isinstance(penalty, str):
        check_choice(penalty, _BY_NAME, "penalty", owner)
        penalty = _BY_NAME[penalty]
    if form == "proximal" and penalty.prox is None:
        raise ValueError(
            f"{owner}: form='proximal' needs the proximal operator of the penalty, but "
            f"{penalty.name!r} has none. Pass Penalty(name, pull, prox), or use "
            "form='additive'."
        )
    if form != "proximal" and penalty.pull is None:
        raise ValueError(
            f"{owner}: form={form!r} needs the gradient of the penalty, but "
            f"{penalty.name!r} has none that is bounded. Use form='proximal'."
        )
    return penalty
