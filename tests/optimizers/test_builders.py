"""with_weight_decay and decouple: couplings by hand, equivalences, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import (
    assert_close,
    assert_identical,
    describe,
    example_gradients,
    optimizers_with_weight_decay,
    run,
)

import optaxwd

COUPLINGS = ("l2", "learning_rate", "independent", "constant", "corrected")
PEAK = 0.2


def schedule(count):
    return PEAK / (count + 1)


def trained(optimizer, steps=8):
    params = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([1.0, -1.0])}
    gradients = example_gradients(params, steps)
    gradients = jax.tree.map(lambda g: jnp.asarray(g, jnp.float32), gradients)
    return jax.jit(lambda: run(optimizer, params, gradients))()


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("rate", [0.1, schedule])
def test_the_chain_written_by_hand(coupling, rate):
    def eta(count):
        return rate(count) if callable(rate) else rate

    def decay(factor, **options):
        return optaxwd.add_decayed_weights(factor, **options)

    adam, to_step = optax.scale_by_adam(), optaxwd.scale_by_learning_rate(rate)
    by_hand = {
        "l2": lambda: (decay(0.3), adam, to_step),
        "learning_rate": lambda: (adam, decay(0.3), to_step),
        "corrected": lambda: (adam, decay(lambda t: 0.3 * (eta(t) / PEAK)), to_step),
        "independent": lambda: (
            adam,
            to_step,
            decay(lambda t: 0.3 * (eta(t) / PEAK), after_learning_rate=True),
        ),
        "constant": lambda: (adam, to_step, decay(0.3, after_learning_rate=True)),
    }[coupling]()
    built = optaxwd.with_weight_decay(
        optax.scale_by_adam(), rate, 0.3, coupling=coupling, peak_learning_rate=PEAK
    )
    assert_identical(trained(built), trained(optax.chain(*by_hand)))


@pytest.mark.parametrize(
    ("coupling", "cautious"),
    [(coupling, False) for coupling in COUPLINGS]
    + [(coupling, True) for coupling in COUPLINGS if coupling != "l2"],
)
def test_decouple_agrees_with_the_builder(coupling, cautious):
    options = {
        "coupling": coupling,
        "peak_learning_rate": PEAK,
        "cautious": cautious,
        "mask": {"w": True, "b": False},
    }
    outside = optaxwd.decouple(
        optax.adam(schedule), 0.3, learning_rate=schedule, **options
    )
    inside = optaxwd.with_weight_decay(optax.scale_by_adam(), schedule, 0.3, **options)
    assert_close(trained(outside), jax.device_get(trained(inside)), steps=8)


@pytest.mark.parametrize("factory", [optaxwd.adamw, optaxwd.sgdw, optaxwd.lionw])
def test_a_number_is_its_own_peak(factory):
    read = factory(0.1, weight_decay=0.3, coupling="independent")
    given = factory(
        0.1, weight_decay=0.3, coupling="independent", peak_learning_rate=0.1
    )
    assert_identical(trained(read), trained(given))
    corrected = factory(0.1, weight_decay=0.3, coupling="corrected")
    assert_identical(trained(corrected), trained(factory(0.1, weight_decay=0.3)))


def test_independent_is_learning_rate_times_the_peak():
    # Exact for every schedule: λ_independent = η_peak · λ.
    tied = optaxwd.adamw(schedule, weight_decay=0.3)
    independent = optaxwd.adamw(
        schedule,
        weight_decay=0.3 * PEAK,
        coupling="independent",
        peak_learning_rate=PEAK,
    )
    assert_close(trained(independent), jax.device_get(trained(tied)), steps=8)


def test_sgd_cannot_tell_coupled_from_decoupled():
    for rate in (0.1, schedule):
        coupled = trained(optaxwd.sgd_l2(rate, weight_decay=0.3))
        decoupled = trained(optaxwd.sgdw(rate, weight_decay=0.3))
        assert_close(coupled, jax.device_get(decoupled), steps=8)


@pytest.mark.parametrize("zero", [0.0, jnp.float32(0.0), lambda count: 0.0])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_zero_is_the_base_optimizer_bit_for_bit(coupling, zero):
    base = optax.chain(optax.scale_by_adam(), optaxwd.scale_by_learning_rate(schedule))
    for built in (
        optaxwd.adamw(
            schedule, weight_decay=zero, coupling=coupling, peak_learning_rate=PEAK
        ),
        optaxwd.decouple(
            base,
            zero,
            learning_rate=schedule,
            coupling=coupling,
            peak_learning_rate=PEAK,
        ),
    ):
        assert_identical(trained(built), trained(base))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_sweep_over_the_decay_is_one_vmap(coupling):
    def final(weight_decay):
        return trained(
            optaxwd.adamw(
                schedule,
                weight_decay=weight_decay,
                coupling=coupling,
                peak_learning_rate=PEAK,
            )
        )

    rates = jnp.array([0.0, 0.1, 0.5])
    swept = jax.vmap(final)(rates)
    for i, rate in enumerate(rates):
        one = jax.tree.map(lambda x, i=i: x[i], swept)
        assert_close(one, jax.device_get(final(float(rate))), steps=8)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_one_state_structure_for_numbers_arrays_and_schedules(coupling):
    params = {"w": jnp.ones(2)}
    states = [
        optaxwd.adamw(
            learning_rate,
            weight_decay=weight_decay,
            coupling=coupling,
            peak_learning_rate=PEAK,
        ).init(params)
        for learning_rate in (0.1, jnp.float32(0.1), schedule)
        for weight_decay in (0.1, jnp.float32(0.1), schedule)
    ]
    for state in states[1:]:
        assert jax.tree.structure(state) == jax.tree.structure(states[0])
        assert describe(state) == describe(states[0])


def test_the_peak_is_never_guessed_under_inject_hyperparams():
    # The factory sees an array there, which a schedule may change between updates.
    build = optax.inject_hyperparams(optaxwd.adamw)
    with pytest.raises(ValueError, match=r"cannot be read from an array.*Pass peak"):
        build(schedule, weight_decay=0.5, coupling="independent").init(jnp.ones(1))
    tx = build(
        schedule, weight_decay=0.5, coupling="independent", peak_learning_rate=PEAK
    )
    params, state = jnp.array([2.0]), tx.init(jnp.array([2.0]))
    seen = []
    for _ in range(2):
        updates, state = tx.update(jnp.zeros(1), state, params)
        seen.append(float(updates[0]))
    np.testing.assert_allclose(seen, [-1.0, -0.5], rtol=1e-6)


MESSAGES = [
    ({"coupling": "decoupled"}, ValueError, "unknown coupling 'decoupled'"),
    ({"coupling": "Independent"}, ValueError, "Did you mean 'independent'"),
    ({"coupling": None}, ValueError, "unknown coupling None"),
    ({"coupling": "l2", "cautious": True}, ValueError, "needs the direction"),
    ({"weight_decay": -1.0}, ValueError, "weight_decay must be finite and >= 0"),
    ({"weight_decay": float("nan")}, ValueError, "got nan"),
    ({"learning_rate": -1.0}, ValueError, "learning_rate must be finite and >= 0"),
    ({"learning_rate": float("nan")}, ValueError, "learning_rate.*got nan"),
    ({"learning_rate": "1e-3"}, TypeError, "learning_rate must be a number"),
    (
        {"learning_rate": schedule, "coupling": "independent"},
        ValueError,
        "cannot be read from a schedule.*Pass peak_learning_rate=",
    ),
    (
        {"learning_rate": schedule, "coupling": "corrected"},
        ValueError,
        "cannot be read from a schedule.*Pass peak_learning_rate=",
    ),
    (
        {"learning_rate": 0.0, "coupling": "independent"},
        ValueError,
        "divides by the peak learning rate, got 0.0",
    ),
    (
        {"learning_rate": 0, "coupling": "corrected"},
        ValueError,
        "divides by the peak learning rate, got 0[.]",
    ),
    (
        {"coupling": "independent", "peak_learning_rate": 0.0},
        ValueError,
        "Pass a positive peak_learning_rate=",
    ),
    (
        {"coupling": "independent", "peak_learning_rate": -1.0},
        ValueError,
        "peak_learning_rate must be finite and >= 0",
    ),
    (
        {"coupling": "independent", "peak_learning_rate": 1e-3},
        ValueError,
        "0.1 is larger than peak_learning_rate=0.001, so decay would be 100 times",
    ),
    ({"peak_learning_rate": -1.0}, ValueError, "peak_learning_rate must be finite"),
    ({"peak_learning_rate": schedule}, TypeError, "must be a number or a scalar array"),
    (
        {"learning_rate": "x", "coupling": "constant"},
        TypeError,
        "learning_rate must be a number",
    ),
    ({"mask": True, "weight_decay_mask": True}, ValueError, "two names of one"),
]


@pytest.mark.parametrize(("options", "error", "message"), MESSAGES)
@pytest.mark.parametrize("builder", ["with_weight_decay", "decouple"])
def test_messages(builder, options, error, message):
    options = {"learning_rate": 0.1, "weight_decay": 0.1, **options}
    with pytest.raises(error, match=f"{builder}: .*{message}"):
        if builder == "decouple":
            optaxwd.decouple(optax.sgd(0.1), **options)
        else:
            optaxwd.with_weight_decay(optax.identity(), **options)


def test_a_factory_is_not_a_transformation():
    with pytest.raises(TypeError, match=r"preconditioner must be.*Call it first"):
        optaxwd.with_weight_decay(optax.scale_by_adam, 0.1, 0.1)
    with pytest.raises(TypeError, match=r"optimizer must be an optax.Gradient"):
        optaxwd.decouple(None, 0.1, learning_rate=0.1)


@pytest.mark.parametrize("coupling", ["learning_rate", "independent", "corrected"])
def test_decouple_asks_for_the_learning_rate(coupling):
    with pytest.raises(ValueError, match="learning_rate=None. Pass the one"):
        optaxwd.decouple(optax.sgd(0.1), 0.1, coupling=coupling)


@pytest.mark.parametrize("coupling", ["l2", "constant"])
def test_decouple_needs_no_learning_rate_where_it_reads_none(coupling):
    optaxwd.decouple(optax.sgd(0.1), 0.1, coupling=coupling)


def test_decouple_decays_any_finished_optimizer():
    for optimizer in (optax.adabelief(0.1), optax.yogi(0.1), optax.sm3(0.1)):
        tx = optaxwd.decouple(optimizer, 0.5, learning_rate=0.1)
        params = {"w": jnp.array([2.0])}
        zeros = {"w": jnp.zeros(1)}
        base, _ = optimizer.update(zeros, optimizer.init(params), params)
        updates, _ = tx.update(zeros, tx.init(params), params)
        np.testing.assert_allclose(updates["w"], base["w"] - 0.1, rtol=1e-6)


def test_decouple_passes_extra_arguments_on():
    tx = optaxwd.decouple(optax.polyak_sgd(), 0.5, coupling="constant")
    params = jnp.array([2.0])
    updates, _ = tx.update(jnp.array([1.0]), tx.init(params), params, value=0.25)
    np.testing.assert_allclose(updates, [-0.25 - 1.0], rtol=1e-6)


@pytest.mark.parametrize("name", optimizers_with_weight_decay())
def test_messages_name_the_optimizer_that_was_called(name):
    factory = getattr(optaxwd, name)
    with pytest.raises(ValueError, match=f"^{name}: weight_decay must be finite"):
        factory(0.1, weight_decay=-1.0)
    with pytest.raises(ValueError, match=f"^{name}: learning_rate must be finite"):
        factory(-0.1)
    params = {"w": jnp.ones((2, 2))}
    tx = factory(0.1)
    with pytest.raises(ValueError, match=f"^{name} reads the parameters"):
        tx.update(params, tx.init(params))


def test_muonw_names_its_second_rates():
    with pytest.raises(ValueError, match="muonw: adam_weight_decay must be finite"):
        optaxwd.muonw(0.1, adam_weight_decay=-1.0)
    with pytest.raises(ValueError, match="muonw: adam_learning_rate must be finite"):
        optaxwd.muonw(0.1, adam_learning_rate=float("nan"))


def test_numpy_arrays_of_one_number_are_constants():
    optaxwd.adamw(np.array(0.1), coupling="independent")
    optaxwd.adamw(np.float32(0.1), coupling="corrected")


def test_muonw_asks_for_the_peak_of_its_second_learning_rate():
    options = {"coupling": "independent", "peak_learning_rate": PEAK}
    with pytest.raises(ValueError, match="muonw: .*Pass adam_peak_learning_rate="):
        optaxwd.muonw(schedule, adam_learning_rate=schedule, **options)
    optaxwd.muonw(
        schedule, adam_learning_rate=schedule, adam_peak_learning_rate=PEAK, **options
    )
