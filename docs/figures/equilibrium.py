"""Norm and rotation settle where decay and random updates balance."""

import jax
import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, panels, run

AT = {"learning_rate": 0.01, "weight_decay": 0.05}
STEPS = 8_000
SIZES = np.geomspace(1e-2, 10, 7)


def _rms(start: float) -> np.ndarray:
    params = start * jax.random.normal(jax.random.key(1), (500,))

    def gradient(params, key):
        return jax.random.normal(key, params.shape)

    def measure(params):
        return jnp.sqrt(jnp.mean(params**2))

    return run(optaxwd.adamw(**AT), params, gradient, STEPS, measure)


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    every = 40
    steps = np.arange(0, STEPS + 1, every)
    for index, start in enumerate((1.0, 0.316, 0.02)):
        line(left, steps, _rms(start)[::every], index, f"from {start:g}")
        foreseen = optaxwd.predicted_rms("adamw", steps=STEPS, initial_rms=start, **AT)
        label = "predicted_rms" if index == 2 else None
        left.plot(steps, foreseen[::every], color="black", linewidth=0.9, label=label)
    settled = optaxwd.equilibrium_rms("adamw", **AT)
    left.annotate(
        "√(η/2λ)",
        (STEPS, settled),
        xytext=(-2, -14),
        textcoords="offset points",
        ha="right",
    )
    left.set_title("AdamW: one size, wherever it starts")
    left.set_xlabel("step")
    left.set_ylabel("RMS of the weights")
    left.set_ylim(0, 1.05)
    left.legend(loc="upper right")
    for index, name in ((1, "adam_l2"), (0, "adamw")):
        turns = [
            optaxwd.equilibrium_rotation(
                name, **AT, gradient_rms=size if name == "adam_l2" else None
            )
            for size in SIZES
        ]
        label = {"adam_l2": "Adam + L2", "adamw": "AdamW"}[name]
        line(right, SIZES, turns, index, label)
    right.set_title("How far layers turn per step")
    right.set_xlabel("size of a layer's gradients (RMS)")
    right.set_ylabel("radians")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_ylim(1e-3, 0.2)
    right.legend()
    return figure
