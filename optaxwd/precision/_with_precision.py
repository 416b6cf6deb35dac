"""Float32 from the gradient to the rounding, around any optimizer."""

from typing import Any, NamedTuple

import jax
import optax

from optaxwd import tree
from optaxwd._checks import check_params, check_transformation
from optaxwd._leave_out import ROUNDING, leaves_out
from optaxwd.precision._compress import compress_state
from optaxwd.precision._policy import Precision, as_policy
from optaxwd.precision._rounder import (
    Rounder,
    RoundUpdatesState,
    completed,
    widen_narrow,
)


class PrecisionState(NamedTuple):
    """State of :func:`with_precision` and :func:`with_master_weights`.

    Attributes:
      inner_state: the optimizer's, of float32 parameters, so mostly of dtype float32;
        inside a :class:`CompressedState` where the policy compresses it.
      rounding: a :class:`RoundUpdatesState`.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.with_precision(optax.sgd(0.1), "split")
      >>> state = tx.init(jnp.ones(2, jnp.bfloat16))
      >>> state._fields
      ('inner_state', 'rounding')

    References:
      As of :func:`with_precision`.
    """

    inner_state: Any
    rounding: Any


def with_precision(
    optimizer: optax.GradientTransformation, precision: Precision = "split"
) -> optax.GradientTransformationExtraArgs:
    r"""Compute an optimizer's updates in float32 for parameters of 16 bits.

    Gradients and parameters are widened to float32, the optimizer sees nothing else,
    its step is rounded last. Inside a chain in bfloat16 decay is lost before any
    rounding: :math:`u + \lambda\theta` is u where :math:`|\lambda\theta|` is below
    :math:`|u|/512`. With ``"split"`` and ``"master"`` the parameters that the optimizer
    sees are those of a float32 run as long as its gradients are: the same bits, but for
    the last one where XLA fuses the two programs differently.

    Wrappers that skip or accumulate steps (``optax.apply_if_finite``,
    ``optax.MultiSteps``) go inside: there they count and sum in float32, and the
    updates that they give back when they skip have the dtype of all others.

    Args:
      optimizer: a complete optimizer, ours or Optax's, its learning rate included.
      precision: a :class:`Policy`, or the name of its rounding.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with a :class:`PrecisionState`.
      Updates of parameters of 16 bits are float32, and :func:`optax.apply_updates`
      lands exactly on what they lead to. The optimizer's state is that of float32
      parameters: 8 bytes per parameter for Adam, 2.03 with ``state="int8"``.

    Raises:
      TypeError: if ``optimizer`` is not a transformation, ``precision`` not a policy;
        in ``init``, if parameters are narrower than 16 bits.
      ValueError: if a name is unknown; in ``update`` if ``params`` is ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.with_precision(optax.adamw(1e-2, weight_decay=0.1), "split")
      >>> params = jnp.ones(1, jnp.bfloat16)
      >>> state = tx.init(params)
      >>> for _ in range(1000):
      ...     updates, state = tx.update(jnp.zeros_like(params), state, params)
      ...     params = optax.apply_updates(params, updates)
      >>> round(float(optaxwd.float32_parameters(params, state)[0]), 6)  # 0.999**1000
      0.367695

    References:
      Micikevicius et al., `Mixed Precision Training
      <https://arxiv.org/abs/1710.03740>`_, 2018.
    """
    return apply_precision(optimizer, precision, "with_precision")


def with_master_weights(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    r"""Keep a float32 copy of the parameters of 16 bits, and update that.

    .. math:: \Theta \leftarrow \Theta + s(\Theta), \quad \theta = Q(\Theta)

    with s the optimizer's step, computed in float32 from the copy Θ, and Q the nearest
    number of the parameter's dtype. The copy is in the state, with the shapes and the
    shardings of the parameters; :func:`float32_parameters` reads it. ``"split"`` in
    :func:`with_precision` gives the same in 2 bytes per parameter in place of 4.

    A parameter that is not the rounded copy any more, because it was loaded, reset or
    pruned, is taken for the new truth and the copy starts from it.

    Args:
      optimizer: a complete optimizer, ours or Optax's, its learning rate included.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with a :class:`PrecisionState`.
      Parameters of 32 bits and more have no copy. Updates as in
      :func:`with_precision`.

    Raises:
      TypeError: if ``optimizer`` is not a transformation; in ``init``, if parameters
        are narrower than 16 bits.
      ValueError: in ``update`` if ``params`` is ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.with_master_weights(optax.sgd(1e-4))
      >>> params = jnp.ones(1, jnp.bfloat16)
      >>> updates, state = tx.update(jnp.ones_like(params), tx.init(params), params)
      >>> float(optax.apply_updates(params, updates)[0])
      1.0
      >>> round(float(optaxwd.float32_parameters(params, state)[0]), 6)
      0.9999

    References:
      Micikevicius et al., `Mixed Precision Training
      <https://arxiv.org/abs/1710.03740>`_, 2018.
    """
    return apply_precision(optimizer, "master", "with_master_weights")


def apply_precision(
    optimizer: optax.GradientTransformation, precision: Any, owner: str
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`with_precision` for ``owner``, which its messages name."""
    check_transformation(optimizer, "optimizer", owner)
    policy = as_policy(precision, owner)
    rounder = Rounder.build(policy.rounding, policy.key, owner)
    inner = _widening(optimizer)
    if policy.state != "float32":
        inner = compress_state(
            inner, policy.state, key=policy.key, kernel=policy.kernel
        )

    def init(params: optax.Params) -> PrecisionState:
        rounding = rounder.init(params)
        return PrecisionState(inner.init(jax.tree.map(widen_narrow, params)), rounding)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        rounder.check_dtypes(theta, state.rounding)
        steps, inner_state = inner.update(
            updates,
            state.inner_state,
            rounder.complete(theta, state.rounding),
            **extra_args,
        )
        if leaves_out(extra_args, ROUNDING):
            return steps, PrecisionState(inner_state, state.rounding)
        updates, rounding = rounder.step(steps, theta, state.rounding)
        return updates, PrecisionState(inner_state, rounding)

    transform = optax.GradientTransformationExtraArgs(init, update)
    return tree.init_beside_params(transform)


def _widening(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer that takes gradients of 16 bits for float32."""
    inner = optax.with_extra_args_support(optimizer)

    def update(
        updates: optax.Updates, state: Any, params: Any = None, **extra_args: Any
    ) -> tuple[optax.Updates, Any]:
        wide = jax.tree.map(widen_narrow, updates)
        return inner.update(wide, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def float32_parameters(params: optax.Params, state: Any) -> optax.Params:
    r"""Return the parameters that a run in float32 would have, to evaluate or to save.

    .. math:: \Theta = \theta + c

    with :math:`c` what the state keeps beside the parameter: Kahan's remainder, the
    lower half, or what a master weight has beyond θ.

    Args:
      params: the parameters of 16 bits, after :func:`optax.apply_updates`.
      state: the state that belongs to them, of :func:`round_updates`,
        :func:`with_precision` or :func:`with_master_weights`, also inside a chain and
        other wrappers.

    Returns:
      A tree like ``params``, in float32, with what the state keeps beside them. Where
      it keeps nothing, the parameters are widened; wider ones stay as they are.

    Raises:
      ValueError: if the state is of none of the three.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optax.chain(optax.sgd(1e-4), optaxwd.round_updates("split"))
      >>> params = jnp.ones(1, jnp.bfloat16)
      >>> updates, state = tx.update(jnp.ones_like(params), tx.init(params), params)
      >>> params = optax.apply_updates(params, updates)
      >>> round(float(optaxwd.float32_parameters(params, state)[0]), 6)
      0.9999

    References:
      Those of :func:`round_updates`.
    """

    def is_state(node: Any) -> bool:
        return isinstance(node, RoundUpdatesState)

    found = [
        node for node in jax.tree.leaves(state, is_leaf=is_state) if is_state(node)
    ]
    if not found:
        raise ValueError(
            "float32_parameters: the state must be of an optimizer that rounds its "
            f"updates, got a {type(state).__name__} without a RoundUpdatesState. Pass "
            "the state of round_updates, with_precision or with_master_weights."
        )
    # Several, if groups of parameters have optimizers of their own. By path, because
    # containers may differ: Flax NNX keeps parameters in other boxes than states.
    kept = {
        path: own for one in found for path, own in tree.leaves_with_paths(one.residual)
    }
    return jax.tree.unflatten(
        jax.tree.structure(params),
        [
            completed(param, kept.get(path, optax.MaskedNode()))
            for path, param in tree.leaves_with_paths(params)
        ],
    )
