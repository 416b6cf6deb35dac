"""Record what decay does, around any optimizer and without a change to its updates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import (
    check_bool,
    check_params,
    check_scalar_or_schedule,
    check_transformation,
    is_int,
    is_known,
)
from optaxwd._typing import Scalar, ScalarOrSchedule
from optaxwd.schedules import Walk, walk_of
from optaxwd.telemetry._decay_part import Probe, keeps_decay
from optaxwd.telemetry._groups import (
    Groups,
    check_groups,
    group_names,
    names_in,
    names_of,
)
from optaxwd.telemetry._observe import observe, quantities
from optaxwd.telemetry._order import recorded_first

_OWNER = "record_decay"


class RecordDecayState(NamedTuple):
    """State of :func:`record_decay`; :func:`read_telemetry` reads it.

    Attributes:
      inner_state: the optimizer's.
      telemetry_count: number of updates so far; shape ``()``, dtype int32.
      recorded_step: the update that was recorded last, counted from 0, and −1 before
        the first; shape ``()``, dtype int32.
      recorded_groups: a dict whose keys are the names of the groups, and which holds
        nothing.
      measures: a dict from the name of a quantity to its values, shape
        ``(groups + 1,)``, dtype float32: of each group and, last, of all parameters.
      recorded_learning_rate: η of the last update where ``learning_rate`` is given,
        else ``None``; shape ``()``, dtype float32.
      recorded_weight_decay: λ likewise.
      baseline_state: the state of a second run of the optimizer on the same gradients,
        without decay or at −θ; ``None`` where decay never enters the state.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> state = optaxwd.record_decay(optax.sgd(0.1), every=50).init(jnp.ones(2))
      >>> int(state.telemetry_count)
      0

    References:
      As of :func:`record_decay`.
    """

    inner_state: Any
    telemetry_count: jax.typing.ArrayLike
    recorded_step: jax.typing.ArrayLike
    recorded_groups: Any
    measures: dict[str, Any]
    recorded_learning_rate: Any = None
    recorded_weight_decay: Any = None
    baseline_state: Any = None


def record_decay(
    optimizer: optax.GradientTransformation,
    *,
    every: int = 1,
    groups: Groups = None,
    learning_rate: ScalarOrSchedule | None = None,
    weight_decay: ScalarOrSchedule | None = None,
    equilibrium: str | None = None,
    b1: Scalar | None = None,
    b2: Scalar | None = None,
    momentum: Scalar | None = None,
    history: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Record what decay does to the parameters, and change no update by one bit.

    With :math:`s` the step that the optimizer asks for, and :math:`d` the part of it
    that is decay, it keeps for each leaf, for each group and for all parameters, among
    others

    .. math::

        \frac{\|d\|}{\|s\|}, \qquad
        -\frac{\langle d, \theta\rangle}{\langle\theta, \theta\rangle}, \qquad
        \angle(\theta, \theta + s), \qquad
        \frac{\langle Q(\theta + s) - Q(\theta + s - d), \theta\rangle}
             {\langle d, \theta\rangle}

    the share of decay in the step, the effective decay per step, the rotation per step,
    and what of the decay survives the rounding Q to the parameters' dtype.
    ``docs/telemetry.md`` defines all quantities.

    What is decay is not told but found. Of the stages of this library it is what they
    add. Any other optimizer is asked for its step at −θ too: decay changes its sign,
    directions do not, so :math:`d = (s(\theta) - s(-\theta))/2`. Whatever else such an
    optimizer makes of the signs of the parameters counts as decay with it: an average
    of iterates, an anchor that is not zero (of which the part in θ counts), a distance
    from the start. Decay below 1e-6 of the step is lost in the rounding of float32, and
    counts as none.

    Args:
      optimizer: a complete optimizer, ours or not, its learning rate included. To see
        real steps, put ``optax.MultiSteps`` and ``optax.apply_if_finite`` around the
        result; to see float32 parameters, :func:`with_precision`.
      every: record every that many updates, the first among them, in one compiled
        program. What a recorded update costs is in ``docs/performance.md``.
      groups: what is summed together: ``None``: every leaf by itself; a
        :class:`DecayRules`: what each rule wins, named by its pattern; a function
        ``(path, leaf) -> name``, with ``None`` for leaves to leave out.
      learning_rate: :math:`\eta_t` that the optimizer was built with, to be read back
        and to predict the size of the weights; a number, a scalar array or a schedule.
        Not needed for the optimizers of this library, nor inside
        ``optax.inject_hyperparams``: there it is read from the state.
      weight_decay: :math:`\lambda_t`, likewise; only to be read back.
      equilibrium: the name of the optimizer, as :func:`equilibrium_rotation` knows it,
        to predict rotation and size at equilibrium from the effective decay; ``None``:
        no prediction.
      b1: :math:`\beta_1`, for the prediction; see :func:`equilibrium_rotation`.
      b2: :math:`\beta_2`, for the prediction with Lion.
      momentum: μ, for the prediction with SGD.
      history: whether to run the optimizer a second time on the same gradients, without
        decay and with a state of its own. Decay that enters moments, as L2 does, comes
        back out of them in later steps, and only so it is seen in full. ``None``: where
        decay enters the state, at the cost of a second optimizer, with a warning where
        that cannot be told; ``False``: never, and of L2 only the part of this step's θ
        is seen, :math:`1 - \beta_1` of the whole for Adam.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with a
      :class:`RecordDecayState`. Updates are the optimizer's.

    Raises:
      TypeError: if ``optimizer`` is not a transformation, ``groups`` none of the three,
        or a number not one.
      ValueError: if ``every`` is less than 1, a rate negative or NaN, ``equilibrium``
        unknown, or an argument of it not read; in ``update`` if ``params`` is ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.record_decay(optax.adamw(1e-2, weight_decay=0.1))
      >>> params = {"kernel": jnp.array([3.0, 4.0])}
      >>> state = tx.init(params)
      >>> grads = {"kernel": jnp.array([1.0, -1.0])}
      >>> updates, state = tx.update(grads, state, params)
      >>> telemetry = optaxwd.read_telemetry(state)
      >>> round(telemetry["decay_rate/kernel"], 6), round(telemetry["cosine/kernel"], 2)
      (0.001, -0.21)

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024, for the rotation.
    """
    check_transformation(optimizer, "optimizer", _OWNER)
    _check_every(every)
    check_groups(groups)
    for name, value in (
        ("learning_rate", learning_rate),
        ("weight_decay", weight_decay),
    ):
        if value is not None:
            check_scalar_or_schedule(value, name, _OWNER)
    if history is not None:
        check_bool(history, "history", _OWNER)
    walk = _walk(equilibrium, b1=b1, b2=b2, momentum=momentum)
    inner = optax.with_extra_args_support(optimizer)

    def given_rates(count: Any) -> list[Any]:
        rates = [x(count) if callable(x) else x for x in (learning_rate, weight_decay)]
        return [None if x is None else jnp.asarray(x, jnp.float32) for x in rates]

    def init(params: optax.Params) -> RecordDecayState:
        state = inner.init(params)
        names = names_of(groups, params)
        size = len(names_in(names)) + 1
        count = jnp.zeros([], jnp.int32)
        rates = given_rates(count)
        keeps = keeps_decay(inner, params) if history is None else history
        measures = quantities(state, walk, rates[0])
        return RecordDecayState(
            state,
            count,
            count - 1,
            names,
            {name: jnp.zeros(size, jnp.float32) for name in measures},
            rates[0],
            rates[1],
            inner.init(params) if keeps else None,
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta, count = check_params(params, _OWNER), state.telemetry_count
        rates = given_rates(count)
        has_baseline = state.baseline_state is not None
        baseline = state.baseline_state if has_baseline else state.inner_state
        probe = Probe(inner, updates, state.inner_state, baseline, theta, extra_args)

        def measure() -> tuple[dict[str, Any], Any]:
            found = observe(
                probe,
                group_names(groups, theta),
                names_in(state.recorded_groups),
                walk=walk,
                learning_rate=rates[0],
            )
            kept = {name: found[name].astype(jnp.float32) for name in state.measures}
            return kept, jnp.asarray(count, jnp.int32)

        is_due = (count % every == 0) & (count >= 0)
        before = (dict(state.measures), state.recorded_step)
        if is_known(is_due) and not jnp.ndim(is_due):
            measures, recorded = measure() if is_due else before
        else:
            # A branch also where it is always taken: XLA keeps its memory apart.
            measures, recorded = jax.lax.cond(is_due, measure, lambda: before)
        probe = recorded_first(measures, probe)
        steps, inner_state = inner.update(
            probe.grads, probe.state, probe.params, **extra_args
        )
        return steps, RecordDecayState(
            inner_state,
            optax.safe_increment(count),
            recorded,
            state.recorded_groups,
            measures,
            rates[0],
            rates[1],
            probe.next_baseline() if has_baseline else None,
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _walk(equilibrium: str | None, *, b1: Any, b2: Any, momentum: Any) -> Walk | None:
    if equilibrium is None:
        for name, value in (("b1", b1), ("b2", b2), ("momentum", momentum)):
            if value is not None:
                raise ValueError(
                    f"{_OWNER}: {name} is read for the equilibrium of a known "
                    f"optimizer, got {name}={value!r} and equilibrium=None. Pass its "
                    "name, such as equilibrium='adamw'."
                )
        return None
    return walk_of(equilibrium, _OWNER, b1=b1, b2=b2, momentum=momentum)


def _check_every(every: Any) -> None:
    if not is_int(every) or every < 1:
        raise ValueError(
            f"{_OWNER}: every must be a whole number >= 1, got {every!r}. 1 records "
            "every update."
        )
