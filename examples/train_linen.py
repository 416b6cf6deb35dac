"""Train a Flax Linen network on handwritten digits in the classic TrainState loop.

Decay is independent of the height of the learning rate: it follows the shape of the
schedule only, so that the peak can be tuned without touching λ. What decay does is
recorded, shown in the progress bar and kept as a file of JSON lines and a figure.

    python examples/train_linen.py [--quick] [--output outputs] [--tensorboard runs]
"""

import argparse
import contextlib
import pathlib

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import optaxwd
from optaxwd import plots

BATCH = 64
PEAK_LEARNING_RATE = 3e-3
RULES = optaxwd.rules.standard()  # no biases, no scales and offsets of norms


class Network(nn.Module):
    """A perceptron with one normalised hidden layer."""

    @nn.compact
    def __call__(self, images):
        """Return logits ``[batch, 10]`` of ``images`` ``[batch, 64]``."""
        hidden = nn.relu(nn.LayerNorm()(nn.Dense(128)(images)))
        return nn.Dense(10)(hidden)


def make_optimizer(steps):
    """Return clipping and AdamW with independent decay, recorded every ten steps."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, PEAK_LEARNING_RATE, steps // 10, steps
    )
    optimizer = optaxwd.adamw(
        schedule,
        weight_decay=3e-4,
        coupling="independent",
        peak_learning_rate=PEAK_LEARNING_RATE,
        mask=RULES,
        max_grad_norm=1.0,
    )
    return optaxwd.record_decay(optimizer, every=10, equilibrium="adamw")


@jax.jit
def train_step(state, images, labels):
    """Return the state after one update, and the loss before it."""

    def loss(params):
        logits = state.apply_fn({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value


def train(state, data, epochs, writers):
    """Return the trained state; ``writers`` get what is recorded after each epoch."""
    images, labels = data
    batches = len(images) // BATCH
    monitor = optaxwd.DecayMonitor(RULES)
    with tqdm(range(epochs), unit="epoch") as bar:
        for epoch in bar:
            order = jax.random.permutation(jax.random.key(epoch), len(images))
            losses = []
            for batch in order[: batches * BATCH].reshape(batches, BATCH):
                state, loss = train_step(state, images[batch], labels[batch])
                losses.append(loss)
            loss = jnp.mean(jnp.stack(losses))
            telemetry = optaxwd.read_telemetry(state)
            bar.set_postfix_str(
                f"loss {loss:.4f} · {optaxwd.format_telemetry(telemetry)}"
            )
            monitor.check(telemetry, state.params)
            for writer in writers:
                writer.write_scalars(int(state.step), {**telemetry, "loss": loss})
    return state


def main(argv=None):
    """Train once and print accuracy, the norm of the kernels and where files are."""
    parser = argparse.ArgumentParser(description="AdamW in a TrainState.")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    parser.add_argument("--output", type=pathlib.Path, default="outputs")
    parser.add_argument("--tensorboard", type=pathlib.Path, help="where to, if at all")
    options = parser.parse_args(argv)
    epochs = 2 if options.quick else 30
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = map(
        jnp.asarray,
        train_test_split(
            images.astype("float32") / 16, labels, test_size=0.3, random_state=0
        ),
    )
    model = Network()
    state = TrainState.create(
        apply_fn=model.apply,
        params=model.init(jax.random.key(0), x_train[:1])["params"],
        tx=make_optimizer(epochs * (len(x_train) // BATCH)),
    )
    lines = options.output / "train_linen.jsonl"
    lines.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        writers: list = [stack.enter_context(optaxwd.JSONLinesWriter(lines))]
        if options.tensorboard:
            writer = optaxwd.TensorBoardWriter(options.tensorboard)
            writers.append(stack.enter_context(writer))
        state = train(state, (x_train, y_train), epochs, writers)
    logits = state.apply_fn({"params": state.params}, x_test)
    accuracy = jnp.mean(logits.argmax(-1) == y_test)
    kernels = [state.params[name]["kernel"] for name in ("Dense_0", "Dense_1")]
    print(f"test accuracy {accuracy:.4f}")
    print(f"norm of the kernels {optax.tree.norm(kernels):.2f}")
    path = options.output / "train_linen_telemetry.png"
    plots.plot_telemetry(optaxwd.read_json_lines(lines)).savefig(path, dpi=150)
    print(f"record: {lines.resolve()}\nfigure: {path.resolve()}")


if __name__ == "__main__":
    main()
