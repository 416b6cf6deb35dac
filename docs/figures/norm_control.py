"""Norm and rotation under decay, under none, and where the norm is set."""

import jax
import numpy as np

import optaxwd
from docs.figures._common import line, panels, run

STEPS, EVERY = 3_000, 50
SHAPE = (32, 16)


def _optimizers():
    turn = optaxwd.equilibrium_rotation("adamw", learning_rate=1e-2, weight_decay=0.1)
    bound = {"kappa_init_method": "dependent", "kappa_init_param": 1.5}
    return {
        "no decay": optaxwd.adamw(1e-2, weight_decay=0.0),
        "adamw": optaxwd.adamw(1e-2, weight_decay=0.1),
        "adamwn": optaxwd.adamwn(1e-2, weight_decay=0.5, ratio=1.0),
        "adamcpr": optaxwd.adamcpr(1e-2, **bound),
        "adamh": optaxwd.adamh(turn),
    }


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    start = 0.1 * jax.random.normal(jax.random.key(1), SHAPE)

    def gradient(params, key):
        return jax.random.normal(key, params.shape)

    steps = np.arange(0, STEPS, EVERY)
    for index, (name, optimizer) in enumerate(_optimizers().items()):
        way = run(optimizer, start, gradient, STEPS).reshape(STEPS + 1, -1)
        norms = np.linalg.norm(way, axis=1)
        cosine = (way[1:] * way[:-1]).sum(1) / (norms[1:] * norms[:-1])
        angles = np.arccos(np.clip(cosine, -1, 1)).reshape(-1, EVERY).mean(1)
        line(left, steps, norms[:-1:EVERY] / norms[0], index, name)
        line(right, steps, angles, index)
    left.set_title("Norm, over that at the start")
    left.set_xlabel("step")
    left.set_ylim(0, None)
    left.legend(loc="upper left", ncols=2, labelspacing=0.25, columnspacing=1)
    right.set_title("Rotation per step, radians")
    right.set_xlabel("step")
    right.set_ylim(0, 0.03)
    return figure
