"""A transformation whose large arrays are loaded and stored by kernels."""

import functools
import importlib.util
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from optaxwd._checks import is_known
from optaxwd.numerics import BLOCK, dequantize, draw, sharding_of, widen
from optaxwd.precision._jaxprs import results_of, value_of, without_calls
from optaxwd.precision._region_kernel import Computed, Rows, compute
from optaxwd.precision._regions import Region, signature_of, split
from optaxwd.precision._storages import Stored

_PALLAS_FOR_GPUS = "jax.experimental.pallas.triton"
_LEAST_CAPABILITY = 8.0  # of what XLA's Triton compiles for


def uses_kernels(kernel: bool | None, arrays: Any) -> bool:
    """Return whether to compute in kernels what is made from ``arrays``.

    Args:
      kernel: whether to do so wherever; ``None``: where it is faster, which is on one
        NVIDIA GPU that has what the kernels need.
      arrays: a tree. Outside of compiled steps, where they are known, kernels would be
        compiled at every call. Over a mesh with explicit axes there are none.
    """
    leaves = jax.tree.leaves(arrays)
    if kernel is False or not leaves or any(map(is_known, leaves)):
        return False
    if any(AxisType.Explicit in sharding_of(x).mesh.axis_types for x in leaves):
        return False
    return bool(kernel) or _are_suited(jax.devices())


def _are_suited(devices: list[Any]) -> bool:
    # AMD's capabilities are no numbers, and other devices have none.
    capability = str(getattr(devices[0], "compute_capability", ""))
    is_number = re.fullmatch(r"\d+\.\d+", capability) is not None
    if not is_number or float(capability) < _LEAST_CAPABILITY:
        return False
    # XLA cannot divide a kernel: it would gather what is sharded.
    return len(devices) == 1 and importlib.util.find_spec(_PALLAS_FOR_GPUS) is not None


def run_in_kernels(
    function: Callable[[list[Any]], tuple[list[Any], Any]],
    held: list[Stored],
    *,
    fallback: str,
) -> tuple[list[tuple[Any, Any]], Any] | None:
    """Call a function of arrays that are stored in 8 bits.

    Args:
      function: takes the arrays, and returns new ones to store and anything else.
      held: the arrays, with scales for notes.
      fallback: of devices that are no GPUs of NVIDIA; see :func:`compute`.

    Returns:
      Codes and scales of the new arrays, and what else ``function`` returns. ``None``
      if kernels cannot compute it, as when new arrays need what is made from them.
    """
    loaded = [
        dequantize(one.leaf, widen(one.note)).astype(one.note.dtype) for one in held
    ]

    def in_dtypes(loaded: list[Any]) -> tuple[list[Any], Any]:
        new, others = function(loaded)
        return [x.astype(y.dtype) for x, y in zip(new, loaded, strict=True)], others

    traced, made = jax.make_jaxpr(in_dtypes, return_shape=True)(loaded)
    # Functions of whole trees, as Optax has them, would tie all leaves together.
    traced = without_calls(traced, loaded)
    computation, count = traced.jaxpr, len(held)
    steps = split(computation, count)
    if steps is None:
        return None
    known = dict(zip(computation.constvars, traced.consts, strict=True))
    # Most of them are read by kernels alone, and XLA leaves the others out.
    known |= zip(computation.invars, loaded, strict=True)
    stored: dict[int, tuple[Any, Any]] = {}
    # Traced and lowered once for all leaves that have the same.
    kernels: dict[Any, Callable[[Rows], Computed]] = {}
    for step in steps:
        if not isinstance(step, Region):
            results = results_of(step, known, computation)
            known |= zip(step.outvars, results, strict=True)
            continue
        # Of another leaf with the same equations, values come in the same order.
        signature = signature_of(step, computation)
        if signature not in kernels:
            kernels[signature] = jax.jit(
                functools.partial(compute, step, computation, fallback=fallback)
            )
        computed = kernels[signature](_rows(step, known, held))
        stored |= _as_stored(step, computed, held)
        shape = held[step.held[0]].leaf.shape
        known |= {
            v: result.reshape(shape)
            for v, result in zip(step.results, computed.results, strict=True)
        }
    others = [value_of(atom, known) for atom in computation.outvars[count:]]
    others = jax.tree.unflatten(jax.tree.structure(made[1]), others)
    return [stored[i] for i in range(count)], others


def _rows(region: Region, known: dict[Any, Any], held: list[Stored]) -> Rows:
    stored = [held[i] for i in region.held]
    drawn = [draw(x.key, x.leaf.shape) for x in stored if x.key is not None]
    return Rows(
        [x.leaf.reshape(-1, BLOCK) for x in stored],
        [widen(x.note).reshape(-1, 1) for x in stored],
        [x.reshape(-1, BLOCK) for x in drawn],
        [known[v].reshape(-1, BLOCK) for v in region.arrays],
        [jnp.asarray(known[v]) for v in region.scalars],
    )


def _as_stored(
    region: Region, computed: Computed, held: list[Stored]
) -> dict[int, tuple[Any, Any]]:
    """Return codes and scales of a region in the shapes of the old ones."""
    stored = {}
    for i, codes, scales in zip(
        region.held, computed.codes, computed.scales, strict=True
    ):
        leaf, note, _ = held[i]
        stored[i] = (
            codes.reshape(leaf.shape),
            scales.reshape(note.shape).astype(note.dtype),
        )
    return stored
