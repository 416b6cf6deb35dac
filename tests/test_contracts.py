"""What every public factory keeps: one table, and a factory missing from it fails."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_identical, by_stage, cast, describe, run

import optaxwd


@dataclasses.dataclass(frozen=True)
class Contract:
    """How to build a factory's transformation and what differs from the others."""

    build: Callable[..., Any]
    hyperparameter: str | None  # swept under vmap and inject_hyperparams
    static: tuple[str, ...] = ()  # what inject_hyperparams must not turn into arrays
    needs_params: bool = True
    reader: str | None = None  # who asks for missing parameters, if not the factory
    positional: tuple[Any, ...] = ()
    sees_all: bool = False  # whether a leaf's update depends on the other leaves
    rounds: bool = False  # whether updates of bfloat16 parameters are float32
    last_bits: int = 1  # 5 where as many Newton-Schulz iterations amplify them


ADAM = optax.scale_by_adam()
ENDS_IN_B = optaxwd.rules.Pattern(
    "ends in b", lambda leaf: leaf.path.endswith("b"), optional=True
)
FROZEN = optaxwd.DecayRules([(ENDS_IN_B, "frozen")])
CONTRACTS = {
    "adafactorw": Contract(
        optaxwd.adafactorw,
        "weight_decay",
        ("min_dim_size_to_factor", "decay_offset"),
        positional=(0.1,),
    ),
    "adam_l2": Contract(optaxwd.adam_l2, "weight_decay", positional=(0.1,)),
    "adamc": Contract(
        lambda weight_decay, learning_rate=0.1: optaxwd.adamc(
            learning_rate, weight_decay=weight_decay, peak_learning_rate=0.2
        ),
        "weight_decay",
    ),
    "adamcpr": Contract(
        optaxwd.adamcpr,
        "kappa_update",
        positional=(0.1, 0.9, 0.999, 1e-8, 0.0, None, "dependent", 0.5),
    ),
    "adamh": Contract(optaxwd.adamh, "learning_rate"),
    "adamp": Contract(optaxwd.adamp, "weight_decay", positional=(0.1,)),
    "adams": Contract(optaxwd.adams, "weight_decay", positional=(0.1,), sees_all=True),
    "adamspd": Contract(optaxwd.adamspd, "weight_decay", positional=(0.1,)),
    "adamw": Contract(optaxwd.adamw, "weight_decay", positional=(0.1,)),
    "adamwn": Contract(optaxwd.adamwn, "weight_decay", positional=(0.1,)),
    "add_decayed_weights": Contract(optaxwd.add_decayed_weights, "weight_decay"),
    "amos": Contract(optaxwd.amos, "extra_l2", positional=(0.1, 0.5)),
    # It has no state, and its norm is not zero.
    "clip_by_global_norm": Contract(
        lambda max_norm: optax.chain(
            optaxwd.clip_by_global_norm(0.1 + max_norm),
            optaxwd.scale_by_learning_rate(0.1),
        ),
        "max_norm",
        needs_params=False,
        sees_all=True,
    ),
    "compress_state": Contract(
        lambda weight_decay: optaxwd.compress_state(
            optaxwd.adamw(0.1, weight_decay=weight_decay), "bfloat16", min_size=1
        ),
        "weight_decay",
        reader="adamw",
        sees_all=True,  # the noise of a leaf is that of its path in the state
    ),
    "constrain_norms": Contract(
        optaxwd.constrain_norms, "kappa_update", positional=("dependent", 0.5)
    ),
    "control_weight_norm": Contract(optaxwd.control_weight_norm, "weight_decay"),
    "decouple": Contract(
        lambda weight_decay, learning_rate=0.1: optaxwd.decouple(
            optax.adam(0.1), weight_decay, learning_rate=learning_rate
        ),
        "weight_decay",
    ),
    "freeze": Contract(
        lambda weight_decay: optaxwd.freeze(
            optaxwd.adamw(0.1, weight_decay=weight_decay), FROZEN
        ),
        "weight_decay",
        reader="adamw",
    ),
    "lionw": Contract(optaxwd.lionw, "weight_decay", positional=(0.1,)),
    "muonh": Contract(
        optaxwd.muonh, "learning_rate", ("ns_steps", "ns_coeffs"), last_bits=5
    ),
    "muonw": Contract(
        optaxwd.muonw,
        "weight_decay",
        ("ns_steps", "ns_coeffs"),
        positional=(0.1,),
        last_bits=5,
    ),
    "nadamw": Contract(optaxwd.nadamw, "weight_decay", positional=(0.1,)),
    "project_updates": Contract(
        lambda weight_decay: optaxwd.project_updates(ADAM, weight_decay),
        "weight_decay",
    ),
    "record_decay": Contract(
        lambda weight_decay: optaxwd.record_decay(
            optaxwd.adamw(0.1, weight_decay=weight_decay)
        ),
        "weight_decay",
    ),
    "rmsprop_l2": Contract(optaxwd.rmsprop_l2, "weight_decay", positional=(0.1,)),
    "rmspropw": Contract(optaxwd.rmspropw, "weight_decay", positional=(0.1,)),
    # Constant neurons, as these tests have, turn only with their mean, and not by what
    # Adam and Lion make of gradients with one sign.
    "rotate_neurons": Contract(
        lambda rotation, learning_rate=0.1: optaxwd.rotate_neurons(
            rotation, learning_rate, center=False
        ),
        "rotation",
    ),
    "rotational_adamw": Contract(
        optaxwd.rotational_adamw,
        "weight_decay",
        positional=(0.1,),
    ),
    "rotational_lion": Contract(
        optaxwd.rotational_lion,
        "weight_decay",
        positional=(0.1,),
    ),
    "rotational_sgd": Contract(
        functools.partial(optaxwd.rotational_sgd, center=False),
        "weight_decay",
        positional=(0.1, 0.9),
    ),
    "round_updates": Contract(
        lambda weight_decay: optax.chain(
            optaxwd.add_decayed_weights(weight_decay, after_learning_rate=True),
            optaxwd.round_updates("split"),
        ),
        "weight_decay",
        reader="add_decayed_weights",
        rounds=True,
    ),
    "scale_by_adam": Contract(optaxwd.scale_by_adam, "eps", needs_params=False),
    "scale_by_amos": Contract(optaxwd.scale_by_amos, "extra_l2", positional=(0.1, 0.5)),
    "scale_by_learning_rate": Contract(
        optaxwd.scale_by_learning_rate, "learning_rate", needs_params=False
    ),
    "scale_by_nadam": Contract(optaxwd.scale_by_nadam, "eps", needs_params=False),
    "sgd_l2": Contract(optaxwd.sgd_l2, "weight_decay", positional=(0.1, 0.9)),
    "sgdp": Contract(optaxwd.sgdp, "weight_decay", positional=(0.1, 0.9)),
    "sgds": Contract(optaxwd.sgds, "weight_decay", positional=(0.1, 0.9)),
    "sgdw": Contract(optaxwd.sgdw, "weight_decay", positional=(0.1, 0.9)),
    "step_on_hyperball": Contract(optaxwd.step_on_hyperball, "learning_rate"),
    "with_master_weights": Contract(
        lambda weight_decay: optaxwd.with_master_weights(
            optax.adamw(0.1, weight_decay=weight_decay)
        ),
        "weight_decay",
        rounds=True,
    ),
    "with_precision": Contract(
        lambda weight_decay: optaxwd.with_precision(
            optaxwd.adamw(0.1, weight_decay=weight_decay), "compensated"
        ),
        "weight_decay",
        rounds=True,
    ),
    "with_selective_projection_decay": Contract(
        lambda weight_decay: optaxwd.with_selective_projection_decay(
            optax.adam(0.1), weight_decay
        ),
        "weight_decay",
    ),
    "with_stable_weight_decay": Contract(
        lambda weight_decay: optaxwd.with_stable_weight_decay(ADAM, weight_decay),
        "weight_decay",
        sees_all=True,
    ),
    "with_weight_decay": Contract(
        lambda weight_decay, learning_rate=0.1: optaxwd.with_weight_decay(
            ADAM, learning_rate, weight_decay
        ),
        "weight_decay",
    ),
}
NOT_TRANSFORMATIONS = {
    "audit",
    "compare_scaling_rules",
    "convert_state",
    "convert_weight_decay",
    "cosine_weight_decay_schedule",
    "create_optimizer",
    "cumulative_decay",
    "delayed_schedule",
    "describe",
    "elastic_net",
    "enable_multi_output_fusion",
    "equilibrium_rms",
    "equilibrium_rotation",
    "float32_parameters",
    "format_telemetry",
    "half_life",
    "huber",
    "leaf_paths",
    "linear_weight_decay_schedule",
    "list_optimizers",
    "normalized_weight_decay",
    "p_norm",
    "predicted_rms",
    "read_json_lines",
    "read_telemetry",
    "restore_state",
    "scale_weight_decay",
    "state_shardings",
    "tied_weight_decay_schedule",
    "timescale",
    "warmup_compensated_schedule",
    "warmup_compensated_weight_decay",
    "weight_decay_from_timescale",
}
NAMES = sorted(CONTRACTS)
# Chains of transformations that are in the table themselves.
COMPOSED = {
    "adafactorw",
    "adam_l2",
    "adamc",
    "adamcpr",
    "adamh",
    "adamp",
    "adams",
    "adamspd",
    "adamwn",
    "amos",
    "compress_state",
    "lionw",
    "muonh",
    "nadamw",
    "rmsprop_l2",
    "rmspropw",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
    "sgd_l2",
    "sgdp",
    "sgds",
    "sgdw",
    "with_master_weights",
    "with_precision",
}
SINGLE = set(NAMES) - COMPOSED


def make(name, value=0.3, **options):
    contract = CONTRACTS[name]
    return contract.build(
        *contract.positional, **{contract.hyperparameter: value}, **options
    )


def parameters(dtype="float32"):
    # Not parallel to the first directions: what turns matrices would not turn these.
    w = jnp.array([[0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], dtype)
    return {
        "layers": [{"w": w, "b": jnp.ones((2,), dtype)}],
        "scale": jnp.asarray(2.0, dtype),
        "missing": None,
        "empty": {},
    }


def gradients_like(params, steps=None):
    def leaf(p):
        shape = p.shape if steps is None else (steps, *p.shape)
        return (
            jnp.linspace(0.1, 1.0, int(np.prod(shape))).reshape(shape).astype(p.dtype)
        )

    return jax.tree.map(leaf, params)


def test_every_public_factory_has_a_contract():
    functions = {
        name for name in optaxwd.__all__ if inspect.isfunction(getattr(optaxwd, name))
    }
    assert functions - NOT_TRANSFORMATIONS == set(CONTRACTS)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_argument_names_are_optax_s(name):
    tx = make(name)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    update = list(inspect.signature(tx.update).parameters.values())
    assert [p.name for p in update[:3]] == ["updates", "state", "params"]
    assert update[-1].kind is inspect.Parameter.VAR_KEYWORD


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_jit_is_eager_and_the_state_is_a_fixed_point(name, dtype):
    tx, params = make(name), parameters(dtype)
    grads, state = gradients_like(params), tx.init(params)
    eager, eager_state = tx.update(grads, state, params)
    jitted, jitted_state = jax.jit(tx.update)(grads, state, params)
    # As exact as the parameters are, also where the updates are wider.
    expected = jax.device_get(cast(eager, dtype))
    assert_close(cast(jitted, dtype), expected, steps=CONTRACTS[name].last_bits)
    assert describe(eager_state) == describe(jitted_state) == describe(state)
    if CONTRACTS[name].rounds:
        grads = cast(grads, "float32")
    assert describe(eager) == describe(grads)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_one_trace_for_many_steps(name):
    tx, params = make(name), parameters()
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(tx.update, n=1))
    state = tx.init(params)
    for _ in range(3):
        updates, state = step(gradients_like(params), state, params)
        params = jax.jit(optax.apply_updates)(params, updates)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_shapes_are_enough_for_init(name):
    shapes = jax.eval_shape(parameters)
    state = jax.eval_shape(make(name).init, shapes)
    assert describe(state) == describe(make(name).init(parameters()))


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_unknown_extra_arguments_are_ignored(name):
    tx, params = make(name), parameters()
    grads, state = gradients_like(params), tx.init(params)
    assert_identical(
        tx.update(grads, state, params, value=1.0, nobody_knows=2),
        tx.update(grads, state, params),
    )


@pytest.mark.parametrize(
    "name",
    by_stage((n for n in NAMES if CONTRACTS[n].needs_params), first=SINGLE),
)
def test_missing_parameters_name_the_transform(name):
    tx, params = make(name), parameters()
    reader = CONTRACTS[name].reader or name
    with pytest.raises(ValueError, match=rf"^{reader} reads the parameters"):
        optax.chain(optax.identity(), tx).update(
            gradients_like(params), (optax.EmptyState(), tx.init(params))
        )


@pytest.mark.parametrize("name", [n for n in NAMES if not CONTRACTS[n].needs_params])
def test_parameters_are_not_needed(name):
    tx, params = make(name), parameters()
    grads, state = gradients_like(params), tx.init(params)
    assert_identical(tx.update(grads, state), tx.update(grads, state, params))


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_scan_and_vmap_over_the_hyperparameter(name):
    params = parameters()
    gradients = gradients_like(params, steps=3)

    def final(value):
        return run(make(name, value), params, gradients)

    values = jnp.array([0.0, 0.01, 0.3])
    swept = jax.jit(jax.vmap(final))(values)
    for i in range(len(values)):
        one = jax.tree.map(lambda x, i=i: x[i], swept)
        assert_close(one, jax.device_get(final(float(values[i]))), steps=3)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_another_value_does_not_recompile(name):
    chex.clear_trace_counter()
    values = [0.1, 0.2, 0.0]

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(value, grads, state, params):
        return make(name, value).update(grads, state, params)

    params = parameters()
    state = make(name, values[0]).init(params)
    for value in values:
        _, state = step(value, gradients_like(params), state, params)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_chain_partition_and_masked(name):
    tx, params = make(name), {"a": jnp.ones((3, 2)), "b": jnp.full(2, 2.0)}
    grads = gradients_like(params)
    plain, _ = tx.update(grads, tx.init(params), params)
    chained = optax.chain(optax.identity(), tx, optax.identity())
    assert_identical(chained.update(grads, chained.init(params), params)[0], plain)
    alone = {}
    for key, param in params.items():
        part = {key: param}
        alone |= tx.update({key: grads[key]}, tx.init(part), part)[0]
    if not CONTRACTS[name].sees_all:
        assert_close(alone, jax.device_get(plain))
    both = optax.partition({"x": tx, "y": make(name)}, {"a": "x", "b": "y"})
    assert_close(
        both.update(grads, both.init(params), params)[0], jax.device_get(alone)
    )
    masked = optax.masked(tx, {"a": True, "b": False})
    updates, _ = masked.update(grads, masked.init(params), params)
    assert_identical(updates["b"], grads["b"])
    assert_close(updates["a"], jax.device_get(alone["a"]))


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_inject_hyperparams(name):
    contract, params = CONTRACTS[name], parameters()
    build = optax.inject_hyperparams(contract.build, static_args=contract.static)
    kwargs = {contract.hyperparameter: 0.3}
    tx, plain = build(*contract.positional, **kwargs), make(name)
    grads, state = gradients_like(params), tx.init(params)
    expected, _ = plain.update(grads, plain.init(params), params)
    updates, state = jax.jit(tx.update)(grads, state, params)
    # b2 = 0.999 as a float32 array leaves 1 - b2 with an error of 6e-5.
    assert_close(updates, jax.device_get(expected), steps=60)
    state.hyperparams[contract.hyperparameter] = jnp.asarray(0.0)
    again, _ = jax.jit(tx.update)(grads, state, params)
    assert jax.tree.structure(again) == jax.tree.structure(updates)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_multi_steps_updates_once_per_real_step(name):
    params = parameters()
    tx = make(name)
    many = optax.MultiSteps(tx, every_k_schedule=2)
    grads, state = gradients_like(params), many.init(params)
    step = jax.jit(many.update)
    first, state = step(grads, state, params)
    assert not any(np.asarray(x).any() for x in jax.tree.leaves(first))
    second, state = step(grads, state, params)
    expected, _ = tx.update(grads, tx.init(params), params)
    expected = jax.device_get(expected)
    assert_close(second, expected, steps=CONTRACTS[name].last_bits)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_apply_if_finite_skips_a_bad_step(name):
    params = parameters()
    tx = optax.apply_if_finite(make(name), max_consecutive_errors=3)
    grads, state = gradients_like(params), tx.init(params)
    bad = jax.tree.map(lambda g: g * jnp.nan, grads)
    updates, after = jax.jit(tx.update)(bad, state, params)
    assert not any(np.asarray(x).any() for x in jax.tree.leaves(updates))
    assert_identical(after.inner_state, state.inner_state)
    updates, _ = jax.jit(tx.update)(grads, after, params)
    expected, _ = make(name).update(grads, make(name).init(params), params)
    expected = jax.device_get(expected)
    assert_close(updates, expected, steps=CONTRACTS[name].last_bits)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_map_params_finds_the_parameter_shaped_parts(name):
    params = parameters()
    tx = make(name)
    state = tx.init(params)
    same = optax.tree.map_params(tx, lambda x: x, state)
    assert_identical(same, state)


@pytest.mark.parametrize("name", by_stage(NAMES, first=SINGLE))
def test_empty_arrays(name):
    params = {"none of it": jnp.zeros((0, 3)), "w": jnp.ones(2)}
    tx = make(name)
    updates, _ = tx.update(gradients_like(params), tx.init(params), params)
    assert updates["none of it"].shape == (0, 3)
    assert np.isfinite(updates["w"]).all()
