"""Bugs that were seen in the wild are found; their healthy twins are left alone."""

import jax.numpy as jnp
import numpy as np
import optax
import optimizer_zoo as zoo
import pytest

import optaxwd

ETA, LAM = 1e-3, 0.1
PARAMS = {
    "head": np.ones((6, 4)),
    "dense": {"kernel": np.ones((6, 4)), "bias": np.ones(5)},
    "norm": {"scale": np.ones(5)},
}
MATRICES = {
    "head": True,
    "dense": {"kernel": True, "bias": False},
    "norm": {"scale": False},
}


def codes(report):
    """Return codes of findings at least as grave as a warning, but for norm-decays."""
    return {finding.code for finding in report.at_least("warning")} - {"norm-decays"}


@pytest.mark.parametrize(
    ("factory", "code", "severity", "words"),
    [
        (zoo.ignored, "no-decay", "error", "no leaf decays"),
        (zoo.grows, "wrong-sign", "error", "weights grow by 0.0001"),
        (zoo.after_the_chain, "wrong-sign", "error", "weights grow by 0.1"),
        (zoo.without_lr, "lr-independent", "error", "10 % of every weight"),
        (zoo.captured_rate, "lr-independent", "warning", "schedule does not reach"),
        (zoo.squared, "rate-mismatch", "error", "square of weight_decay"),
        (zoo.doubled, "rate-mismatch", "warning", "2 times as strongly"),
        (zoo.before_unscaling(128.0), "rate-mismatch", "warning", "0.0078125 times"),
        (zoo.in_every_micro_step(4), "rate-mismatch", "error", "each of 4 calls"),
        (zoo.l2_inside_adam, "coupled", "warning", "added to the gradient"),
        (zoo.after_step, "applied-after-step", "warning", "shortened by 0.0001"),
        (zoo.ascent, "not-descent", "error", "scale them by -1"),
        (zoo.nan, "nan", "error", "not finite"),
    ],
)
def test_bug_is_found(factory, code, severity, words):
    report = optaxwd.audit(factory, PARAMS)
    found = [finding for finding in report.findings if finding.code == code]
    assert found and found[0].severity == severity and words in found[0].message
    if code not in ("coupled", "rate-mismatch"):
        assert codes(report) == {code} | ({"lr-independent"} & codes(report))


@pytest.mark.parametrize(
    ("factory", "law"),
    [
        (zoo.healthy_sign, "learning_rate"),
        (zoo.scheduled_only, "independent"),
        (zoo.cautious, "learning_rate, cautious"),
        (zoo.lr_squared, "decoupled"),
        (zoo.hidden_in_state, "momentum"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (zoo.inside_what_collects(4), "learning_rate"),
                (zoo.inside_what_collects(16), "learning_rate"),
                (zoo.decay_schedule, "learning_rate"),
                (zoo.late, "learning_rate"),
                (zoo.every_third_step, "learning_rate"),
                (zoo.only_rows_with_gradients, "learning_rate, gradient"),
                (zoo.towards_start, "learning_rate, towards the initial parameters"),
                (zoo.l1, "learning_rate, L1"),
                (zoo.proximal, "proximal"),
                (zoo.sees_norm_of_all, "decoupled"),
            )
        ),
    ],
)
def test_healthy_and_unusual_ones_are_named_not_accused(factory, law):
    coupling = "other" if law == "decoupled" else law.split(",")[0]
    report = optaxwd.audit(factory, PARAMS)
    assert not codes(report)
    for leaf in report.leaves.values():
        assert leaf.decays and not leaf.cannot_tell
        assert (leaf.coupling, leaf.law) == (coupling, law)
    report = optaxwd.audit(factory(ETA, LAM), PARAMS)
    assert not codes(report)
    for leaf in report.leaves.values():
        assert leaf.decays and leaf.coupling in (coupling, "other")


def test_decay_times_squared_learning_rate_says_so():
    leaf = optaxwd.audit(zoo.lr_squared, PARAMS).leaves["head"]
    assert leaf.lr_power == 2.0 and leaf.rate == pytest.approx(ETA**2 * LAM, rel=1e-6)
    assert any("to the power 2" in note for note in leaf.notes)


def test_micro_steps_are_seen_in_an_object_too():
    optimizer = zoo.in_every_micro_step(4)(ETA, LAM)
    found = optaxwd.audit(optimizer, PARAMS).at_least("error")
    assert found and "each of 4 calls" in found[0].message


def test_leaves_in_the_wrong_order_are_not_called_decay():
    params = {"x": np.ones((3, 3)), "y": np.ones((3, 3))}
    for optimizer in (zoo.another_leaf, zoo.another_leaf(ETA, LAM)):
        report = optaxwd.audit(optimizer, params)
        assert all(leaf.cannot_tell for leaf in report.leaves.values())
        assert not any(leaf.decays for leaf in report.leaves.values())
    report = optaxwd.audit(zoo.another_leaf, params)
    assert {finding.code for finding in report.findings} == {"cross-leaf"}


@pytest.mark.parametrize("as_factory", [True, False])
def test_everything_decays_because_names_never_match(as_factory):
    factory = zoo.names_never_match
    optimizer = factory if as_factory else factory(ETA, LAM)
    report = optaxwd.audit(optimizer, PARAMS)
    found = {f.path for f in report.findings if f.code == "norm-decays"}
    assert found == {"dense/bias", "norm/scale"}
    report = optaxwd.audit(
        optimizer, PARAMS, mask=MATRICES, learning_rate=ETA, weight_decay=LAM
    )
    found = {f.path for f in report.findings if f.code == "mask-mismatch"}
    assert found == {"dense/bias", "norm/scale"}
    with pytest.raises(AssertionError, match="dense/bias"):
        report.raise_if("error")


@pytest.mark.parametrize("as_factory", [True, False])
def test_a_multiplier_that_is_multiplied_twice(as_factory):
    multipliers = {
        "head": 3.0,
        "dense": {"kernel": 0.5, "bias": 0.0},
        "norm": {"scale": 1.0},
    }
    factory = zoo.multiplied_twice(multipliers)
    report = optaxwd.audit(
        factory if as_factory else factory(ETA, LAM),
        PARAMS,
        mask=multipliers,
        learning_rate=ETA,
        weight_decay=LAM,
    )
    found = {f.path: f.message for f in report.findings if f.code == "rate-mismatch"}
    assert set(found) == {"head", "dense/kernel"}
    assert "3 times as much" in found["head"]
    assert all("multiplier squared" in message for message in found.values())


def test_frozen_leaves_that_decay():
    frozen = {"head": True, "dense": False, "norm": False}
    report = optaxwd.audit(zoo.healthy_sign, PARAMS, frozen=frozen)
    found = [f for f in report.findings if f.code == "frozen-decays"]
    assert [f.path for f in found] == ["head"] and "0.0001" in found[0].message
    healthy = optaxwd.audit(
        lambda eta, lam: optax.partition(
            {"free": zoo.healthy_sign(eta, lam), "frozen": optax.set_to_zero()},
            {"head": "frozen", "dense": "free", "norm": "free"},
        ),
        PARAMS,
        frozen=frozen,
    )
    assert not [f for f in healthy.findings if f.code == "frozen-decays"]


def test_an_object_with_the_wrong_rate():
    optimizer = zoo.doubled(ETA, LAM)
    report = optaxwd.audit(optimizer, PARAMS, learning_rate=ETA, weight_decay=LAM)
    found = [f for f in report.findings if f.code == "rate-mismatch"]
    assert {f.path for f in found} == set(report.leaves)
    assert "should be 0.0001 and is 0.0002, 2 times as much" in found[0].message


def test_an_object_whose_weight_decay_is_lost():
    report = optaxwd.audit(optax.adam(ETA), PARAMS, weight_decay=LAM)
    assert codes(report) == {"no-decay"}
    assert not optaxwd.audit(optax.adam(ETA), PARAMS, weight_decay=0.0).findings


def test_zero_gradients_that_break_the_step_are_told_and_no_more():
    report = optaxwd.audit(zoo.nan_at_rest, PARAMS)
    found = {f.severity for f in report.findings if f.code == "nan"}
    assert found == {"info"} and report.leaves["head"].coupling == "learning_rate"


@pytest.mark.slow
def test_swallowed_by_rounding_in_the_leafs_own_dtype():
    params = {
        "low": jnp.ones((32, 32), jnp.bfloat16),
        "half": jnp.full((4, 4), 0.5, jnp.float16),
        "single": jnp.ones((4, 4), jnp.float32),
    }
    report = optaxwd.audit(optax.adamw, params, learning_rate=3e-4)
    assert {p: x.effective for p, x in report.leaves.items()} == {
        "low": False,
        "half": False,
        "single": True,
    }
    found = {f.path: f for f in report.findings if f.code == "swallowed-by-rounding"}
    assert set(found) == {"low", "half"}
    assert found["low"].severity == "error"
    message = "bfloat16: 0 of 1024 weights move in 1000 steps at 3e-05 per step"
    assert message in found["low"].message and "round_updates" in found["low"].message
    # A rate above half a unit in the last place gets through.
    report = optaxwd.audit(optax.adamw, params, learning_rate=0.1)
    assert all(leaf.effective for leaf in report.leaves.values())


@pytest.mark.slow
def test_half_life_counts_the_steps_between():
    report = optaxwd.audit(zoo.inside_what_collects(4)(ETA, LAM), PARAMS)
    leaf = report.leaves["head"]
    assert leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)
    assert leaf.half_life == pytest.approx(4 * np.log(2) / -np.log1p(-ETA * LAM))
    assert "decay acts in 2 of 8 steps probed" in leaf.notes


@pytest.mark.slow
def test_decay_past_zero():
    report = optaxwd.audit(optax.adamw, PARAMS, learning_rate=10.0, weight_decay=10.0)
    assert "100 times the weight" in report.at_least("error")[0].message
    assert report.leaves["head"].half_life == np.inf


@pytest.mark.slow
def test_what_is_too_small_is_not_accused():
    for optimizer in (optax.adamw, optax.adamw(ETA, weight_decay=1e-13)):
        report = optaxwd.audit(optimizer, PARAMS, learning_rate=ETA, weight_decay=1e-13)
        assert not report.at_least("warning")


def test_methods_that_climb_on_purpose():
    report = optaxwd.audit(
        optax.contrib.sam(
            optax.sgd(ETA), optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
        ),
        PARAMS,
    )
    assert not report.at_least("warning")


@pytest.mark.parametrize("penalty", ["l2", "l1", optaxwd.huber(1.2)])
@pytest.mark.parametrize("anchor", [None, "init"])
@pytest.mark.parametrize("is_cautious", [False, True])
@pytest.mark.parametrize("as_factory", [True, False])
@pytest.mark.slow
def test_penalties_anchors_and_gates_of_our_own(
    penalty, anchor, is_cautious, as_factory
):
    def factory(eta, lam):
        return optaxwd.adamw(
            eta, weight_decay=lam, penalty=penalty, anchor=anchor, cautious=is_cautious
        )

    optimizer = factory if as_factory else factory(ETA, LAM)
    report = optaxwd.audit(optimizer, PARAMS, learning_rate=ETA, weight_decay=LAM)
    for leaf in report.leaves.values():
        assert leaf.decays and leaf.decoupled
        assert leaf.coupling == "learning_rate"
        assert leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)
        assert leaf.penalty == {"l2": "L2", "l1": "L1"}.get(str(penalty), "Huber")
        assert leaf.anchor == ("the initial parameters" if anchor else "")
        assert leaf.gate == ("cautious" if is_cautious else "")
