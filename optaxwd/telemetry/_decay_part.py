"""The part of a step that is decay: what the step would be without it.

The stages of this library leave decay out when they are asked to, so that the part is
what they add. Where none hears, the step at −θ is asked for: decay changes its sign
with θ, while directions, moments and the norms of trust ratios do not, so that half of
the difference is the decay. What a rounding stage does is left out of both steps.
"""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._leave_out import DECAY, ROUNDING, Request
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
        rounds = _has(self.state, _ROUNDS)
        parts = (ROUNDING,) if rounds else ()
        requested, state, heard = self._update(self.state, self.params, *parts)
        without_decay = self._without(requested, self._other(*parts))
        if ROUNDING not in heard:
            return Steps(requested, without_decay), state
        landed = jax.tree.map(_move, self.params, self.after(self.state)[0])
        other = self._other()
        other = other._replace(step=jax.tree.map(_move, other.params, other.step))
        return Steps(
            requested, without_decay, landed, self._without(landed, other)
        ), state

    def after(self, state: Any) -> tuple[Any, Any]:
        """Return the update from ``state``, and the state that follows."""
        return self._update(state, self.params)[:2]

    def next_baseline(self) -> Any:
        """Return the state after the step without decay."""
        return self._other().state

    def _other(self, *parts: str) -> "_Other":
        """Return the step that tells decay: without it, or at −θ."""
        if _has(self.state, _DECAYS):
            asked = self._update(self.baseline, self.params, DECAY, *parts)
            if DECAY in asked[2]:
                return _Other(self.params, *asked[:2], True)
        mirrored = jax.tree.map(lambda x: -x if tree.is_inexact(x) else x, self.params)
        return _Other(
            mirrored, *self._update(self.baseline, mirrored, *parts)[:2], False
        )

    def _without(self, step: Any, other: "_Other") -> Any:
        if other.is_without_decay:
            return other.step
        return jax.tree.map(_mean, step, other.step)

    def _update(
        self, state: Any, params: Any, *parts: str
    ) -> tuple[Any, Any, set[str]]:
        """Return the update, the state after it, and the parts that were left out."""
        request = Request(parts)
        arguments = self.grads, state, params
        if parts:
            try:
                asked = {**self.extra_args, "_leave_out": request}
                return *self.optimizer.update(*arguments, **asked), request.heard
            except TypeError:
                # Some update takes no argument that it does not know.
                request = Request(())
        return *self.optimizer.update(*arguments, **self.extra_args), request.heard


class _Other(NamedTuple):
    """The step that is compared with the requested one.

    Attributes:
      params: the parameters that it starts from, θ or −θ.
      step: the update.
      state: the state after it.
      is_without_decay: whether it is the step at θ without decay.
    """

    params: Any
    step: Any
    state: Any
    is_without_decay: bool


def keeps_decay(
    optimizer: optax.GradientTransformationExtraArgs, params: optax.Params
) -> bool:
    """Return whether decay enters the state, and comes back out of it in later steps.

    Where ``update`` cannot be traced, because it needs more arguments than it has here,
    it warns, and returns ``False``.
    """
    try:
        return _keeps_decay(optimizer, params)
    except Exception as error:
        reason = str(error).split("\n")[0][:120]
        warnings.warn(
            "record_decay: cannot tell whether decay enters the optimizer's state, "
            f"because its update could not be traced ({reason}). Pass history=True if "
            "it does, as L2 does, and history=False if not.",
            stacklevel=3,
        )
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
    heard: set[str] = set()

    def after(*more: str) -> list[bool]:
        def function(values: list[Any], grads: list[Any], state: Any) -> Any:
            theta = rebuilt(values)
            probe = Probe(optimizer, rebuilt(grads), state, state, theta, {})
            _, new_state, found = probe._update(state, theta, *parts, *more)
            heard.update(found)
            return jax.tree.leaves(new_state)

        return dependent_outputs(function, shapes, shapes, state)

    reads = after()
    without = after(DECAY) if _has(state, _DECAYS) else []
    if DECAY in heard:
        pairs = zip(reads, without, strict=True)
        return any(reads_decay and not other for reads_decay, other in pairs)
    # A state that measures distances, such as Prodigy's, is no memory of decay.
    known = {shape.shape for shape in shapes}
    read = [x.shape for x, y in zip(jax.tree.leaves(state), reads, strict=True) if y]
    return bool(read) and known.issuperset(read)


def _has(state: Any, names: tuple[str, ...]) -> bool:
    """Return whether a named tuple within ``state`` has a field of one of the names."""

    def is_one(node: Any) -> bool:
        return not set(names).isdisjoint(getattr(node, "_fields", ()))

    return any(map(is_one, jax.tree.leaves(state, is_leaf=is_one)))


def _move(param: Any, step: Any) -> Any:
    """Return how far a parameter moves, in float32 or wider."""
    if step is None or not tree.is_inexact(param):
        return step
    return landing(widen(param) + widen(step), param) - widen(param)


def _mean(step: Any, other: Any) -> Any:
    if step is None or not tree.is_inexact(step):
        return step
    return (widen(step) + jnp.asarray(other)) / 2
