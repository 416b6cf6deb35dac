"""C9: two worked examples, recomputed.

Two coordinates with equal weights and gradients and v̂ = (1e-4, 1) held fixed; and one
step of Adam by hand from m = v = 0. Every number by the library in float64 and by plain
Python with 40 digits, under each reading of "Adam with weight decay"; and what is left
of the round figures in which such examples are told.
"""

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jax.numpy as jnp
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims._claim import Claim, Size, Verdict
from examples.claims._precision import float64

TWO = {"theta": "1", "g": "0.1", "eta": "0.01", "lambda": "0.1", "eps": "1e-8"}
SECOND_MOMENTS = ("1e-4", "1")
HAND = {"theta": "0.4", "g": "0.01", "eta": "3e-4", "lambda": "0.1", "eps": "1e-8"}
B1, B2 = "0.9", "0.95"
# A reading of the text: how λ enters, and whether the weights shrink after the step.
READINGS: dict[str, tuple[Any, bool]] = {
    "AdamW": ("learning_rate", False),
    "AdamW, shrunk after the step": ("learning_rate", True),
    "AdamW, λ not times η": ("constant", False),
    "Adam + L2, ½λ‖θ‖²": ("l2", False),
    "Adam + L2, λ‖θ‖²": ("l2_full", False),
}
# Our own rounding, to the digits with which one tells such an example.
ROUND = {
    "two, 1: gradient's part": 0.1,
    "two, 2: gradient's part": 0.001,
    "two, 1: decay of AdamW": 0.001,
    "two, 2: decay of AdamW": 0.001,
    "two, 1: decay of Adam + L2, ½λ‖θ‖²": 0.1,
    "two, 2: decay of Adam + L2, ½λ‖θ‖²": 0.001,
    "two, 1: θ after AdamW": 0.899,
    "two, 2: θ after AdamW": 0.998,
    "two, 1: θ after Adam + L2, ½λ‖θ‖²": 0.8,
    "two, 2: θ after Adam + L2, ½λ‖θ‖²": 0.998,
    "two: decay of Adam + L2, ½λ‖θ‖², first over second": 100.0,
    "hand: m": 0.001,
    "hand: v": 5e-6,
    "hand: m̂": 0.01,
    "hand: v̂": 1e-4,
    "hand: u": 1.0,
    "hand: θ after AdamW": 0.399688,
    "hand: θ after Adam + L2, ½λ‖θ‖²": 0.3997,
    "hand: 1 − β₁^100": 1.0,
    "hand: 1 − β₂^100": 1.0,
    "hand: u at t = 100 from m = v = 0": 0.45,
}


def by_plain_python() -> dict[str, Decimal]:
    """Return every quantity from its formula, with 40 digits."""
    with decimal.localcontext(prec=40):
        found = {}
        for at, moment in enumerate(SECOND_MOMENTS, 1):
            root = Decimal(moment).sqrt()
            found |= _plain_step(
                f"two, {at}", TWO, lambda g, eps, r=root: g / (r + eps)
            )
        found |= _ratios(found)
        g, b1, b2 = Decimal(HAND["g"]), Decimal(B1), Decimal(B2)
        m, v = (1 - b1) * g, (1 - b2) * g**2
        found |= {"hand: m": m, "hand: v": v}
        found |= {"hand: m̂": m / (1 - b1), "hand: v̂": v / (1 - b2)}
        found |= _plain_step("hand", HAND, lambda g, eps: g / (abs(g) + eps))
        late = {"₁": 1 - b1**100, "₂": 1 - b2**100}
        found |= {f"hand: 1 − β{name}^100": value for name, value in late.items()}
        root = (v / late["₂"]).sqrt()
        u = m / late["₁"] / (root + Decimal(HAND["eps"]))
        return found | {"hand: u at t = 100 from m = v = 0": u}


def _plain_step(name, example, direction) -> dict[str, Decimal]:
    """Return the parts of a step and where it ends, under every reading."""
    theta, g, eta, lam, eps = map(Decimal, example.values())
    u = direction(g, eps)
    ends = {
        "AdamW": theta - eta * (u + lam * theta),
        "AdamW, shrunk after the step": (1 - eta * lam) * (theta - eta * u),
        "AdamW, λ not times η": theta - eta * u - lam * theta,
        "Adam + L2, ½λ‖θ‖²": theta - eta * direction(g + lam * theta, eps),
        "Adam + L2, λ‖θ‖²": theta - eta * direction(g + 2 * lam * theta, eps),
    }
    return _parts(name, u, eta * u, theta, ends)


def by_the_library() -> dict[str, float]:
    """Return every quantity from the library, in float64."""
    with float64():
        found = {}
        eps = float(TWO["eps"])
        for at, moment in enumerate(SECOND_MOMENTS, 1):
            root = float(moment) ** 0.5
            held = optax.stateless(lambda g, _, r=root: g / (r + eps))
            found |= _library_step(f"two, {at}", TWO, held)
        found |= _ratios(found)
        adam: Any = optaxwd.scale_by_adam(float(B1), float(B2), float(HAND["eps"]))
        g = jnp.asarray(float(HAND["g"]))
        _, state = adam.update(g, adam.init(g))
        found |= {"hand: m": float(state.mu), "hand: v": float(state.nu)}
        correct = optax.tree.bias_correction
        found["hand: m̂"] = float(correct(state.mu, float(B1), 1))
        found["hand: v̂"] = float(correct(state.nu, float(B2), 1))
        found |= _library_step("hand", HAND, adam)
        for name, beta in (("₁", B1), ("₂", B2)):
            found[f"hand: 1 − β{name}^100"] = float(
                1 / correct(g / g, float(beta), 100)
            )
        u, _ = adam.update(g, adam.init(g)._replace(count=jnp.asarray(99)))
        return found | {"hand: u at t = 100 from m = v = 0": float(u)}


def _library_step(name, example, preconditioner) -> dict[str, float]:
    """Return the parts of a step and where it ends, under every reading."""
    theta, g, eta, lam, _ = (jnp.asarray(float(x)) for x in example.values())
    u = preconditioner.update(g, preconditioner.init(theta))[0]
    ends = {}
    for reading, (coupling, after) in READINGS.items():
        weight_decay = lam
        if coupling == "l2_full":
            coupling = "l2"
            weight_decay = optaxwd.convert_weight_decay(
                float(lam), source="keras.regularizers.L2", target="l2"
            )
        inside = 0.0 if after else weight_decay
        tx = optaxwd.with_weight_decay(preconditioner, eta, inside, coupling=coupling)
        end = _apply(tx, g, theta)
        if after:
            end = _apply(optaxwd.sgdw(eta, weight_decay=lam), 0 * g, end)
        ends[reading] = end
    found = _parts(name, u, eta * u, theta, ends)
    return {key: float(value) for key, value in found.items()}


def _apply(tx, grads, theta) -> Any:
    updates, _ = tx.update(grads, tx.init(theta), theta)
    return optax.apply_updates(theta, updates)


def _parts(name, u, step, theta, ends) -> dict[str, Any]:
    """Return what is told of a step; the decay is what it ends away from plain Adam."""
    found = {f"{name}: u": u, f"{name}: gradient's part": step}
    if name != "hand":  # there the decay of L2 is lost in u, see the finding
        found |= {
            f"{name}: decay of {reading}": theta - step - end
            for reading, end in ends.items()
            if "shrunk" not in reading
        }
    return found | {f"{name}: θ after {key}": end for key, end in ends.items()}


def _ratios(found) -> dict[str, Any]:
    """Return how much faster the first coordinate decays than the second."""
    return {
        f"two: decay of {reading}, first over second": (
            found[f"two, 1: decay of {reading}"] / found[f"two, 2: decay of {reading}"]
        )
        for reading in ("AdamW", "Adam + L2, ½λ‖θ‖²")
    }


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Recompute every number both ways; the same in every size."""
    del size
    progress("plain Python and the library")
    plain, library = by_plain_python(), by_the_library()
    return {
        "true": {key: float(value) for key, value in plain.items()},
        "error": {
            key: abs(float((Decimal(library[key]) - value) / value))
            for key, value in plain.items()
        },
    }


def apart(numbers: dict[str, Any], optimizer: str) -> float:
    """Return how far apart the readings of one optimizer end at most, relatively."""
    readings = [name for name in READINGS if name.startswith(optimizer)]
    ends = [
        [numbers["true"][f"{example}: θ after {name}"] for name in readings]
        for example in ("two, 1", "two, 2", "hand")
    ]
    return max(max(row) / min(row) - 1 for row in ends)


def rounded(true: dict[str, float]) -> dict[str, float]:
    """Return how far off the round figures are, relatively."""
    return {key: abs(value / true[key] - 1) for key, value in ROUND.items()}


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge whether library and formula agree, and whether readings matter."""
    true, error = numbers["true"], numbers["error"]
    spread = {name: apart(numbers, name) for name in ("AdamW", "Adam + L2")}
    agree = max(error.values()) < 1e-12
    same = max(spread.values()) < 1e-6
    parts = {
        "library and plain Python agree": agree,
        "one result whatever the reading": agree and same,
    }
    off = rounded(true)
    worst = sorted(off, key=lambda key: -off[key])[:3]
    estimate = (
        f"Library and plain Python agree to {max(error.values()):.0e} in all "
        f"{len(error)} numbers. The readings of AdamW end up to {spread['AdamW']:.1%} "
        f"apart, those of Adam + L2 up to {spread['Adam + L2']:.1%}."
    )

    def end(reading, example="two, 1", digits=12):
        return f"{true[f'{example}: θ after {reading}']:.{digits}f}"

    kept = true["hand: gradient's part"]
    moved = float(HAND["theta"]) - true["hand: θ after Adam + L2, ½λ‖θ‖²"]
    finding = (
        "Right are, by the algorithm of the AdamW paper: λθ in the gradient, so "
        f"½λ‖θ‖² in the loss (first coordinate {end('Adam + L2, ½λ‖θ‖²')}, not "
        f"{end('Adam + L2, λ‖θ‖²')}), and decay of the weights from before the step "
        f"({end('AdamW')}, not {end('AdamW, shrunk after the step')}; by hand "
        f"{end('AdamW', 'hand')}, not {end('AdamW, shrunk after the step', 'hand')}). "
        "The paper does not multiply λ by the base learning rate; PyTorch, Optax and "
        f"Keras do. The paper's own λ = 0.1 would be {end('AdamW, λ not times η')}. "
        "Both multiply it by the schedule. With v̂ held fixed, L2 takes "
        f"{true['two: decay of Adam + L2, ½λ‖θ‖², first over second']:.4f} times as "
        "much from the first coordinate as from the second. But v̂ sees the penalty: "
        f"by hand L2 changes the first step by {moved / kept - 1:.0e} of it. Furthest "
        "off of the round figures are "
        + ", ".join(f"{key} by {100 * off[key]:.1g} %" for key in worst)
        + "."
    )
    advice = (
        "With every λ say whether it stands for ½λ‖θ‖² or λ‖θ‖², whether the learning "
        "rate multiplies it, and whether weights shrink before or after the step; "
        "`convert_weight_decay` turns one into another. Do not read the effect of L2 "
        "inside Adam from an example with fixed moments."
    )
    return Verdict(parts, estimate, finding, advice)


def table(numbers: dict[str, Any]) -> list[list[str]]:
    """Return every number: in round figures, to 12 digits, the library's error."""
    head = ["quantity", "in round figures", "to 12 digits", "library, relative error"]
    return [head] + [
        [
            key,
            f"{ROUND[key]:g}" if key in ROUND else "",
            f"{value:.12g}",
            f"{numbers['error'][key]:.0e}",
        ]
        for key, value in numbers["true"].items()
    ]


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw where the readings end, and how far off the round figures are."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    true = numbers["true"]
    for marker, reading in zip("os^Dv", READINGS, strict=True):
        end = [true[f"two, {at}: θ after {reading}"] for at in (1, 2)]
        left.plot(*end, marker, label=reading, fillstyle="none", markersize=9)
        left.plot((1, end[0]), (1, end[1]), color="0.7", linewidth=0.7, zorder=0)
    left.plot(1, 1, "k*", label="before the step")
    left.set(xlabel="first coordinate", ylabel="second coordinate")
    left.set_title("one step from (1, 1), five readings")
    left.legend(fontsize="small")
    left.grid(alpha=0.3)
    off = rounded(true)
    shown = sorted((key for key in off if off[key] > 1e-12), key=lambda key: off[key])
    right.barh(shown, [off[key] for key in shown], color="0.5")
    right.set(xscale="log", title="round figures, relative error")
    right.tick_params(axis="y", labelsize="small")
    right.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C9",
    title="Worked examples",
    sentence="A worked example of a step with weight decay has one result.",
    comparisons=2,
    settings={
        "two": TWO,
        "second_moments": SECOND_MOMENTS,
        "hand": HAND,
        "b1": B1,
        "b2": B2,
        "round": ROUND,
    },
    run=run,
    judge=judge,
    draw=draw,
    table=table,
)
