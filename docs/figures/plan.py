"""The plan of a run, as in the guide to planning."""

import optax

import optaxwd


def draw():
    """Draw the picture."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 2_000, 100_000)
    figure = optaxwd.plots.plot_plan(optaxwd.describe(schedule, 0.1, 100_000))
    figure.set_size_inches(7, 5)
    return figure
