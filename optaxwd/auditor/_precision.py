"""What is left of decay in the leaf's own dtype: many real steps, with no gradient."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optaxwd.auditor._errors import describe
from optaxwd.auditor._laws import Law
from optaxwd.auditor._leaves import ProbeLeaf, ProbeTree, sample
from optaxwd.auditor._runs import double_precision

STEPS = 1000
# Size of the gradients, should there have to be some.
GRADIENT = 0.1
# Less than this share of the decay left, and it is called lost.
ENOUGH = 0.5


@dataclasses.dataclass(frozen=True)
class Survival:
    """What decay did to one leaf in its own dtype.

    Attributes:
      dtype: the leaf's own.
      moved: entries that changed.
      total: entries probed.
      share: how much of the change in float64 took place; ``None``: none to compare.
      is_visible: whether the change in float64 is one that the dtype can show.
      trouble: why the leaf could not be run in its own dtype.
      needed_gradient: whether its weights stay finite only with a gradient.
    """

    dtype: str
    moved: int = 0
    total: int = 0
    share: float | None = None
    is_visible: bool = True
    trouble: str = ""
    needed_gradient: bool = False

    def survives(self, law: Law) -> bool:
        """Return whether enough of it took place, as far as can be told.

        Decay that grows with what training does may be invisible here and not there.
        """
        if self.share is None or self.share >= ENOUGH:
            return True
        return (law.adaptive or not law.is_steady) and not self.is_visible


def survivals(
    make: Callable[[], optax.GradientTransformationExtraArgs],
    tree: ProbeTree,
    laws: list[Law],
    extra_args: Mapping[str, Any],
) -> list[Survival]:
    """Return for each leaf what is left of its decay after many steps."""
    values = [_values(leaf) for leaf in tree.leaves]
    # What is drawn to the initial parameters must start elsewhere.
    starts = [2.0 * x if law.anchor else x for x, law in zip(values, laws, strict=True)]
    own = [leaf.dtype for leaf in tree.leaves]
    exact = [leaf.double for leaf in tree.leaves]
    if own == exact:
        return [Survival(str(dtype)) for dtype in own]
    any_double = any(dtype in (np.float64, np.complex128) for dtype in own)

    def run(size: float) -> list[Survival]:
        with double_precision(any_double):
            ends = _many_steps(make(), tree, values, starts, own, extra_args, size)
        with double_precision():
            wanted = _many_steps(make(), tree, values, starts, exact, extra_args, size)
        return [
            _compare(str(dtype), x, end, want)
            for dtype, x, end, want in zip(own, values, ends, wanted, strict=True)
        ]

    try:
        found = run(0.0)
        # Some optimizers divide by the gradient, or by what underflows without one.
        if any(x.trouble for x in found):
            found = [
                dataclasses.replace(y, needed_gradient=True) if x.trouble else x
                for x, y in zip(found, run(GRADIENT), strict=True)
            ]
    except Exception as error:
        return [Survival(str(dtype), trouble=describe(error, 160)) for dtype in own]
    return found


def _many_steps(
    optimizer: optax.GradientTransformationExtraArgs,
    tree: ProbeTree,
    values: list[np.ndarray],
    starts: list[np.ndarray],
    dtypes: list[Any],
    extra_args: Mapping[str, Any],
    size: float,
) -> list[np.ndarray]:
    """Return the leaves after the steps; gradients are ±``size``, in turns."""

    def build(reals: list[np.ndarray], *, gradient: bool = False) -> Any:
        arrays = [
            jnp.asarray(leaf.from_reals(x), dtype)
            for leaf, x, dtype in zip(tree.leaves, reals, dtypes, strict=True)
        ]
        return jax.tree.map(jnp.asarray, tree.build(arrays, gradient=gradient))

    params = build(values)
    ahead = build([np.full(x.shape, size) for x in values], gradient=True)
    state = optimizer.init(build(starts))

    def step(carry: Any, sign: Any) -> tuple[Any, None]:
        params, state = carry
        grads = jax.tree.map(lambda g: (g * sign).astype(g.dtype), ahead)
        updates, state = optimizer.update(grads, state, params, **extra_args)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def run(params: Any, state: Any) -> Any:
        signs = 1.0 - 2.0 * (jnp.arange(STEPS) % 2)
        return jax.lax.scan(step, (params, state), signs)[0][0]

    try:
        ends = jax.tree.leaves(run(params, state))
    except TypeError:
        # Dtypes of the state may settle only after a step.
        (params, state), _ = jax.jit(step)((params, state), -1.0)
        ends = jax.tree.leaves(run(params, state))
    return [
        leaf.to_reals(end)
        for leaf, end in zip(tree.all_leaves, ends, strict=True)
        if leaf.is_parameter
    ]


def _compare(
    dtype: str, start: np.ndarray, end: np.ndarray, wanted: np.ndarray
) -> Survival:
    change = wanted - start
    size = float(np.sum(change * change))
    if not (np.isfinite(size) and np.isfinite(end).all()):
        return Survival(dtype, trouble="the weights do not stay finite")
    if size == 0.0:
        return Survival(dtype)
    share = float(np.sum((end - start) * change)) / size
    largest = float(np.max(np.abs(change) / np.abs(start)))
    is_visible = largest > 4 * float(jnp.finfo(dtype).eps)
    return Survival(dtype, int(np.sum(end != start)), end.size, share, is_visible)


def _values(leaf: ProbeLeaf) -> np.ndarray:
    """Return what the leaf holds, in its own precision, with no zeros."""
    rng = np.random.default_rng(7)
    drawn = rng.uniform(0.5, 1.5, leaf.size) * rng.choice([-1.0, 1.0], leaf.size)
    held = sample(leaf)
    if held is not None:
        seen = np.abs(held[np.isfinite(held) & (held != 0)])
        scale = float(np.sqrt(np.mean(seen**2))) if len(seen) else 1.0
        drawn = np.where(np.isfinite(held) & (held != 0), held, scale * drawn)
    with double_precision():
        rounded = jnp.asarray(leaf.from_reals(drawn), leaf.dtype)
    return leaf.to_reals(rounded)
