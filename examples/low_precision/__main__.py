"""Weight decay in bfloat16: alone, and in networks that are trained.

    python -m examples.low_precision [--quick] [--output outputs]

First weights whose gradient is zero: which ways to round let a decay of 1e-4 per step
through. Then a perceptron on handwritten digits, with large and with small steps, and a
transformer on the characters of Python's standard library: with parameters in bfloat16,
or moments in int8, beside float32 parameters, the same seeds for all. λ and learning
rate were chosen in float32 and are the same everywhere. Prints tables, writes a figure
and a record of all numbers and says where.
"""

import argparse
import importlib.metadata
import json
import pathlib
import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from examples.low_precision import _report
from examples.low_precision._decay_alone import decay_alone
from examples.low_precision._digits import digits
from examples.low_precision._figure import draw
from examples.low_precision._language import fingerprint, language
from examples.low_precision._train import Task, Trained, train
from examples.low_precision._variants import DECAY_ALONE, FEW, TRAINED, Variant

PACKAGES = ("optaxwd", "jax", "jaxlib", "optax", "numpy", "scipy", "scikit-learn")
ALONE_STEPS = 10_000
LEGEND = """\
bytes: of parameters and state, per parameter. minus float32: seed by seed.
norm: of all decaying weights at the end. Decay that is lost makes it longer, steps of
the gradient that are lost may make it shorter.
steps to its loss: when float32's final validation loss was reached, the median of the
seeds that reached it; where nothing differs, half of them do.
optax.adamw keeps its moments in bfloat16 too; all others in float32, if not named."""


def main(argv=None):
    """Run everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three seeds, few steps")
    parser.add_argument("--output", type=pathlib.Path, default="outputs")
    options = parser.parse_args(argv)
    start = time.monotonic()
    seeds, checks = (3, 2) if options.quick else (10, 10)
    tasks = choose_tasks(options.quick)
    total = len(DECAY_ALONE) + checks * sum(len(x.variants) for x in tasks.values())
    alone, found = {}, {}
    with tqdm(total=total) as bar:
        for name, variant in DECAY_ALONE.items():
            bar.set_description(f"decay alone, {name}")
            alone[name] = decay_alone(variant, ALONE_STEPS)
            bar.update()
        for title, (task, variants) in tasks.items():
            found[title] = {}
            for name, variant in variants.items():
                bar.set_description(f"{title}, {name}")
                found[title][name] = train(variant, task, seeds, checks, bar.update)
    print_all(alone, found, tasks, seeds)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "low_precision.png"
    draw(alone, ALONE_STEPS, found).savefig(path, dpi=150)
    print(f"\nfigure: {path.resolve()}")
    path = path.with_suffix(".json")
    seconds = round(time.monotonic() - start, 1)
    path.write_text(json.dumps(record(alone, found, tasks, seconds), allow_nan=False))
    print(f"record: {path.resolve()}")


class Experiment(NamedTuple):
    """What to train, and how."""

    task: Task
    variants: dict[str, Variant]


def choose_tasks(quick: bool) -> dict[str, Experiment]:
    """Return what to train, by title; quick leaves out what takes long to compile."""
    small = "digits, η = 1e-3"
    if quick:
        return {
            small: Experiment(digits(300, peak_learning_rate=1e-3), TRAINED),
            "language, η = 5e-3": Experiment(language(10), FEW),
        }
    return {
        "digits, η = 1e-2": Experiment(digits(3000, peak_learning_rate=1e-2), TRAINED),
        small: Experiment(digits(3000, peak_learning_rate=1e-3), TRAINED),
        "language, η = 5e-3": Experiment(language(400), TRAINED),
    }


def print_all(alone, found, tasks, seeds):
    """Print all tables."""
    print(f"\n{ALONE_STEPS} steps of decay without gradient, from 1 in bfloat16")
    print(_report.decay_table(alone, ALONE_STEPS))
    for title, trained in found.items():
        task = tasks[title].task
        print(
            f"\n{title}, λ = {task.weight_decay:g}, {task.steps} steps: mean and 95 % "
            f"interval over {seeds} seeds"
        )
        print(_report.trained_table(trained))
        print(_report.conclusion(trained))
    print(f"\n{LEGEND}")


def record(alone, found, tasks, seconds):
    """Return all numbers, to be kept as JSON."""

    def lists(trained: Trained):
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in trained._asdict().items()
        }

    settings = ("peak_learning_rate", "weight_decay", "steps")
    return {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "text": fingerprint(),
        "seconds": seconds,
        "settings": {
            title: {name: getattr(task, name) for name in settings}
            for title, (task, _) in tasks.items()
        },
        "decay_alone": alone,
        "trained": {
            title: {name: lists(one) for name, one in trained.items()}
            for title, trained in found.items()
        },
    }


if __name__ == "__main__":
    main()
