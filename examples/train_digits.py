"""Train a Flax NNX network on handwritten digits: coupled L2 beside decoupled decay.

The same network, the same data and the same λ, once inside the gradient and once
outside of it. The script prints which parameters decay and how fast, accuracy over five
seeds with 95 % intervals, and the norms of the weights. What decay does is recorded on
the way: it stands in the progress bar, in figures, and where it is asked for in
TensorBoard; what goes wrong with it is said at the end.

    python examples/train_digits.py [--quick] [--weight-decay 0.1] [--output outputs]
                                    [--tensorboard runs]
"""

import argparse
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from matplotlib.figure import Figure
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import optaxwd
from optaxwd import plots

PEAK_LEARNING_RATE = 3e-3
BATCH = 64
METHODS = {"coupled L2": optaxwd.adam_l2, "decoupled": optaxwd.adamw}


class Network(nnx.Module):
    """A perceptron with one normalised hidden layer."""

    def __init__(self, rngs: nnx.Rngs):
        """Draw the initial weights from ``rngs``."""
        self.hidden = nnx.Linear(64, 128, rngs=rngs)
        self.norm = nnx.LayerNorm(128, rngs=rngs)
        self.head = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return logits ``[batch, 10]`` of ``images`` ``[batch, 64]``."""
        return self.head(nnx.relu(self.norm(self.hidden(images))))


def kernels(params):
    """Choose what decays: matrices, but neither biases nor the norm's scale."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "kernel" in jax.tree_util.keystr(path), params
    )


def load():
    """Return train and test images and labels, pixels scaled to [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        images / 16.0, labels, test_size=0.3, random_state=0, stratify=labels
    )
    x_train, x_test, y_train, y_test = map(jnp.asarray, split)
    return (x_train.astype(jnp.float32), y_train), (x_test.astype(jnp.float32), y_test)


@nnx.jit
def accuracy(model, images, labels):
    """Return the share of images classified right."""
    return jnp.mean(model(images).argmax(-1) == labels)


@nnx.jit
def train_epoch(model, optimizer, images, labels):
    """Update once per batch of ``images`` ``[batches, batch, 64]``."""

    @nnx.scan(in_axes=(nnx.Carry, 0, 0), out_axes=nnx.Carry)
    def over_batches(carry, x, y):
        model, optimizer = carry

        def loss(model):
            losses = optax.softmax_cross_entropy_with_integer_labels(model(x), y)
            return losses.mean()

        optimizer.update(model, nnx.grad(loss)(model))
        return model, optimizer

    over_batches((model, optimizer), images, labels)


def kernel_norm(model):
    """Return the Euclidean norm of all decaying weights together."""
    return float(optax.tree.norm([model.hidden.kernel[...], model.head.kernel[...]]))


def train(method, seed, data, epochs, see):
    """Train once, from the weights and in the order that ``seed`` gives.

    ``see`` gets what is recorded of decay after each epoch.
    """
    (x_train, y_train), (x_test, y_test) = data
    model = Network(nnx.Rngs(seed))
    optimizer = nnx.Optimizer(model, method, wrt=nnx.Param)
    batches = len(y_train) // BATCH
    order = np.random.default_rng(seed)
    accuracies, norms, records = [], [], []
    for _ in range(epochs):
        chosen = order.permutation(len(y_train))[: batches * BATCH].reshape(batches, -1)
        train_epoch(model, optimizer, x_train[chosen], y_train[chosen])
        accuracies.append(float(accuracy(model, x_test, y_test)))
        norms.append(kernel_norm(model))
        records.append(optaxwd.read_telemetry(optimizer))
        see(records[-1])
    final = float(accuracy(model, x_train, y_train))
    return Run(model, optimizer, final, accuracies, norms, records)


class Run(NamedTuple):
    """What one training run leaves behind."""

    model: Network
    optimizer: nnx.Optimizer
    train_accuracy: float
    test_accuracy: list[float]  # after each epoch
    norm: list[float]  # after each epoch
    telemetry: list[dict[str, float]]  # after each epoch


def interval(values):
    """Return the mean and the half-width of its 95 % t-interval."""
    values = np.asarray(values)
    return values.mean(), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def root_second_moments(run):
    """Return the final √v̂ of every parameter, by path."""
    # Recorded L2 has a second state without decay beside the optimizer's own.
    nu = optax.tree.get(run.optimizer.opt_state.inner_state, "nu")
    correction = 1 - 0.999 ** int(run.optimizer.step[...])
    nu = nnx.to_pure_dict(nu)
    roots = [jnp.sqrt(v / correction) for v in jax.tree.leaves(nu)]
    return dict(zip(optaxwd.leaf_paths(nu), roots, strict=True))


def print_decay(run, weight_decay):
    """Print what decays and how fast at the peak learning rate, under either method.

    Decoupled decay removes the share ηλ of every weight per step. L2 inside Adam is
    divided by √v̂ like the rest of the gradient, so its share differs from weight to
    weight: the median is shown, with the final v̂ of ``run``, which was trained with L2.
    """
    params = nnx.to_pure_dict(nnx.state(run.model, nnx.Param))
    rate, strongest = PEAK_LEARNING_RATE * weight_decay, 0.0
    header = f"{'decays':>8}{'decoupled':>12}{'coupled L2':>12}"
    print(f"\n{'parameter':16}{'shape':>11}{header}")
    for (name, roots), leaf, decays in zip(
        root_second_moments(run).items(),
        jax.tree.leaves(params),
        jax.tree.leaves(kernels(params)),
        strict=True,
    ):
        pull = float(jnp.median(1 / (roots + 1e-8)))
        shares = f"{rate:12.1e}{rate * pull:12.1e}" if decays else f"{'-':>12}" * 2
        print(f"{name:16}{leaf.shape!s:>11}{'yes' if decays else 'no':>8}{shares}")
        strongest = max(strongest, pull) if decays else strongest
    print("share of a weight removed per step at the peak learning rate (L2: median)")
    print(
        f"through Adam the same λ pulls up to {strongest:.0f} times harder: that is not"
    )
    print("the same regularisation, so give each method its own λ before you compare")


def print_results(results):
    """Print accuracies and norms with their intervals over the seeds."""
    seeds = len(next(iter(results.values())))
    print(f"\nmean and 95 % interval over {seeds} seeds")
    print(f"{'method':12}{'train accuracy':>20}{'test accuracy':>20}{'norm':>18}")
    for method, runs in results.items():
        row = f"{method:12}"
        for values, digits, width in (
            ([run.train_accuracy for run in runs], 4, 20),
            ([run.test_accuracy[-1] for run in runs], 4, 20),
            ([run.norm[-1] for run in runs], 2, 18),
        ):
            mean, half = interval(values)
            row += f"{mean:.{digits}f} ± {half:.{digits}f}".rjust(width)
        print(row)


def draw(results, weight_decay):
    """Return a figure of accuracy and norms over epochs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    titles = (("test_accuracy", "test accuracy"), ("norm", "norm of the kernels"))
    for axis, (quantity, label) in zip(axes, titles, strict=True):
        for style, (method, runs) in zip(("-", "--"), results.items(), strict=True):
            curves = np.array([getattr(run, quantity) for run in runs])
            mean, half = np.array([interval(column) for column in curves.T]).T
            at = np.arange(1, curves.shape[1] + 1)
            (line,) = axis.plot(at, mean, style, label=method)
            axis.fill_between(
                at, mean - half, mean + half, color=line.get_color(), alpha=0.2
            )
        axis.set(xlabel="epoch", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right")
    figure.suptitle(f"digits, λ = {weight_decay}, mean and 95 % interval over seeds")
    return figure


def figures(results, weight_decay):
    """Return the figures by name: the comparison, and what decay did in two runs."""
    roots = root_second_moments(results["coupled L2"][0])
    return {
        "train_digits": draw(results, weight_decay),
        "train_digits_telemetry": plots.plot_telemetry(
            results["decoupled"][0].telemetry
        ),
        "train_digits_effective_decay": plots.plot_effective_decay(
            {name: root for name, root in roots.items() if "kernel" in name},
            learning_rate=PEAK_LEARNING_RATE,
            weight_decay=weight_decay,
        ),
    }


def write_tensorboard(results, directory):
    """Write what was recorded of the first seed of each method."""
    for name, runs in results.items():
        with optaxwd.TensorBoardWriter(directory / name.replace(" ", "-")) as writer:
            for telemetry in runs[0].telemetry:
                writer.write_scalars(int(telemetry["step"]), telemetry)


def main(argv=None):
    """Run the comparison."""
    parser = argparse.ArgumentParser(description="Coupled L2 beside decoupled decay.")
    parser.add_argument("--quick", action="store_true", help="two seeds, five epochs")
    parser.add_argument("--weight-decay", type=float, default=0.1, help="λ of both")
    parser.add_argument("--output", type=pathlib.Path, default="outputs")
    parser.add_argument("--tensorboard", type=pathlib.Path, help="where to, if at all")
    options = parser.parse_args(argv)
    seeds, epochs = (2, 5) if options.quick else (5, 40)
    data = load()
    batches = len(data[0][1]) // BATCH
    steps = epochs * batches
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, PEAK_LEARNING_RATE, steps // 10, steps
    )
    results, messages = {}, []
    with tqdm(total=len(METHODS) * seeds * epochs, unit="epoch") as bar:
        for name, factory in METHODS.items():
            bar.set_description(name)
            method = optaxwd.record_decay(
                factory(
                    schedule,
                    weight_decay=options.weight_decay,
                    mask=kernels,
                    max_grad_norm=1.0,
                ),
                every=batches,
                equilibrium="adamw" if name == "decoupled" else None,
            )
            monitor = optaxwd.DecayMonitor(emit=False)

            def see(telemetry, monitor=monitor):
                bar.set_postfix_str(optaxwd.format_telemetry(telemetry))
                bar.update()
                monitor.check(telemetry)

            results[name] = [
                train(method, seed, data, epochs, see) for seed in range(seeds)
            ]
            messages += [f"{name}: {message}" for message in monitor.messages]
    print_decay(results["coupled L2"][0], options.weight_decay)
    print_results(results)
    for message in messages:
        print(f"\nwarning: {message}")
    print()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(results, options.weight_decay).items():
        path = options.output / f"{name}.png"
        figure.savefig(path, dpi=150)
        print(f"figure: {path.resolve()}")
    if options.tensorboard:
        write_tensorboard(results, options.tensorboard)
        print(f"see: tensorboard --logdir {options.tensorboard.resolve()}")


if __name__ == "__main__":
    main()
