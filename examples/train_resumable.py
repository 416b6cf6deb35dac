"""Train in bfloat16 with checkpoints, so that a run that is killed goes on as if not.

A Flax network learns handwritten digits with AdamW and stochastic rounding. Orbax saves
parameters, state and step in the background. Started again with the same arguments, the
run goes on from the latest checkpoint, to the same bits: the state holds the count of
every schedule, the key of the rounding and what is recorded of decay, and the order of
the data follows from the step.

    python examples/train_resumable.py [--quick] [--directory outputs/train_resumable]
                                       [--steps 600] [--every 50] [--keep 3]
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import linen as nn
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import optaxwd

BATCH = 64
PEAK_LEARNING_RATE = 3e-3


class Network(nn.Module):
    """A perceptron with one hidden layer, all of it in bfloat16."""

    @nn.compact
    def __call__(self, images):
        """Return logits ``[batch, 10]`` of ``images`` ``[batch, 64]``."""
        types = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}
        hidden = nn.relu(nn.Dense(64, **types)(images))
        return nn.Dense(10, **types)(hidden)


def load():
    """Return train and test images and labels, pixels scaled to [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16.0, labels, test_size=0.3, random_state=0)
    x_train, x_test, y_train, y_test = map(jnp.asarray, split)
    return (x_train.astype(jnp.float32), y_train), (x_test.astype(jnp.float32), y_test)


def make_state(steps):
    """Return the state that a run of ``steps`` steps starts from."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, PEAK_LEARNING_RATE, steps // 10, steps
    )
    optimizer = optaxwd.adamw(
        schedule,
        weight_decay=0.1,
        mask=optaxwd.rules.standard(),
        max_grad_norm=1.0,
        precision=optaxwd.Policy("stochastic", key=0),
    )
    network = Network()
    return TrainState.create(
        apply_fn=network.apply,
        params=network.init(jax.random.key(0), jnp.zeros((1, 64)))["params"],
        tx=optaxwd.record_decay(optimizer, every=10, equilibrium="adamw"),
    )


@jax.jit
def train_step(state, images, labels):
    """Return the state after one update; its step says which images it is for."""
    batches = len(images) // BATCH
    epoch, index = state.step // batches, state.step % batches
    order = jax.random.permutation(jax.random.key(epoch), len(images))
    batch = jax.lax.dynamic_slice_in_dim(order, index * BATCH, BATCH)

    def loss(params):
        logits = state.apply_fn({"params": params}, images[batch])
        return optax.softmax_cross_entropy_with_integer_labels(
            logits.astype(jnp.float32), labels[batch]
        ).mean()

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


def resume(checkpoints, state):
    """Return the state of the latest checkpoint, or ``state`` if there is none."""
    latest = checkpoints.latest_step()
    if latest is None:
        return state
    restored = checkpoints.restore(latest, args=ocp.args.StandardRestore())
    # Says what differs if the network, the optimizer or its precision has changed.
    return optaxwd.restore_state(restored, state)


def main(argv=None):
    """Train from where the directory stands, and print how well it went."""
    parser = argparse.ArgumentParser(description="A run that may be killed.")
    parser.add_argument("--quick", action="store_true", help="100 steps")
    parser.add_argument(
        "--directory", type=pathlib.Path, default="outputs/train_resumable"
    )
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=50, help="steps per checkpoint")
    parser.add_argument("--keep", type=int, default=3, help="checkpoints that stay")
    options = parser.parse_args(argv)
    steps = 100 if options.quick else options.steps
    train_data, (x_test, y_test) = load()
    manager_options = ocp.CheckpointManagerOptions(
        max_to_keep=options.keep,
        cleanup_tmp_directories=True,  # what a killed run left of a save
    )
    directory = options.directory.resolve()
    with ocp.CheckpointManager(directory, options=manager_options) as checkpoints:
        state = resume(checkpoints, make_state(steps))
        print(f"starts at step {state.step} of {steps}", flush=True)
        for step in range(int(state.step) + 1, steps + 1):
            state = train_step(state, *train_data)
            if step % options.every == 0 or step == steps:
                # Copies the arrays, and writes them while the training goes on.
                checkpoints.save(step, args=ocp.args.StandardSave(state))
    logits = state.apply_fn({"params": state.params}, x_test)
    print(optaxwd.format_telemetry(optaxwd.read_telemetry(state)))
    print(f"test accuracy {jnp.mean(logits.argmax(-1) == y_test):.4f}")
    print(f"checkpoints: {directory}")


if __name__ == "__main__":
    main()
