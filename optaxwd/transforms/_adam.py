"""Adam's preconditioner: Optax's numbers, in a state that keeps its dtypes."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_decay_factor, check_scalar, is_known
from optaxwd._typing import Scalar
from optaxwd.transforms._dtypes import keep_dtypes
from optaxwd.transforms._hide import parameters_only
from optaxwd.transforms._one_pass import in_one_pass
from optaxwd.tree import init_beside_params, map_to_trees


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
    # One operation at a time, only Optax itself rounds as Optax does.
    optax_s = keep_dtypes(
        optax.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    )

    def leaf(
        g: jax.Array, m: jax.Array, v: jax.Array, corrections: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        of_mean, of_gradient, of_square = corrections
        square = g**2 if jnp.isrealobj(g) else (jnp.conj(g) * g).real
        mean = (1 - b1) * g + b1 * m
        mean_square = (1 - b2) * square + b2 * v
        corrected = mean / of_mean.astype(mean.dtype)
        if nesterov:
            corrected = b1 * corrected + (1 - b1) * (g / of_gradient.astype(g.dtype))
        root = jnp.sqrt(mean_square / of_square.astype(mean_square.dtype) + eps_root)
        return (
            corrected / (root + eps),
            mean.astype(m.dtype),
            mean_square.astype(v.dtype),
        )

    # Both are traced once per shape and not once per leaf, and what is outlined is
    # lowered once too. Not for 16 bits: XLA rounds what a function returns, and where
    # it returns nothing may keep more digits, as it does for Optax.
    outlined, inlined = jax.jit(leaf), jax.jit(leaf, inline=True)

    def one(g: Any, m: Any, v: Any, corrections: Any) -> tuple[Any, Any, Any]:
        if g is None:
            return None, None, None
        is_narrow = any(jnp.result_type(x).itemsize < 4 for x in (g, m, v))
        return (inlined if is_narrow else outlined)(g, m, v, corrections)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        if all(map(is_known, jax.tree.leaves((updates, state)))):
            return optax_s.update(updates, state, params, **extra_args)
        count = optax.safe_increment(state.count)
        ahead = optax.safe_increment(count) if nesterov else count
        corrections = (1 - b1**ahead, 1 - b1**count, 1 - b2**count)
        directions, mu, nu = map_to_trees(
            lambda g, m, v: one(g, m, v, corrections),
            3,
            updates,
            state.mu,
            state.nu,
            is_leaf=lambda x: x is None,
        )
        return directions, optax.ScaleByAdamState(count, mu, nu)

    transform = optax.GradientTransformationExtraArgs(optax_s.init, update)
    return init_beside_params(parameters_only(in_one_pass(transform)))
