"""A region as a kernel: old codes in, new codes out, all between them in registers.

Without it XLA writes the new moments in float32, because their largest must be known
before the first code is, and reads them again.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optaxwd.numerics import decode, encode
from optaxwd.precision._jaxprs import value_of
from optaxwd.precision._regions import Region

# Of a program. With as many warps, a thread has 8 entries and loads 16 bytes at once.
_ROWS = 4


class Rows(NamedTuple):
    """What a region is computed from, a block of 256 in each row.

    Attributes:
      codes: uint8 ``[rows, 256]``, one per stored array, as the next two.
      scales: float32 ``[rows, 1]``.
      drawn: uint16 ``[rows, 256]``; empty where nothing is random.
      arrays: ``[rows, 256]``.
      scalars: ``[]``.
    """

    codes: list[Any]
    scales: list[Any]
    drawn: list[Any]
    arrays: list[Any]
    scalars: list[Any]


class Computed(NamedTuple):
    """What comes out of a region.

    Attributes:
      codes: uint8 ``[rows, 256]``, in the places of the old ones.
      scales: float32 ``[rows, 1]``, in the places of the old ones.
      results: ``[rows, 256]``.
    """

    codes: list[Any]
    scales: list[Any]
    results: list[Any]


def compute(region: Region, computation: Any, rows: Rows, *, fallback: str) -> Computed:
    """Return what a region computes: by a kernel on NVIDIA GPUs.

    Args:
      region: of ``computation``, a jaxpr.
      computation: whose variables the region names.
      rows: values of what the region loads and reads.
      fallback: for other devices, ``"interpret"`` for the kernel entry by entry, as
        Pallas interprets it, ``"xla"`` for the same operations without a kernel.
    """
    plain = functools.partial(_computed, region, computation)
    kernel = functools.partial(_call, plain)
    interpreted = functools.partial(kernel, interpret=True)

    @jax.custom_jvp
    def chosen(rows: Rows) -> Computed:
        return jax.lax.platform_dependent(
            rows, cuda=kernel, default=plain if fallback == "xla" else interpreted
        )

    # Kernels have no derivatives, the same operations have.
    chosen.defjvp(functools.partial(jax.jvp, plain))
    return chosen(rows)


def _computed(region: Region, computation: Any, rows: Rows) -> Computed:
    loaded = [computation.invars[i] for i in region.held]
    numbers = map(decode, rows.codes, rows.scales)
    known = {v: x.astype(v.aval.dtype) for v, x in zip(loaded, numbers, strict=True)}
    known |= zip(region.arrays, rows.arrays, strict=True)
    known |= zip(region.scalars, rows.scalars, strict=True)
    for one in region.equations:
        values = [_widened(value_of(atom, known)) for atom in one.invars]
        if one.primitive.name == "broadcast_in_dim":  # of a number, to the leaf's shape
            made = jnp.full(rows.codes[0].shape, values[0])
        else:
            made = one.primitive.bind(*values, **one.params)
        (variable,) = one.outvars
        known[variable] = made.astype(variable.aval.dtype)

    new = [_widened(value_of(computation.outvars[i], known)) for i in region.held]
    stored = list(map(encode, new, rows.drawn or [None] * len(new)))
    return Computed(
        [codes for codes, _ in stored],
        [scales for _, scales in stored],
        [known[v] for v in region.results],
    )


def _widened(value: Any) -> Any:
    """Return 16-bit floats in float32, be they of NumPy or of a kernel."""
    is_narrow = value.dtype in (jnp.bfloat16, jnp.float16)
    return value.astype(jnp.float32) if is_narrow else value


def _call(plain: Any, rows: Rows, *, interpret: bool = False) -> Computed:
    """Compute by a kernel, over a few rows at a time."""
    # Imported where a kernel is wanted: JAX calls this part of it experimental.
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    count = rows.codes[0].shape[0]
    height = math.gcd(count, _ROWS)
    operands, structure = jax.tree.flatten(rows)
    made, made_structure = jax.tree.flatten(jax.eval_shape(plain, rows))

    def body(*refs: Any) -> None:
        read = [
            ref[...] if x.shape else ref[0, 0]
            for ref, x in zip(refs[: len(operands)], operands, strict=True)
        ]
        computed = plain(jax.tree.unflatten(structure, read))
        for ref, value in zip(
            refs[len(operands) :], jax.tree.leaves(computed), strict=True
        ):
            ref[...] = value

    def block(x: Any) -> Any:
        if not x.shape:
            return pallas.BlockSpec((1, 1), lambda i: (0, 0))
        return pallas.BlockSpec((height, x.shape[1]), lambda i: (i, 0))

    held = len(rows.codes) + len(rows.scales)
    computed = pallas.pallas_call(
        body,
        grid=(count // height,),
        in_specs=[block(x) for x in operands],
        out_specs=[block(x) for x in made],
        out_shape=made,
        # New codes and scales come first, as the old ones do, and take their place.
        input_output_aliases={n: n for n in range(held)},
        compiler_params=triton.CompilerParams(num_warps=height, num_stages=1),
        interpret=interpret,
        name="stored_in_8_bits",
    )(*(x if x.shape else x.reshape(1, 1) for x in operands))
    return jax.tree.unflatten(made_structure, computed)
