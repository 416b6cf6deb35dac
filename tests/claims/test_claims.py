"""Experiments on claims: verdicts follow their numbers, runs repeat."""

import copy
import json

import jax.numpy as jnp
import numpy as np
import pytest

from examples.claims import __main__ as command
from examples.claims import _protocols, c07_quantisation
from examples.claims._all import CLAIMS
from examples.claims._claim import HOLDS, HOLDS_WHEN, NOT_SUPPORTED
from examples.claims._protocols import Arm
from examples.claims._records import make
from examples.claims._statistics import interval, paired, slope

SEEDS = np.random.default_rng(0).normal(0.0, 1e-3, 10)


def spurious(better):
    """Return a record of C1 in which AdamW is ``better``, by setting, in accuracy."""
    from examples.claims.c01_spurious_feature import ALPHAS, LAMBDAS, MEASURES

    shape = (len(ALPHAS), len(LAMBDAS), len(SEEDS))

    def arm(gain):
        found = {name: np.ones(shape).tolist() for name in MEASURES}
        found["ood_accuracy"] = (
            0.8 + np.asarray(gain)[:, None, None] + np.broadcast_to(SEEDS, shape)
        ).tolist()
        return found

    noise = np.broadcast_to(SEEDS[::-1], shape) * 0.1
    design = {"Adam + L2": arm(np.zeros(len(ALPHAS))), "AdamW": arm(better)}
    design["AdamW"]["ood_accuracy"] = (
        np.asarray(design["AdamW"]["ood_accuracy"]) + noise
    ).tolist()
    return {"seeds": len(SEEDS), "steps": 1, "designs": [design, design]}


def shrinkage(coupled, decoupled, bend):
    from examples.claims.c02_effective_shrinkage import SCALES

    size = np.maximum(SCALES, bend)
    decay = {
        "Adam + L2": size**coupled,
        "RMSprop + L2": size**coupled,
        "AdamW": SCALES**decoupled,
    }
    scatter = np.exp(SEEDS)[:, None]
    root = np.geomspace(1e-4, 1e-2, 50)
    return {
        "steps": 1,
        "seeds": 10,
        "scales": SCALES.tolist(),
        "decay": {name: (scatter * row).tolist() for name, row in decay.items()},
        "digits": {"pull": (1 / root).tolist(), "root": root.tolist()},
    }


def sgd(plain, momentum):
    from examples.claims.c03_sgd import MOMENTA

    names = [f"{kind} {mu}" for kind in ("momentum", "Nesterov") for mu in MOMENTA]
    relative = dict.fromkeys(("plain",), plain)
    relative |= {"λ against 2λ": 0.2, "shrunk after the step": 1e-4}
    relative |= dict.fromkeys(names, momentum)
    relative |= {f"{name}, λ/(1 − μ)": momentum / 100 for name in names}
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
    pull = {
        name: [(count**slope * scatter).tolist() for count in POSITIONS]
        for name, slope in zip((*HEADS, *GRADIENTS), (*slopes, 0, 0, 0), strict=True)
    }
    # One seed's slope must differ from another's, or there is no interval.
    for rows in pull.values():
        rows[0][0] *= 1.001
    return {"seeds": 10, "steps": 1, "positions": POSITIONS, "pull": pull}


def recurrence(slopes, error=1e-15):
    from examples.claims.c05_recurrence import LENGTHS, LOSSES

    scatter = np.exp(SEEDS)
    pull = {
        # One seed's slope must differ from another's, or there is no interval.
        kind: [(length**slope * scatter**length).tolist() for length in LENGTHS]
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
    walk = {key: (1 + SEEDS).tolist() for key in ("rms", "rotation")}
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


def penalty(to_ridge, to_lasso, speed):
    from examples.claims.c13_l1_or_l2 import ETA, LAMBDAS

    scatter = (1 + SEEDS)[:, None]
    shape = (1, len(LAMBDAS))
    dead = 0.5 - ETA * np.multiply.outer(speed * np.ones(len(LAMBDAS)), np.arange(50))
    return {
        "seeds": 10,
        "steps": 1,
        "to_ridge": (to_ridge * scatter * np.ones(shape)).tolist(),
        "to_lasso": (to_lasso * scatter * np.ones(shape)).tolist(),
        "zeros": np.zeros((10, len(LAMBDAS))).tolist(),
        "dead": dead.tolist(),
    }


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


def delay(harm, arithmetic=0.2):
    from examples.claims.c08_warmup_and_delay import STARTS

    def arm(loss, left=0.2):
        losses = (0.1 + loss + 0.1 * SEEDS).tolist()
        norm = (10 + SEEDS).tolist()
        return {
            "left": left,
            "last_weight_decay": 0.5,
            "loss": losses,
            "norm": norm,
            "way": [1.0],
        }

    arms = {"throughout": arm(0.0) | {"loss": (0.1 + 0.2 * SEEDS[::-1]).tolist()}}
    for start, extra in zip(STARTS, harm, strict=True):
        arms[f"late {start}"] = arm(0.0, 0.5)
        arms[f"made up {start}"] = arm(extra, arithmetic)
    return {"steps": 200, "seeds": 10, "share_of_the_warmup": 0.1, "arms": arms}


def zero_gradient(error, smallest, after):
    from examples.claims.c10_zero_gradient import CASES, SMALL

    path = {
        "path": [0.4, 0.3],
        "every": 1,
        "from_geometric": error,
        "smallest_step": smallest,
        "largest_step": 1.0,
        "overshoot": 0.5,
    }
    small = {
        f"{start:g}, β₂ = {b2}": [start, after] for start in SMALL for b2 in (1, 2)
    }
    return {
        "steps": 9,
        "paths": {name: dict(path) for name in CASES},
        "small": small,
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
    ("C1", spurious([0.1, 0, 0, 0, 0]), HOLDS_WHEN),
    ("C1", spurious([-0.1] * 5), NOT_SUPPORTED),
    ("C2", shrinkage(-1, 0, 1e-9), HOLDS),
    ("C2", shrinkage(-1, 0, 0.1), HOLDS_WHEN),
    ("C2", shrinkage(-0.5, 0, 1e-9), NOT_SUPPORTED),
    ("C2", shrinkage(-1, -0.5, 1e-9), NOT_SUPPORTED),
    ("C3", sgd(1e-16, 1e-14), HOLDS),
    ("C3", sgd(1e-16, 0.3), HOLDS_WHEN),
    ("C3", sgd(1e-3, 0.3), NOT_SUPPORTED),
    ("C4", sharing((-1, -0.5, -0.2)), HOLDS),
    ("C4", sharing((-1, -0.5, 0.5)), HOLDS_WHEN),
    ("C4", sharing((1, 0.5, 0.5)), NOT_SUPPORTED),
    ("C5", recurrence((-1, -0.5, 0.5)), HOLDS),
    ("C5", recurrence((-1, 0, 0)), HOLDS_WHEN),
    ("C5", recurrence((0, 0, 0)), NOT_SUPPORTED),
    ("C5", recurrence((-1, -0.5, 0.5), error=0.1), NOT_SUPPORTED),
    ("C6", normalisation(1e-5, 1.0, 0.01), HOLDS),
    ("C6", normalisation(1e-5, 1.0, 0.9), HOLDS_WHEN),
    ("C6", normalisation(1e-5, 1.3, 0.9), HOLDS_WHEN),
    ("C6", normalisation(0.4, 1.3, 0.9), NOT_SUPPORTED),
    ("C7", quantisation([-0.1] * 4), HOLDS),
    ("C7", quantisation([0, 0, 0, -0.1]), HOLDS_WHEN),
    ("C7", quantisation([0, 0, 0, 0.1]), NOT_SUPPORTED),
    # Less at its own best λ, but more along the frontier.
    ("C7", quantisation([-0.1] * 4, at_large_weight_decay=-0.2), NOT_SUPPORTED),
    ("C8", delay((0, 0, 0)), HOLDS),
    ("C8", delay((0, 0, 0.1)), HOLDS_WHEN),
    ("C8", delay((0.1, 0.1, 0.1)), NOT_SUPPORTED),
    ("C8", delay((0, 0, 0), arithmetic=0.3), NOT_SUPPORTED),
    ("C9", worked(1e-16, spread=False), HOLDS),
    ("C9", worked(1e-16, spread=True), HOLDS_WHEN),
    ("C9", worked(1e-9, spread=False), NOT_SUPPORTED),
    ("C10", zero_gradient(1e-13, 0.99, 0.0), HOLDS),
    ("C10", zero_gradient(1e-13, 0.3, -1e-4), HOLDS_WHEN),
    ("C10", zero_gradient(1e-2, 0.3, -1e-4), NOT_SUPPORTED),
    ("C11", rare(0.1, (0.1, 0.1, 0.1)), HOLDS),
    ("C11", rare(0.1, (-0.1, 0.1, 0.1)), HOLDS_WHEN),
    ("C11", rare(0.0, (0.0, 0.0, 0.1)), HOLDS_WHEN),
    ("C11", rare(-0.1, (-0.1, -0.1, -0.1)), NOT_SUPPORTED),
    ("C12", few_labels(0.0, -0.1), HOLDS),
    ("C12", few_labels(0.3, -0.1), HOLDS_WHEN),
    ("C12", few_labels(0.0, -0.1, changed=1), HOLDS_WHEN),
    ("C12", few_labels(0.3, 0.1, changed=1), NOT_SUPPORTED),
    ("C12", few_labels(0.3, 0.1, norm=0.0), NOT_SUPPORTED),
    ("C13", penalty(0.2, 0.1, 1.0), HOLDS),
    ("C13", penalty(0.1, 0.2, 1.0), HOLDS_WHEN),
    ("C13", penalty(0.1, 0.2, 0.1), NOT_SUPPORTED),
]


@pytest.mark.parametrize(("name", "numbers", "outcome"), SYNTHETIC)
def test_a_verdict_follows_its_numbers(name, numbers, outcome):
    verdict = CLAIMS[name].judge(numbers)
    assert verdict.outcome == outcome
    assert verdict.finding and verdict.advice


def test_every_claim_can_come_out_every_way():
    for name in CLAIMS:
        outcomes = {outcome for one, _, outcome in SYNTHETIC if one == name}
        assert outcomes == {HOLDS, HOLDS_WHEN, NOT_SUPPORTED}


def test_intervals():
    # Three values: t(0.975, 2) = 4.3027, standard error 1/√3.
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2 and found.count == 3
    assert found.high - found.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert str(found) == "2.0 ± 2.5"
    assert str(interval([0.1234, 0.1235])) == "0.12345 ± 0.00064"
    assert not paired([1, 2, 3], [1, 2.1, 2.9]).excludes_zero
    assert paired([1, 2, 3], [0, 1.1, 1.9]).low > 0
    x = np.geomspace(1, 10, 5)
    assert slope(x, x**-0.5).mean == pytest.approx(-0.5)


def test_three_protocols():
    # Two λ, two seeds. The first method is worse at each λ, and better at its own best.
    first = Arm(valid=[[1.0, 1.0], [2.0, 2.0]], measure=[[3.0, 3.1], [5.0, 5.3]])
    second = Arm(valid=[[2.4, 2.4], [1.2, 1.2]], measure=[[1.0, 1.2], [4.0, 4.0]])
    same = _protocols.at_same_weight_decay(first, second)
    assert [gap.mean for gap in same] == pytest.approx([1.95, 1.15])
    assert _protocols.best(first.valid) == 0 and _protocols.best(second.valid) == 1
    assert _protocols.at_own_best(first, second).mean == pytest.approx(-0.95)
    # Both reach 1.2; the second's λ of lowest measure has twice that.
    gaps = [gap.mean for gap in _protocols.along_frontier(first, second)]
    assert gaps == pytest.approx([-0.95] * 4 + [1.95])
    assert _protocols.BUDGETS[-1] == 2


def test_C7_quantises_and_reads_between_weight_decays():
    points, distances = c07_quantisation.quantise(jnp.array([3.0, 1.4, -0.6]), 3)
    np.testing.assert_allclose(points, [3, 1, -1])
    np.testing.assert_allclose(distances, [0, 0.4, 0.4], atol=1e-6)
    zeros = c07_quantisation.quantise(jnp.zeros(3), 3)
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))
    # The best λ is the second; the loss is √2 times the third's.
    arm = {"valid": [[2.0], [1.0], [2.0], [4.0]], "test": np.zeros((4, 1))}
    arm["quantised_test"] = [[[9.0], [1.0], [3.0], [5.0]]]
    assert c07_quantisation.under_heavy_decay(arm, 0, 8**0.5) == pytest.approx([4.0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_run_repeats(name, tmp_path):
    claim = CLAIMS[name]
    records = [make(claim, "smoke", tmp_path / x, lambda _: None) for x in "ab"]
    assert records[0]["numbers"] == records[1]["numbers"]
    assert claim.judge(records[0]["numbers"]).outcome in (
        HOLDS,
        HOLDS_WHEN,
        NOT_SUPPORTED,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["C3", "C8", "C9", "C10"])
def test_arithmetic_claims_in_full_size(name, tmp_path):
    record = make(CLAIMS[name], "full", tmp_path, lambda _: None)
    assert CLAIMS[name].judge(record["numbers"]).outcome == HOLDS_WHEN


@pytest.mark.slow
def test_the_command_line(tmp_path, capsys):
    arguments = ["--smoke", "--output", str(tmp_path)]
    assert command.main(["list"]) == 0
    assert "C10" in capsys.readouterr().out
    assert command.main(["report", *arguments]) == 2
    assert command.main(["run", "c10", *arguments]) == 0
    assert "HOLDS ONLY WHEN" in capsys.readouterr().out
    for kind in ("json", "png", "svg"):
        assert (tmp_path / f"c10_smoke.{kind}").exists()
    # What has a record is not run again, also when it was changed.
    path = tmp_path / "c10_smoke.json"
    record = json.loads(path.read_text())
    changed = copy.deepcopy(record)
    changed["numbers"]["paths"]["AdamW, β₂ = 0.95, cold"]["from_geometric"] = 1.0
    path.write_text(json.dumps(changed))
    assert command.main(["run", "C10", *arguments]) == 0
    assert "NOT SUPPORTED" in capsys.readouterr().out
    assert command.main(["run", "C10", "--again", *arguments]) == 0
    assert json.loads(path.read_text())["numbers"] == record["numbers"]
    # But what was run with other settings is.
    changed["settings"]["learning_rate"] = 1.0
    path.write_text(json.dumps(changed))
    assert command.main(["run", "C10", *arguments]) == 0
    assert json.loads(path.read_text())["numbers"] == record["numbers"]
    capsys.readouterr()
    assert command.main(["report", *arguments]) == 0
    assert "without a record: C1, " in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert 'src="data:image/png;base64,' in page and "http" not in page.split("<h2")[0]
    assert "| C10 Zero gradient (smoke) |" in (tmp_path / "report.md").read_text()
    assert command.main(["run", "C99"]) == 2
