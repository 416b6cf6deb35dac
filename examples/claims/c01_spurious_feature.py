"""C1: does decoupled decay lean less on a spurious feature?

Logistic regression on a causal feature x_c = y + σ_c·n and a spurious one
x_s = α(a·y + σ_s·n), which agrees with the label (a = 1) with probability ρ in training
and validation and by chance elsewhere. α sets the size of the spurious feature's
gradients. Adam + L2 against AdamW at the same λ, each at its own best, and over all λ.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _protocols, _records
from examples.claims._claim import Claim, Size, Verdict
from examples.claims._protocols import BUDGETS, Arm
from examples.claims._statistics import paired, signs

ETA, BATCH, TRAIN, TEST = 1e-2, 32, 200, 2000
ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0)
LAMBDAS = (0.0, *(float(x) for x in np.geomspace(1e-5, 10.0, 12)))
DESIGNS = ((0.95, 1.0, 0.3), (0.95, 0.5, 1.0))  # ρ, σ_c, σ_s
METHODS = {"Adam + L2": optaxwd.adam_l2, "AdamW": optaxwd.adamw}
SEEDS = {"smoke": 2, "quick": 20, "full": 40}
STEPS = {"smoke": 50, "quick": 2000, "full": 2000}
MEASURES = ("share", "spurious", "ood_accuracy", "id_loss", "root_ratio")
OUTCOMES = {  # lower is better
    "error": lambda arm: 1 - arm["ood_accuracy"],
    "share": lambda arm: arm["share"],
    "spurious": lambda arm: arm["spurious"],
}


def draw_data(key, count, agreement, alpha, sigma_c, sigma_s):
    """Return features ``[count, 2]``, causal and spurious, and labels ±1."""
    keys = jax.random.split(key, 4)
    y = jax.random.rademacher(keys[0], (count,), jnp.float32)
    agrees = jnp.where(jax.random.uniform(keys[1], (count,)) < agreement, 1.0, -1.0)
    causal = y + sigma_c * jax.random.normal(keys[2], (count,))
    spurious = alpha * (agrees * y + sigma_s * jax.random.normal(keys[3], (count,)))
    return jnp.stack([causal, spurious], -1), y


def loss(params, x, y):
    """Return the mean logistic loss."""
    return jax.nn.softplus(-y * (x @ params["w"] + params["b"])).mean()


def train(factory, weight_decay, alpha, design, key, steps):
    """Train once and return all measures."""
    agreement, sigma_c, sigma_s = design
    keys = jax.random.split(key, 4)
    noise = (alpha, sigma_c, sigma_s)
    x, y = draw_data(keys[0], TRAIN, agreement, *noise)
    tx = factory(ETA, weight_decay=weight_decay, mask={"w": True, "b": False})
    params: Any = {"w": jnp.zeros(2), "b": jnp.zeros(())}

    def step(carry, key):
        params, state = carry
        chosen = jax.random.randint(key, (BATCH,), 0, TRAIN)
        grads = jax.grad(loss)(params, x[chosen], y[chosen])
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    carry = (params, tx.init(params))
    (params, state), _ = jax.lax.scan(step, carry, jax.random.split(keys[1], steps))
    valid = draw_data(keys[2], TEST, agreement, *noise)
    other = draw_data(keys[3], TEST, 0.5, *noise)
    causal, spurious = jnp.abs(params["w"][0]), jnp.abs(params["w"][1])
    right = (other[0] @ params["w"] + params["b"]) * other[1] > 0
    nu: Any = optax.tree.get(state, "nu")
    return {
        "share": spurious * alpha / (spurious * alpha + causal + 1e-12),
        "spurious": spurious,
        "ood_accuracy": right.mean(),
        "id_loss": loss(params, *valid),
        "root_ratio": jnp.sqrt(nu["w"][1] / nu["w"][0]),
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def over_grid(factory, steps, design, alphas, decays, keys):
    """Train over α, λ and seeds; measures are ``[α, λ, seed]``."""

    def one(alpha, decay, key):
        return train(factory, decay, alpha, design, key, steps)

    seeds = jax.vmap(one, (None, None, 0))
    grid = jax.vmap(jax.vmap(seeds, (None, 0, None)), (0, None, None))
    return grid(alphas, decays, keys)


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train over designs and methods."""
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    steps, alphas, decays = STEPS[size], jnp.array(ALPHAS), jnp.array(LAMBDAS)
    found = []
    for design in DESIGNS:
        arms = {}
        for name, factory in METHODS.items():
            progress(f"{name}, design {design}")
            measured = over_grid(factory, steps, design, alphas, decays, keys)
            arms[name] = {
                measure: _records.as_lists(values)
                for measure, values in measured.items()
            }
        found.append(arms)
    return {"seeds": len(keys), "steps": steps, "designs": found}


def same_lambda(numbers) -> list[dict[str, Any]]:
    """Return, per design, α and λ, the paired differences AdamW − Adam + L2."""
    rows = []
    for design, arms in enumerate(numbers["designs"]):
        ours, theirs = (
            {name: np.asarray(arms[arm][name]) for name in MEASURES}
            for arm in ("AdamW", "Adam + L2")
        )
        rows += [
            {
                "design": design,
                "alpha": alpha,
                "weight_decay": weight_decay,
                "root_ratio": float(ours["root_ratio"][i].mean()),
                "accuracy": paired(
                    ours["ood_accuracy"][i, j], theirs["ood_accuracy"][i, j]
                ),
                "share": paired(ours["share"][i, j], theirs["share"][i, j]),
            }
            for i, alpha in enumerate(ALPHAS)
            for j, weight_decay in enumerate(LAMBDAS)
        ]
    return rows


def best_lambda(numbers) -> list[dict[str, Any]]:
    """Return, per design and α, AdamW − Adam + L2 at their own best λ.

    And the errors along the frontier, at the best λ within an in-distribution loss.
    """
    rows = []
    for design, i in itertools.product(range(len(DESIGNS)), range(len(ALPHAS))):
        arms = [
            {
                key: np.asarray(numbers["designs"][design][name][key])[i]
                for key in MEASURES
            }
            for name in ("AdamW", "Adam + L2")
        ]
        pairs = {
            name: [Arm(arm["id_loss"], values(arm)) for arm in arms]
            for name, values in OUTCOMES.items()
        }
        rows.append(
            {
                "setting": f"design {design + 1}, α = {ALPHAS[i]:g}",
                "larger": arms[0]["root_ratio"].mean() > 1,
                "undecayed": not any(_protocols.best(arm["id_loss"]) for arm in arms),
                "frontier": _protocols.along_frontier(*pairs["error"]),
            }
            | {name: _protocols.at_own_best(*pair) for name, pair in pairs.items()}
        )
    return rows


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge at each method's best λ, by which feature has the larger gradients.

    A part is found if it is so in at least half of its settings.
    """
    best, same = best_lambda(numbers), same_lambda(numbers)
    parts = {}
    for larger, where in ((True, "larger"), (False, "smaller")):
        rows = [row for row in best if row["larger"] == larger]
        for name, words in (("share", "leans less"), ("error", "is better")):
            lower = [row[name].among(len(best)).high < 0 for row in rows]
            if rows:
                text = f"{words} where the spurious gradients are the {where} ones"
                parts[text] = sum(lower) >= len(rows) / 2
    widest = max(best, key=lambda row: abs(row["error"].mean))
    estimate = (
        "Error out of distribution, AdamW − Adam + L2, each at its own best λ: "
        f"{signs(row['error'] for row in best)}; at most {widest['error']} "
        f"({widest['setting']}). Spurious share: "
        f"{signs(row['share'] for row in best)}; |w_s| itself: "
        f"{signs(row['spurious'] for row in best)}."
    )
    largest = max(same, key=lambda row: abs(row["accuracy"].mean))
    finding = (
        f"In {sum(row['undecayed'] for row in best)} of {len(best)} settings "
        "validation in distribution chooses no decay for both. Along the frontier, at "
        "the best λ within a loss in distribution, AdamW's error is "
        f"{signs(gap for row in best for gap in row['frontier'])}. At the same λ, "
        "which is another amount of decay, the accuracies are up to "
        f"{abs(largest['accuracy'].mean):.3f} apart (λ = "
        f"{largest['weight_decay']:.3g}, α = {largest['alpha']:g}): "
        + " and ".join(_count(same, larger) for larger in (True, False))
        + "."
    )
    advice = (
        "Choose λ for each optimizer before you compare what they learn. "
        "In-distribution validation does not see a spurious feature; no λ replaces "
        "data in which it fails."
    )
    return Verdict(parts, estimate, finding, advice)


def _count(rows: list[dict[str, Any]], larger: bool) -> str:
    """Return how often AdamW wins where the spurious gradients are larger, or not."""
    chosen = [row["accuracy"] for row in rows if (row["root_ratio"] > 1) == larger]
    better, worse = sum(x.low > 0 for x in chosen), sum(x.high < 0 for x in chosen)
    size = "larger" if larger else "smaller"
    return (
        f"where the spurious feature has the {size} gradients AdamW is better in "
        f"{better} and worse in {worse} of {len(chosen)}"
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the difference over (α, λ), and the frontier."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    grid: Any = figure.subplots(len(DESIGNS), 2)
    shape = (len(DESIGNS), len(ALPHAS), len(LAMBDAS))
    means = np.reshape([row["accuracy"].mean for row in same_lambda(numbers)], shape)
    for design, arms in enumerate(numbers["designs"]):
        left, right = grid[design]
        image = _draw_differences(left, means[design], float(np.abs(means).max()))
        figure.colorbar(image, ax=left)
        ratio = np.asarray(arms["AdamW"]["root_ratio"]).mean((1, 2))
        even = float(np.interp(0.0, np.log(ratio + 1e-12), np.arange(len(ALPHAS))))
        left.axhline(even, color="black", linestyle="--")
        left.text(-0.4, even, "√v_s = √v_c", va="bottom", fontsize="small")
        left.set_title(f"design {design + 1}: OOD accuracy, AdamW − Adam + L2")
        _draw_frontier(right, arms)
        right.set_title(f"design {design + 1}: the frontier as λ varies")
    return figure


def _draw_differences(axes, means, limit):
    image = axes.imshow(
        means, cmap="PuOr", vmin=-limit, vmax=limit, origin="lower", aspect="auto"
    )
    axes.set_xticks(range(0, len(LAMBDAS), 3), [f"{x:.1g}" for x in LAMBDAS[::3]])
    axes.set_yticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
    axes.set(xlabel="λ", ylabel="α")
    return image


def _draw_frontier(axes, arms):
    for color, style, alpha in (("black", "-", 0.1), ("tab:orange", "--", 10.0)):
        i = ALPHAS.index(alpha)
        for (name, found), (marker, fill) in zip(
            arms.items(), (("s", "none"), ("o", "full")), strict=True
        ):
            axes.plot(
                np.asarray(found["id_loss"])[i].mean(-1),
                np.asarray(found["ood_accuracy"])[i].mean(-1),
                style,
                color=color,
                marker=marker,
                fillstyle=fill,
                label=f"{name}, α = {alpha:g}",
            )
    axes.set(xlabel="in-distribution validation loss", ylabel="OOD accuracy")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


CLAIM = Claim(
    name="C1",
    title="Spurious feature",
    sentence="A model trained with decoupled decay leans less on a spurious feature, "
    "and is better out of distribution, than with Adam + L2.",
    comparisons=len(DESIGNS) * len(ALPHAS) * (len(LAMBDAS) + 3 + len(BUDGETS)),
    settings={
        "learning_rate": ETA,
        "batch": BATCH,
        "train": TRAIN,
        "test": TEST,
        "alphas": ALPHAS,
        "weight_decays": LAMBDAS,
        "designs": DESIGNS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
