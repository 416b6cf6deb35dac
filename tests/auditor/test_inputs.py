"""What may be audited: any tree, any of three kinds; and what happens to the rest."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimizer_zoo as zoo
import pytest
from flax import nnx

import optaxwd
from optaxwd import AuditError

ETA, LAM = 1e-3, 0.1
PARAMS = {"bias": np.ones(4), "kernel": np.ones((6, 4))}


def step(params, grads):
    return jax.tree.map(lambda p, g: p - ETA * (g + LAM * p), params, grads)


@pytest.mark.parametrize("whole_step", [step, jax.jit(step)])
def test_a_whole_step(whole_step):
    report = optaxwd.audit(whole_step, PARAMS, learning_rate=ETA, weight_decay=LAM)
    assert report.kind == "step"
    for leaf in report.leaves.values():
        assert leaf.coupling == "learning_rate"
        assert leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)


@pytest.mark.slow
def test_arguments_in_the_other_order_are_passed_by_name():
    def step(grads, params):
        return jax.tree.map(lambda p, g: p - ETA * (g + LAM * p), params, grads)

    report = optaxwd.audit(step, PARAMS, learning_rate=ETA, weight_decay=LAM)
    assert report.leaves["kernel"].coupling == "learning_rate"
    report = optaxwd.audit(lambda wd, lr: optax.adamw(lr, weight_decay=wd), PARAMS)
    assert report.leaves["kernel"].coupling == "learning_rate"


def test_leaves_of_one_path_are_both_reported():
    params = {"a/b": np.ones(3), "a": {"b": np.ones((2, 2))}}
    report = optaxwd.audit(optax.adamw(ETA), params)
    assert {leaf.shape for leaf in report.leaves.values()} == {(3,), (2, 2)}


@pytest.mark.slow
def test_a_factory_by_position_by_name_and_partial():
    import functools

    for factory in (
        lambda eta, lam: optax.adamw(eta, weight_decay=lam),
        optax.adamw,
        functools.partial(optaxwd.adamw, coupling="independent"),
    ):
        report = optaxwd.audit(factory, PARAMS)
        assert report.kind == "factory"
        assert (report.learning_rate, report.weight_decay) == (ETA, LAM)
    assert report.leaves["kernel"].coupling == "independent"


@pytest.mark.parametrize(
    ("coupling", "lr_power", "rate"),
    [
        ("learning_rate", 1.0, ETA * LAM),
        ("independent", 0.0, LAM),
        ("constant", 0.0, LAM),
        ("corrected", 1.0, ETA * LAM),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [
        "by name",
        pytest.param("fixed peak", marks=pytest.mark.slow),
        pytest.param("own schedule", marks=pytest.mark.slow),
    ],
)
def test_couplings_of_our_own(coupling, lr_power, rate, kind):
    peak = coupling in ("independent", "corrected")

    def factory(eta, lam):
        options = {"coupling": coupling}
        if kind != "by name" and peak:
            options["peak_learning_rate"] = ETA if kind == "fixed peak" else eta
        if kind == "own schedule":
            eta = optax.warmup_cosine_decay_schedule(0.0, eta, 4, 20)
        return optaxwd.adamw(eta, weight_decay=lam, **options)

    leaf = optaxwd.audit(factory, PARAMS).leaves["kernel"]
    assert leaf.coupling == coupling
    if kind != "own schedule":
        assert leaf.rate == pytest.approx(rate, rel=1e-6)
        assert leaf.weight_decay == pytest.approx(LAM, rel=1e-6)
        assert leaf.lr_power == lr_power


@pytest.mark.slow
def test_a_schedule_as_expectation():
    schedule = optax.linear_schedule(ETA, 0.0, 100)
    optimizer = optax.adamw(schedule, weight_decay=LAM)
    report = optaxwd.audit(optimizer, PARAMS, learning_rate=schedule, weight_decay=LAM)
    assert report.leaves["kernel"].coupling == "learning_rate"
    wrong = optaxwd.audit(optimizer, PARAMS, learning_rate=schedule, weight_decay=0.2)
    assert "rate-mismatch" in {finding.code for finding in wrong.findings}


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["learning_rate", "independent", "corrected"])
@pytest.mark.parametrize("as_factory", [True, False])
def test_couplings_under_a_warmup_from_zero(coupling, as_factory):
    warmup = optax.warmup_cosine_decay_schedule(0.0, ETA, 4, 20)

    def factory(eta, lam):
        return optaxwd.sgdw(
            eta, weight_decay=lam, coupling=coupling, peak_learning_rate=ETA
        )

    report = optaxwd.audit(
        factory if as_factory else factory(warmup, LAM),
        {"kernel": np.ones((6, 4))},
        learning_rate=warmup,
        weight_decay=LAM,
    )
    leaf = report.leaves["kernel"]
    assert leaf.coupling == coupling
    assert leaf.weight_decay == pytest.approx(LAM, rel=1e-6)
    report.raise_if("warning")


@pytest.mark.slow
@pytest.mark.parametrize("as_factory", [True, False])
def test_a_factor_is_found_under_a_warmup_from_zero(as_factory):
    warmup = optax.warmup_cosine_decay_schedule(0.0, ETA, 4, 20)

    def factory(eta, lam):
        return optax.adamw(eta, weight_decay=lam / 2)

    report = optaxwd.audit(
        factory if as_factory else factory(warmup, LAM),
        {"kernel": np.ones((6, 4))},
        learning_rate=warmup,
        weight_decay=LAM,
        mask=True,
    )
    found = [finding.message for finding in report.at_least("error")]
    assert len(found) == 1 and "0.5 times as much" in found[0]


@pytest.mark.slow
def test_trees_of_every_kind():
    params = {
        "list": [np.ones((3, 2)), (np.ones(5), None)],
        "low": jnp.ones((4, 4), jnp.bfloat16),
        "complex": jnp.ones((3, 3), jnp.complex64),
        "scalar": jnp.ones(()),
        "one": jnp.ones(1),
        "empty": jnp.ones((0, 3)),
        "count": jnp.zeros([], jnp.int32),
        "shape": jax.ShapeDtypeStruct((2, 5), jnp.float32),
        "number": 1.5,
    }
    report = optaxwd.audit(optax.adamw, params)
    assert "count" not in report.leaves
    for path, leaf in report.leaves.items():
        assert leaf.decays == (path != "empty"), path
        if leaf.decays:
            assert leaf.coupling == "learning_rate"
            assert leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_modules_of_flax_and_equinox():
    model = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    report = optaxwd.audit(optax.adamw(ETA), nnx.state(model, nnx.Param))
    assert set(report.leaves) == {"kernel", "bias"}
    layer = eqx.nn.Linear(3, 4, key=jax.random.key(0))
    report = optaxwd.audit(optax.adamw(ETA), eqx.filter(layer, eqx.is_inexact_array))
    assert set(report.leaves) == {"weight", "bias"}


@pytest.mark.slow
def test_rules_and_functions_as_masks():
    rules = optaxwd.rules.standard()
    optimizer = optaxwd.adamw(ETA, weight_decay=LAM, mask=rules)
    report = optaxwd.audit(optimizer, PARAMS, mask=rules)
    assert {path: leaf.decays for path, leaf in report.leaves.items()} == {
        "bias": False,
        "kernel": True,
    }
    report.raise_if("warning")
    report = optaxwd.audit(optimizer, PARAMS, mask=lambda p: dict.fromkeys(p, True))
    assert [f.path for f in report.at_least("error")] == ["bias"]


def large_transformer(layers=2):
    def shape(*lengths):
        return jax.ShapeDtypeStruct(lengths, jnp.float32)

    return {
        "embedding": shape(50_257, 768),
        **{f"layer_{i}": {"kernel": shape(768, 3072)} for i in range(layers)},
    }


@pytest.mark.slow
def test_large_leaves_are_probed_small():
    report = optaxwd.audit(optax.adamw(ETA, weight_decay=LAM), large_transformer())
    assert "at most 32 per axis" in report.notes[0]
    assert all(leaf.rate for leaf in report.leaves.values())


@pytest.mark.slow
def test_large_leaves_keep_more_where_coordinates_are_coupled():
    report = optaxwd.audit(
        optax.adafactor(ETA, weight_decay_rate=LAM), large_transformer(1)
    )
    assert "129 per axis" in report.notes[0] and "couples" in report.notes[0]
    for leaf in report.leaves.values():
        assert leaf.rate == pytest.approx(LAM, rel=1e-6)


@pytest.mark.slow
def test_a_mask_by_size_is_not_fooled_by_small_shapes():
    def mask(params):
        return jax.tree.map(lambda p: p.size > 10_000_000, params)

    params = large_transformer(1) | {"small": np.ones((4, 4))}
    for optimizer in (
        optax.adamw(ETA, weight_decay=LAM, mask=mask),
        zoo.divided_by_length(ETA, LAM),
    ):
        report = optaxwd.audit(optimizer, params)
        assert report.leaves["embedding"].cannot_tell
        assert "something else at the leaf's own shape" in str(report)
        assert not report.leaves["small"].cannot_tell
        assert not report.at_least("warning")


def raises(where):
    def fail(*_):
        raise RuntimeError("the cat sat on it")

    if where == "init":
        return optax.GradientTransformation(fail, optax.identity().update)
    return optax.GradientTransformation(optax.identity().init, fail)


@pytest.mark.parametrize(
    ("optimizer", "params", "message"),
    [
        (raises("init"), PARAMS, "init raised RuntimeError: the cat sat on it"),
        (raises("update"), PARAMS, "update raised RuntimeError: the cat sat on it"),
        (optax.contrib.momo(), PARAMS, "update raised .*value"),
        (optax.adam, PARAMS, "has a learning_rate but no weight_decay"),
        (3, PARAMS, "got 3 of type int"),
        (lambda learning_rate, weight_decay: 1, PARAMS, "must return an optax"),
        (optax.adamw, {"count": 1}, "no floating-point leaf"),
        (optax.adamw, lambda: 1 / 0, "division by zero"),
        (optax.adamw, {"w": np.ones(3), "k": jax.random.key(0)}, "'k'.*key"),
        (optax.adamw, {"w": np.ones(3), "f": jax.nn.relu}, "'f'.*eqx.filter"),
        (optax.set_to_zero(), PARAMS, "all updates are zero"),
        (
            optax.stateless(lambda updates, params: jax.tree.leaves(updates)),
            PARAMS,
            "structure",
        ),
        (
            optax.stateless(lambda u, p: jax.tree.map(jnp.sum, u)),
            PARAMS,
            "changes the shape of 'bias'",
        ),
        (lambda params, grads: 1.0, PARAMS, "structure"),
    ],
)
def test_what_cannot_be_audited_says_why(optimizer, params, message):
    with pytest.raises(AuditError, match=message):
        optaxwd.audit(optimizer, params)


def test_a_factory_that_raises():
    def factory(learning_rate, weight_decay):
        raise RuntimeError("no such config")

    with pytest.raises(AuditError, match="no such config"):
        optaxwd.audit(factory, PARAMS)


def test_the_traceback_starts_at_the_optimizer():
    with pytest.raises(AuditError) as caught:
        optaxwd.audit(raises("update"), PARAMS)
    frames = []
    traceback = caught.value.__cause__.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    assert frames and not any("auditor/_" in frame for frame in frames)


def test_expectations_are_checked():
    with pytest.raises(ValueError, match="weight_decay must be > 0, got 0"):
        optaxwd.audit(optax.adamw, PARAMS, weight_decay=0.0)
    with pytest.raises(ValueError, match="finite and >= 0, got -1"):
        optaxwd.audit(optax.adamw(ETA), PARAMS, learning_rate=-1.0)
    with pytest.raises(ValueError, match="does not cover the parameter 'bias'"):
        optaxwd.audit(optax.adamw(ETA), PARAMS, mask={"wrong": True})
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=f"got {wrong} at 'bias'"):
            optaxwd.audit(optax.adamw(ETA), PARAMS, mask={"bias": wrong, "kernel": 1})
    with pytest.raises(TypeError, match="'bias', got 'no'"):
        optaxwd.audit(optax.adamw(ETA), PARAMS, mask={"bias": "no", "kernel": True})


def test_what_a_step_remembers_outside_of_its_state_is_told():
    calls = []

    def update(updates, state, params=None):
        calls.append(1)
        return jax.tree.map(lambda g: -ETA * len(calls) * g, updates), state

    optimizer = optax.GradientTransformation(lambda _: optax.EmptyState(), update)
    report = optaxwd.audit(optimizer, PARAMS)
    assert [finding.code for finding in report.findings] == ["impure"]
    assert all(leaf.cannot_tell for leaf in report.leaves.values())


def test_a_step_that_keeps_its_momentum_to_itself_is_told():
    memory = {"momentum": jax.tree.map(jnp.zeros_like, PARAMS)}

    def step(params, grads):
        memory["momentum"] = jax.tree.map(
            lambda m, g: 0.9 * m + g, memory["momentum"], grads
        )
        return jax.tree.map(lambda p, m: p - ETA * m, params, memory["momentum"])

    report = optaxwd.audit(step, PARAMS)
    assert [finding.code for finding in report.findings] == ["impure"]
    assert "outside of its state" in report.findings[0].message


def test_a_state_that_changes_is_told_and_does_not_stop_the_audit():
    def update(updates, state, params=None):
        new = jax.tree.map(lambda g, p: -ETA * (g + LAM * p), updates, params)
        return new, (*state, 0)

    optimizer = optax.GradientTransformation(lambda _: (), update)
    report = optaxwd.audit(optimizer, PARAMS)
    assert "state-change" in {finding.code for finding in report.findings}
    assert report.leaves["kernel"].rate == pytest.approx(ETA * LAM, rel=1e-6)


def test_an_optimizer_that_cannot_be_traced():
    def update(updates, state, params=None):
        size = float(max(jnp.max(jnp.abs(g)) for g in jax.tree.leaves(updates)))
        eta = ETA if size < 100 else 0.5 * ETA
        return jax.tree.map(lambda g, p: -eta * (g + LAM * p), updates, params), state

    optimizer = optax.GradientTransformation(lambda _: optax.EmptyState(), update)
    leaf = optaxwd.audit(optimizer, PARAMS).leaves["kernel"]
    assert leaf.decoupled and leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("eta", "lam"), [(1e-8, 1e-6), (10.0, 0.05), (1e-3, 1e3)])
def test_extreme_numbers(eta, lam):
    report = optaxwd.audit(optax.lion, PARAMS, learning_rate=eta, weight_decay=lam)
    leaf = report.leaves["kernel"]
    assert leaf.coupling == "learning_rate"
    assert leaf.weight_decay == pytest.approx(lam, rel=1e-6)


@pytest.mark.slow
def test_wrappers_of_optax():
    for wrap in (
        lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.masked(tx, True),
        optax.with_extra_args_support,
    ):
        report = optaxwd.audit(
            lambda eta, lam, wrap=wrap: wrap(optax.adamw(eta, weight_decay=lam)), PARAMS
        )
        for leaf in report.leaves.values():
            assert leaf.coupling == "learning_rate"
            assert leaf.weight_decay == pytest.approx(LAM, rel=1e-6)


def test_hyperparameters_in_the_state():
    optimizer = optax.inject_hyperparams(optax.adamw)(
        learning_rate=ETA, weight_decay=LAM
    )
    leaf = optaxwd.audit(optimizer, PARAMS).leaves["kernel"]
    assert leaf.decoupled and leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)


@pytest.mark.slow
def test_extra_arguments_both_ways():
    momo = optax.contrib.momo
    for arguments in ({"value": 1.0}, {"extra_args": {"value": 1.0}}):
        report = optaxwd.audit(momo, PARAMS, **arguments)
        assert report.leaves["kernel"].coupling == "proximal"


def test_progress_is_reported():
    lines = []
    optaxwd.audit(zoo.l2_inside_adam(ETA, LAM), PARAMS, progress=lines.append)
    assert len(lines) >= 2
