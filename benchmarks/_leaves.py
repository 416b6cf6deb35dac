"""Step time over the number of leaves, alone, without calls, and in a train step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._cases import ADAMW
from benchmarks._programs import JaxRunner, identity, on_device, train_step_of
from benchmarks._steps import build_runners, check_all, effort_of, time_in_turns
from benchmarks._tensors import Tensors, make_tensors, shape_of

CALL, TRAIN, BACKWARD = "call", "train", "backward"
_BATCH = 8


def time_leaves(options: dict[str, Any]) -> dict[str, Any]:
    """Measure one number of leaves in this process.

    Beside every optimizer of JAX's, named as in ``ADAMW``, there are three programs
    over the same buffers: ``"optax call"`` does nothing, ``"optax train"`` is a train
    step and ``"optax backward"`` that step without the optimizer.

    Args:
      options: ``leaves``, ``total`` (parameters), ``rounds``, ``seconds``, and
        ``brief``: no train steps, which take long to compile.
    """
    tensors = make_tensors(options["total"], options["leaves"])
    runners, skipped = build_runners(ADAMW, tensors, options["process"])
    equality = check_all(ADAMW, runners, tensors)
    for name in [name for name in runners if ADAMW[name].origin != "torch"]:
        runners |= _beside(name, tensors, options["brief"])
    timed = time_in_turns(runners, ADAMW.reference, effort_of(options))
    return {
        "count": tensors.count,
        "cases": {
            ADAMW.name: {
                "reference": ADAMW.reference,
                "skipped": skipped,
                "equality": {name: one._asdict() for name, one in equality.items()},
                **timed._asdict(),
            }
        },
    }


def _beside(name: str, tensors: Tensors, brief: bool) -> dict[str, JaxRunner]:
    optimizer = ADAMW[name].build()
    grads = [on_device(tensors, tree, "float32") for tree in tensors.grads]
    rows = shape_of(tensors.count, len(tensors.names))[0]
    inputs = [
        jnp.asarray(
            np.random.default_rng(seed).normal(size=(_BATCH, rows)), jnp.float32
        )
        for seed in range(len(grads))
    ]

    def runner(program: Any, changing: list[Any]) -> JaxRunner:
        params = on_device(tensors, tensors.params, "float32")
        return JaxRunner(program, params, optimizer.init(params), changing)

    found = {f"{name} {CALL}": runner(identity(), grads)}
    if not brief:
        found[f"{name} {TRAIN}"] = runner(train_step_of(optimizer), inputs)
        found[f"{name} {BACKWARD}"] = runner(train_step_of(None), inputs)
    jax.block_until_ready([one.params for one in found.values()])
    return found
