"""Runs: an optimizer taken through a script, in double precision."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optax

from optaxwd.auditor._errors import AuditError, describe, own_traceback
from optaxwd.auditor._leaves import ProbeTree
from optaxwd.auditor._scripts import Script

# Calls of `update` in a long run: a momentum of 0.95 reaches its level to 1e-7.
LONG = 320
# What tracing raises at code that must see numbers; such an optimizer runs unjitted.
_NOT_TRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@contextlib.contextmanager
def double_precision(enabled: bool = True) -> Iterator[None]:
    """Let JAX use float64, on the CPU where there is one."""
    # JAX before 0.8 has it among the experimental.
    home: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    with home.enable_x64(enabled), jax.default_device(_cpu()):
        yield


def _cpu() -> Any:
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return None


@dataclasses.dataclass
class Runner:
    """Takes one optimizer through scripts.

    Attributes:
      optimizer: what is probed.
      tree: the leaves and their structure.
      extra_args: passed to `update` by name.
      jitted: whether `update` can be traced.
      state_change: how the state's structure changed, if it did.
    """

    optimizer: optax.GradientTransformationExtraArgs
    tree: ProbeTree
    extra_args: Mapping[str, Any]
    jitted: bool = True
    state_change: str = ""

    def __post_init__(self) -> None:
        """Compile `update` once for all scripts, and remember the last `init`."""
        self._traced = jax.jit(self._update)
        self._started: tuple[list[np.ndarray] | None, Any] = (None, None)

    def _update(self, grads: Any, state: Any, params: Any) -> Any:
        return self.optimizer.update(grads, state, params, **self.extra_args)

    def __call__(self, script: Script) -> list[np.ndarray]:
        """Return the updates: for each leaf of shape ``(steps, entries watched)``."""
        with double_precision():
            state = self.init(script.start)
            rows = []
            for t in range(script.steps):
                updates, state = self._step(script, t, state)
                rows.append(self._reals(updates))
        return [np.stack(leaf) for leaf in zip(*rows, strict=True)]

    def end(self, script: Script, steps: int, *, settle: bool = False) -> list[Any]:
        """Return the last of ``steps`` updates, for each leaf those watched.

        Gradients are those of ``script`` over and over; with ``settle`` they are zero
        from its end on.
        """
        with double_precision():
            state = self.init(script.start)
            updates = None
            for t in range(steps):
                quiet = settle and t >= script.steps
                updates, state = self._step(script, t % script.steps, state, quiet)
            return self._reals(updates)

    def _step(self, script: Script, t: int, state: Any, quiet: bool = False) -> Any:
        params = self._tree([x[t] for x in script.params])
        rows = [np.zeros_like(x[t]) if quiet else x[t] for x in script.grads]
        return self.update(self._tree(rows, gradient=True), state, params)

    def init(self, start: list[np.ndarray]) -> Any:
        """Return the state that `init` makes of ``start``."""
        if self._started[0] is start:
            return self._started[1]
        params = jax.tree.map(jnp.asarray, self._tree(start))
        try:
            state = self.optimizer.init(params)
        except Exception as error:
            raise AuditError(f"init raised {describe(error)}") from own_traceback(error)
        self._started = (start, state)
        return state

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        """Return what `update` returns, having looked at its structure."""
        try:
            updates, new_state = self._call(grads, state, params)
        except AuditError:
            raise
        except Exception as error:
            raise AuditError(_advice(error)) from own_traceback(error)
        found = jax.tree.structure(updates)
        if found != self.tree.structure:
            raise AuditError(
                "update changes the structure of the gradients: they have "
                f"{self.tree.structure}, the updates have {found}."
            )
        if not self.state_change:
            self.state_change = _change(state, new_state)
        return updates, new_state

    def _call(self, grads: Any, state: Any, params: Any) -> Any:
        if self.jitted:
            try:
                return self._traced(grads, state, params)
            except _NOT_TRACEABLE:
                self.jitted = False
        as_arrays = [jax.tree.map(jnp.asarray, x) for x in (grads, params)]
        return self._update(as_arrays[0], state, as_arrays[1])

    def _tree(self, reals: list[np.ndarray], *, gradient: bool = False) -> Any:
        arrays = [
            leaf.from_reals(x) for leaf, x in zip(self.tree.leaves, reals, strict=True)
        ]
        return self.tree.build(arrays, gradient=gradient)

    def _reals(self, updates: Any) -> list[np.ndarray]:
        found = []
        for leaf, update in zip(
            self.tree.all_leaves, jax.tree.leaves(updates), strict=True
        ):
            if not leaf.is_parameter:
                continue
            if np.shape(update) != leaf.probe_shape:
                raise AuditError(
                    f"update changes the shape of '{leaf.path}': the gradient has "
                    f"{leaf.probe_shape}, the update has {np.shape(update)}."
                )
            found.append(leaf.to_reals(update)[leaf.watched])
        return found


def _advice(error: Exception) -> str:
    text = f"update raised {describe(error)}"
    if isinstance(error, TypeError) and "required" in str(error):
        text += (
            ". Supply what `update` needs by name, for example "
            "audit(optimizer, params, value=1.0)."
        )
    return text


def _change(old: Any, new: Any) -> str:
    before, after = jax.tree.structure(old), jax.tree.structure(new)
    if before != after:
        return f"update changes the structure of the state from {before} to {after}"
    for x, y in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
        if np.shape(x) != np.shape(y):
            return (
                "update changes the shape of an entry of the state from "
                f"{np.shape(x)} to {np.shape(y)}"
            )
    return ""
