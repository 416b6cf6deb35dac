"""Which shapes to probe: small ones, as long as the program stays the same.

`update` is traced at the leaves' own shapes, which costs no memory, and at the smaller
ones. Where both take the same operations, what the small leaves show holds for the
large. An optimizer that couples coordinates (norms, means, factored moments, products
of matrices) gets larger leaves all the same.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from optaxwd.auditor._errors import describe
from optaxwd.auditor._leaves import FULL_LIMIT, LEVELS, ProbeTree
from optaxwd.auditor._runs import double_precision

_COUPLING = re.compile(
    r"reduce_|arg(max|min)|dot_general|conv_|cum|sort|fft|cholesky|lu|qr|svd|eigh|"
    r"triangular_solve|top_k"
)


def choose_shapes(
    tree: ProbeTree,
    optimizer: optax.GradientTransformationExtraArgs,
    extra_args: Mapping[str, Any],
) -> tuple[ProbeTree, list[str]]:
    """Return the tree with the shapes to probe, and notes on what was reduced."""
    if not tree.with_level(LEVELS[0]).reduced:
        return tree, []
    wanted, reason = _operations(tree, optimizer, extra_args)
    fits_whole = tree.size <= FULL_LIMIT
    couples = wanted is not None and _couples(wanted)
    for level in LEVELS:
        cut = tree.with_level(level)
        if level is None:
            break
        if couples and (fits_whole or level == LEVELS[0]):
            continue
        if wanted is not None and _operations(cut, optimizer, extra_args)[0] == wanted:
            return cut, [_reduced(cut, couples)]
    if fits_whole:
        return tree, []
    cut = tree.with_level(LEVELS[-2])
    if wanted is None:
        doubt = f"`update` could not be traced at the leaves' own shapes ({reason})"
    else:
        doubt = "the optimizer takes other operations at the leaves' own shapes"
    return cut, [_reduced(cut, couples), f"what follows may not hold: {doubt}"]


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
            texts.append(_text(_trace(tree, optimizer, extra_args)))
        except jax.errors.UnexpectedTracerError:
            return "it keeps arrays of an earlier call outside of its state"
        except Exception:
            # Whatever is wrong is told when it runs.
            return ""
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
) -> tuple[list[tuple[str, ...]] | None, str]:
    """Return names and ranks of all operations; or None, and why not."""
    try:
        traced = _trace(tree, optimizer, extra_args)
    except Exception as error:
        return None, describe(error, 120)
    found: list[tuple[str, ...]] = []
    _collect(traced.jaxpr, found)
    return found, ""


def _collect(jaxpr: Any, found: list[tuple[str, ...]]) -> None:
    for equation in jaxpr.eqns:
        ranks = (str(len(getattr(v.aval, "shape", ()))) for v in equation.invars)
        found.append((equation.primitive.name, *ranks))
        for value in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(value):
                _collect(getattr(value, "jaxpr", value), found)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _couples(operations: list[tuple[str, ...]]) -> bool:
    return any(_COUPLING.match(name) for name, *_ in operations)


def _text(traced: Any) -> str:
    """Return the program as text, with its constants and without addresses."""
    constants = [np.asarray(x).tobytes() for x in traced.consts]
    return re.sub(r"0x[0-9a-f]+", "", str(traced)) + repr(constants)
