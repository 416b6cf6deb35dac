"""C2: how fast weights really shrink, against the size of their gradients.

(i) Independent weights whose gradients have an RMS from 1e-3 to 10: the same noise with
λ and without, and the difference over ηT. (ii) A perceptron on handwritten digits: the
first moment of Adam + L2 split exactly into the part of the task and that of the decay.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _digits, _pull
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._precision import float64
from examples.claims._statistics import Interval, slope_over_seeds

ETA, LAMBDA = 1e-4, 0.01
SCALES = np.geomspace(1e-3, 10.0, 17)
# Below, the penalty's own gradient λθ is no longer small beside the task's.
SATURATED = 30 * LAMBDA
SMALLEST = 3  # scales, between which the slope there is taken
METHODS = {
    "Adam + L2": (optaxwd.adam_l2, {}),
    "RMSprop + L2": (optaxwd.rmsprop_l2, {"decay": _pull.B2, "bias_correction": True}),
    "AdamW": (optaxwd.adamw, {}),
}
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 300, "quick": 2000, "full": 5000}
WEIGHTS = 64  # per scale
LAYERS = (64, 64, 32, 10)


def effective_decay(factory, options, steps, key):
    """Return the decay per step and unit of η of weights of every scale, from 1."""
    scales = jnp.asarray(SCALES)[:, None]
    first, rest = jax.random.split(key)
    theta = jnp.sign(jax.random.normal(first, (len(SCALES), WEIGHTS)))

    def train(weight_decay) -> Any:
        tx = factory(ETA, weight_decay=weight_decay, **options)

        def step(carry, key):
            params, state = carry
            grads = scales * jax.random.normal(key, theta.shape)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        carry = (theta, tx.init(theta))
        return jax.lax.scan(step, carry, jax.random.split(rest, steps))[0][0]

    # The same noise twice, so that it cancels, and decay is what is left.
    shrunk = (train(0.0) - train(LAMBDA)) * theta
    return shrunk.mean(1) / (ETA * steps)


def pull_on_digits(data, steps, key):
    """Return pull, √v̂ and θ of every entry of the kernels of a perceptron."""
    first, rest = jax.random.split(key)
    found = _pull.measure(
        lambda params, key: _digits.loss(params, _digits.batch(key, data, 64)),
        _digits.init(first, LAYERS),
        rest,
        steps=steps,
        learning_rate=1e-3,
        weight_decay=1e-3,
    )
    return tuple(
        jnp.concatenate([layer["kernel"].ravel() for layer in tree]) for tree in found
    )


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure both parts."""
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    steps = STEPS[size]
    decays = {}
    with float64():
        for name, (factory, options) in METHODS.items():
            progress(name)
            measure = jax.jit(
                jax.vmap(
                    lambda key, f=factory, o=options: effective_decay(f, o, steps, key)
                )
            )
            decays[name] = np.asarray(measure(keys)).tolist()
    progress("digits")
    data, _, _ = _digits.load(train_size=800)
    split = jax.jit(jax.vmap(lambda key: pull_on_digits(data, steps, key)))
    pull, root, theta = map(np.asarray, split(keys[:3]))
    # Where θ passes through 0 its share is not defined; pixels that are never lit have
    # no gradient of the task.
    kept = (np.abs(theta) > 1e-3) & (root > 1e-6)
    return {
        "steps": steps,
        "seeds": len(keys),
        "scales": SCALES.tolist(),
        "decay": decays,
        "digits": {
            "pull": pull[kept][::7].astype(float).tolist(),
            "root": root[kept][::7].astype(float).tolist(),
        },
    }


def slopes(numbers: dict[str, Any], at: Any) -> dict[str, Interval]:
    """Return the slope of log decay on log RMS of some scales, over the seeds."""
    scales = np.asarray(numbers["scales"])
    return {
        name: slope_over_seeds(scales[at], np.asarray(decay)[:, at].T)
        for name, decay in numbers["decay"].items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the slopes: below 0 under L2, about 0 for AdamW, and where that stops."""
    found = slopes(numbers, np.asarray(numbers["scales"]) >= SATURATED)
    wide = {name: one.among(len(found)) for name, one in found.items()}
    below = slopes(numbers, slice(SMALLEST))
    coupled = ("Adam + L2", "RMSprop + L2")
    parts = {f"falls under {name}": wide[name].high < 0 for name in coupled}
    flat = max(abs(wide["AdamW"].low), abs(wide["AdamW"].high))
    parts["decoupled decay does not care"] = flat < 0.05
    # Half of the slope above, or it has bent.
    parts["down to the smallest gradients"] = all(
        below[name].high < min(found[name].mean / 2, 0) for name in coupled
    )
    estimate = (
        "Slope of log decay on the log of the gradient's RMS above "
        f"{SATURATED:g} (30 λθ), {_listed(found)}; between the {SMALLEST} smallest, "
        f"{_listed({name: below[name] for name in coupled})}."
    )
    pull = float(np.median(np.abs(numbers["digits"]["pull"])))
    return Verdict(parts, estimate, _finding(parts, pull), _advice(parts, pull))


def _listed(found: dict[str, Interval]) -> str:
    return ", ".join(f"{name}: {one}" for name, one in found.items())


def _finding(parts: dict[str, bool], pull: float) -> str:
    falls = parts["falls under Adam + L2"] and parts["falls under RMSprop + L2"]
    free = parts["down to the smallest gradients"]
    return said(
        (falls, "The larger its gradients, the less L2 inside the optimizer decays."),
        (not falls, "Larger gradients do not always mean less decay under L2."),
        (
            falls and not free,
            "That ends where they are small: the penalty's own gradient fills v̂, and "
            "the decay saturates.",
        ),
        (
            True,
            f"On digits Adam + L2 pulls the median weight {pull:.4g} times as hard as "
            "AdamW at the same λ.",
        ),
    )


def _advice(parts: dict[str, bool], pull: float) -> str:
    return said(
        (
            parts["falls under Adam + L2"],
            "λ inside an adaptive optimizer is divided by √v̂: the same λ is another "
            "decay wherever gradients have another size.",
        ),
        (
            parts["decoupled decay does not care"],
            "Decoupled decay is what λ says, whatever the gradients.",
        ),
        (
            not 0.5 < pull < 2,
            "Compare optimizers at the decay that weights get, not at the same λ.",
        ),
        (True, "Measure that decay before you carry λ from one optimizer to another."),
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw decay against √v̂ in both parts."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    markers = ("o", "s", "^")
    for marker, (name, decay) in zip(markers, numbers["decay"].items(), strict=True):
        mean = np.asarray(decay).mean(0) / LAMBDA
        left.loglog(numbers["scales"], mean, marker, label=name, fillstyle="none")
    lines = np.asarray(numbers["scales"])
    left.loglog(lines, 1 / lines, "k-", linewidth=0.8, label="1 over the RMS")
    left.axhline(1, color="black", linestyle=":", linewidth=0.8)
    left.axvline(SATURATED, color="0.6", linewidth=0.8)
    left.set(
        xlabel="RMS of the task's gradient",
        ylabel="decay per step over ηλ",
        title="independent weights",
    )
    left.legend(fontsize="small")
    right.loglog(
        numbers["digits"]["root"], np.abs(numbers["digits"]["pull"]), ",", color="black"
    )
    right.axhline(1, color="tab:orange", linestyle=":", label="AdamW")
    right.set(
        xlabel="√v̂ of the weight",
        ylabel="pull of decay over ηλθ",
        title="Adam + L2 on handwritten digits",
    )
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C2",
    title="Effective shrinkage",
    sentence="Under Adam + L2 and RMSprop + L2 the effective decay of a weight falls "
    "as √v̂ rises; decoupled decay does not care.",
    comparisons=5,
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "scales": SCALES.tolist(),
        "weights": WEIGHTS,
        "layers": LAYERS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
