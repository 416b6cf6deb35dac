"""Rounding last in a chain: updates on which ``apply_updates`` lands exactly."""

from typing import Any, Literal

import jax
import optax

from optaxwd._checks import check_choice, check_params
from optaxwd._leave_out import ROUNDING, leaves_out
from optaxwd.precision._rounder import Rounder, widen_narrow
from optaxwd.tree import init_beside_params

_NAME = "round_updates"
_MODES = ("stochastic", "compensated", "split")


def round_updates(
    mode: Literal["stochastic", "compensated", "split"], key: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Let steps survive that bfloat16 or float16 parameters would round away.

    With :math:`s` the step that comes in, and Q the next lower, next higher or nearest
    number of the parameter's dtype,

    ================= ==================================================== ===========
    mode              :math:`\theta \leftarrow`                            beside θ
    ================= ==================================================== ===========
    ``"stochastic"``  :math:`Q(\theta + s)`, up or down at random, with    nothing
                      mean :math:`\theta + s` as summed in float32
    ``"compensated"`` :math:`Q(\theta + c + s)`, and :math:`c` becomes     2 bytes
                      what that leaves over (Kahan's sum)
    ``"split"``       :math:`Q(\Theta + s)`, with Θ the float32 parameter  2 bytes
                      of which θ is the upper half
    ================= ==================================================== ===========

    The updates that go out are float32, also where those that came in were not, and
    :func:`optax.apply_updates` lands on Q exactly. Put it last: decay, learning rate
    and all else come before. The stages before it see θ and not Θ, and compute in the
    dtypes that they are given; :func:`with_precision` around them gives them float32.
    Wrappers that skip steps go inside too: around it, :func:`optax.apply_if_finite`
    gives back zeros of the gradients' dtype, which must then be float32.

    Deviations from the sources:

    1. All modes add decay inside. AnyPrecisionAdamW and optimi multiply the bfloat16
       parameter by 1 − ηλ outside of the compensation, where it is rounded away.
    2. ``"compensated"`` keeps c in bfloat16 for float16 parameters too, whose own
       exponents do not reach low enough. c has 8 significant bits, so a step below
       :math:`2^{-17}|\theta|` in bfloat16, :math:`2^{-20}|\theta|` in float16, may be
       lost again, and equal steps below :math:`2^{-14}|\theta|` add up to a quarter too
       little or too much. ``"split"``, which keeps as many bytes, goes down to
       float32's own :math:`2^{-25}|\theta|`.
    3. ``"split"`` rounds the visible parameter to the nearest, where modded-nanogpt
       truncates it, which makes all weights smaller by 1/4 % on average. For float16,
       Θ is float32 above 2⁻¹⁷, and a multiple of 2⁻⁴⁰ below.
    4. A parameter that is changed from outside (reset, pruned, loaded) counts as it is;
       what is kept of its old value adds at most one unit of its last bit.

    Args:
      mode: how to round, see the table.
      key: an integer or a PRNG key; ``None``: 0. Only ``"stochastic"`` draws from it.
        The noise of a leaf follows from the key, the step and the leaf's path: it is
        the same on one device and on many.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with a
      :class:`RoundUpdatesState`. Updates of float32 and wider parameters, and of what
      is not a floating-point array, pass as they are.

    Raises:
      ValueError: if the mode is unknown or the key is none; in ``update`` if ``params``
        is ``None``, or in another dtype than in ``init``.
      TypeError: in ``init``, if parameters are narrower than 16 bits.

    Examples:
      In bfloat16, the number after 1 towards zero is 0.99609375, so a decay of 1e-3 is
      rounded away at every step. Here it waits until it is large enough to be seen:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> plain = optax.adamw(1e-2, weight_decay=0.1)
      >>> tx = optax.chain(plain, optaxwd.round_updates("split"))
      >>> params = jnp.ones(1, jnp.bfloat16)
      >>> state = tx.init(params)
      >>> for _ in range(4):
      ...     updates, state = tx.update(jnp.zeros_like(params), state, params)
      ...     params = optax.apply_updates(params, updates)
      ...     print(float(params[0]), params.dtype)
      1.0 bfloat16
      0.99609375 bfloat16
      0.99609375 bfloat16
      0.99609375 bfloat16

    References:
      Zamirai et al., `Revisiting BFloat16 Training
      <https://arxiv.org/abs/2010.06192>`_, 2020, for stochastic and compensated.

      Kahan, `Further Remarks on Reducing Truncation Errors
      <https://doi.org/10.1145/363707.363723>`_, 1965.

      Jordan et al., `modded-nanogpt <https://github.com/KellerJordan/modded-nanogpt>`_,
      2025, for the halves of a float32.
    """
    check_choice(mode, _MODES, "mode", _NAME)
    rounder = Rounder.build(mode, key, _NAME)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, _NAME)
        rounder.check_dtypes(theta, state)
        if leaves_out(extra_args, ROUNDING):
            return jax.tree.map(widen_narrow, updates), state
        return rounder.step(updates, theta, state)

    transform = optax.GradientTransformationExtraArgs(rounder.init, update)
    return init_beside_params(transform)
