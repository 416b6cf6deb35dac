"""Train a Flax Linen network on handwritten digits in the classic TrainState loop.

Decay is independent of the height of the learning rate: it follows the shape of the
schedule only, so that the peak can be tuned without touching λ.

    python examples/train_linen.py [--quick]
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import optaxwd

BATCH = 64
PEAK_LEARNING_RATE = 3e-3


class Network(nn.Module):
    """A perceptron with one normalised hidden layer."""

    @nn.compact
    def __call__(self, images):
        """Return logits ``[batch, 10]`` of ``images`` ``[batch, 64]``."""
        hidden = nn.relu(nn.LayerNorm()(nn.Dense(128)(images)))
        return nn.Dense(10)(hidden)


def make_optimizer(steps):
    """Return clipping and AdamW, kernels only, with independent decay."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, PEAK_LEARNING_RATE, steps // 10, steps
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optaxwd.adamw(
            schedule,
            weight_decay=3e-4,
            coupling="independent",
            peak_learning_rate=PEAK_LEARNING_RATE,
            mask={
                "Dense_0": {"kernel": True, "bias": False},
                "LayerNorm_0": False,
                "Dense_1": {"kernel": True, "bias": False},
            },
        ),
    )


@jax.jit
def train_step(state, images, labels):
    """Return the state after one update, and the loss before it."""

    def loss(params):
        logits = state.apply_fn({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value


def main(argv=None):
    """Train once and print loss, accuracy and the norm of the kernels."""
    parser = argparse.ArgumentParser(description="AdamW in a TrainState.")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    epochs = 2 if parser.parse_args(argv).quick else 30
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = map(
        jnp.asarray,
        train_test_split(
            images.astype("float32") / 16, labels, test_size=0.3, random_state=0
        ),
    )
    batches = len(x_train) // BATCH
    model = Network()
    state = TrainState.create(
        apply_fn=model.apply,
        params=model.init(jax.random.key(0), x_train[:1])["params"],
        tx=make_optimizer(epochs * batches),
    )
    with tqdm(range(epochs), unit="epoch") as bar:
        for epoch in bar:
            order = jax.random.permutation(jax.random.key(epoch), len(x_train))
            for batch in order[: batches * BATCH].reshape(batches, BATCH):
                state, loss = train_step(state, x_train[batch], y_train[batch])
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    logits = state.apply_fn({"params": state.params}, x_test)
    accuracy = jnp.mean(logits.argmax(-1) == y_test)
    kernels = [state.params[name]["kernel"] for name in ("Dense_0", "Dense_1")]
    print(f"test accuracy {accuracy:.4f}")
    print(f"norm of the kernels {optax.tree.norm(kernels):.2f}")


if __name__ == "__main__":
    main()
