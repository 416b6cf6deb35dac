"""The part of a step that is decay: what the step would be without it.

The stages of this library leave decay out when they are asked to, so that the part is
what they add. Other optimizers are asked for the step at −θ: decay changes its sign
with θ, while directions, moments and the norms of trust ratios do not, so that half of
the difference is the decay. What a rounding stage does is left out of both steps.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._leave_out import DECAY, ROUNDING, leave_out
from optaxwd.numerics import widen
from optaxwd.telemetry._dependence import dependent_outputs
from optaxwd.telemetry._sums import landing

# Fields that only states of this library have.
_DECAYS = ("decay_count", "constraint_count", "amos_count")
_ROUNDS = ("rounding_count",)


class Steps(NamedTuple):
    """One update in parts, each a tree like the parameters.

    Attributes:
      requested: the step s, before any rounding stage.
      without_decay: s less its decay.
      landed: what the parameters move by where a rounding stage made the update; else
        ``None``.
      landed_without_decay: likewise without decay.
    """

    requested: Any
    without_decay: Any
    landed: Any = None
    landed_without_decay: Any = None


class Probe(NamedTuple):
    """An optimizer at one step, to be asked for its update in several ways.

    Attributes:
      optimizer: with support for extra arguments.
      grads: its updates.
      state: its state before the step.
      baseline: the state that the step without decay starts from.
      params: θ.
      extra_args: what else the update gets.
    """

    optimizer: optax.GradientTransformationExtraArgs
    grads: Any
    state: Any
    baseline: Any
    params: Any
    extra_args: dict[str, Any]

    def steps(self) -> tuple[Steps, Any]:
        """Return the step in parts, and the state after the step that is requested."""
        if not _has(self.state, _ROUNDS):
            requested, state = self._step()
            return Steps(requested, self._without_decay(requested)), state
        requested, state = self._step(ROUNDING)
        without_decay = self._without_decay(requested, ROUNDING)
        landed = jax.tree.map(_move, self.params, self._step()[0])
        other = jax.tree.map(_move, self._other_params(), self._other_step()[0])
        if not _has(self.state, _DECAYS):
            other = jax.tree.map(_mean, landed, other)
        return Steps(requested, without_decay, landed, other), state

    def after(self, state: Any) -> Any:
        """Return the state that follows ``state`` in this step."""
        return self._update(state, self.params)[1]

    def next_baseline(self) -> Any:
        """Return the state after the step without decay."""
        return self._other_step()[1]

    def _step(self, *parts: str) -> tuple[Any, Any]:
        return self._update(self.state, self.params, *parts)

    def _other_step(self, *parts: str) -> tuple[Any, Any]:
        """Return the update that tells decay, and the state after it."""
        if _has(self.state, _DECAYS):
            parts = (DECAY, *parts)
        return self._update(self.baseline, self._other_params(), *parts)

    def _other_params(self) -> Any:
        if _has(self.state, _DECAYS):
            return self.params
        return jax.tree.map(lambda x: -x if tree.is_inexact(x) else x, self.params)

    def _without_decay(self, step: Any, *parts: str) -> Any:
        other = self._other_step(*parts)[0]
        if _has(self.state, _DECAYS):
            return other
        return jax.tree.map(_mean, step, other)

    def _update(self, state: Any, params: Any, *parts: str) -> tuple[Any, Any]:
        extra_args = {**self.extra_args, **leave_out(*parts)}
        return self.optimizer.update(self.grads, state, params, **extra_args)


def keeps_decay(
    optimizer: optax.GradientTransformationExtraArgs, params: optax.Params
) -> bool:
    """Return whether decay enters the state, and comes back out of it in later steps.

    ``False`` also where that cannot be told, because ``update`` needs more arguments
    than it has here.
    """
    try:
        return _keeps_decay(optimizer, params)
    except Exception:
        # Whatever is wrong is told by the update itself.
        return False


def _keeps_decay(
    optimizer: optax.GradientTransformationExtraArgs, params: optax.Params
) -> bool:
    # optax.tree.map_params comes without parameters: any one tells as much.
    some = params if jax.tree.leaves(params) else jnp.zeros((1, 1))
    leaves, structure = jax.tree.flatten(some)
    chosen = [i for i, leaf in enumerate(leaves) if tree.is_inexact_array(leaf)]
    shapes = [jax.ShapeDtypeStruct(leaves[i].shape, leaves[i].dtype) for i in chosen]

    def rebuilt(values: list[Any]) -> Any:
        new = dict(zip(chosen, values, strict=True))
        return structure.unflatten([new.get(i, x) for i, x in enumerate(leaves)])

    state = jax.eval_shape(lambda values: optimizer.init(rebuilt(values)), shapes)
    parts = (ROUNDING,) if _has(state, _ROUNDS) else ()

    def after(*more: str) -> list[bool]:
        def function(values: list[Any], grads: list[Any], state: Any) -> Any:
            extra_args = leave_out(*parts, *more)
            made = rebuilt(grads), state, rebuilt(values)
            return jax.tree.leaves(optimizer.update(*made, **extra_args)[1])

        return dependent_outputs(function, shapes, shapes, state)

    reads = after()
    if _has(state, _DECAYS):
        pairs = zip(reads, after(DECAY), strict=True)
        return any(reads_decay and not other for reads_decay, other in pairs)
    # A state that measures distances, such as Prodigy's, is no memory of decay.
    known = {shape.shape for shape in shapes}
    read = [x.shape for x, y in zip(jax.tree.leaves(state), reads, strict=True) if y]
    return bool(read) and known.issuperset(read)


def _has(state: Any, names: tuple[str, ...]) -> bool:
    return any(optax.tree.get_all_with_path(state, name) for name in names)


def _move(param: Any, step: Any) -> Any:
    """Return how far a parameter moves, in float32 or wider."""
    if step is None or not tree.is_inexact(param):
        return step
    return landing(widen(param) + widen(step), param) - widen(param)


def _mean(step: Any, other: Any) -> Any:
    if step is None or not tree.is_inexact(step):
        return step
    return (widen(step) + jnp.asarray(other)) / 2
