"""NAdam with Dozat's warming momentum, the form that PyTorch has and Optax has not."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_decay_factor, check_scalar
from optaxwd._typing import Scalar
from optaxwd.numerics import widen
from optaxwd.transforms._dtypes import keep_dtypes
from optaxwd.transforms._hide import parameters_only
from optaxwd.transforms._one_pass import in_one_pass
from optaxwd.tree import init_beside_params


class ScaleByNadamState(NamedTuple):
    """State of :func:`scale_by_nadam`.

    Attributes:
      count: number of updates seen so far; shape ``()``, dtype int32.
      momentum_product: product of the momenta so far, 1 at first; shape ``()``,
        dtype float32, or float64 where 64-bit types are on.
      mu: mean of the gradients, shaped like the parameters.
      nu: mean of the squared gradients, shaped like the parameters.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.scale_by_nadam().init(jnp.ones(2))
      >>> float(state.momentum_product), state.mu.tolist()
      (1.0, [0.0, 0.0])

    References:
      As of :func:`scale_by_nadam`.
    """

    count: jax.typing.ArrayLike
    momentum_product: jax.Array
    mu: optax.Updates
    nu: optax.Updates


def scale_by_nadam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    *,
    momentum_decay: Scalar = 4e-3,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's preconditioner with Nesterov momentum that warms up.

    With t from 1, the moments :math:`m, v` of Adam and :math:`\psi` the momentum decay,

    .. math::

        \mu_t &= \beta_1 \left(1 - \tfrac12 \, 0.96^{t \psi}\right), \quad
        \Pi_t = \prod_{i \le t} \mu_i \\
        u &= \left( \frac{(1 - \mu_t) \, g}{1 - \Pi_t}
              + \frac{\mu_{t+1} \, m}{1 - \Pi_t \, \mu_{t+1}} \right) \Big/
              \left( \sqrt{v / (1 - \beta_2^t) + \epsilon_\text{root}}
              + \epsilon \right)

    :func:`optax.nadam` keeps :math:`\mu_t = \beta_1` instead, and so cannot agree with
    ``torch.optim.NAdam`` for any argument; this one does.

    Args:
      b1: :math:`\beta_1` in [0, 1), the momentum that is warmed up to.
      b2: :math:`\beta_2` in [0, 1), rate of the mean of squared gradients.
      eps: :math:`\epsilon \ge 0`, added outside the root.
      eps_root: :math:`\epsilon_\text{root} \ge 0`, added inside the root.
      mu_dtype: dtype of ``mu``; ``None``: that of the parameters.
      momentum_decay: :math:`\psi \ge 0`, how fast the momentum warms up, per step.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`; directions have the dtype of
      the gradients.

    Raises:
      ValueError: if ``b1`` or ``b2`` is not in [0, 1), or another argument is
        negative or NaN.

    Examples:
      The first direction overshoots the sign of the gradient:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.scale_by_nadam()
      >>> direction, _ = tx.update(jnp.array([0.01]), tx.init(jnp.zeros(1)))
      >>> round(float(direction[0]), 4)
      1.0564

    References:
      Dozat, `Incorporating Nesterov Momentum into Adam
      <https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ>`_, 2016.
    """
    for name, value in (("b1", b1), ("b2", b2)):
        check_decay_factor(value, name, "scale_by_nadam")
    for name, value in (
        ("eps", eps),
        ("eps_root", eps_root),
        ("momentum_decay", momentum_decay),
    ):
        check_scalar(value, name, "scale_by_nadam")

    def momentum(step: jax.Array) -> jax.Array:
        return b1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))

    def init(params: optax.Params) -> ScaleByNadamState:
        return ScaleByNadamState(
            count=jnp.zeros([], jnp.int32),
            momentum_product=jnp.ones([]),
            mu=optax.tree.zeros_like(params, dtype=mu_dtype),
            nu=optax.tree.zeros_like(params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        step = jnp.asarray(count, state.momentum_product.dtype)
        now, ahead = momentum(step), momentum(step + 1)
        product = state.momentum_product * now
        on_gradient = (1 - now) / (1 - product)
        on_mean = ahead / (1 - product * ahead)
        correction = 1 - b2**step

        grads = jax.tree.map(widen, updates)
        mu = jax.tree.map(lambda m, g: b1 * widen(m) + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(
            lambda v, g: b2 * widen(v) + (1 - b2) * (g * jnp.conj(g)).real,
            state.nu,
            grads,
        )

        def direction(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            root = jnp.sqrt(v / correction + eps_root) + eps
            return (on_gradient * g + on_mean * m) / root

        directions = jax.tree.map(direction, grads, mu, nu)
        return directions, ScaleByNadamState(count, product, mu, nu)

    transform = optax.GradientTransformationExtraArgs(init, update)
    one_pass = in_one_pass(keep_dtypes(transform, keep_updates=True))
    return init_beside_params(parameters_only(one_pass))
