"""What does weight decay do in each of Optax's optimizers? A table, by audit.

All that take a weight decay are audited as factories, at a learning rate of 1e-3 and a
weight decay of 0.1, on a matrix and on a vector; all others as they are. Nothing is
looked up: every cell was measured.

    python examples/audit_optax.py [--output docs/what_optax_does.md]
"""

import argparse
import inspect
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

import optaxwd

PARAMS = {"matrix": np.ones((6, 4)), "vector": np.ones(5)}
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.1
COLUMNS = ("optimizer", "λ enters", "past the gradient", "rate at η = 1e-3, λ = 0.1")
COLUMNS += ("half-life, steps", "power of η", "state keeps decay", "found")

# What `update` needs beside gradients, state and parameters.
EXTRA = {
    "polyak_sgd": {"value": 1.0},
    "contrib.momo": {"value": 1.0},
    "contrib.momo_adam": {"value": 1.0},
    "contrib.sophia": {
        "obj_fn": lambda params: sum(jnp.sum(x**4) for x in jax.tree.leaves(params))
    },
}
# Not of (learning rate, ...), or of arguments that no default is given for.
OTHER = {
    "contrib.mechanize(sgd)": lambda eta, lam: optax.contrib.mechanize(
        optax.sgd(eta), weight_decay=lam
    ),
    "contrib.schedule_free(sgd)": optax.contrib.schedule_free(
        optax.sgd(LEARNING_RATE), LEARNING_RATE
    ),
    "scale_by_lbfgs": optax.chain(
        optax.scale_by_lbfgs(), optax.scale_by_learning_rate(LEARNING_RATE)
    ),
    "noisy_sgd": optax.noisy_sgd(LEARNING_RATE, seed=0),
    "polyak_sgd": optax.polyak_sgd(LEARNING_RATE),
    "contrib.muon(adam_weight_decay=λ)": lambda eta, lam: optax.contrib.muon(
        eta, weight_decay=lam, adam_weight_decay=lam
    ),
}
# The gradients of dpsgd have an axis of examples, which its updates have not; lbfgs
# has a line search of its own, and stands below without.
LEFT_OUT = {"contrib.dpsgd", "dpsgd", "lbfgs"}


def optimizers() -> dict[str, Any]:
    """Return what to audit, by name: factories if they take a weight decay."""
    found: dict[str, Any] = {}
    for prefix, module in (("", optax), ("contrib.", optax.contrib)):
        for name, make in sorted(vars(module).items()):
            if not inspect.isfunction(make) or name.startswith(("_", "scale_by")):
                continue
            parameters = inspect.signature(make).parameters
            if next(iter(parameters), None) != "learning_rate":
                continue
            needed = [p for p in parameters.values() if p.default is p.empty]
            name = prefix + name
            if name in LEFT_OUT or name in OTHER or len(needed) > 1:
                continue
            takes_decay = {"weight_decay", "weight_decay_rate"} & set(parameters)
            found[name] = make if takes_decay else make(LEARNING_RATE)
    return found | OTHER


def rows() -> list[tuple[str, ...]]:
    """Audit all of them and return the rows of the table."""
    table = []
    for name, optimizer in optimizers().items():
        report = optaxwd.audit(optimizer, PARAMS, extra_args=EXTRA.get(name))
        leaves = report.leaves
        if row(leaves["matrix"]) == row(leaves["vector"]):
            table.append((f"`{name}`", *row(leaves["matrix"]), codes(report)))
            continue
        for path, leaf in leaves.items():
            table.append((f"`{name}`, {path}", *row(leaf), codes(report)))
    return table


def row(leaf: optaxwd.LeafReport) -> tuple[str, ...]:
    """Return the cells of one leaf."""
    if not leaf.decays:
        return ("cannot tell" if leaf.cannot_tell else "–", *["–"] * 5)
    past = {True: "yes", False: "no", None: "cannot tell"}[leaf.decoupled]
    adaptive = any("depends on the gradients" in note for note in leaf.notes)
    rate = "as g has it" if adaptive else f"{leaf.rate:.3g}"
    power = "–" if leaf.lr_power is None else f"{leaf.lr_power:g}"
    half_life = "–" if adaptive else f"{leaf.half_life:.4g}"
    return (
        WORDS.get(leaf.coupling, leaf.law),
        past,
        rate,
        half_life,
        power,
        "yes" if leaf.in_state else "no",
    )


WORDS = {
    "l2": "in the gradient",
    "learning_rate": "η·λ",
    "independent": "(η/η_peak)·λ",
    "constant": "λ",
    "corrected": "(η²/η_peak)·λ",
    "momentum": "in the momentum",
    "trust_ratio": "in the trust ratio",
    "proximal": "η·λ/(1+η·λ)",
    "averaged": "in the averaged iterates",
}


def codes(report: optaxwd.AuditReport) -> str:
    """Return the codes of what was found."""
    found = dict.fromkeys(finding.code for finding in report.findings)
    return ", ".join(f"`{code}`" for code in found) or "–"


def document() -> str:
    """Return the page."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows()]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"""# What weight decay does in Optax

Measured by [`examples/audit_optax.py`](../examples/audit_optax.py) on optax
{optax.__version__}: `audit` ran each optimizer as a black box, with λ against 0, on a
matrix and on a vector. Optimizers with no decay have dashes. "As g has it": the
gradients set how strongly each weight decays. [The guide to the auditor](auditor.md)
explains laws and findings.

{table}
"""


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path)
    output = parser.parse_args().output
    if output is None:
        print(document())
    else:
        output.write_text(document())


if __name__ == "__main__":
    main()
