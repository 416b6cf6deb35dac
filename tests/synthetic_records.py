"""Records made up so that a verdict must come out one way or another."""

import numpy as np

from examples.claims._claim import HOLDS, HOLDS_WHEN, NOT_SUPPORTED

SEEDS = np.random.default_rng(0).normal(0.0, 1e-3, 10)


def spurious(better):
    """Return a record of C1 in which AdamW is ``better``, by α, in both measures."""
    from examples.claims.c01_spurious_feature import ALPHAS, LAMBDAS, MEASURES

    shape = (len(ALPHAS), len(LAMBDAS), len(SEEDS))

    def arm(gain, noise):
        gain = np.asarray(gain, float)[:, None, None]
        found = {name: np.ones(shape) for name in MEASURES}
        found["root_ratio"] *= np.geomspace(0.1, 10, len(ALPHAS))[:, None, None]
        found["share"] = 0.5 - gain + np.broadcast_to(noise, shape)
        found["ood_accuracy"] = 0.8 + gain + np.broadcast_to(noise, shape)
        return {name: values.tolist() for name, values in found.items()}

    theirs = arm(np.zeros(len(ALPHAS)), SEEDS)
    design = {"Adam + L2": theirs, "AdamW": arm(better, SEEDS[::-1])}
    return {"seeds": len(SEEDS), "steps": 1, "designs": [design, design]}


def shrinkage(coupled, decoupled, bend):
    """Return a record of C2 of these slopes, the coupled one down to ``bend``."""
    from examples.claims.c02_effective_shrinkage import SCALES

    size = np.maximum(SCALES, bend)
    decay = {
        "Adam + L2": size**coupled,
        "RMSprop + L2": size**coupled,
        "AdamW": SCALES**decoupled,
    }
    # One seed's slope must differ from another's, or there is no interval.
    scatter = np.exp(np.multiply.outer(SEEDS, np.log(SCALES)))
    root = np.geomspace(1e-4, 1e-2, 50)
    return {
        "steps": 1,
        "seeds": 10,
        "scales": SCALES.tolist(),
        "decay": {name: (scatter * row).tolist() for name, row in decay.items()},
        "digits": {"pull": (1 / root).tolist(), "root": root.tolist()},
    }


def sgd(plain, order):
    from examples.claims.c03_sgd import MOMENTA

    names = [f"{kind} {mu}" for kind in ("momentum", "Nesterov") for mu in MOMENTA]
    relative = {"plain": plain, "PyTorch's order": order}
    relative |= {"λ against 2λ": 0.2, "shrunk after the step": 1e-4}
    relative |= dict.fromkeys(names, 0.3)
    relative |= {f"{name}, λ/(1 − μ)": 3e-3 for name in names}
    scatter = 1 + SEEDS
    return {
        "steps": 200,
        "every": 1,
        "seeds": 10,
        "relative": {
            name: {"final": (value * scatter).tolist(), "way": [value] * 200}
            for name, value in relative.items()
        },
    }


def sharing(slopes):
    from examples.claims.c04_weight_sharing import GRADIENTS, HEADS, POSITIONS

    scatter = np.exp(SEEDS)
    slopes = dict.fromkeys(GRADIENTS, 0.0) | dict(zip(HEADS, slopes, strict=True))

    def rows(sign):
        return {
            # One seed's slope must differ from another's, or there is no interval.
            name: [(n ** (sign * x) * scatter**n).tolist() for n in POSITIONS]
            for name, x in slopes.items()
        }

    numbers = {"seeds": 10, "steps": 1, "positions": POSITIONS}
    return numbers | {"pull": rows(1), "root": rows(-1)}


def recurrence(slopes, error=1e-15, bend=False):
    """Return a record of C5; with a ``bend`` nothing changes beyond 8 steps."""
    from examples.claims.c05_recurrence import LENGTHS, LOSSES

    scatter, most = np.exp(SEEDS), 8 if bend else 32
    pull = {
        # One seed's ratio must differ from another's, or there is no interval.
        kind: [(min(n, most) ** slope * scatter**n).tolist() for n in LENGTHS]
        for kind, slope in zip(LOSSES, slopes, strict=True)
    }
    return {"seeds": 10, "steps": 1, "pull": pull, "errors": [error] * len(LENGTHS)}


def normalisation(cosine, ratio, radial):
    from examples.claims.c06_normalisation import MOMENTA, NAMES, WALKS

    def measured(value):
        return {"late": (value * (1 + SEEDS)).tolist(), "way": [1.0], "every": 1}

    layer = {
        "cosine": measured(cosine),
        "rms": measured(ratio),
        "rotation": measured(ratio),
        "radial": measured(radial),
    }
    walk = {key: (ratio * (1 + SEEDS)).tolist() for key in ("rms", "rotation")}
    return {
        "seeds": 10,
        "steps": 1,
        "walks": dict.fromkeys(WALKS, walk),
        "networks": {name: dict.fromkeys(NAMES, layer) for name in MOMENTA},
    }


def worked(error, spread):
    from examples.claims.c09_worked_examples import by_plain_python

    true = {key: float(value) for key, value in by_plain_python().items()}
    for key in true:
        name, _, reading = key.partition(": θ after ")
        if reading and not spread:
            true[key] = true[f"{name}: θ after AdamW"]
    return {"true": true, "error": dict.fromkeys(true, error)}


def rare(eaten, parts):
    """Return a record of C11; ``parts``: β₂, biases and norms, embeddings."""
    from examples.claims.c11_rare_tokens import ARMS, EVERY, LAMBDAS, SECOND

    second, biases, embeddings = parts
    shape = (len(LAMBDAS), len(SEEDS))

    def arm(extra, noise, error=0.0, slope=0.0):
        return {
            "valid": (1 + np.abs(np.arange(len(LAMBDAS)) - 2.0))[:, None]
            * np.ones(shape),
            "test": 1 + extra + np.broadcast_to(noise, shape),
            "error": 0.5 + error + np.broadcast_to(noise, shape),
            "frequent": 0.5 + np.broadcast_to(noise, shape),
            "slope": slope + np.broadcast_to(noise, shape),
            "norms": np.ones((len(LAMBDAS), 120)),
        }

    arms = {}
    for at, b2 in enumerate(SECOND):
        error = at * second
        arms[f"AdamW, β₂ = {b2}"] = arm(0.0, (1 + at) * SEEDS, error)
        arms[f"Adam + L2, β₂ = {b2}"] = arm(0.0, -SEEDS, error + eaten, eaten)
    _, _, *names = ARMS
    for name, extra in zip(names, (biases, embeddings), strict=True):
        arms[f"{name}, β₂ = {SECOND[0]}"] = arm(extra, -SEEDS)
    lists = {
        name: {key: value.tolist() for key, value in measured.items()}
        for name, measured in arms.items()
    }
    moved = np.ones((len(SECOND), len(EVERY))).tolist()
    return {"seeds": 10, "steps": 1, "arms": lists, "moved": moved}


def penalty(to_ridge, to_lasso, zeros, speed):
    """Return a record of C13; ``speed`` of dead weights: η to this power of λ."""
    from examples.claims.c13_l1_or_l2 import ETA, LAMBDAS

    shape = (10, len(LAMBDAS))
    dead = 0.5 - ETA * np.outer(np.array(LAMBDAS) ** speed, np.arange(50))

    def method(to_ridge, to_lasso, zeros):
        rows = {
            "to_ridge": to_ridge * (1 + SEEDS),
            "to_lasso": to_lasso * (1 + SEEDS),
            "zeros": zeros + SEEDS,
            "ridge_zeros": 0 * SEEDS,
            "lasso_zeros": 0.3 + 0 * SEEDS,
        }
        wide = {k: row[:, None] * np.ones(shape) for k, row in rows.items()}
        return {k: row.tolist() for k, row in (wide | {"dead": dead}).items()}

    methods = {
        "Adam + L2": method(to_ridge, to_lasso, zeros),
        "Adam + L1": method(0.2, 0.01, 0.3),
    }
    return {"seeds": 10, "steps": 1, "methods": methods}


def quantisation(gaps, at_large_weight_decay=0.0):
    """Return a record of C7 in which AdamW loses ``gaps`` more, by bit width.

    The best λ of Adam + L2 is the third, that of AdamW the sixth; up to two λ further
    either loss stays within the budgets. At those two Adam + L2 loses
    ``at_large_weight_decay`` more.
    """
    from examples.claims.c07_quantisation import BITS, LAMBDAS

    order = np.arange(len(LAMBDAS))
    flat = np.ones((len(LAMBDAS), 1))

    def arm(best, noise, rises):
        test = 0.1 * 1.2 ** np.abs(order - best)[:, None] + 0.01 * SEEDS
        quantised = [test + rise + noise for rise in rises]
        return {
            "valid": test.tolist(),
            "test": test.tolist(),
            "errors": (20 * flat + np.round(1e3 * SEEDS)).tolist(),
            "quantised_valid": np.asarray(quantised).tolist(),
            "quantised_test": np.asarray(quantised).tolist(),
            "distance": [(0.25 * flat + SEEDS).tolist()] * len(BITS),
        }

    heavy = ((order == 3) | (order == 4))[:, None] * at_large_weight_decay
    arms = {
        "AdamW": arm(5, 0.1 * SEEDS, [0.2 + gap * flat for gap in gaps]),
        "Adam + L2": arm(2, 0.1 * SEEDS[::-1], [0.2 + heavy for _ in BITS]),
    }
    return {"seeds": len(SEEDS), "steps": 1, "arms": arms}


def delay(harm, arithmetic=0.2, warmup=1.0, noise=0.1):
    """Return a record of C8 in which making up does ``harm``, by start, at every λ."""
    from examples.claims.c08_warmup_and_delay import LAMBDAS, STARTS

    def arm(loss, left=0.2):
        return {
            "left": left,
            "last_weight_decay": 0.5,
            "loss": (0.1 + loss + noise * SEEDS).tolist(),
            "norm": (10 + SEEDS).tolist(),
            "way": [1.0],
        }

    arms = {"throughout": arm(0.0)}
    arms["throughout"]["loss"] = (0.1 + 2 * noise * SEEDS[::-1]).tolist()
    for start, extra in zip(STARTS, harm, strict=True):
        arms[f"late {start}"] = arm(0.0, 0.5)
        arms[f"made up {start}"] = arm(extra, arithmetic)
    shares = {"warmup_over_mean": warmup, "lost_to_warmup": 0.1}
    every = {f"{decay}": arms for decay in LAMBDAS}
    return {"steps": 200, "seeds": 10, "arms": every} | shares


def zero_gradient(error, smallest, small, arrives=True):
    """Return a record of C10 in which small weights go ``small`` from 0, in η."""
    from examples.claims.c10_zero_gradient import CASES, ETA, SMALL

    path = {
        "path": [0.4, 0.3],
        "every": 1,
        "from_geometric": error,
        "smallest_step": smallest,
        "largest_step": 1.0,
        "to_eta": 1400 if arrives else None,
        "to_zero": 1404 if arrives else None,
        "overshoot": 0.5 if arrives else None,
    }
    after = [ETA * one for one in small]
    return {
        "steps": 9,
        "paths": {name: dict(path) for name in CASES},
        "small": {
            f"{start:g}, β₂ = {b2}": [start, *after] for start in SMALL for b2 in (1, 2)
        },
    }


def few_labels(both, loss, changed=0, norm=-0.1):
    """Return a record of C12.

    Dropout and λ gain 0.1 each, and ``both`` comes on top where they meet; with λ the
    loss after fine-tuning changes by ``loss`` and the norm of adapters by ``norm``.
    """
    from examples.claims.c12_dropout_fine_tuning_adapters import (
        ARMS,
        DECAYS,
        DROPOUT,
        LAMBDAS,
        RATES,
    )

    decay, dropout = np.arange(len(DECAYS)) == 2, np.arange(len(DROPOUT)) == 2
    gain = both * np.outer(decay, dropout) - 0.1 * (decay[:, None] + 0.5 * dropout)
    scatter = np.concatenate([SEEDS, SEEDS])
    grid = (1 + gain)[:, :, None, None] * np.ones((1, 1, 3, 1)) * (1 + scatter)
    some = np.array([weight_decay > 0 for weight_decay in LAMBDAS])

    def row(start, change):
        means = (start + change * some)[:, None, None]
        return (means * (1 + SEEDS) * np.ones((1, 3 * len(RATES), 1))).tolist()

    arm = {
        "valid": row(1, loss),
        "loss": row(1, loss),
        "accuracy": row(0.5, 0),
        "changed": row(changed, 0),
        "left": row(1, 0),
        "upright": row(1, 0),
        "adapters": row(1, norm),
    }
    return {
        "seeds": 10,
        "steps": [2, 4, 6],
        "dropout": {"valid": grid.tolist(), "loss": grid.tolist()},
        "settings": [[rate, steps] for rate in RATES for steps in (1, 2, 3)],
        "tuning": dict.fromkeys(ARMS, arm),
    }


SYNTHETIC = [
    ("C1", spurious([0.1] * 5), HOLDS),
    ("C1", spurious([0, 0, 0, 0.1, 0.1]), HOLDS_WHEN),
    ("C1", spurious([-0.1] * 5), NOT_SUPPORTED),
    ("C2", shrinkage(-1, 0, 1e-9), HOLDS),
    ("C2", shrinkage(-0.5, 0, 1e-9), HOLDS),
    ("C2", shrinkage(-1, 0, 0.1), HOLDS_WHEN),
    ("C2", shrinkage(-1, -0.5, 1e-9), HOLDS_WHEN),
    ("C2", shrinkage(0, -0.5, 1e-9), NOT_SUPPORTED),
    ("C3", sgd(0.0, 4e-16), HOLDS),
    ("C3", sgd(0.0, 1e-3), HOLDS_WHEN),
    ("C3", sgd(1e-3, 1e-3), NOT_SUPPORTED),
    ("C4", sharing((-1, -0.5, -0.2)), HOLDS),
    ("C4", sharing((-1, -0.5, 0.5)), HOLDS_WHEN),
    ("C4", sharing((1, 0.5, 0.5)), NOT_SUPPORTED),
    ("C5", recurrence((-1, -0.5, 0.5)), HOLDS),
    ("C5", recurrence((-1, -0.5, 0.5), bend=True), HOLDS_WHEN),
    ("C5", recurrence((0, 0, 0)), HOLDS_WHEN),
    ("C5", recurrence((-1, -0.5, 0.5), error=0.1), HOLDS_WHEN),
    ("C5", recurrence((0, 0, 0), error=0.1), NOT_SUPPORTED),
    ("C6", normalisation(1e-5, 1.0, 0.01), HOLDS),
    ("C6", normalisation(1e-5, 1.0, 0.9), HOLDS_WHEN),
    ("C6", normalisation(1e-5, 1.3, 0.9), HOLDS_WHEN),
    ("C6", normalisation(0.4, 1.3, 0.9), NOT_SUPPORTED),
    ("C7", quantisation([-0.1] * 4), HOLDS),
    ("C7", quantisation([0, 0, 0, -0.1]), HOLDS_WHEN),
    ("C7", quantisation([0, 0, 0, 0.1]), NOT_SUPPORTED),
    # Less at its own best λ, but more along the frontier.
    ("C7", quantisation([-0.1] * 4, at_large_weight_decay=-0.2), NOT_SUPPORTED),
    ("C8", delay((0, 0, 0), warmup=0.5), HOLDS),
    ("C8", delay((0, 0, 0)), HOLDS_WHEN),
    ("C8", delay((0.1, 0.1, 0.1), warmup=0.5), HOLDS_WHEN),
    ("C8", delay((0.1, 0.1, 0.1), arithmetic=0.3), NOT_SUPPORTED),
    # Too few seeds to show that nothing is lost.
    ("C8", delay((0, 0, 0), arithmetic=0.3, noise=30), NOT_SUPPORTED),
    ("C9", worked(1e-16, spread=False), HOLDS),
    ("C9", worked(1e-16, spread=True), HOLDS_WHEN),
    ("C9", worked(1e-9, spread=True), NOT_SUPPORTED),
    ("C10", zero_gradient(1e-13, 0.99, (0.0, 0.01)), HOLDS),
    # At zero after one step, but not to stay.
    ("C10", zero_gradient(1e-13, 0.99, (0.0, -0.7)), HOLDS_WHEN),
    ("C10", zero_gradient(1e-13, 0.3, (-0.3, -0.6)), HOLDS_WHEN),
    # Upwards at first: no constant step.
    ("C10", zero_gradient(1e-2, -0.1, (-0.3, -0.6)), NOT_SUPPORTED),
    ("C10", zero_gradient(1e-2, 0.3, (-0.3, 0.0), arrives=False), NOT_SUPPORTED),
    ("C11", rare(0.1, (0.1, 0.1, 0.1)), HOLDS),
    ("C11", rare(0.1, (-0.1, 0.1, 0.1)), HOLDS_WHEN),
    ("C11", rare(0.0, (0.0, 0.0, 0.1)), HOLDS_WHEN),
    ("C11", rare(-0.1, (-0.1, -0.1, -0.1)), NOT_SUPPORTED),
    ("C12", few_labels(0.0, -0.1), HOLDS),
    ("C12", few_labels(0.3, -0.1), HOLDS_WHEN),
    ("C12", few_labels(0.0, -0.1, changed=1), HOLDS_WHEN),
    ("C12", few_labels(0.3, 0.1, changed=1), NOT_SUPPORTED),
    ("C12", few_labels(0.3, 0.1, norm=0.0), NOT_SUPPORTED),
    ("C13", penalty(0.2, 0.1, 0.3, 0), HOLDS),
    ("C13", penalty(0.1, 0.2, 0.0, 0), HOLDS_WHEN),
    ("C13", penalty(0.2, 0.1, 0.0, 1), HOLDS_WHEN),
    ("C13", penalty(0.1, 0.2, 0.0, 1), NOT_SUPPORTED),
]
