"""An optimizer taken through many steps at once, in dtypes of choice."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optaxwd.auditor._leaves import ProbeTree
from optaxwd.auditor._runs import double_precision
from optaxwd.tree import is_inexact_array

STEPS = 1000
# Updates are summed over each of so many parts of the steps.
PARTS = 10

Values = list[np.ndarray]
Make = Callable[[], optax.GradientTransformationExtraArgs]
Extra = Mapping[str, Any]


@dataclasses.dataclass
class ManySteps:
    """Takes one optimizer through ``STEPS`` steps.

    Attributes:
      optimizer: what is probed.
      tree: the leaves and their structure.
      dtypes: of the leaves that are parameters, and of their gradients.
      extra_args: passed to `update` by name.
      double: whether float64 is there.
    """

    optimizer: optax.GradientTransformationExtraArgs
    tree: ProbeTree
    dtypes: list[Any]
    extra_args: Extra
    double: bool

    def __post_init__(self) -> None:
        """Compile what sums updates once for all runs."""
        self._summed = jax.jit(self._sums)

    @classmethod
    def in_own_dtypes(
        cls, make: Make, tree: ProbeTree, extra_args: Extra
    ) -> "ManySteps":
        """Return the runs in the leaves' own dtypes."""
        own = [leaf.dtype for leaf in tree.leaves]
        any_double = any(dtype in (np.float64, np.complex128) for dtype in own)
        with double_precision(any_double):
            return cls(make(), tree, own, extra_args, any_double)

    @classmethod
    def in_double(cls, make: Make, tree: ProbeTree, extra_args: Extra) -> "ManySteps":
        """Return the runs in double precision."""
        exact = [leaf.double for leaf in tree.leaves]
        with double_precision():
            return cls(make(), tree, exact, extra_args, True)

    def ends(self, values: Values, starts: Values, size: float) -> Values:
        """Return where the leaves end that began at ``values``.

        `init` sees ``starts``; gradients are ±``size``, in turns.
        """
        ahead = [np.full(x.shape, size) for x in values]

        def move(carry: Any, grads: Any) -> tuple[Any, None]:
            params, state = carry
            updates, state = self._update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        @jax.jit
        def run(params: Any, state: Any, grads: Any) -> Any:
            def step(carry: Any, sign: Any) -> tuple[Any, None]:
                return move(carry, _times(grads, sign))

            signs = 1.0 - 2.0 * (jnp.arange(STEPS) % 2)
            return jax.lax.scan(step, (params, state), signs)[0][0]

        with double_precision(self.double):
            params, state, grads = self._begin(values, starts, ahead)
            try:
                ends = run(params, state, grads)
            except TypeError:
                # Dtypes of the state may settle only after a step.
                (params, state), _ = jax.jit(move)((params, state), _times(grads, -1.0))
                ends = run(params, state, grads)
            return self._reals(self._parameters(ends))

    def copies(self, starts: Values) -> list[bool]:
        """Return for each leaf whether the state begins with a wider copy of it."""
        with double_precision(self.double):
            params = self._build(starts)
            state = jax.tree.leaves(self.optimizer.init(params))
            arrays = [np.asarray(x) for x in state if is_inexact_array(x)]
        return [
            any(
                x.dtype.itemsize > leaf.dtype.itemsize
                and x.shape == leaf.probe_shape
                and np.array_equal(leaf.to_reals(x), leaf.to_reals(start))
                for x in arrays
            )
            for leaf, start in zip(
                self.tree.leaves, self._parameters(params), strict=True
            )
        ]

    def sums(
        self, values: Values, starts: Values, first: Values, second: Values
    ) -> tuple[Values, list[float]]:
        """Return sums of the updates of leaves that stay at ``values``.

        Gradients are ±``first`` ± ``second``, at random, so that no two entries have
        the same.

        Returns:
          Sums over each part of the steps, ``(PARTS, size)``, and the root mean squares
          of the updates.
        """
        signs = np.random.default_rng(11).choice(
            [-1.0, 1.0], (PARTS, STEPS // PARTS, 2)
        )
        with double_precision(self.double):
            params, state, one = self._begin(values, starts, first)
            gradients = one, self._build(second, gradient=True)
            rows = []
            for part in signs:
                try:
                    state, told = self._summed(params, state, gradients, part)
                except TypeError:
                    # Dtypes of the state may settle only after a step.
                    _, state = jax.jit(self._update)(one, state, params)
                    state, told = self._summed(params, state, gradients, part)
                rows.append([self._reals(x) for x in told])
        sums, squares = (
            [np.stack(leaf) for leaf in zip(*rows, strict=True)]
            for rows in zip(*rows, strict=True)
        )
        return sums, [
            float(np.sqrt(np.sum(x) / max(STEPS * x.shape[1], 1))) for x in squares
        ]

    def _sums(self, params: Any, state: Any, gradients: Any, signs: Any) -> Any:
        zeros = [
            jnp.zeros(leaf.probe_shape, jnp.promote_types(dtype, jnp.float32))
            for leaf, dtype in zip(self.tree.leaves, self.dtypes, strict=True)
        ]

        def step(carry: Any, sign: Any) -> tuple[Any, None]:
            state, sums, squares = carry
            grads = [_times(x, y) for x, y in zip(gradients, sign, strict=True)]
            updates, state = self._update(jax.tree.map(jnp.add, *grads), state, params)
            wide = [
                u.astype(s.dtype)
                for u, s in zip(self._parameters(updates), sums, strict=True)
            ]
            sums = [s + u for s, u in zip(sums, wide, strict=True)]
            squares = [s + u * u.conj() for s, u in zip(squares, wide, strict=True)]
            return (state, sums, squares), None

        state, *told = jax.lax.scan(step, (state, zeros, zeros), signs)[0]
        return state, told

    def _update(self, grads: Any, state: Any, params: Any) -> Any:
        return self.optimizer.update(grads, state, params, **self.extra_args)

    def _begin(self, values: Values, starts: Values, grads: Values) -> Any:
        state = self.optimizer.init(self._build(starts))
        return self._build(values), state, self._build(grads, gradient=True)

    def _build(self, reals: Values, *, gradient: bool = False) -> Any:
        arrays = [
            jnp.asarray(leaf.from_reals(x), dtype)
            for leaf, x, dtype in zip(self.tree.leaves, reals, self.dtypes, strict=True)
        ]
        return jax.tree.map(jnp.asarray, self.tree.build(arrays, gradient=gradient))

    def _parameters(self, tree: Any) -> list[Any]:
        pairs = zip(self.tree.all_leaves, jax.tree.leaves(tree), strict=True)
        return [x for leaf, x in pairs if leaf.is_parameter]

    def _reals(self, arrays: list[Any]) -> Values:
        pairs = zip(self.tree.leaves, arrays, strict=True)
        return [leaf.to_reals(x) for leaf, x in pairs]


def _times(tree: Any, factor: Any) -> Any:
    return jax.tree.map(lambda x: (x * factor).astype(x.dtype), tree)
