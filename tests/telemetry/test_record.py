"""What is recorded of a step: by hand, and against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical, by_stage, describe, precision_for
from telemetry.runs import DECAY, RATE, arrays, kernels, trained

import optaxwd
from optaxwd import read_telemetry, record_decay


def of(tree):
    return {
        path: np.asarray(leaf, np.float64)
        for path, leaf in zip(
            optaxwd.leaf_paths(tree), jax.tree.leaves(tree), strict=True
        )
    }


def expected(theta, s, d):
    """The definitions, in float64."""
    norm, both = np.linalg.norm, np.vdot
    after = theta + s
    cosine = both(theta, after) / (norm(theta) * norm(after))
    return {
        "weight_rms": norm(theta) / theta.size**0.5,
        "update_rms": norm(s) / s.size**0.5,
        "decay_rms": norm(d) / d.size**0.5,
        "decay_share": norm(d) / norm(s),
        "decay_rate": -both(d, theta) / both(theta, theta),
        "cosine": both(s, theta) / (norm(s) * norm(theta)),
        "rotation": np.arccos(np.clip(cosine, -1, 1)),
    }


def check(telemetry, theta, s, d, path, rtol=2e-4):
    suffix = f"/{path}" if path else ""
    for name, value in expected(theta, s, d).items():
        got = telemetry[name + suffix]
        assert got == pytest.approx(value, rel=rtol, abs=1e-7), (name, path)


def test_by_hand():
    # u = ±1 at the first step, so s = −η(u + λθ) = −(0.13, −0.06).
    tx = record_decay(optax.adamw(0.1, weight_decay=0.1, eps=0.0))
    params = {"w": jnp.array([3.0, 4.0])}
    _, state = tx.update({"w": jnp.array([1.0, -1.0])}, tx.init(params), params)
    found = read_telemetry(state)
    assert found["step"] == 0
    assert found["weight_rms/w"] == pytest.approx(12.5**0.5)
    assert found["update_rms/w"] == pytest.approx(0.01025**0.5, rel=1e-4)
    assert found["decay_rms/w"] == pytest.approx(0.01 * 12.5**0.5, rel=1e-4)
    assert found["decay_share/w"] == pytest.approx(0.05 / 0.0205**0.5, rel=1e-4)
    assert found["decay_rate/w"] == pytest.approx(0.01, rel=1e-4)
    assert found["cosine/w"] == pytest.approx(-0.15 / (5 * 0.0205**0.5), rel=1e-4)
    turned = np.arctan2(4.06, 2.87) - np.arctan2(4, 3)
    assert found["rotation/w"] == pytest.approx(turned, rel=1e-4)
    assert found["decay_realised/w"] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("make", [optaxwd.adamw, optax.adamw], ids=["ours", "optax"])
def test_decoupled_decay_against_numpy(make):
    tx = record_decay(make(RATE, weight_decay=DECAY, mask=kernels))
    params, _, updates, state = trained(tx, 7)
    found = read_telemetry(state)
    theta, s = of(params), of(updates)
    d = {k: -RATE * DECAY * v * ("kernel" in k) for k, v in theta.items()}
    for path in theta:
        check(found, theta[path], s[path], d[path], path)
    assert found["decay_rms/dense/bias"] == found["decay_rate/dense/bias"] == 0
    assert str(found["decay_rate/dense/bias"]) == "0.0"
    whole = [np.concatenate([x[k].ravel() for k in theta]) for x in (theta, s, d)]
    check(found, *whole, "")


DECAYS = {
    "L2": (optaxwd.adam_l2, optax.adam),
    "L2 of SGD": (
        functools.partial(optaxwd.sgd_l2, momentum=0.9),
        functools.partial(optax.sgd, momentum=0.9),
    ),
    "L2 of RMSProp": (optaxwd.rmsprop_l2, optax.rmsprop),
    "L2 in a chain of Optax": (
        lambda rate, weight_decay: optax.chain(
            optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum=0.9)
        ),
        functools.partial(optax.sgd, momentum=0.9),
    ),
}


@pytest.mark.parametrize("name", by_stage(DECAYS, first="L2"))
def test_decay_in_the_moments_is_the_difference_to_a_run_without(name):
    make, without = DECAYS[name]
    tx, other = record_decay(make(RATE, weight_decay=DECAY)), without(RATE)
    params = arrays(0)
    state, plain = tx.init(params), other.init(params)
    assert state.baseline_state is not None
    update, update_without = jax.jit(tx.update), jax.jit(other.update)
    for i in range(20):
        grads = arrays(i + 1, scale=0.1)
        updates, state = update(grads, state, params)
        base, plain = update_without(grads, plain)
        theta, params = params, optax.apply_updates(params, updates)
    found = read_telemetry(state)
    for path in of(theta):
        s, b = of(updates)[path], of(base)[path]
        check(found, of(theta)[path], s, s - b, path, rtol=2e-3)
    only_now = record_decay(make(RATE, weight_decay=DECAY), history=False)
    assert only_now.init(params).baseline_state is None


def test_l2_in_adam_is_divided_by_the_root_of_the_second_moment():
    random = np.random.default_rng(0)
    params = {"w": jnp.asarray(random.normal(size=1000), jnp.float32)}
    tx = record_decay(optaxwd.adam_l2(1e-3, weight_decay=1e-3))
    state, update = tx.init(params), jax.jit(tx.update)
    rates = []
    for i in range(60):
        scale = np.random.default_rng(i).choice([-0.1, 0.1], 1000)
        _, state = update({"w": jnp.asarray(scale, jnp.float32)}, state, params)
        rates.append(read_telemetry(state)["decay_rate/w"])
    # √v̂ is 0.1, so λ pulls ten times as hard.
    assert np.mean(rates[40:]) == pytest.approx(1e-5, rel=0.05)


@pytest.mark.parametrize(
    "make",
    [
        optaxwd.adamc,
        optaxwd.adamw,
        optaxwd.lionw,
        optaxwd.sgdw,
        optax.adamw,
        optax.lion,
    ],
)
def test_no_history_where_decay_is_decoupled(make):
    state = record_decay(make(RATE, weight_decay=DECAY)).init(arrays(0))
    assert state.baseline_state is None


def test_cautious_decay_is_that_of_entries_that_agree():
    tx = record_decay(optaxwd.adamw(RATE, weight_decay=DECAY, cautious=True))
    params, grads, _, state = trained(tx)
    theta, g = of(params), of(grads)
    for path, value in theta.items():
        d = -RATE * DECAY * value * (g[path] * value > 0)
        rate = -np.vdot(d, value) / np.vdot(value, value)
        assert read_telemetry(state)[f"decay_rate/{path}"] == pytest.approx(rate, 1e-3)


def test_decay_to_an_anchor_is_the_pull_to_it():
    anchor = arrays(9)
    tx = record_decay(optaxwd.adamw(RATE, weight_decay=DECAY, anchor=anchor))
    params, _, updates, state = trained(tx)
    theta, s, a = of(params), of(updates), of(anchor)
    for path, value in theta.items():
        d = -RATE * DECAY * (value - a[path])
        check(read_telemetry(state), value, s[path], d, path, rtol=1e-3)


STABLE = {
    "adams": lambda: optaxwd.adams(RATE, weight_decay=1e-3),
    "adamp": lambda: optaxwd.adamp(RATE, weight_decay=DECAY),
    "adamspd": lambda: optaxwd.adamspd(RATE, weight_decay=0.5, anchor=None),
    "adamwn": lambda: optaxwd.adamwn(RATE, weight_decay=DECAY, ratio=0.5),
    "adamcpr": lambda: optaxwd.adamcpr(
        RATE, kappa_init_method="uniform", kappa_init_param=0.1
    ),
    "amos": lambda: optaxwd.amos(RATE, 1.0),
}


@pytest.mark.parametrize("name", by_stage(STABLE, first="adams"))
def test_every_law_of_ours_leaves_its_decay_out(name):
    tx = record_decay(STABLE[name]())
    *_, state = trained(tx, 3)
    assert read_telemetry(state)["decay_rate"] > 0
    assert state.baseline_state is None


@pytest.mark.parametrize("rate", by_stage([1e-2, 5e-2], first=1e-2))
def test_a_set_norm_decays_by_half_of_the_square_of_the_rotation(rate):
    tx = record_decay(optaxwd.adamh(rate))
    *_, state = trained(tx)
    found = read_telemetry(state)
    path = "dense/kernel"
    along = found[f"cosine/{path}"] * found[f"update_rms/{path}"]
    assert along == pytest.approx(
        -(found[f"rotation/{path}"] ** 2) / 2 * found[f"weight_rms/{path}"], rel=0.05
    )
    assert found[f"decay_rate/{path}"] == pytest.approx(rate**2 / 2, rel=0.1)


def test_optimizers_that_scale_by_the_parameters_are_no_decay():
    scaled = optax.adafactor(RATE, min_dim_size_to_factor=2)
    *_, state = trained(record_decay(scaled), 3)
    assert read_telemetry(state)["decay_rate"] == pytest.approx(0, abs=1e-6)
    decayed = optax.adafactor(RATE, weight_decay_rate=1e-3, min_dim_size_to_factor=2)
    *_, state = trained(record_decay(decayed), 3)
    assert read_telemetry(state)["decay_rate"] == pytest.approx(1e-3, rel=1e-3)


def plain(tx):
    """Return the same without extra arguments, as many wrappers do."""
    return optax.GradientTransformation(tx.init, tx.update)


DEAF = {
    "a plain transformation": lambda tx: plain(tx),
    "in a chain": lambda tx: optax.chain(plain(tx), optax.identity()),
    "in precision": lambda tx: optaxwd.with_precision(plain(tx), "split"),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "jitted": lambda tx: optax.GradientTransformationExtraArgs(
        tx.init, jax.jit(tx.update)
    ),
    "no extra arguments": lambda tx: optax.GradientTransformationExtraArgs(
        tx.init, lambda updates, state, params=None: tx.update(updates, state, params)
    ),
}


@pytest.mark.parametrize("name", by_stage(DEAF, first="MultiSteps"))
def test_wrappers_that_drop_what_they_are_asked(name):
    wrap = DEAF[name]
    *_, state = trained(record_decay(wrap(optaxwd.adamw(RATE, weight_decay=DECAY))), 3)
    rate = read_telemetry(state)["decay_rate/dense/kernel"]
    assert rate == pytest.approx(RATE * DECAY, rel=1e-3)
    coupled = record_decay(wrap(optaxwd.sgd_l2(RATE, 0.9, weight_decay=DECAY)))
    *_, state = trained(coupled, 3)
    assert state.baseline_state is not None
    # Of constant weights it would be 1 + 0.9 + 0.81 times as much.
    rate = read_telemetry(state)["decay_rate/dense/kernel"]
    assert rate == pytest.approx(2.71 * RATE * DECAY, rel=0.02)


def test_what_cannot_be_traced_ahead_is_said():
    tx = optax.chain(optax.adamw(RATE), optax.contrib.reduce_on_plateau())
    with pytest.warns(UserWarning, match="could not be traced .* Pass history=True"):
        assert record_decay(tx).init(arrays(0)).baseline_state is None
    recorder, params = record_decay(tx, history=True), arrays(0)
    state = recorder.init(params)
    _, state = recorder.update(params, state, params, value=jnp.float32(1.0))
    assert state.baseline_state is not None and read_telemetry(state)["step"] == 0


@pytest.mark.parametrize("every", [1, 3])
def test_every_so_many_steps_in_one_program(every):
    tx = record_decay(optaxwd.adamw(RATE, weight_decay=DECAY), every=every)
    params = arrays(0)
    state, update = tx.init(params), jax.jit(tx.update)
    assert "step" not in read_telemetry(state)
    for i in range(8):
        before = read_telemetry(state)
        _, state = update(arrays(i + 1), state, params)
        found = read_telemetry(state)
        assert found["step"] == i // every * every
        assert (found == before) == (i % every != 0)
    assert update._cache_size() == 1


@pytest.mark.slow
def test_rounding_swallows_decay_and_split_does_not():
    random = np.random.default_rng(0)
    params = {"w": jnp.asarray(random.uniform(1, 2, 4000), jnp.bfloat16)}
    zeros = jax.tree.map(jnp.zeros_like, params)

    def realised(tx, steps=40):
        recorder = record_decay(tx)
        state, theta, update = recorder.init(params), params, jax.jit(recorder.update)
        found = []
        for _ in range(steps):
            updates, state = update(zeros, state, theta)
            theta = optax.apply_updates(theta, updates)
            found.append(read_telemetry(state))
        return found

    make = functools.partial(optaxwd.sgdw, 1e-3, weight_decay=1.0)
    for telemetry in realised(make(), 2):
        assert telemetry["decay_realised/w"] == 0
        assert telemetry["rounding_loss/w"] == pytest.approx(1)
        assert telemetry["decay_rate/w"] == pytest.approx(1e-3, rel=5e-3)
    for precision in ("split", "compensated", "stochastic"):
        policy = optaxwd.Policy(precision, key=0)
        found = realised(make(precision=policy))
        rates = [one["decay_rate/w"] for one in found]
        # Of the bfloat16 parameter, while what is kept beside it decays.
        np.testing.assert_allclose(rates, 1e-3, rtol=5e-3)
        mean = np.mean([one["decay_realised/w"] for one in found])
        assert mean == pytest.approx(1, abs=0.1), precision
    nearest = make(precision=optaxwd.Policy("nearest"))
    assert realised(nearest, 1)[0]["decay_realised/w"] == 0
    # From outside, any optimizer can be asked.
    foreign = optaxwd.with_precision(optax.adamw(1e-3, weight_decay=1.0), "split")
    found = realised(foreign)
    assert found[-1]["decay_rate/w"] == pytest.approx(1e-3, rel=5e-3)


def test_float32_loses_nothing_that_matters():
    *_, state = trained(record_decay(optaxwd.adamw(RATE, weight_decay=DECAY)))
    found = read_telemetry(state)
    assert found["decay_realised"] == pytest.approx(1, abs=1e-3)
    assert found["rounding_loss"] < 1e-4


@pytest.mark.parametrize("clip", [False, True], ids=["", "clipped"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_root_second_moments_are_corrected(dtype, clip):
    inner = optaxwd.adamw(RATE, b2=0.99, max_grad_norm=0.1 if clip else None)
    _, _, _, state = trained(record_decay(inner), 4, dtype=dtype)
    nu = optax.tree.get(state.inner_state, "nu")["dense"]["kernel"]
    roots = np.sqrt(np.asarray(nu, np.float64) / (1 - 0.99**4))
    found = read_telemetry(state)
    for name, value in (
        ("mean", roots.mean()),
        ("min", roots.min()),
        ("max", roots.max()),
    ):
        got = found[f"sqrt_nu_{name}/dense/kernel"]
        # Rounded moments are recorded, as XLA pleases, before they are.
        assert got == pytest.approx(value, rel=2.0**-8), name
    assert found["sqrt_nu_max"] >= found["sqrt_nu_max/dense/kernel"]


@pytest.mark.parametrize("make", [optax.adamax, optax.yogi])
def test_what_is_no_mean_of_squares_is_not_recorded(make):
    *_, state = trained(record_decay(make(RATE)), 3)
    assert not any(key.startswith("sqrt_nu") for key in read_telemetry(state))


def test_moments_that_are_not_corrected_are_taken_as_they_are():
    *_, state = trained(record_decay(optax.rmsprop(RATE)), 2)
    nu = optax.tree.get(state.inner_state, "nu")["head"]["kernel"]
    found = read_telemetry(state)["sqrt_nu_mean/head/kernel"]
    assert found == pytest.approx(float(jnp.sqrt(nu).mean()), rel=1e-5)
    *_, state = trained(record_decay(optax.sgd(RATE)))
    assert not any(key.startswith("sqrt_nu") for key in read_telemetry(state))
    # Codes are no moments.
    coded = optaxwd.adamw(RATE, precision=optaxwd.Policy(state="int8"))
    *_, state = trained(record_decay(coded))
    assert "decay_rate" in read_telemetry(state)


WALKS = {
    "adamw": (optaxwd.adamw, {"b1": 0.9}),
    "lionw": (optaxwd.lionw, {"b1": 0.9, "b2": 0.99}),
    "sgd_l2": (optaxwd.sgd_l2, {"momentum": 0.9}),
    "sgdw": (optaxwd.sgdw, {"momentum": 0.5}),
}


@pytest.mark.parametrize("name", by_stage(WALKS, first="adamw"))
def test_equilibrium_is_predicted_and_reached(name):
    make, arguments = WALKS[name]
    rate, decay = (1e-2, 0.05) if name != "lionw" else (1e-3, 0.5)
    tx = record_decay(
        make(rate, weight_decay=decay, **arguments), equilibrium=name, **arguments
    )
    params = {"w": jnp.ones(2000)}
    key = jax.random.key(0)

    def step(carry, i):
        params, state = carry
        grads = {"w": jax.random.normal(jax.random.fold_in(key, i), (2000,))}
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), state.measures

    steps = 8000 if name != "sgd_l2" else 3000
    _, measures = jax.lax.scan(step, (params, tx.init(params)), jnp.arange(steps))
    known = {"learning_rate": rate, "weight_decay": decay, **arguments}
    gradient = {"gradient_rms": 1.0} if name.startswith("sgd") else {}
    late = {key: float(x[-500:, 0].mean()) for key, x in measures.items()}
    rotation = optaxwd.equilibrium_rotation(name, **known)
    rms = optaxwd.equilibrium_rms(name, **known, **gradient)
    assert late["predicted_rotation"] == pytest.approx(rotation, rel=0.02)
    assert late["predicted_rms"] == pytest.approx(rms, rel=0.03)
    assert late["rotation_ratio"] == pytest.approx(1, abs=0.08)
    assert late["rms_ratio"] == pytest.approx(1, abs=0.08)


def test_what_does_not_decay_has_no_equilibrium():
    inner = optax.adamw(RATE, weight_decay=DECAY, mask=kernels)
    *_, state = trained(record_decay(inner, equilibrium="adamw"))
    found = read_telemetry(state)
    assert "predicted_rotation/dense/kernel" in found
    assert "rotation_ratio/dense/bias" not in found
    # The size needs the learning rate, which Optax's state does not tell.
    assert not any(key.startswith("predicted_rms") for key in found)
    told = record_decay(inner, equilibrium="adamw", learning_rate=RATE)
    *_, state = trained(told)
    predicted = read_telemetry(state)["predicted_rms/dense/kernel"]
    rms = optaxwd.equilibrium_rms("adamw", learning_rate=RATE, weight_decay=DECAY)
    assert predicted == pytest.approx(rms, rel=1e-3)


def test_groups():
    inner = optaxwd.adamw(RATE, weight_decay=DECAY, mask=optaxwd.rules.standard())
    by_rule = record_decay(inner, groups=optaxwd.rules.standard())
    params, _, updates, state = trained(by_rule)
    found = read_telemetry(state)
    names = {key.partition("/")[2] for key in found if key.startswith("decay_rate/")}
    assert names == {"bias", "default"}
    theta, s = of(params), of(updates)
    weights = np.concatenate([theta[k].ravel() for k in theta if "kernel" in k])
    steps = np.concatenate([s[k].ravel() for k in theta if "kernel" in k])
    check(found, weights, steps, -RATE * DECAY * weights, "default")

    def top(path, leaf):
        return None if leaf.ndim == 1 else path.split("/")[0]

    *_, state = trained(record_decay(inner, groups=top))
    found = read_telemetry(state)
    names = {key.partition("/")[2] for key in found if key.startswith("cosine/")}
    assert names == {"dense", "head"}
    rms = np.sqrt((theta["dense/kernel"] ** 2).mean())
    assert found["weight_rms/dense"] == pytest.approx(rms, rel=1e-5)
    # What is in no group does not count in the total either.
    rms = np.sqrt((weights**2).mean())
    assert found["weight_rms"] == pytest.approx(rms, rel=1e-5)


def test_leaves_of_every_kind():
    params = {
        "w": jnp.ones((2, 3)),
        "none": None,
        "empty": {},
        "nothing": jnp.zeros((0, 4)),
        "scalar": jnp.array(2.0),
        "zero": jnp.zeros(3),
        "z": jnp.array([3.0 + 4.0j, 1.0]),
    }
    tx = record_decay(optaxwd.sgdw(0.1, weight_decay=0.5))
    _, state = tx.update(params, tx.init(params), params)
    found = read_telemetry(state)
    assert found["weight_rms/z"] == pytest.approx((26 / 4) ** 0.5)
    assert found["decay_rate/z"] == pytest.approx(0.05)
    assert found["decay_rate/scalar"] == pytest.approx(0.05)
    for name in ("nothing", "zero"):
        for quantity in ("weight_rms", "cosine", "rotation", "decay_rate"):
            assert found[f"{quantity}/{name}"] == 0
    assert not any(key.endswith(("none", "empty")) for key in found)
    assert all(np.isfinite(value) for value in found.values())
    empty = record_decay(optax.sgd(0.1))
    assert read_telemetry(empty.update({}, empty.init({}), {})[1])["weight_rms"] == 0


def test_integer_leaves_pass():
    tx = record_decay(optaxwd.adamw(0.1))
    params = {"w": jnp.ones(2), "n": jnp.arange(3)}
    grads = {"w": jnp.ones(2), "n": np.zeros(3, jax.dtypes.float0)}
    updates, state = tx.update(grads, jax.jit(tx.init)(params), params)
    assert_identical(optax.apply_updates(params, updates)["n"], params["n"])
    read = read_telemetry(state)
    assert "weight_rms/n" not in read
    del params["n"], grads["n"]
    _, state = tx.update(grads, tx.init(params), params)
    assert read == read_telemetry(state)


def test_wide_parameters():
    with precision_for("float64"):
        tx = record_decay(optaxwd.adamw(RATE, weight_decay=1e-6))
        params = {"w": jnp.arange(1.0, 9.0)}
        state = tx.init(params)
        updates, after = jax.jit(tx.update)(params, state, params)
        assert describe(after) == describe(state)
        assert read_telemetry(after)["decay_rate/w"] == pytest.approx(1e-8, rel=1e-6)
        assert updates["w"].dtype == jnp.float64


def test_nan_is_seen():
    tx = record_decay(optaxwd.adamw(RATE))
    params = {"w": jnp.ones(3)}
    _, state = tx.update({"w": jnp.array([1.0, np.nan, 1.0])}, tx.init(params), params)
    found = read_telemetry(state)
    assert np.isnan(found["update_rms/w"]) and found["weight_rms/w"] == pytest.approx(1)


@pytest.mark.parametrize("groups", [None, optaxwd.rules.standard()])
def test_map_params_takes_more_trees_like_the_parameters(groups):
    """As sharded training does, to lay shardings of parameters over a state."""
    params = arrays(0)
    tx = record_decay(optaxwd.adamw(RATE, DECAY), groups=groups)
    state = tx.init(params)
    specs = jax.tree.map(lambda x: f"of {x.shape}", params)
    mapped = optax.tree.map_params(
        tx, lambda _, spec: spec, state, specs, transform_non_params=lambda _: "number"
    )
    for name in ("mu", "nu"):
        assert optax.tree.get(mapped.inner_state, name) == specs
    assert mapped.telemetry_count == mapped.measures["decay_share"] == "number"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every must be a whole number >= 1, got 0"),
        ({"every": 1.5}, ValueError, "every must be a whole number >= 1, got 1.5"),
        (
            {"groups": "rule"},
            TypeError,
            "groups must be None .* got 'rule' of type str",
        ),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be finite and >= 0"),
        ({"weight_decay": "x"}, TypeError, "weight_decay must be a number"),
        ({"history": 1}, TypeError, "history must be True or False, got 1"),
        ({"equilibrium": "adamx"}, ValueError, "unknown optimizer 'adamx'.*adamw"),
        ({"b1": 0.9}, ValueError, "got b1=0.9 and equilibrium=None. Pass its name"),
        (
            {"equilibrium": "adamw", "momentum": 0.9},
            ValueError,
            "does not read momentum",
        ),
    ],
)
def test_messages(options, error, message):
    with pytest.raises(error, match=f"record_decay: .*{message}"):
        record_decay(optax.sgd(0.1), **options)


def test_more_messages():
    with pytest.raises(TypeError, match="must be an optax.Grad.*Call it first"):
        record_decay(optax.adamw)
    tx = record_decay(optax.sgd(0.1))
    with pytest.raises(ValueError, match="record_decay reads the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    tx = record_decay(optax.sgd(0.1), groups=lambda path, leaf: 3)
    with pytest.raises(TypeError, match=r"groups must return the name .* got 3"):
        tx.init({"w": jnp.ones(2)})
