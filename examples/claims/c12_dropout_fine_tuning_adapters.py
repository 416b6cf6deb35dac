"""C12: decay with dropout, when fine-tuning, and on adapters.

Perceptrons on handwritten digits. From 100 labels, a tenth of them wrong: dropout and
decay, alone and together, chosen on other seeds than those reported. Then fine-tuning
on 40 digits turned by 90°, for which the pre-trained weights are wrong: the whole
network, over λ, two learning rates and three lengths, with decay to zero or to the
pre-trained weights; and adapters, on a base that is frozen or only gets no gradient.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from examples.claims import _digits, _few_digits, _protocols, _records
from examples.claims._claim import Claim, Size, Verdict
from examples.claims._few_digits import ARMS, FROZEN, INIT, TRAP, ZERO
from examples.claims._protocols import Arm
from examples.claims._statistics import Interval, paired, signs

DROPOUT, DECAYS = (0.0, 0.25, 0.5, 0.7, 0.85), (0.0, 0.1, 0.3, 0.7, 2.0)
RATES, LAMBDAS = (1e-3, 3e-3), (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
CLAIMED = (0.1, 0.3)
SHOWN = -1  # of the settings: the larger learning rate, to the end
SEEDS = {"smoke": 2, "quick": 10, "full": 40}
STYLES = ("o-", "s--", "^:", "v-.", "D-", "x--", "k*:")
STEPS = {"smoke": 30, "quick": 1500, "full": 1500}  # fine-tuning takes half


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train with dropout; pre-train, and fine-tune in every way."""
    seeds, steps = SEEDS[size], STEPS[size]
    pool, *others = _digits.load(train_size=897)
    # With dropout a third of the seeds chooses, the others are reported.
    keys = jax.random.split(jax.random.key(0), (4, 3 * seeds))
    begun = _few_digits.begin(keys[0], pool)
    progress("dropout")
    grids = jnp.array(DECAYS), jnp.array(DROPOUT)
    # Read at the end: it runs while the others are compiled.
    dropout = _few_digits.with_dropout(steps, keys[1], *begun, others, *grids)
    progress("pre-training")
    keys, begun = jax.tree.map(lambda x: x[:seeds], (list(keys), begun))
    starts, few = _few_digits.pretrain(steps // 2, keys[2], *begun)
    grids, tuning = (jnp.array(LAMBDAS), jnp.array(RATES)), {}
    for arm in ARMS:
        progress(arm)
        params = _few_digits.fine_tune(arm, steps // 2, keys[3], starts, few, *grids)
        found = _few_digits.outcomes(params, starts, others)
        tuning[arm] = {name: x.reshape(*x.shape[:2], -1) for name, x in found.items()}
    lengths = [steps // 6 * times for times in (1, 2, 3)]
    return {
        "seeds": seeds,
        "steps": [2 * length for length in lengths],
        "dropout": as_lists(dropout),
        "settings": list(itertools.product(RATES, lengths)),
        "tuning": {arm: as_lists(found) for arm, found in tuning.items()},
    }


def as_lists(found):
    """Return arrays as lists, the axis of the seeds last."""
    return {
        name: _records.as_lists(np.moveaxis(np.asarray(x), 0, -1))
        for name, x in found.items()
    }


def together(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, per length, dropout with λ less each alone, all at their chosen best."""
    valid, loss = (np.asarray(numbers["dropout"][name]) for name in ("valid", "loss"))
    seeds, rows = numbers["seeds"], []
    for third, steps in enumerate(numbers["steps"]):
        means = valid[:, :, third, :seeds].mean(-1)
        reported = loss[:, :, third, seeds:]
        decay, dropout = np.unravel_index(means.argmin(), means.shape)
        both = reported[decay, dropout]
        rows.append(
            {
                "steps": steps,
                "dropout": DROPOUT[dropout],
                "decay": DECAYS[decay],
                "less dropout": paired(both, reported[0, means[0].argmin()]),
                "less decay": paired(both, reported[means[:, 0].argmin(), 0]),
            }
        )
    return rows


def changes(numbers, arm: str, measure: str, weight_decay: float) -> list[Interval]:
    """Return, per setting, what λ adds to ``measure``."""
    values = np.asarray(numbers["tuning"][arm][measure])
    at = LAMBDAS.index(weight_decay)
    return [paired(*pair) for pair in zip(values[at], values[0], strict=True)]


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge dropout by length, fine-tuning by λ over all settings, and adapters."""
    rows, frozen = together(numbers), numbers["tuning"][FROZEN]
    helped = {x: changes(numbers, ZERO, "loss", x) for x in CLAIMED}
    settings = len(numbers["settings"])
    smaller = [x for at in CLAIMED for x in changes(numbers, FROZEN, "adapters", at)]
    parts = {
        f"complementary to dropout in {row['steps']} steps": all(
            row[name].among(len(rows)).high < 0
            for name in ("less dropout", "less decay")
        )
        for row in rows
    }
    parts |= {
        f"λ = {x:g} helps fine-tuning": all(
            gap.among(settings).high < 0 for gap in helped[x]
        )
        for x in CLAIMED
    }
    parts["adapters decay, a frozen base does not"] = bool(
        not np.any(frozen["changed"]) and all(x.high < 0 for x in smaller)
    )
    without = np.mean(numbers["tuning"][ZERO]["loss"][0][SHOWN])
    estimate = (
        "Test loss of dropout with λ, less dropout alone and less λ alone, each at its "
        "best: "
        + ", ".join(
            f"{row['less dropout']} and {row['less decay']} ({row['steps']} steps)"
            for row in rows
        )
        + f". Fine-tuning with λ = {CLAIMED[0]} and {CLAIMED[1]}, less without: "
        + " and ".join(
            f"{gaps[SHOWN]} ({gaps[SHOWN].mean / without:+.0%})"
            for gaps in helped.values()
        )
        + f" ({_setting(numbers)}); it falls in "
        + " and ".join(f"{sum(x.high < 0 for x in gaps)}" for gaps in helped.values())
        + f" of {settings} settings. Weights of the frozen base that changed: "
        f"{np.max(frozen['changed']):.0f}."
    )
    chosen = ", ".join(
        f"dropout {row['dropout']:g} with λ = {row['decay']:g} ({row['steps']} steps)"
        for row in rows
    )
    finding = (
        f"Chosen on other seeds: {chosen}. {_of_lambda(numbers)} {_of_anchor(numbers)} "
        f"{_of_adapters(numbers)}"
    )
    advice = (
        "Search dropout and λ together, in runs as long as those that count. When "
        "fine-tuning search λ on validation data, beyond 0.3 too, and say what decay "
        "pulls to: zero, or the pre-trained weights. Freeze by a rule: decay goes on "
        "without a gradient."
    )
    return Verdict(parts, estimate, finding, advice)


def _setting(numbers) -> str:
    learning_rate, steps = numbers["settings"][SHOWN]
    return f"η = {learning_rate:g}, {steps} steps"


def _of_lambda(numbers) -> str:
    """Return what λ does in fine-tuning, and where it turns round."""
    settings, values = numbers["settings"], numbers["tuning"][ZERO]
    loss, valid = np.asarray(values["loss"]), np.asarray(values["valid"])
    ones = np.array([learning_rate * steps for learning_rate, steps in settings])
    shares = loss[LAMBDAS.index(CLAIMED[0])].mean(-1) / loss[0].mean(-1) - 1
    best = [LAMBDAS[_protocols.best(valid[:, at])] for at in range(len(settings))]
    accuracy = [changes(numbers, ZERO, "accuracy", x)[SHOWN] for x in CLAIMED]
    least, most = ones.argmin(), ones.argmax()
    return (
        f"Fine-tuning: λ = {CLAIMED[0]} changes the loss by {shares[least]:+.0%} at "
        f"ηλT = {ones[least] * CLAIMED[0]:.2g} and by {shares[most]:+.0%} at "
        f"{ones[most] * CLAIMED[0]:.2g} (accuracy by {accuracy[0]}, at λ = "
        f"{CLAIMED[1]} by {accuracy[1]}). Validation chooses λ = {min(best):g} to "
        f"{max(best):g}, ηλT = {min(best * ones):.2g} to {max(best * ones):.2g}; "
        f"λ = 10 raises the loss in {_raised(numbers, ZERO, 10.0)}."
    )


def _raised(numbers, arm: str, weight_decay: float) -> str:
    """Return in how many settings the loss is higher than without decay."""
    gaps = changes(numbers, arm, "loss", weight_decay)
    return f"{sum(gap.low > 0 for gap in gaps)} of {len(gaps)} settings"


def _of_anchor(numbers) -> str:
    """Return how decay to the pre-trained weights compares with decay to zero."""

    def arms(measure):
        for arm in (INIT, ZERO):
            found = numbers["tuning"][arm]
            yield Arm(*(np.asarray(found[x])[:, SHOWN] for x in ("valid", measure)))

    return (
        "To the pre-trained weights instead of to zero: loss "
        f"{_protocols.at_own_best(*arms('loss'))} at the best λ of each, "
        f"{signs(_protocols.at_same_weight_decay(*arms('loss'))[1:])} at the same λ; "
        "on upright digits, within a loss on turned ones, "
        f"{signs(_protocols.along_frontier(*arms('upright')))}."
    )


def _of_adapters(numbers) -> str:
    """Return what decay does to adapters, and to a base without gradient."""
    frozen, trap = (numbers["tuning"][arm] for arm in (FROZEN, TRAP))
    learning_rate, steps = numbers["settings"][SHOWN]
    picked = (CLAIMED[0], 1.0)

    def shown(arm, measure):
        values = np.asarray(arm[measure])
        return values[[LAMBDAS.index(x) for x in (0.0, *picked)], SHOWN]

    norm = shown(frozen, "adapters")
    left, law = shown(trap, "left")[1:], (1 - learning_rate * np.array(picked)) ** steps
    upright = shown(trap, "upright").mean(-1)
    return (
        f"λ = {picked[0]} takes {1 - np.mean(norm[1] / norm[0]):.1%} off the norm of "
        "adapters, which pulls to the base; it raises the loss in "
        f"{_raised(numbers, FROZEN, picked[0])}. A base without gradient keeps "
        f"{left[0].mean():.1%} of its norm at λ = {picked[0]:g} and "
        f"{left[1].mean():.1%} at λ = {picked[1]:g} ((1 − ηλ)^T: {law[0]:.1%} and "
        f"{law[1]:.1%}); on upright digits its loss goes from {upright[0]:.2g} to "
        f"{upright[1]:.2g} and {upright[2]:.2g}."
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the loss over dropout and λ, over ηλT, and over ηλT with adapters."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid: Any = figure.subplots(2, 2)
    loss = np.asarray(numbers["dropout"]["loss"])
    reported = loss[..., numbers["seeds"] :].mean(-1)
    for axes, third in zip(grid[0], (0, -1), strict=True):
        _draw_dropout(axes, reported[:, :, third])
        axes.set_title(f"{_few_digits.LABELS} labels, {numbers['steps'][third]} steps")
    low, high = reported[..., (0, -1)].min(), reported[:-1, :-1, (0, -1)].max()
    for axes in grid[0]:
        axes.set_ylim(low - 0.02, high + 0.05)
    _draw_tuning(grid[1, 0], numbers)
    _draw_adapters(grid[1, 1], numbers)
    for axes in grid.flat:
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    return figure


def _draw_dropout(axes, loss):
    for at, (rate, style) in enumerate(zip(DROPOUT, STYLES, strict=False)):
        axes.plot(loss[:, at], style, label=f"dropout {rate:g}")
    axes.set_xticks(range(len(DECAYS)), [f"{x:g}" for x in DECAYS])
    axes.set(xlabel="λ", ylabel="test loss")


def _draw_tuning(axes, numbers):
    lines = [(ZERO, at) for at in range(len(numbers["settings"]))] + [(INIT, SHOWN)]
    for (arm, at), style in zip(lines, STYLES, strict=True):
        eta, steps = numbers["settings"][at]
        loss = np.asarray(numbers["tuning"][arm]["loss"])[:, at].mean(-1)
        label = f"η = {eta:g}, {steps} steps"
        label = "the last, to the pre-trained weights" if arm == INIT else label
        total = eta * steps * np.asarray(LAMBDAS[1:])
        axes.semilogx(total, loss[1:] / loss[0], style, label=label)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set(xlabel="ηλT", ylabel="test loss over that at λ = 0", ylim=(0.7, 1.8))
    axes.set_title(f"fine-tuning on {_few_digits.FEW} turned digits")


def _draw_adapters(axes, numbers):
    eta, steps = numbers["settings"][SHOWN]
    total = eta * steps * np.asarray(LAMBDAS[1:])
    for arm, measure, style, label in (
        (FROZEN, "loss", "o-", "frozen base"),
        (TRAP, "loss", "s--", "base without gradient"),
        (FROZEN, "upright", "o:", "frozen base, alone on upright digits"),
        (TRAP, "upright", "s:", "base without gradient, alone on upright digits"),
    ):
        loss = np.asarray(numbers["tuning"][arm][measure])[1:, SHOWN].mean(-1)
        axes.loglog(total, loss, style, color="black", label=label)
    axes.set(xlabel="ηλT", ylabel="test loss")
    axes.set_title(f"adapters, η = {eta:g}, {steps} steps")


CLAIM = Claim(
    name="C12",
    title="With dropout, when fine-tuning, with adapters",
    sentence="Dropout and decay are complementary; λ of 0.1 to 0.3 helps fine-tuning "
    "on little data; LoRA decays the adapters and never the frozen base.",
    comparisons=2 * 3 + 2 * len(CLAIMED) * 3 * len(RATES),
    settings={
        "layers": _few_digits.LAYERS,
        "batch": _few_digits.BATCH,
        "learning_rate": _few_digits.ETA,
        "labels": _few_digits.LABELS,
        "wrong_labels": _few_digits.WRONG,
        "dropout": DROPOUT,
        "weight_decays": DECAYS,
        "fine_tuning_labels": _few_digits.FEW,
        "rank": _few_digits.RANK,
        "fine_tuning_learning_rates": RATES,
        "fine_tuning_weight_decays": LAMBDAS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
