"""C7: do networks trained with AdamW lose less to quantisation than with Adam + L2?

A perceptron on handwritten digits. After training every kernel is rounded to the
nearest point of an even grid of 8, 6, 4 or 3 bits, symmetric about zero, which its
largest weight sets. What is lost is the rise of the test loss. Both methods see the
same batches; compared at the same λ, each at its own best and at matched float loss.
"""

import functools
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _digits, _protocols, _records
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._protocols import BUDGETS, Arm
from examples.claims._statistics import Interval, interval, paired, signs

PEAK, BATCH, TRAIN, LAYERS = 3e-3, 64, 400, (64, 32, 32, 10)
BITS = (8, 6, 4, 3)
SHOWN = 2  # Which bit width's distance to the grid is reported and drawn.
LAMBDAS = tuple(float(x) for x in np.geomspace(10**-4.5, 10.0, 12))
METHODS = {"AdamW": optaxwd.adamw, "Adam + L2": optaxwd.adam_l2}
SEEDS = {"smoke": 2, "quick": 12, "full": 40}
STEPS = {"smoke": 60, "quick": 1500, "full": 3000}
KERNELS = optaxwd.rules.matrices_only()
HEAVY = 4.0  # Times the lowest validation loss that both reach.
TINY = 1e-30  # A kernel that has decayed to zero still has a step.


def quantise(kernel, levels):
    """Return the nearest points of the grid, and the distances to them in steps."""
    step = jnp.maximum(jnp.abs(kernel).max(), TINY) / levels
    nearest = jnp.round(kernel / step)
    return nearest * step, jnp.abs(kernel / step - nearest)


def measure_quantised(params, data, levels):
    """Return the measures of a network after quantisation."""
    grid = [quantise(layer["kernel"], levels) for layer in params]
    params = [
        {**layer, "kernel": points}
        for layer, (points, _) in zip(params, grid, strict=True)
    ]
    return {
        "quantised_valid": _digits.loss(params, data[1]),
        "quantised_test": _digits.loss(params, data[2]),
        "distance": jnp.concatenate([x.ravel() for _, x in grid]).mean(),
    }


def measure(params, data):
    """Return all measures of a network; those after quantisation are ``[bits]``."""
    _, valid, test = data
    levels = jnp.array([2.0 ** (bits - 1) - 1 for bits in BITS])
    wrong = _digits.logits(params, test.images).argmax(-1) != test.labels
    return {
        "valid": _digits.loss(params, valid),
        "test": _digits.loss(params, test),
        "errors": wrong.sum(),
        **jax.vmap(lambda x: measure_quantised(params, data, x))(levels),
    }


def train(factory, weight_decay, params, key, steps, data):
    """Train once and return all measures."""
    learning_rate = optax.cosine_decay_schedule(PEAK, steps)
    tx = factory(learning_rate, weight_decay=weight_decay, mask=KERNELS)

    def step(carry, key):
        params, state = carry
        drawn = _digits.batch(key, data[0], BATCH)
        grads = jax.grad(_digits.loss)(params, drawn)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(key, steps)
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys)
    return measure(params, data)


@functools.partial(jax.jit, static_argnums=(0, 1))
def over_grid(factory, steps, decays, params, keys, data):
    """Train over λ and seeds; measures are ``[λ, seed]`` or ``[bits, λ, seed]``."""

    def one(decay, params, key):
        return train(factory, decay, params, key, steps, data)

    seeds = jax.vmap(one, (None, 0, 0))
    found = jax.vmap(seeds, (0, None, None))(decays, params, keys)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0) if x.ndim == 3 else x, found)


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train both methods over λ and quantise every network."""
    first, rest = jax.random.split(jax.random.key(0))
    keys = jax.random.split(rest, SEEDS[size])
    params = jax.vmap(lambda key: _digits.init(key, LAYERS))(
        jax.random.split(first, SEEDS[size])
    )
    data, steps, decays = _digits.load(TRAIN), STEPS[size], jnp.array(LAMBDAS)
    arms = {}
    for name, factory in METHODS.items():
        progress(name)
        found = over_grid(factory, steps, decays, params, keys, data)
        arms[name] = {
            measure: _records.as_lists(values) for measure, values in found.items()
        }
    return {"seeds": len(keys), "steps": steps, "arms": arms}


def rise(arm, i) -> Any:
    """Return what ``BITS[i]`` costs in test loss, ``[λ, seed]``."""
    return np.asarray(arm["quantised_test"][i]) - np.asarray(arm["test"])


def under_heavy_decay(arm, i, loss) -> list[float]:
    """Return the rise, per seed, where too much decay brings the float NLL to ``loss``.

    Linear in log NLL between the λ, from the best one on.
    """
    heavy = slice(_protocols.best(arm["valid"]), None)
    x = np.log(np.mean(arm["valid"], -1))[heavy]
    return [float(np.interp(np.log(loss), x, y)) for y in rise(arm, i)[heavy].T]


def compare(numbers) -> dict[str, list[Any]]:
    """Return AdamW − Adam + L2 by every protocol, in order of the bit widths."""
    arms = [numbers["arms"][name] for name in METHODS]
    loss = HEAVY * max(np.mean(arm["valid"], -1).min() for arm in arms)
    widths = range(len(BITS))
    pairs = [[Arm(arm["valid"], rise(arm, i)) for arm in arms] for i in widths]
    return {
        "own": [_protocols.at_own_best(*pair) for pair in pairs],
        "frontier": [_protocols.along_frontier(*pair) for pair in pairs],
        "same": [_protocols.at_same_weight_decay(*pair) for pair in pairs],
        "heavy": [
            paired(*(under_heavy_decay(arm, i, loss) for arm in arms)) for i in widths
        ],
    }


def chosen_after(arm, i) -> tuple[float, Interval]:
    """Return the λ chosen after quantisation, and what that changes there."""
    before = _protocols.best(arm["valid"])
    after = _protocols.best(arm["quantised_valid"][i])
    test = arm["quantised_test"][i]
    return LAMBDAS[after], paired(test[after], test[before])


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge if AdamW loses less at its own best λ, and never more at matched loss."""
    found = compare(numbers)
    own, heavy = _among(found["own"]), _among(found["heavy"])
    budgets = [_among(gaps, len(BITS)) for gaps in found["frontier"]]
    parts = {
        f"{bits} bits": gap.high < 0 and all(other.low <= 0 for other in others)
        for bits, gap, others in zip(BITS, own, budgets, strict=True)
    }
    estimate = (
        "Rise of the loss by quantisation, AdamW − Adam + L2, each at its own best λ: "
        f"{_each(found['own'])}."
    )
    unknown = f"Each at its own best λ, {numbers['seeds']} seeds show no difference"
    same = signs(_among(list(chain(*found["same"]))))
    finding = said(
        *_compared("At its own best λ", own),
        _at(unknown, [not gap.excludes_zero for gap in own]),
        (True, _floats(numbers)),
        (True, f"Along the frontier AdamW's rise is {signs(chain(*budgets))} places."),
        (True, f"At the same λ, which is not the same decay, it is {same}."),
        *_compared(f"At {HEAVY:g} times the lowest float loss, by more decay,", heavy),
    )
    where = "Where the float loss chooses λ, prefer"
    prefer = [
        _at(f"{where} AdamW", list(parts.values())),
        _at(f"{where} Adam + L2", [gap.low > 0 for gap in own]),
    ]
    none = "Quantisation was not found to be a reason to prefer either optimizer."
    advice = said(*prefer, (not any(x for x, _ in prefer), none), *_choosing(numbers))
    return Verdict(parts, estimate, finding, advice)


def _floats(numbers) -> str:
    """Return the networks before and after quantisation, each at its own best λ."""
    arms = [numbers["arms"][name] for name in METHODS]
    first, second = (_protocols.best(arm["valid"]) for arm in arms)
    loss, errors = (
        _protocols.at_own_best(*(Arm(arm["valid"], arm[name]) for arm in arms))
        for name in ("test", "errors")
    )
    rises = [f"{rise(arms[1], i)[second].mean():.2g}" for i in range(len(BITS))]
    return (
        f"Those λ are {LAMBDAS[first]:.2g} and {LAMBDAS[second]:.2g}; the float loss "
        f"is {loss} apart, the errors on 600 digits {errors}. With Adam + L2 "
        f"quantisation raises the loss by {_each(rises)}."
    )


def _choosing(numbers) -> list[tuple[bool, str]]:
    """Return what to say of choosing λ by the validation loss after quantisation."""
    gains, others = [], []
    for name, arm in numbers["arms"].items():
        for i, bits in enumerate(BITS):
            decay, change = chosen_after(arm, i)
            words = f"{change} ({name}, {bits} bits, λ = {decay:.2g})"
            if change.among(len(METHODS) * len(BITS)).high < 0:
                gains.append(words)
            elif decay != LAMBDAS[_protocols.best(arm["valid"])]:
                others.append(words)
    how = "λ by the validation loss after quantisation, which changes the loss by"
    return [
        (bool(gains), f"Choose {how} {', '.join(gains)}."),
        (bool(others), f"Not shown to help: {how} {', '.join(others)}."),
    ]


def _among(gaps: list[Interval], times: int = 1) -> list[Interval]:
    """Return the intervals that all need to hold together, ``times`` over."""
    return [gap.among(len(gaps) * times) for gap in gaps]


def _compared(where: str, gaps: list[Interval]) -> list[tuple[bool, str]]:
    """Return at which bit widths AdamW loses less, and more."""
    return [
        _at(f"{where} AdamW loses less", [gap.high < 0 for gap in gaps]),
        _at(f"{where} AdamW loses more", [gap.low > 0 for gap in gaps]),
    ]


def _at(words: str, which: list[bool]) -> tuple[bool, str]:
    """Return whether something is true at any bit width, and at which."""
    names = [str(bits) for bits, true in zip(BITS, which, strict=True) if true]
    return bool(names), f"{words} at {', '.join(names)} bits."


def _each(found: Iterable[Any]) -> str:
    """Return one thing for every bit width."""
    return ", ".join(f"{x} ({bits} bits)" for x, bits in zip(found, BITS, strict=True))


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw loss to quantisation against float loss, and what λ does to both."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    *panels, before, distance = figure.subplots(2, 3).ravel()
    for (name, arm), style, fill in zip(
        numbers["arms"].items(), ("o-", "s--"), ("full", "none"), strict=True
    ):
        look: Any = {"label": name, "fillstyle": fill, "markersize": 5}
        x, best = np.mean(arm["test"], -1), _protocols.best(arm["valid"])
        for i, axes in enumerate(panels):
            rises = [interval(row) for row in rise(arm, i)]
            y, half = [r.mean for r in rises], [r.high - r.mean for r in rises]
            axes.errorbar(x, y, half, fmt=style, elinewidth=0.6, **look)
            axes.plot(x[best], y[best], "k*", markersize=12, fillstyle=fill, zorder=3)
        before.loglog(LAMBDAS, x, style, **look)
        steps = np.mean(arm["distance"][SHOWN], -1)
        distance.semilogx(LAMBDAS, steps, style, **look)
    for bits, axes in zip(BITS, panels, strict=True):
        axes.axhline(0, color="0.6", linewidth=1)
        axes.set(title=f"{bits} bits", xlabel="float NLL", ylabel="rise of the NLL")
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")
        axes.set_xticks((0.1, 0.2, 0.5, 1, 2), ("0.1", "0.2", "0.5", "1", "2"))
    before.set(title="before quantisation", xlabel="λ", ylabel="float NLL")
    distance.set(title=f"{BITS[SHOWN]} bits", xlabel="λ", ylabel="steps to the grid")
    distance.axhline(0.25, color="0.6", linewidth=1)
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small", title="star: its best λ")
    return figure


CLAIM = Claim(
    name="C7",
    title="Quantisation",
    sentence="Networks trained with AdamW lose less to post-training quantisation than "
    "with Adam + L2.",
    comparisons=len(BITS) * (len(LAMBDAS) + len(BUDGETS) + 2 + len(METHODS)) + 2,
    settings={
        "peak_learning_rate": PEAK,
        "schedule": "cosine",
        "batch": BATCH,
        "train": TRAIN,
        "layers": LAYERS,
        "bits": BITS,
        "weight_decays": LAMBDAS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
