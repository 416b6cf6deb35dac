"""Start weight decay late, and make up for it: is that the same?

A network on handwritten digits, three times from the same weights and in the same
order: decay throughout, decay from a later step on, and a late decay whose λ is raised
until a weight that no gradient moves shrinks as much as with decay throughout. The
script prints the arithmetic, then norm, loss and accuracy with paired 95 % intervals
over the seeds, and writes a figure.

    python examples/delay_decay.py [--quick] [--start 0.5] [--output outputs]
"""

import argparse
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import optaxwd

PEAK, WEIGHT_DECAY, BATCH, HIDDEN = 3e-3, 0.5, 64, 64
KERNELS = optaxwd.rules.matrices_only()


def load():
    """Return 400 training images, the rest to test on, and their labels."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        images.astype(np.float32) / 16, labels, train_size=400, random_state=0
    )
    x_train, x_test, y_train, y_test = map(jnp.asarray, split)
    return (x_train, y_train), (x_test, y_test)


def init(key):
    """Return the weights of a perceptron with two hidden layers."""
    sizes = (64, HIDDEN, HIDDEN, 10)
    keys = jax.random.split(key, 3)
    return [
        {"kernel": jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, "bias": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes, sizes[1:], strict=False)
    ]


def losses(params: Any, images, labels):
    """Return the negative log-likelihood of each image, and whether it is right."""
    *hidden, last = params
    for layer in hidden:
        images = jax.nn.relu(images @ layer["kernel"] + layer["bias"])
    logits = images @ last["kernel"] + last["bias"]
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return loss, logits.argmax(-1) == labels


def train(key, data, learning_rate, weight_decay, steps):
    """Train once; return test loss, test accuracy and the norm after each step."""
    (x_train, y_train), test = data
    tx = optaxwd.adamw(learning_rate, weight_decay=weight_decay, mask=KERNELS)
    first, rest = jax.random.split(key)
    params = init(first)

    def step(carry, key):
        params, state = carry
        chosen = jax.random.choice(key, len(y_train), (BATCH,), replace=False)
        grads = jax.grad(
            lambda p: losses(p, x_train[chosen], y_train[chosen])[0].mean()
        )(params)
        updates, state = tx.update(grads, state, params)
        params: Any = optax.apply_updates(params, updates)
        return (params, state), optax.tree.norm([layer["kernel"] for layer in params])

    keys = jax.random.split(rest, steps)
    (params, _), norms = jax.lax.scan(step, (params, tx.init(params)), keys)
    loss, right = losses(params, *test)
    return {"loss": loss.mean(), "accuracy": right.mean(), "norm": norms}


def plan(learning_rate, steps, start):
    """Return the three schedules of λ, and print their arithmetic."""
    options = {"learning_rate": learning_rate, "steps": steps}
    schedules = {
        "throughout": WEIGHT_DECAY,
        "late": optaxwd.delayed_schedule(WEIGHT_DECAY, start),
        "late, made up": optaxwd.warmup_compensated_schedule(
            WEIGHT_DECAY, start=start, **options
        ),
    }
    print(f"{'decay':16}{'λ at the end':>14}{'left of a weight without gradient':>36}")
    for name, weight_decay in schedules.items():
        last: Any = weight_decay(steps) if callable(weight_decay) else weight_decay
        total = optaxwd.cumulative_decay(weight_decay=weight_decay, **options)
        print(f"{name:16}{float(last):14.4f}{math.exp(total):36.4f}")
    return schedules


def interval(values):
    """Return the mean and the half-width of its 95 % t-interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):.4f} ± {half:.4f}"


def print_results(results):
    """Print every arm, and its paired difference to decay throughout."""
    seeds = len(results["throughout"]["loss"])
    print(f"\nmean and 95 % interval over {seeds} seeds; below, paired differences")
    columns = {
        name: {
            "norm": np.asarray(found["norm"][:, -1]),
            "test loss": np.asarray(found["loss"]),
            "accuracy": np.asarray(found["accuracy"]),
        }
        for name, found in results.items()
    }
    base = columns["throughout"]
    print(f"{'decay':28}" + "".join(f"{column:>20}" for column in base))
    for name, row in columns.items():
        print(f"{name:28}" + "".join(f"{interval(x):>20}" for x in row.values()))
    for name in list(columns)[1:]:
        paired = [columns[name][key] - base[key] for key in base]
        label = f"{name} − throughout"
        print(f"{label:28}" + "".join(f"{interval(x):>20}" for x in paired))


def draw(results, start, path):
    """Draw the norms over training and write the figure to ``path``."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for style, (name, found) in zip(("-", ":", "--"), results.items(), strict=True):
        norms = np.asarray(found["norm"])
        at = np.arange(1, norms.shape[1] + 1)
        axes.plot(at, norms.mean(0), style, label=name, linewidth=2)
    axes.axvline(start, color="0.6", linewidth=1)
    axes.set(
        xlabel="step", ylabel="norm of the kernels", title="decay that starts late"
    )
    axes.legend()
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main(argv=None):
    """Run the comparison."""
    parser = argparse.ArgumentParser(description="Decay that starts late.")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 200 steps")
    parser.add_argument(
        "--start", type=float, default=0.5, help="share of the run without decay"
    )
    parser.add_argument("--output", type=pathlib.Path, default="outputs")
    options = parser.parse_args(argv)
    seeds, steps = (3, 200) if options.quick else (20, 2000)
    start = round(options.start * steps)
    learning_rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, steps // 10, steps)
    data = load()
    keys = jax.random.split(jax.random.key(0), seeds)
    results = {}
    for name, weight_decay in plan(learning_rate, steps, start).items():
        run = jax.jit(
            lambda key, decay=weight_decay: train(
                key, data, learning_rate, decay, steps
            )
        )
        found = [run(key) for key in keys]
        results[name] = jax.tree.map(lambda *x: np.stack(x), *found)
    print_results(results)
    path = options.output / "delay_decay.png"
    draw(results, start, path)
    print(f"\nfigure: {path.resolve()}")


if __name__ == "__main__":
    main()
