"""Adam's preconditioner: Optax's numbers, in a state that keeps its dtypes."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_decay_factor, check_scalar, is_known
from optaxwd._typing import Scalar
from optaxwd.transforms._one_pass import in_one_pass
from optaxwd.tree import map_to_trees


def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Divide the mean of the gradients by the root of their mean square.

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        u &= \frac{m / (1 - \beta_1^t)}
                  {\sqrt{v / (1 - \beta_2^t) + \epsilon_\text{root}} + \epsilon}

    with t from 1 for the first update. Signature, numbers and state are those of
    :func:`optax.scale_by_adam`. Four things are better here. The moments keep the
    dtypes they were initialised with: in Optax, float32 gradients of bfloat16
    parameters, and ``b1`` or ``b2`` as float32 arrays (a sweep,
    ``inject_hyperparams``), turn bfloat16 moments into float32 at the first update,
    which recompiles a jitted step and breaks ``lax.scan``; in these cases the numbers
    differ. A step over many leaves is traced once per shape and not once per leaf. It
    takes one pass over memory where :func:`enable_multi_output_fusion` lets it. And
    values that can only give NaN are refused.

    Args:
      b1: :math:`\beta_1` in [0, 1), rate of the mean of gradients.
      b2: :math:`\beta_2` in [0, 1), rate of the mean of squared gradients.
      eps: :math:`\epsilon \ge 0`, added outside the root.
      eps_root: :math:`\epsilon_\text{root} \ge 0`, added inside the root.
      mu_dtype: dtype of ``mu``; ``None``: that of the parameters.
      nesterov: use Nesterov's look-ahead for the mean, as in :func:`optax.nadam`.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with an
      :class:`optax.ScaleByAdamState` (``count``, int32; ``mu``, ``nu``, shaped like
      the parameters).

    Raises:
      ValueError: if ``b1`` or ``b2`` is not in [0, 1), or ``eps`` or ``eps_root`` is
        negative or NaN.

    Examples:
      The first direction is the sign of the gradient, whatever its size:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.scale_by_adam()
      >>> params = jnp.zeros(2)
      >>> direction, _ = tx.update(jnp.array([0.01, -100.0]), tx.init(params))
      >>> [round(float(u), 4) for u in direction]
      [1.0, -1.0]

    References:
      Kingma and Ba, `Adam: A Method for Stochastic Optimization
      <https://arxiv.org/abs/1412.6980>`_, 2015.

      Dozat, `Incorporating Nesterov Momentum into Adam
      <https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ>`_, 2016.
    """
    for name, value in (("b1", b1), ("b2", b2)):
        check_decay_factor(value, name, "scale_by_adam")
    for name, value in (("eps", eps), ("eps_root", eps_root)):
        check_scalar(value, name, "scale_by_adam")
    # Its `init`, and its way with `mu_dtype`.
    init = optax.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov).init

    def leaf(
        g: Any, m: Any, v: Any, of_mean: Any, of_gradient: Any, of_square: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        square = g**2 if jnp.isrealobj(g) else (jnp.conj(g) * g).real
        mean = (1 - b1) * g + b1 * m
        mean_square = (1 - b2) * square + b2 * v
        corrected = mean / of_mean.astype(mean.dtype)
        if nesterov:
            unbiased = g / of_gradient.astype(jnp.result_type(g))
            corrected = b1 * corrected + (1 - b1) * unbiased
        root = jnp.sqrt(mean_square / of_square.astype(mean_square.dtype) + eps_root)
        return (
            corrected / (root + eps),
            mean.astype(m.dtype),
            mean_square.astype(v.dtype),
        )

    # Compiled steps are traced and lowered once per shape and not once per leaf.
    outlined = jax.jit(leaf)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        ahead = optax.safe_increment(count) if nesterov else count
        corrections = (1 - b1**ahead, 1 - b1**count, 1 - b2**count)

        def one(g: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
            if g is None:
                return None, None, None
            step = leaf if is_known(g) and is_known(m) else outlined
            return step(g, m, v, *corrections)

        directions, mu, nu = map_to_trees(
            one, 3, updates, state.mu, state.nu, is_leaf=lambda x: x is None
        )
        return directions, optax.ScaleByAdamState(count, mu, nu)

    return in_one_pass(optax.GradientTransformationExtraArgs(init, update))
