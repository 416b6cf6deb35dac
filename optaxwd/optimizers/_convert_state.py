"""Optimizer states carried over between Optax's chains and this library's.

A chain's state is a tuple with one state per stage. The two libraries order the stages
differently, and Optax's decay and learning-rate stages keep a count only for schedules.
So stages are matched by role: the decay, the learning rate, and everything else in its
order.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_scalar
from optaxwd.optimizers._restore_state import check_same_array
from optaxwd.transforms import AddDecayedWeightsState, ScaleByLearningRateState

_COUNTS = ("decay_count", "learning_rate_count", "count")
_OWNER = "convert_state"


def convert_state(state: Any, like: Any, *, count: Any = None) -> Any:
    """Return ``state`` in the structure of ``like``, with nothing lost.

    Use it to go on from a checkpoint of an Optax optimizer with the one of the same
    name from here, or back; also when Optax's own state changes its structure because
    a constant became a schedule. Moments are taken over as they are. A count that the
    target needs and the source does not have is read from another stage of the chain:
    all stages of a chain tick together.

    Args:
      state: the state to convert, with its NamedTuples. A checkpoint that was read
        without a target has none: put it through :func:`restore_state` first.
      like: a state of the target optimizer: ``tx.init(params)``, or
        ``jax.eval_shape(tx.init, params)`` to save the memory.
      count: number of updates so far, for a source without any count, such as that of
        ``optax.sgd(0.1)``.

    Returns:
      A state with the structure of ``like`` and the values of ``state``.

    Raises:
      ValueError: if a stage of one has no counterpart in the other, shapes or dtypes
        differ, or a count is needed and cannot be read.

    Examples:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> params = {"w": jnp.ones(2)}
      >>> theirs, ours = optax.adamw(0.1), optaxwd.adamw(0.1)
      >>> _, state = theirs.update(params, theirs.init(params), params)
      >>> state = optaxwd.convert_state(state, jax.eval_shape(ours.init, params))
      >>> int(state[1].decay_count), state[0].mu["w"].tolist()
      (1, [0.10000000149011612, 0.10000000149011612])

    References:
      `Optax <https://optax.readthedocs.io>`_, whose states it reads.
    """
    if jax.tree.structure(state) == jax.tree.structure(like):
        for (path, old), new in zip(
            jax.tree_util.tree_leaves_with_path(state),
            jax.tree.leaves(like),
            strict=True,
        ):
            check_same_array(jax.tree_util.keystr(path), old, new, _OWNER)
        return state
    if (
        isinstance(like, dict)
        and isinstance(state, dict)
        and like.keys() == state.keys()
    ):
        return {key: convert_state(state[key], like[key], count=count) for key in like}
    same_record = type(state) is type(like) and hasattr(like, "_fields")
    if same_record and _role(like) == "other":
        fields = zip(state, like, strict=True)
        return type(like)(
            *(convert_state(old, new, count=count) for old, new in fields)
        )
    return _convert_chain(state, like, count)


def _convert_chain(state: Any, like: Any, count: Any) -> Any:
    sources, _ = _stages(state)
    targets, treedef = _stages(like)
    by_role = {
        role: [stage for stage in sources if _role(stage) == role]
        for role in ("decay", "learning_rate", "other")
    }
    wanted = [stage for stage in targets if _role(stage) == "other"]
    if len(wanted) != len(by_role["other"]) or not (
        len(sources) > 1 or len(targets) > 1
    ):
        raise ValueError(
            f"{_OWNER}: the stages differ: the state has {_names(sources)}, the target "
            f"{_names(targets)}. Only decay and learning-rate stages may be missing; "
            "build the target optimizer with the same preconditioner, wrappers and "
            "precision. A checkpoint that was read without a target has no stages but "
            "dicts and lists: pass it to restore_state first."
        )
    if count is not None:
        check_scalar(count, "count", _OWNER)
    else:
        count = next(
            _counts(by_role["decay"] + by_role["learning_rate"] + sources), None
        )
    stages = {role: iter(found) for role, found in by_role.items()}
    converted = []
    for target in targets:
        role = _role(target)
        if role == "empty":
            converted.append(target)
        elif role == "other":
            converted.append(convert_state(next(stages[role]), target, count=count))
        else:
            converted.append(_convert_counter(next(stages[role], None), target, count))
    _check_anchors(sources, targets)
    return jax.tree.unflatten(treedef, converted)


def _convert_counter(source: Any, target: Any, count: Any) -> Any:
    """Return the decay or learning-rate stage ``target`` with the source's count."""
    if isinstance(target, optax.MaskedState):
        inner = _convert_counter(source, target.inner_state, count)
        return optax.MaskedState(inner_state=inner)
    if not jax.tree.leaves(target):
        return target
    own = next(_counts([source]), count)
    if own is None:
        raise ValueError(
            f"{_OWNER}: {type(target).__name__} needs the number of updates so far, "
            "and no stage of the state counts them. Pass count=."
        )
    # Each stage has a buffer of its own, so that the state may be donated.
    own = jnp.array(own, jnp.int32)
    if isinstance(target, AddDecayedWeightsState):
        now = _current(source, target, "current_weight_decay")
        return AddDecayedWeightsState(own, _anchor(source), now)
    if isinstance(target, ScaleByLearningRateState):
        now = _current(source, target, "current_learning_rate")
        return ScaleByLearningRateState(own, now)
    return type(target)(own)


def _current(source: Any, target: Any, name: str) -> Any:
    """Return what the source used last, or what the target says, until it updates."""
    value = getattr(source, name, getattr(target, name))
    if isinstance(value, jax.ShapeDtypeStruct):
        return jnp.zeros(value.shape, value.dtype)
    return jnp.array(value)


def _anchor(stage: Any) -> Any:
    if isinstance(stage, optax.MaskedState):
        return _anchor(stage.inner_state)
    return getattr(stage, "anchor", None)


def _check_anchors(sources: list[Any], targets: list[Any]) -> None:
    """Raise unless both have the same anchors, in the same order."""
    ours, theirs = (
        [anchor for anchor in map(_anchor, stages) if jax.tree.leaves(anchor)]
        for stages in (sources, targets)
    )
    if len(ours) != len(theirs):
        has, lacks = ("state", "target") if ours else ("target", "state")
        raise ValueError(
            f"{_OWNER}: the {has} holds an anchor that the {lacks} has not: "
            "decay to it would be lost. Build both optimizers with the same anchor=."
        )
    for one, other in zip(ours, theirs, strict=True):
        convert_state(one, other)


def _stages(state: Any) -> tuple[list[Any], Any]:
    return jax.tree.flatten(state, is_leaf=lambda node: type(node) is not tuple)


def _role(stage: Any) -> str:
    if isinstance(stage, optax.MaskedState):
        inner = _role(stage.inner_state)
        return "decay" if inner in ("decay", "empty") else "other"
    if isinstance(stage, (AddDecayedWeightsState, _weight_decay_schedule())):
        return "decay"
    if isinstance(stage, (ScaleByLearningRateState, optax.ScaleByScheduleState)):
        return "learning_rate"
    return "other" if jax.tree.leaves(stage) else "empty"


@functools.cache
def _weight_decay_schedule() -> type:
    # Optax does not export this type, and making one when the package is imported would
    # start JAX's backend, before jax.distributed.initialize.
    return type(optax.add_decayed_weights(lambda _: 0.0).init(()))


def _counts(stages: list[Any]) -> Iterator[Any]:
    """Yield the counts that ``stages`` keep themselves."""
    for stage in stages:
        if isinstance(stage, optax.MaskedState):
            yield from _counts([stage.inner_state])
        for name in _COUNTS:
            if name in getattr(stage, "_fields", ()):
                yield getattr(stage, name)


def _names(stages: list[Any]) -> str:
    return ", ".join(type(stage).__name__ for stage in stages) or "no stage"
