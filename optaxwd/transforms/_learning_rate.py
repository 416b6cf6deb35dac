"""The learning rate, in a state whose structure is always the same."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_scalar_or_schedule
from optaxwd._typing import ScalarOrSchedule
from optaxwd.transforms._hide import parameters_only
from optaxwd.transforms._rates import current, start, value_at

_NAME = "scale_by_learning_rate"


class ScaleByLearningRateState(NamedTuple):
    """State of :func:`scale_by_learning_rate`.

    Attributes:
      learning_rate_count: number of updates seen so far; shape ``()``, dtype int32.
      current_learning_rate: η of the last update, and of the first before it; shape
        ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.scale_by_learning_rate(lambda count: 0.1)
      >>> float(tx.init(jnp.ones(2)).learning_rate_count)
      0.0

    References:
      As of :func:`scale_by_learning_rate`.
    """

    learning_rate_count: jax.typing.ArrayLike
    current_learning_rate: jax.typing.ArrayLike = 0.0


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule, *, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    r"""Turn ascent directions into descent steps: :math:`s = -\eta_t u`.

    The numbers are those of :func:`optax.scale_by_learning_rate`. The state is not:
    Optax's is empty for a number and holds a count for a schedule, so that going from
    one to the other breaks a checkpoint. This one always holds the count and the rate.

    Args:
      learning_rate: :math:`\eta_t \ge 0`, a number, a scalar array or a schedule of
        the step count, which starts at 0.
      flip_sign: whether to turn ascent into descent; ``False``: :math:`s = \eta_t u`.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; an array of a wider dtype promotes them, a schedule does not.

    Raises:
      ValueError: if ``learning_rate`` is negative, NaN or not a scalar.
      TypeError: if it is not a number, an array or a schedule.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.scale_by_learning_rate(lambda count: 0.1 / (count + 1))
      >>> state = tx.init(None)
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.array([2.0]), state)
      ...     print(round(float(updates[0]), 6))
      -0.2
      -0.1

    References:
      Robbins and Monro, `A Stochastic Approximation Method
      <https://doi.org/10.1214/aoms/1177729586>`_, 1951.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", _NAME)
    sign = -1 if flip_sign else 1

    def init(params: optax.Params) -> ScaleByLearningRateState:
        del params
        count, now = start(learning_rate, "learning_rate", _NAME)
        return ScaleByLearningRateState(count, now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del params, extra_args
        count = state.learning_rate_count
        eta = value_at(learning_rate, count, "learning_rate", _NAME)
        updates = scaled(updates, sign * eta, promotes=not callable(learning_rate))
        now = current(eta, count)
        return updates, ScaleByLearningRateState(optax.safe_increment(count), now)

    return parameters_only(optax.GradientTransformationExtraArgs(init, update))


def scaled(updates: Any, factor: Any, *, promotes: bool) -> Any:
    """Return updates times ``factor``, whose dtype may promote theirs, or may not."""
    if promotes:
        return jax.tree.map(lambda u: factor * u, updates)
    return jax.tree.map(lambda u: jnp.asarray(factor, jnp.result_type(u)) * u, updates)
