"""What penalties pull with, and how a weight without gradient goes."""

import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, no_gradient, panels, run

PENALTIES = {
    "l2": "l2",
    "l1": "l1",
    "huber(0.5)": optaxwd.huber(0.5),
    "elastic_net(0.5)": optaxwd.elastic_net(0.5),
    "p_norm(1.5)": optaxwd.p_norm(1.5),
}


def _pull(penalty, theta):
    """Return what one step of decay takes, over η·λ."""
    tx = optaxwd.sgdw(1.0, weight_decay=1e-3, penalty=penalty)
    updates, _ = tx.update(jnp.zeros_like(theta), tx.init(theta), theta)
    return -updates / 1e-3


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    theta = jnp.linspace(-2, 2, 400)
    steps = np.arange(401)
    for index, (name, penalty) in enumerate(PENALTIES.items()):
        line(left, theta, _pull(penalty, theta), index, name)
        tx = optaxwd.sgdw(0.1, weight_decay=0.1, penalty=penalty, form="proximal")
        line(right, steps, run(tx, jnp.array(2.0), no_gradient, 400), index)
    left.set_title("Pull")
    left.set_xlabel("θ")
    left.legend(loc="upper left", labelspacing=0.25)
    left.set_ylim(-2.1, 3.4)
    left.set_yticks([-2, -1, 0, 1, 2])
    right.set_title("A weight without gradient")
    right.set_xlabel("step")
    right.set_ylabel("θ")
    return figure
