"""Recording changes no update by one bit, and costs what it says."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical, by_stage, jit_to_the_bit
from telemetry.runs import DECAY, RATE, arrays

import optaxwd
from optaxwd import read_telemetry, record_decay


def others():
    for name, info in optaxwd.list_optimizers().items():
        options = {"expected_scale": 1.0} if name == "amos" else {}
        yield name, functools.partial(info.factory, RATE, **options)
    for name in ("adamw", "lamb", "lars", "lion", "adafactor", "sgd", "novograd"):
        yield f"optax.{name}", functools.partial(getattr(optax, name), RATE)
    for precision in ("split", "stochastic", "compensated", "master"):
        policy = optaxwd.Policy(precision, key=0)
        yield (
            f"adamw {precision}",
            functools.partial(optaxwd.adamw, RATE, precision=policy),
        )
    yield "schedule_free", lambda: optax.contrib.schedule_free_adamw(RATE)
    yield "prodigy", optax.contrib.prodigy
    yield "multi steps", lambda: optax.MultiSteps(optaxwd.adamw(RATE), 2)
    yield "noise", lambda: optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(RATE))


OTHERS = dict(others())


def without_keys(x):
    typed = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if typed else x


@pytest.mark.parametrize("jitted", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("name", by_stage(OTHERS, first="adamw"))
def test_no_update_changes_by_one_bit(name, jitted):
    tx = OTHERS[name]()
    if isinstance(tx, optax.MultiSteps):
        tx = tx.gradient_transformation()
    recorder = record_decay(tx, every=2)
    dtype = "bfloat16" if " " in name and name.startswith("adamw") else "float32"
    params = arrays(0, dtype)
    state, plain = recorder.init(params), tx.init(params)
    update, base = recorder.update, tx.update
    if jitted:
        update, base = jit_to_the_bit(update), jit_to_the_bit(base)
    for i in range(3):
        grads = arrays(i + 1, dtype)
        updates, state = update(grads, state, params)
        wanted, plain = base(grads, plain, params)
        assert_identical(updates, wanted, f"{name}, step {i}")
        states = jax.tree.map(without_keys, (state.inner_state, plain))
        assert_identical(*states, f"{name}, step {i}")
        params = optax.apply_updates(params, updates)
    assert read_telemetry(state)["step"] == 2


ELEMENTWISE = {
    "adamw": optaxwd.adamw,
    "adamw clipped": functools.partial(optaxwd.adamw, max_grad_norm=0.5),
    "adamw cautious": functools.partial(optaxwd.adamw, cautious=True),
    "adamw of Optax": optax.adamw,
    "adam_l2": optaxwd.adam_l2,
    "independent": functools.partial(optaxwd.adamw, coupling="independent"),
    "anchor": functools.partial(optaxwd.adamw, anchor="init"),
    "lionw": optaxwd.lionw,
    "nadamw": optaxwd.nadamw,
    "proximal": functools.partial(optaxwd.adamw, form="proximal"),
    "rmspropw": optaxwd.rmspropw,
    "sgdw": functools.partial(optaxwd.sgdw, momentum=0.9, nesterov=True),
    "split": functools.partial(optaxwd.adamw, precision="split"),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", by_stage(ELEMENTWISE, first="adamw cautious"))
def test_no_bit_changes_in_whole_steps(name, dtype, optimized):
    # Where the order of steps is forced on XLA, and loops are long enough for vectors.
    random = np.random.default_rng(0)
    shapes = [(128, 96), (1000,), (7, 3, 5), ()]
    params = [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]
    tx = ELEMENTWISE[name](RATE, weight_decay=DECAY)

    def step_of(tx):
        @functools.partial(jax.jit, donate_argnums=(1, 2))
        def step(grads, state, params):
            updates, state = tx.update(grads, state, params)
            return state, optax.apply_updates(params, updates)

        return step

    recorder = record_decay(tx, every=2)
    one = (recorder.init(params), jax.tree.map(jnp.copy, params))
    two = (tx.init(params), jax.tree.map(jnp.copy, params))
    recorded, plain = step_of(recorder), step_of(tx)
    for i in range(4):
        random = np.random.default_rng(i)
        grads = [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]
        one, two = recorded(grads, *one), plain(grads, *two)
        assert_identical((one[0].inner_state, one[1]), two, f"step {i}")


def test_the_step_has_no_copies_and_one_more_pass(optimized):
    shape = (256, 64)
    params = {f"w{i}": jnp.ones(shape) for i in range(3)}
    size = sum(x.size for x in params.values())

    def compiled(tx):
        state = tx.init(params)

        def step(grads, state, params):
            updates, state = tx.update(grads, state, params)
            return state, optax.apply_updates(params, updates)

        step = jax.jit(step, donate_argnums=(1, 2))
        program = step.lower(params, state, params).compile()
        cost = program.cost_analysis()
        cost = cost[0] if isinstance(cost, list) else cost
        copied = f"f32[{shape[0]},{shape[1]}]" + "{1,0} copy("
        return cost["bytes accessed"] / size, program.as_text().count(copied)

    inner = optaxwd.adamw(RATE, weight_decay=DECAY)
    plain, copies = compiled(inner)
    assert copies == 0
    for every in (1, 10):
        recorded, copies = compiled(record_decay(inner, every=every))
        assert copies == 0
        if jax.__version__.startswith("0.10."):
            # Gradients, moments and parameters once more, directions out and in.
            assert recorded <= plain + 40


@pytest.mark.slow
def test_inside_of_transformations_of_jax():
    tx = record_decay(optaxwd.adamw(RATE, weight_decay=DECAY), every=2)
    params = {"w": jnp.arange(1.0, 5.0)}
    both = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), params)
    states = jax.jit(jax.vmap(tx.init))(both)
    _, states = jax.jit(jax.vmap(tx.update))(both, states, both)
    one = read_telemetry(jax.tree.map(lambda x: x[1], states))
    _, state = tx.update(
        jax.tree.map(lambda x: 2 * x, params),
        tx.init(params),
        jax.tree.map(lambda x: 2 * x, params),
    )
    assert one == pytest.approx(read_telemetry(state), rel=1e-5)
    swept = jax.vmap(
        lambda decay: record_decay(optaxwd.adamw(RATE, weight_decay=decay)).update(
            params, tx.init(params), params
        )[1]
    )(jnp.array([0.0, 0.1]))
    rates = swept.measures["decay_rate"][:, 0]
    np.testing.assert_allclose(rates, [0, 1e-3], rtol=1e-4, atol=1e-9)


def test_derivatives_are_those_of_the_optimizer():
    params, grads = arrays(0), arrays(1)

    def after(weight_decay, wrap):
        tx, theta = wrap(optaxwd.adamw(RATE, weight_decay=weight_decay)), params
        state = tx.init(theta)
        for _ in range(2):
            updates, state = tx.update(grads, state, theta)
            theta = optax.apply_updates(theta, updates)
        return optax.tree.norm(theta, squared=True)

    found, wanted = (
        jax.jit(jax.grad(functools.partial(after, wrap=wrap)))(DECAY)
        for wrap in (record_decay, lambda tx: tx)
    )
    assert found == pytest.approx(float(wanted), rel=1e-6) and found != 0
