"""Decay in 16 bits: where it is lost, the auditor says so, and only there."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optaxwd
from optaxwd.auditor._in_chain import InChain, _compare

ETA, LAM = 1e-3, 0.1
LOST = {"swallowed-by-rounding", "swallowed-by-update"}
MODES = ("stochastic", "compensated", "split")


def weights(size, dtype, shape=(16, 16)):
    """Return weights of about ``size``, none of them a power of two."""
    rng = np.random.default_rng(3)
    signs = rng.choice([-1.0, 1.0], shape)
    return {"w": jnp.asarray(size * signs * rng.uniform(0.5, 1.5, shape), dtype)}


def plain(learning_rate, weight_decay):
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def rounded(mode):
    return lambda eta, lam: optax.chain(plain(eta, lam), optaxwd.round_updates(mode))


def with_precision(precision):
    return lambda eta, lam: optaxwd.with_precision(plain(eta, lam), precision)


FIXED = {
    **{f"round_updates {mode}": rounded(mode) for mode in MODES},
    **{f"with_precision {mode}": with_precision(mode) for mode in MODES},
    **{
        f"precision {mode}": lambda eta, lam, mode=mode: optaxwd.adamw(
            eta, weight_decay=lam, precision=mode
        )
        for mode in MODES
    },
    "with_master_weights": lambda eta, lam: optaxwd.with_master_weights(
        plain(eta, lam)
    ),
    "int8": with_precision(optaxwd.Policy(state="int8")),
    "compress_state": lambda eta, lam: optaxwd.with_precision(
        optaxwd.compress_state(plain(eta, lam), "int8", min_size=256)
    ),
}
FAST = {("round_updates split", False), ("with_precision stochastic", True)}
CASES = [
    pytest.param(
        name,
        as_factory,
        marks=[] if (name, as_factory) in FAST else pytest.mark.slow,
    )
    for name in FIXED
    for as_factory in (True, False)
]


def losses(factory, params, *, as_factory=True):
    """Return the findings about lost decay, by code, and whether `w` survives."""
    optimizer = factory if as_factory else factory(ETA, LAM)
    report = optaxwd.audit(optimizer, params)
    assert report.leaves["w"].decays
    found = {x.code: x for x in report.findings if x.code in LOST}
    return found, report.leaves["w"].effective


def told(left, whole):
    return _compare("bfloat16", np.array(left), np.array(whole), 1.0)


def test_the_share_and_its_error_by_hand():
    # Half of every entry in both parts, with no scatter.
    found = told([[0.5, 1.0], [0.5, 1.0]], [[1.0, 2.0], [1.0, 2.0]])
    assert (found.share, found.error) == (0.5, 0.0)
    # None or all of four equal ones: residuals ±1/2, so √(4·¼ · 4/3) / 4.
    found = told([[0.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]])
    assert found.share == 0.5
    assert found.error == pytest.approx(np.sqrt(4 / 3) / 4, rel=1e-12)
    # A decay of 1 in a part of 100 steps.
    assert found.decay == pytest.approx(0.01, rel=1e-12)
    assert found.update == pytest.approx(np.sqrt(1 - 1e-4), rel=1e-12)


def test_what_cannot_be_compared_is_not_told():
    assert told([[0.0, 0.0]], [[0.0, 0.0]]) is None
    assert told([[1.0, np.inf]], [[1.0, 1.0]]) is None
    assert told([[1.0, 1.0]], [[1.0, np.nan]]) is None
    assert told([[1.0, 1.0]], [[1.0, 0.0]]) is None


@pytest.mark.parametrize(
    ("share", "error", "is_lost"),
    [(0.0, 0.0, True), (0.4, 0.1, True), (0.4, 0.2, False), (0.6, 0.0, False)],
)
def test_lost_is_less_than_half_and_no_chance(share, error, is_lost):
    assert InChain("bfloat16", share, error, 1.0, 1.0).is_lost is is_lost


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("name", "as_factory"), CASES)
def test_what_keeps_decay_is_not_accused(name, as_factory, dtype):
    params = weights(1.0, dtype)
    found, effective = losses(FIXED[name], params, as_factory=as_factory)
    assert not found and effective


@pytest.mark.parametrize(
    "dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)]
)
def test_rounding_of_the_weights_alone(dtype):
    found, effective = losses(plain, weights(1.0, dtype))
    assert set(found) == {"swallowed-by-rounding"} and not effective
    assert "inside the chain" not in found["swallowed-by-rounding"].message


def test_loss_beside_updates_is_found_and_said_in_numbers():
    found, effective = losses(rounded("split"), weights(0.002, "bfloat16"))
    assert set(found) == {"swallowed-by-update"} and effective
    finding = found["swallowed-by-update"]
    assert (finding.severity, finding.path) == ("warning", "w")
    size = np.sqrt(np.mean(np.square(weights(0.002, "bfloat16")["w"], dtype=float)))
    assert f"decay adds {ETA * LAM * size:.2g}" in finding.message
    assert finding.message.startswith("bfloat16: beside updates of 0.0002")
    assert "with_precision(optimizer)" in finding.message


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("as_factory", [True, False])
def test_no_rounding_of_the_weights_brings_it_back(mode, as_factory):
    params = weights(0.002, "bfloat16", (32, 32))
    found, effective = losses(rounded(mode), params, as_factory=as_factory)
    assert set(found) == {"swallowed-by-update"} and effective


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "as_factory"),
    [(x, y) for x in FIXED if "round_updates" not in x for y in (True, False)],
)
def test_what_computes_in_float32_keeps_small_decay(name, as_factory):
    params = weights(0.002, "bfloat16")
    found, effective = losses(FIXED[name], params, as_factory=as_factory)
    assert not found and effective


@pytest.mark.slow
def test_both_losses_are_one_finding():
    found, effective = losses(plain, weights(0.002, "bfloat16"))
    assert set(found) == {"swallowed-by-rounding"} and not effective
    message = found["swallowed-by-rounding"].message
    assert "another part is lost inside the chain before" in message


@pytest.mark.slow
def test_float32_has_room_for_both():
    assert losses(rounded("split"), weights(0.002, "float32")) == ({}, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "size", "is_lost"),
    [
        ({"penalty": "l1"}, 1.0, False),
        ({"penalty": "l1"}, 0.002, True),
        ({"cautious": True}, 1.0, False),
        ({"cautious": True}, 0.002, True),
        ({"anchor": "init"}, 1.0, False),
    ],
)
def test_other_laws_than_plain_decay(options, size, is_lost):
    def factory(eta, lam):
        # An L1 pull does not shrink with the weights, so λ does.
        lam = lam * size if options.get("penalty") == "l1" else lam
        return optax.chain(
            optaxwd.adamw(eta, weight_decay=lam, **options),
            optaxwd.round_updates("split"),
        )

    found, effective = losses(factory, weights(size, "bfloat16"))
    assert set(found) == ({"swallowed-by-update"} if is_lost else set()) and effective


@pytest.mark.slow
@pytest.mark.parametrize(("size", "is_lost"), [(1.0, False), (0.01, True)])
def test_lion_whose_updates_are_the_largest(size, is_lost):
    # At |u| = 1 all decay below 1/512 is lost, as 0.1 · 0.01 is; of Adam it is kept.
    def factory(eta, lam):
        return optax.chain(
            optax.lion(eta, weight_decay=lam), optaxwd.round_updates("split")
        )

    found, _ = losses(factory, weights(size, "bfloat16"))
    assert set(found) == ({"swallowed-by-update"} if is_lost else set())


@pytest.mark.slow
def test_updates_without_a_size_of_their_own_are_not_judged():
    def factory(eta, lam):
        return optax.chain(
            optaxwd.sgdw(eta, weight_decay=lam), optaxwd.round_updates("split")
        )

    assert losses(factory, weights(0.0005, "bfloat16")) == ({}, True)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_chance_in_small_leaves_accuses_nobody(shape):
    for name in ("round_updates stochastic", "with_master_weights"):
        found, effective = losses(FIXED[name], weights(0.02, "bfloat16", shape))
        assert not found and effective


@pytest.mark.slow
def test_a_copy_from_which_updates_lead_is_left_alone():
    # Steps of one size, above the last bit of a weight that is held where it is.
    def factory(eta, lam):
        return optaxwd.with_master_weights(optax.lion(eta, weight_decay=lam))

    assert losses(factory, weights(0.002, "bfloat16")) == ({}, True)
