"""The memory's bandwidth, with the mix of reads and writes that AdamW has."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks._programs import JaxRunner

BYTES = 28
DESCRIPTION = (
    "The limit is measured, in turns with the candidates: one jitted kernel, y ← a·y + "
    "b·g in place, with y of shape [n/512, 3, 512] (donated) and g of [n/512, 1, 512]. "
    "Per parameter it reads three numbers of y and one of g and writes three of y, "
    "28 bytes, as AdamW must, in one fusion; g is read once from memory and twice more "
    "from the nearest cache. What is written has been read before, so no write needs "
    "an extra read (write-allocate), as in AdamW and not as in a copy. It differs from "
    "AdamW in having two streams of memory and next to no arithmetic. Its median time "
    "per parameter is the floor of 28 bytes; other floors are in proportion. Where all "
    "tensors fit in a cache it is the bandwidth of that cache."
)
_WIDTH = 512


def bandwidth_runner(count: int) -> JaxRunner:
    """Return a runner that moves 28 bytes for each of ``count`` parameters or so."""
    rows = max(count // _WIDTH, 1)

    def move(g: Any, y: Any, a: Any) -> tuple[Any, Any]:
        return a * y + 0.1 * g, a

    y = jnp.ones((rows, 3, _WIDTH))
    changing = [jnp.full((rows, 1, _WIDTH), value) for value in (1.0, 2.0)]
    return JaxRunner(
        jax.jit(move, donate_argnums=1), y, jnp.asarray(0.9, jnp.float32), changing
    )
