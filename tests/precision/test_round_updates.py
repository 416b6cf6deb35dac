"""Rounding last in a chain: where plain ``apply_updates`` lands, and what survives."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from helpers import assert_identical, by_stage, precision_for
from narrow_floats import NARROW, neighbours

import optaxwd

MODES = ("stochastic", "compensated", "split")
DTYPES = ("bfloat16", "float16")
SMALLEST = np.finfo(np.float32).tiny


@functools.cache
def jitted_step(mode):
    """Return ``(params, steps, state) -> (params, updates, state)``, compiled once."""
    tx = optaxwd.round_updates(mode)

    @jax.jit
    def step(params, steps, state):
        updates, state = tx.update(steps, state, params)
        return optax.apply_updates(params, updates), updates, state

    return tx.init, step


def flushed(x):
    """Return ``x`` without the subnormal numbers, which XLA's CPU takes for zero."""
    return np.where(np.abs(x) < SMALLEST, np.float32(0), x)


def as_float64(params):
    """Return the same in float64; some of the many NaNs are signalling ones."""
    with np.errstate(invalid="ignore"):
        return params.astype(np.float64)


def leaves_and_steps(dtype, size=1_000_000, seed=0):
    """Return every number of ``dtype`` many times over, and steps of all sizes.

    A third is from 1e-8 to 100 times the parameter, a third of any bits at all, a third
    nearly takes the parameter to zero.
    """
    random = np.random.default_rng(seed)
    params = np.resize(np.arange(2**16, dtype=np.uint16), size).view(NARROW[dtype])
    wide = as_float64(params)
    wide = np.where(np.isfinite(wide), wide, 0)
    relative = 10.0 ** random.uniform(-8, 2, size) * random.choice([-1, 1], size)
    relative *= random.uniform(0.5, 1, size)
    cancelling = -(1 + 2.0 ** random.uniform(-26, -2, size) * random.choice([-1, 1]))
    anything = random.integers(0, 2**32, size, dtype=np.uint32).view(np.float32)
    kind = np.arange(size) // 2**16 % 3
    with np.errstate(all="ignore"):
        steps = np.select(
            [kind == 0, kind == 1], [wide * relative, wide * cancelling], anything
        ).astype(np.float32)
    return params, steps


def target_sum(params, steps):
    """Return θ + s as float32 adds, with subnormal numbers flushed."""
    with np.errstate(all="ignore"):
        return flushed(flushed(params.astype(np.float32)) + flushed(steps))


def test_by_hand():
    """1 − 2⁻⁸ is the next bfloat16 below 1: four steps of a quarter of that."""
    quarter = jnp.full(1, -(2.0**-10), jnp.float32)
    for mode in ("compensated", "split"):
        init, step = jitted_step(mode)
        params = jnp.ones(1, jnp.bfloat16)
        state, seen = init(params), []
        for _ in range(4):
            params, updates, state = step(params, quarter, state)
            seen.append(float(params[0]))
            assert updates.dtype == jnp.float32 and params.dtype == jnp.bfloat16
        # After two steps the sum is as far from 1: a tie.
        assert seen == [1.0, 1.0, 0.99609375, 0.99609375]
        rest = optaxwd.float32_parameters(params, state)
        assert float(rest[0]) == 1.0 - 4 * 2.0**-10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_million_leaves_land_on_a_neighbour_of_the_sum(dtype, mode):
    params, steps = leaves_and_steps(dtype)
    init, step = jitted_step(mode)
    after, _, _ = step(params, steps, init(jnp.asarray(params)))
    after = np.asarray(after).astype(np.float32)
    x = target_sum(params, steps)
    assert np.array_equal(np.isnan(after), np.isnan(x))
    largest = float(ml_dtypes.finfo(NARROW[dtype]).max)
    with np.errstate(all="ignore"):
        beyond = ~np.isnan(x) & (np.abs(x) > largest)
        rounded = x[beyond].astype(NARROW[dtype]).astype(np.float32)
    assert np.array_equal(after[beyond], rounded)
    inside = np.abs(x) <= largest
    x, after = x[inside], after[inside]
    down, up = neighbours(x, NARROW[dtype])
    # A neighbour that float32 arithmetic flushes cannot be landed on.
    down, up = flushed(down), flushed(up)
    assert ((after == down) | (after == up)).all()
    if mode != "stochastic":
        distance = np.abs(after.astype(np.float64) - x)
        assert (distance <= np.minimum(np.abs(x - down), np.abs(up - x))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_split_is_float32_to_the_last_bit(dtype):
    """Ten steps of all sizes beside float32 parameters, a hundred thousand leaves."""
    params, _ = leaves_and_steps(dtype, 2**16)
    wide = as_float64(params)
    usual = (np.abs(wide) > 1e-2) & (np.abs(wide) < 1e3)
    params, expected = jnp.asarray(params[usual]), wide[usual].astype(np.float32)
    init, step = jitted_step("split")
    state, random = init(params), np.random.default_rng(1)
    for _ in range(10):
        size = 10.0 ** random.uniform(-8, -1, len(expected))
        steps = (expected * random.choice([-1, 1], len(expected)) * size).astype("f4")
        params, _, state = step(params, steps, state)
        expected = expected + steps
        found = optaxwd.float32_parameters(params, state)
        assert np.array_equal(found, expected)
        assert np.array_equal(
            np.asarray(params).astype(np.float32),
            np.asarray(optaxwd.numerics.split(jnp.asarray(expected), params.dtype)[0]),
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_split_across_zero_is_float32_to_its_last_bit(dtype):
    """Some sums next to zero cannot be reached by an update; they miss by one bit."""
    random, size = np.random.default_rng(0), 200_000
    power = 2.0 ** random.integers(-5, 5, size)
    theta = (power * (1 - 2.0**-24 * random.integers(1, 2**16, size))).astype("f4")
    nearly = 2.0 ** -random.uniform(2, 26, size) * random.choice([-1, 1], size)
    params = jnp.asarray(theta).astype(dtype)
    init, step = jitted_step("split")
    first = theta - np.asarray(params).astype(np.float32)
    params, _, state = step(params, first, init(params))
    assert np.array_equal(optaxwd.float32_parameters(params, state), theta)
    steps = (-theta * (1 + nearly)).astype(np.float32)
    params, _, state = step(params, steps, state)
    error = np.asarray(optaxwd.float32_parameters(params, state)) - (theta + steps)
    assert (np.abs(error) <= 2.0**-24 * power).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_compensated_keeps_the_sum(dtype):
    """What is kept is the rest to 8 bits, so each step errs by 2⁻⁹ of half a step."""
    params, _ = leaves_and_steps(dtype, 2**16)
    wide = as_float64(params)
    usual = (np.abs(wide) > 1e-2) & (np.abs(wide) < 1e3)
    params, expected = jnp.asarray(params[usual]), wide[usual]
    init, step = jitted_step("compensated")
    state, random = init(params), np.random.default_rng(1)
    digits = {"bfloat16": 8, "float16": 11}[dtype]
    count = 100
    for _ in range(count):
        steps = (expected * random.uniform(-1e-4, 1e-4, len(expected))).astype("f4")
        params, _, state = step(params, steps, state)
        expected = expected + steps
    found = np.asarray(optaxwd.float32_parameters(params, state), np.float64)
    per_step = 2.0**-digits * 2.0**-9 + 2.0**-24
    assert (np.abs(found / expected - 1) <= count * per_step).all()


def decay_alone(tx, params, steps):
    """Return parameters and state after updates without a gradient."""

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jnp.zeros_like(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps)[0])
    return run((params, tx.init(params)))


STEPS, RATE = 10_000, 1e-4
TRUTH = (1 - RATE) ** STEPS  # 0.36786
# The chain before computes λθ and η in bfloat16, to 2⁻⁹ at every step at worst.
IN_BFLOAT16 = STEPS * RATE * 2.0**-9
OPTIMIZERS = {
    "optax.adamw": lambda: optax.adamw(1e-3, weight_decay=0.1),
    "optaxwd.adamw": lambda: optaxwd.adamw(1e-3, weight_decay=0.1),
    "optaxwd.sgdw": lambda: optaxwd.sgdw(0.1, weight_decay=1e-3),
}


@pytest.mark.parametrize("name", by_stage(OPTIMIZERS, first="optax.adamw"))
@pytest.mark.parametrize("mode", [None, *MODES])
def test_ten_thousand_steps_of_decay(name, mode):
    """The decay that the unmodified optimizer loses whole arrives with every mode."""
    tx = OPTIMIZERS[name]()
    if mode is not None:
        tx = optax.chain(tx, optaxwd.round_updates(mode))
    params, state = decay_alone(tx, jnp.ones(2000, jnp.bfloat16), STEPS)
    found = np.asarray(params, np.float64)
    if mode is None:
        assert (found == 1.0).all()
        return
    if mode == "stochastic":
        # Each step adds a variance of p·(1 − p) in units of the spacing, at most
        # rate·θ·spacing; later decay shrinks it.
        assert 0.01 < found.std() < np.sqrt(STEPS * RATE * 2.0**-8)
        noise = 5 * found.std() / np.sqrt(len(found))
        assert abs(found.mean() - TRUTH) < noise + TRUTH * IN_BFLOAT16
        return
    assert (found == 0.3671875).all()  # the bfloat16 nearest to the truth
    wide = np.asarray(optaxwd.float32_parameters(params, state))
    assert np.abs(np.log(wide / TRUTH)).max() < IN_BFLOAT16


def test_noise_is_of_the_key_the_step_and_the_path():
    tx = optaxwd.round_updates("stochastic", key=7)
    params = {"a": jnp.ones(4096, jnp.bfloat16), "b": jnp.ones(4096, jnp.bfloat16)}
    steps = jax.tree.map(lambda p: jnp.full(p.shape, -(2.0**-9), jnp.float32), params)
    first, state = tx.update(steps, tx.init(params), params)
    assert_identical(tx.update(steps, tx.init(params), params)[0], first)
    assert (first["a"] != first["b"]).any()
    second, _ = tx.update(steps, state, params)
    assert (first["a"] != second["a"]).any()
    alone, _ = tx.update(
        {"a": steps["a"]}, tx.init({"a": params["a"]}), {"a": params["a"]}
    )
    assert_identical(alone["a"], first["a"])
    other = optaxwd.round_updates("stochastic", key=8)
    assert (other.update(steps, other.init(params), params)[0]["a"] != first["a"]).any()
    # Half of the distance to the next number, so half of the leaves go.
    assert abs(float(jnp.mean(first["a"] != 0)) - 0.5) < 5 * 0.5 / 64


@pytest.mark.parametrize(
    "key",
    [3, np.int64(3), jnp.int32(3), jax.random.key(3), jax.random.PRNGKey(3)],
    ids=["int", "numpy", "array", "key", "raw"],
)
def test_every_kind_of_key(key):
    params = jnp.ones(256, jnp.bfloat16)
    steps = jnp.full(256, -(2.0**-9), jnp.float32)
    expected = optaxwd.round_updates("stochastic", key=3)
    tx = optaxwd.round_updates("stochastic", key=key)
    state = tx.init(params)
    assert state.rounding_key.dtype == jnp.uint32
    assert_identical(
        tx.update(steps, state, params)[0],
        expected.update(steps, expected.init(params), params)[0],
    )


@pytest.mark.parametrize("mode", ["compensated", "split"])
def test_modes_without_noise_take_a_key_and_leave_it(mode):
    """So that the mode can be a setting."""
    params = jnp.ones(4, jnp.bfloat16)
    plain, keyed = optaxwd.round_updates(mode), optaxwd.round_updates(mode, 3)
    assert_identical(keyed.init(params), plain.init(params))


def test_another_random_bit_generator():
    params = jnp.ones(256, jnp.bfloat16)
    tx = optaxwd.round_updates("stochastic", key=jax.random.key(0, impl="rbg"))
    updates, _ = tx.update(jnp.full(256, -(2.0**-9)), tx.init(params), params)
    assert 0 < int(jnp.sum(updates != 0)) < 256


@pytest.mark.parametrize("mode", MODES)
def test_what_needs_no_rounding_passes(mode):
    tx = optaxwd.round_updates(mode)
    params = {
        "wide": jnp.ones(2),
        "index": jnp.arange(2),
        "narrow": jnp.ones(2, jnp.bfloat16),
        "none": None,
        "function": jnp.tanh,
    }
    steps = {
        "wide": jnp.full(2, 1e-9),
        "index": jnp.ones(2, jnp.int32),
        "narrow": jnp.ones(2, jnp.bfloat16),
        "none": None,
        "function": None,
    }
    updates, state = tx.update(steps, tx.init(params), params)
    assert updates["wide"] is steps["wide"] and updates["index"] is steps["index"]
    assert updates["narrow"].dtype == jnp.float32
    assert updates["none"] is None and updates["function"] is None
    if state.residual is not None:
        assert state.residual["wide"] == optax.MaskedNode()


@pytest.mark.parametrize("mode", ["compensated", "split"])
@pytest.mark.parametrize("new", by_stage([0.0, 1e-3, -50.0], first=0.0))
def test_a_parameter_changed_from_outside_counts_as_it_is(mode, new):
    init, step = jitted_step(mode)
    params = jnp.full(64, 100.0, jnp.bfloat16)
    steps = jnp.linspace(-0.24, 0.24, 64)
    params, _, state = step(params, steps, init(params))
    params = jnp.full(64, new, jnp.bfloat16)
    params, _, state = step(params, jnp.zeros(64), state)
    spacing = float(optaxwd.numerics.spacing(jnp.float32(new), jnp.bfloat16))
    wide = np.asarray(optaxwd.float32_parameters(params, state))
    assert np.abs(wide - np.float32(jnp.bfloat16(new))).max() <= spacing


@pytest.mark.parametrize("mode", MODES)
def test_frozen_and_masked_parameters_stay(mode):
    tx = optax.masked(optaxwd.round_updates(mode), {"a": True, "b": False})
    params = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(3, jnp.bfloat16)}
    steps = {"a": jnp.full(3, -1e-3), "b": jnp.zeros(3, jnp.bfloat16)}
    updates, _ = tx.update(steps, tx.init(params), params)
    assert updates["b"] is steps["b"] and updates["a"].dtype == jnp.float32


def test_messages():
    with pytest.raises(ValueError, match="unknown mode 'kahan'; choose one of"):
        optaxwd.round_updates("kahan")
    with pytest.raises(ValueError, match="key must be an integer or one PRNG key"):
        optaxwd.round_updates("stochastic", key=jax.random.split(jax.random.key(0)))
    with pytest.raises(ValueError, match="key must be an integer"):
        optaxwd.round_updates("stochastic", key=0.5)
    with pytest.raises(ValueError, match="which has 2 numbers, got 4. Pass jax.random"):
        optaxwd.round_updates("stochastic", key=jnp.zeros(4, jnp.uint32))
    params = {"w": jnp.ones(2, jnp.float8_e4m3fn)}
    with pytest.raises(TypeError, match="got float8_e4m3fn at 'w'. Keep them in"):
        optaxwd.round_updates("split").init(params)


def test_parameters_of_another_dtype_than_in_init_are_refused():
    """As Equinox's apply_updates makes them, which does not cast back."""
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    steps = {"w": jnp.full(2, 1e-3, jnp.float32)}
    for mode in MODES:
        tx = optaxwd.round_updates(mode)
        state = tx.init(params)
        with pytest.raises(ValueError, match="got float32 at 'w'. Apply updates with"):
            tx.update(steps, state, {"w": params["w"] + steps["w"]})
        wide = tx.init({"w": jnp.ones(2)})
        with pytest.raises(ValueError, match="32 bits or more in init, got bfloat16"):
            tx.update(steps, wide, params)


@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey, int])
def test_the_state_can_be_donated_and_the_key_used_again(make_key):
    key, params = make_key(3), jnp.ones(64, jnp.bfloat16)
    policy = optaxwd.Policy("stochastic", "bfloat16", key=key)
    tx = optaxwd.adamw(0.1, precision=policy)
    step = jax.jit(tx.update, donate_argnums=1)
    first, _ = step(params, tx.init(params), params)
    assert_identical(step(params, tx.init(params), params)[0], first)


def test_float64_steps_of_narrow_parameters():
    params = jnp.ones(2, jnp.bfloat16)
    with precision_for("float64"):
        for mode in MODES:
            tx = optaxwd.round_updates(mode)
            steps = jnp.full(2, -0.5, jnp.float64)
            updates, _ = tx.update(steps, tx.init(params), params)
            assert updates.dtype == jnp.float32
            assert optax.apply_updates(params, updates).tolist() == [0.5, 0.5]
