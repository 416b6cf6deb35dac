"""Train on all devices of all processes: the same code for one of each and for many."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import optaxwd
from examples.distributed._tasks import Rows
from examples.low_precision._train import Task

SEED = 0


class Trained(NamedTuple):
    """What training leaves behind, on every process.

    Attributes:
      losses: ``[steps]``, float32: of the whole batch, before each update.
      params: sharded as the layout says.
      state: of the optimizer, sharded as the parameters are.
      step: the compiled step.
    """

    losses: np.ndarray
    params: Any
    state: Any
    step: Any


def make_mesh(devices: Sequence[Any]) -> Mesh:
    """Return ``devices``, which are those of all processes, in one row."""
    return jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
    )


def make_optimizer(task: Task, every: int) -> optax.GradientTransformationExtraArgs:
    """Return AdamW with warmup, cosine and clipping, and a record of its decay."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, task.peak_learning_rate, task.steps // 10, task.steps
    )
    optimizer = optaxwd.adamw(
        schedule,
        weight_decay=task.weight_decay,
        mask=optaxwd.rules.standard(),
        max_grad_norm=1.0,
    )
    return optaxwd.record_decay(optimizer, every=every, equilibrium="adamw")


def param_shardings(params: Any, mesh: Mesh, layout: str) -> Any:
    """Return where parameters live: all on each device, or a share of each leaf.

    A share is cut along the longest axis that divides among the devices; a leaf without
    such an axis is on each device in full.
    """

    def spec(leaf):
        dims = [d for d, n in enumerate(leaf.shape) if n % mesh.size == 0]
        if layout == "data" or not dims:
            return PartitionSpec()
        longest = max(dims, key=lambda d: leaf.shape[d])
        return PartitionSpec(*[None] * longest, "data")

    return jax.tree.map(lambda leaf: NamedSharding(mesh, spec(leaf)), params)


def init(task: Task, optimizer: optax.GradientTransformation, mesh: Mesh, layout: str):
    """Return parameters and state; each device only ever has its own share of them."""
    key = jax.random.key(SEED)
    shardings = param_shardings(jax.eval_shape(task.init, key), mesh, layout)
    params = jax.jit(task.init, out_shardings=shardings)(key)
    shardings = optaxwd.state_shardings(optimizer, params)
    return params, jax.jit(optimizer.init, out_shardings=shardings)(params)


def make_step(optimizer: optax.GradientTransformation, loss: Callable, carry: Any):
    """Return the compiled step; parameters and state stay where ``carry`` has them."""
    shardings = jax.tree.map(lambda x: x.sharding, carry)
    everywhere = NamedSharding(jax.tree.leaves(shardings)[0].mesh, PartitionSpec())

    def loss_of_shares(params, batch):
        # Without this XLA may as well gather the batch, and share out the layers.
        return loss(jax.lax.with_sharding_constraint(params, everywhere), batch)

    def step(params, state, batch):
        value, grads = jax.value_and_grad(loss_of_shares)(params, batch)
        grads = jax.lax.with_sharding_constraint(grads, shardings[0])
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return jax.jit(step, donate_argnums=(0, 1), out_shardings=(*shardings, everywhere))


def local_batch(rows: Rows, step: int, batch_size: int, mesh: Mesh) -> Any:
    """Return this step's batch, of which every process reads its own rows only."""
    drawn = np.random.default_rng((SEED, step)).integers(rows.count, size=batch_size)
    mine = drawn.reshape(jax.process_count(), -1)[jax.process_index()]
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, x), rows.take(mine)
    )


def train(
    task: Task,
    rows: Rows,
    mesh: Mesh,
    layout: str,
    *,
    batch_size: int,
    every: int,
    see: Callable[[int, jax.Array, Any], None],
) -> Trained:
    """Train; ``see`` gets step, loss and state after every ``every`` steps."""
    if batch_size % mesh.size:
        raise ValueError(
            f"a batch of {batch_size} does not divide among {mesh.size} devices; "
            "choose a multiple of their number."
        )
    optimizer = make_optimizer(task, every)
    params, state = init(task, optimizer, mesh, layout)
    step = make_step(optimizer, task.loss, (params, state))
    losses = []
    for i in range(task.steps):
        batch = local_batch(rows, i, batch_size, mesh)
        params, state, loss = step(params, state, batch)
        losses.append(loss)
        if i % every == 0:
            see(i, loss, state)
    losses = np.array([float(x) for x in losses], np.float32)
    return Trained(losses, params, state, step)


def check_agreement(trained: Trained) -> None:
    """Raise where processes hold different copies of what should be the same."""
    copies = [x for x in jax.tree.leaves(trained.params) if x.is_fully_replicated]
    multihost_utils.assert_equal(
        [trained.losses, *map(np.asarray, copies)],
        "processes disagree: did all get the same seed, and the same order of batches?",
    )
