"""Frozen parameters: no update and no state, whatever the optimizer holds."""

from typing import Any, NamedTuple

import optax

from optaxwd._checks import check_transformation
from optaxwd.rules import DecayRules
from optaxwd.transforms._hide import no_update, update_without, without


class FreezeState(NamedTuple):
    """State of :func:`freeze`.

    Attributes:
      inner_state: the optimizer's state, with its own shapes and dtypes, and
        ``optax.MaskedNode`` in place of everything that is frozen.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> rules = optaxwd.DecayRules([("base/.*", "frozen")])
      >>> tx = optaxwd.freeze(optax.sgd(0.1, momentum=0.9), rules)
      >>> state = tx.init({"base": {"w": jnp.ones(1)}, "head": jnp.ones(1)})
      >>> state.inner_state[0].trace["base"]["w"]
      MaskedNode()

    References:
      As of :func:`freeze`.
    """

    inner_state: Any


def freeze(
    optimizer: optax.GradientTransformation, rules: DecayRules
) -> optax.GradientTransformationExtraArgs:
    r"""Give an exactly zero update to the parameters that ``rules`` freezes.

    The optimizer never sees them: it keeps no moments for them, their gradients count
    in no norm, and neither momentum nor decay moves them. Zero gradients alone are not
    freezing: decay and momentum go on.

    .. math:: \theta_\text{frozen} \leftarrow \theta_\text{frozen} + 0

    Args:
      optimizer: any complete optimizer or transform.
      rules: a :class:`DecayRules` with a ``"frozen"`` rule or default.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`.

    Raises:
      TypeError: if ``rules`` is not a :class:`DecayRules`, or ``optimizer`` not a
        transformation.
      ValueError: if no rule freezes anything.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> rules = optaxwd.DecayRules([("base/.*", "frozen")])
      >>> tx = optaxwd.freeze(optax.adamw(0.1, weight_decay=0.5), rules)
      >>> params = {"base": {"w": jnp.ones(1)}, "head": jnp.ones(1)}
      >>> state = tx.init(params)
      >>> updates, _ = tx.update(params, state, params)
      >>> updates["base"]["w"].tolist(), state.inner_state[0].mu["base"]["w"]
      ([0.0], MaskedNode())

    References:
      Hu et al., `LoRA: Low-Rank Adaptation of Large Language Models
      <https://arxiv.org/abs/2106.09685>`_, 2021, for adapters on a frozen base.
    """
    check_transformation(optimizer, "optimizer", "freeze")
    if not isinstance(rules, DecayRules):
        raise TypeError(
            f"freeze: rules must be a DecayRules, got {rules!r} of type "
            f"{type(rules).__name__}. Write DecayRules([(pattern, 'frozen')])."
        )
    if not rules.freezes:
        raise ValueError(
            f"freeze: no rule of {rules!r} freezes anything. Give a rule, or the "
            "default, the value 'frozen'."
        )
    inner = optax.with_extra_args_support(optimizer)

    def init(params: optax.Params) -> FreezeState:
        return FreezeState(inner.init(without(rules.frozen(params), params)))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        # Gradients may lack what is frozen; `init` has checked the rules.
        whole = updates if params is None else params
        frozen = rules.frozen(whole, check=False)
        updates, inner_state = update_without(
            frozen,
            inner,
            updates,
            state.inner_state,
            params,
            extra_args,
            show=no_update,
        )
        return updates, FreezeState(inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
