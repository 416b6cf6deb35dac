"""Which shapes to probe: small ones, as long as the program stays the same.

`update` is traced at the leaves' own shapes, which costs no memory, and at the smaller
ones. Where both take the same operations, what the small leaves show holds for the
large. An optimizer that couples coordinates (norms, means, factored moments, products
of matrices) gets the whole leaves if they are not too large, and the report says so if
they are.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from optaxwd._checks import is_known
from optaxwd.auditor._errors import describe
from optaxwd.auditor._leaves import FULL_LIMIT, LEVELS, ProbeTree
from optaxwd.auditor._runs import double_precision

_COUPLING = re.compile(
    r"reduce_|arg(max|min)|dot_general|conv_|cum|sort|fft|cholesky|lu|qr|svd|eigh|"
    r"triangular_solve|top_k"
)


class Operation(NamedTuple):
    """One operation of a program.

    Attributes:
      name: of the primitive.
      ranks: number of axes of each argument.
      numbers: arguments that are constants.
    """

    name: str
    ranks: tuple[int, ...]
    numbers: tuple[float, ...]


def choose_shapes(
    tree: ProbeTree,
    optimizer: optax.GradientTransformationExtraArgs,
    extra_args: Mapping[str, Any],
) -> tuple[ProbeTree, list[str], str]:
    """Return the tree with the shapes to probe, notes on them, and doubts, if any."""
    if not tree.with_level(LEVELS[0]).reduced:
        return tree, [], ""
    wanted, reason = _operations(tree, optimizer, extra_args)
    couples = wanted is not None and _couples(wanted)
    if couples and tree.size <= FULL_LIMIT:
        return tree, [], ""
    for level in LEVELS:
        cut = tree.with_level(level)
        found = _operations(cut, optimizer, extra_args)[0]
        if wanted is not None and found is not None and _same(wanted, found, couples):
            return cut, [_reduced(cut, couples)], ""
    if tree.size <= FULL_LIMIT:
        return tree, [], ""
    cut = tree.with_level(LEVELS[-1])
    if wanted is None:
        doubt = f"`update` could not be traced at the leaf's own shape ({reason})"
    else:
        doubt = "the optimizer does something else at the leaf's own shape"
    return cut, [_reduced(cut, couples)], doubt


def impurity(
    tree: ProbeTree,
    optimizer: optax.GradientTransformationExtraArgs,
    extra_args: Mapping[str, Any],
) -> str:
    """Return how two traces of `update` differ, empty if they do not.

    They do if it keeps something outside of its state.
    """
    texts = []
    for _ in range(2):
        try:
            traced = _trace(tree, optimizer, extra_args)
        except Exception:
            # Whatever is wrong is told when it runs.
            return ""
        if not all(map(is_known, traced.consts)):
            return "it keeps arrays of an earlier call outside of its state"
        texts.append(_text(traced))
    if texts[0] == texts[1]:
        return ""
    return "called again with the same arguments, it does something else"


def _reduced(tree: ProbeTree, couples: bool) -> str:
    count = sum(leaf.shape != leaf.probe_shape for leaf in tree.all_leaves)
    longest = max(
        max(leaf.probe_shape, default=1)
        for leaf in tree.all_leaves
        if leaf.shape != leaf.probe_shape
    )
    text = f"{count} large leaves were probed on shapes of at most {longest} per axis"
    if couples:
        text += "; the optimizer couples the coordinates of a leaf, or of all leaves"
    return text


def _trace(
    tree: ProbeTree,
    optimizer: optax.GradientTransformationExtraArgs,
    extra_args: Mapping[str, Any],
) -> Any:
    with double_precision():
        shapes = [
            jax.ShapeDtypeStruct(leaf.probe_shape, leaf.double) for leaf in tree.leaves
        ]
        params = tree.build(shapes)
        grads = tree.build(shapes, gradient=True)
        state = jax.eval_shape(optimizer.init, params)
        # A function of its own: JAX remembers traces of one it has seen.
        return jax.make_jaxpr(lambda g, s, p: optimizer.update(g, s, p, **extra_args))(
            grads, state, params
        )


def _operations(
    tree: ProbeTree,
    optimizer: optax.GradientTransformationExtraArgs,
    extra_args: Mapping[str, Any],
) -> tuple[list[Operation] | None, str]:
    """Return all operations; or None, and why not."""
    try:
        traced = _trace(tree, optimizer, extra_args)
    except Exception as error:
        return None, describe(error, 120)
    found: list[Operation] = []
    _collect(traced.jaxpr, found)
    return found, ""


def _collect(jaxpr: Any, found: list[Operation]) -> None:
    for equation in jaxpr.eqns:
        ranks = tuple(len(getattr(v.aval, "shape", ())) for v in equation.invars)
        numbers = tuple(
            float(v.val)
            for v in equation.invars
            if np.ndim(getattr(v, "val", [])) == 0 and np.isrealobj(v.val)
        )
        found.append(Operation(equation.primitive.name, ranks, numbers))
        for value in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(value):
                _collect(getattr(value, "jaxpr", value), found)


def _same(wanted: list[Operation], found: list[Operation], couples: bool) -> bool:
    """Return whether two programs are the same but for the lengths of axes.

    Numbers must agree too, unless means, which divide by a size, are to be expected.
    """
    if couples:
        return [x[:2] for x in wanted] == [x[:2] for x in found]
    return wanted == found


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _couples(operations: list[Operation]) -> bool:
    return any(_COUPLING.match(operation.name) for operation in operations)


def _text(traced: Any) -> str:
    """Return the program as text, with its constants and without addresses."""
    constants = [np.asarray(x).tobytes() for x in traced.consts]
    return re.sub(r"0x[0-9a-f]+", "", str(traced)) + repr(constants)
