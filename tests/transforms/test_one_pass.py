"""One pass over memory: where the flag is set, and never without it."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import optax
import pytest

from optaxwd.transforms import OnePass, enable_multi_output_fusion, in_one_pass
from optaxwd.transforms._multi_output_fusion import is_flag_set

TESTS = pathlib.Path(__file__).parent.parent
MODULE = "optaxwd.transforms._multi_output_fusion"
FLAG = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"

# Bytes per float32 parameter: every array that a step needs is read and written once.
FLOORS = {
    "adamw": 28,
    "adamw cautious": 28,
    "adamw independent cautious": 28,
    "adamw rules": 28,
    "adamw corrected": 28,
    "adamw proximal": 28,
    "adamw anchor": 32,
    "adamw clipped": 32,
    "adamw cautious clipped": 32,
    "adamw of two leaves": 28,
    "adamw clipped of bfloat16": 24,
    "adamw of bfloat16": 14,
    "builder": 28,
    "nadamw": 28,
    "nadamw warming up": 28,
    "lionw": 20,
    "lionw clipped": 24,
    "sgdw with momentum": 20,
    "rmspropw": 20,
    "rmspropw centered": 28,
}

IN_ANOTHER_PROCESS = """
    import json, warnings, jax, jax.numpy as jnp, numpy as np, optax, optaxwd
    from helpers import precision_for

    warnings.simplefilter("ignore")  # whether XLA heeds the flag is seen in its program
    before = optaxwd.adamw(1e-3, weight_decay=0.1)  # built without the flag
    optaxwd.enable_multi_output_fusion()
    optaxwd.enable_multi_output_fusion()  # again is nothing

    rules = optaxwd.DecayRules([("w.*", 0.5)])
    peak = {"peak_learning_rate": 2e-3}
    decay = {"weight_decay": 0.1}
    cases = {
        "adamw": (optaxwd.adamw, {}),
        "adamw cautious": (optaxwd.adamw, {"cautious": True}),
        "adamw independent cautious": (
            optaxwd.adamw, {"cautious": True, "coupling": "independent", **peak}
        ),
        "adamw rules": (optaxwd.adamw, {"mask": rules}),
        "adamw corrected": (optaxwd.adamw, {"coupling": "corrected", **peak}),
        "adamw proximal": (optaxwd.adamw, {"form": "proximal"}),
        "adamw anchor": (optaxwd.adamw, {"anchor": "init"}),
        "adamw clipped": (optaxwd.adamw, {"max_grad_norm": 1.0}),
        "adamw cautious clipped": (
            optaxwd.adamw, {"max_grad_norm": 1.0, "cautious": True}
        ),
        "adamw of two leaves": (optaxwd.adamw, {}),
        "adamw clipped of bfloat16": (optaxwd.adamw, {"max_grad_norm": 1.0}),
        "adamw of bfloat16": (optaxwd.adamw, {}),
        "builder": (
            lambda rate, weight_decay: optaxwd.with_weight_decay(
                optaxwd.scale_by_adam(), rate, weight_decay
            ),
            {},
        ),
        "nadamw": (optaxwd.nadamw, {}),
        "nadamw warming up": (optaxwd.nadamw, {"momentum_decay": 4e-3}),
        "lionw": (optaxwd.lionw, {}),
        "lionw clipped": (optaxwd.lionw, {"max_grad_norm": 1.0}),
        "sgdw with momentum": (optaxwd.sgdw, {"momentum": 0.9}),
        "rmspropw": (optaxwd.rmspropw, {}),
        "rmspropw centered": (optaxwd.rmspropw, {"centered": True}),
    }

    def one_step(optimizer):
        def step(grads, state, params):
            updates, state = optimizer.update(grads, state, params)
            return state, optax.apply_updates(params, updates)
        return step

    def bytes_per_parameter(optimizer, params):
        step = jax.jit(one_step(optimizer), donate_argnums=(1, 2))
        compiled = step.lower(params, optimizer.init(params), params).compile()
        entry = compiled.as_text().partition("ENTRY")[2]
        size = sum(x.size for x in jax.tree.leaves(params))
        return compiled.cost_analysis()["bytes accessed"] / size, entry.count(" copy(")

    def error_after_steps(optimizer):
        # Op by op nothing is in one pass, so that this compares the two forms.
        random = np.random.default_rng(0)
        draw = lambda: {"w": random.normal(size=(8, 4)), "s": np.float64(1.5)}
        fast = slow = jax.tree.map(jnp.asarray, draw())
        state = slow_state = optimizer.init(fast)
        update = jax.jit(optimizer.update)
        for _ in range(5):
            grads = jax.tree.map(jnp.asarray, draw())
            updates, state = update(grads, state, fast)
            fast = optax.apply_updates(fast, updates)
            updates, slow_state = optimizer.update(grads, slow_state, slow)
            slow = optax.apply_updates(slow, updates)
        trees = ((fast, state), (slow, slow_state))
        assert jax.tree.structure(trees[0]) == jax.tree.structure(trees[1])
        return max(
            float(np.max(np.abs(np.asarray(x) - np.asarray(y))))
            for x, y in zip(*map(jax.tree.leaves, trees), strict=True)
        )

    found = {}
    for name, (factory, options) in cases.items():
        optimizer = factory(1e-3, **decay, **options)
        dtype = "bfloat16" if "bfloat16" in name else "float32"
        params = {"w": jnp.zeros((256, 256), dtype)}
        if "two" in name:
            params["w2"] = jnp.zeros((100, 300))
        found[name] = bytes_per_parameter(optimizer, params)
        with precision_for("float64"):
            found[name] += (error_after_steps(optimizer),)
    params = {"w": jnp.zeros((256, 256))}
    found["built before"] = bytes_per_parameter(before, params)
    ours = optaxwd.adamw(1e-3)
    update = jax.jit(ours.update)
    state = ours.init(params)
    for _ in range(3):
        _, state = update(params, state, params)
    found["compilations"] = update._cache_size()
    swept = jax.vmap(
        lambda b1: jax.jit(optaxwd.adamw(1e-3, b1=b1).update)(
            params, ours.init(params), params
        )[0]
    )(jnp.array([0.8, 0.9]))
    found["swept"] = jax.tree.map(lambda x: list(x.shape), swept)
    print(json.dumps(found))
"""


def run(program):
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "PYTHONPATH": str(TESTS)},
    )


@pytest.fixture(scope="module")
def found():
    done = run(IN_ANOTHER_PROCESS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def skip_where_xla_has_no_such_option():
    if jax.__version_info__ < (0, 8):
        pytest.skip("XLA for CPUs joins no loops before the option for it was added")


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOORS)
def test_every_array_is_read_and_written_once(found, name):
    bytes_per_parameter, copies, error = found[name]
    assert error < 1e-13
    skip_where_xla_has_no_such_option()
    assert bytes_per_parameter <= FLOORS[name] + 0.1
    assert copies == 0


@pytest.mark.slow
def test_what_is_built_before_keeps_its_form(found):
    assert found["built before"][0] >= 36 - 0.1


@pytest.mark.slow
def test_it_compiles_once_and_sweeps(found):
    assert found["compilations"] == 1
    assert found["swept"] == {"w": [2, 256, 256]}


def test_never_without_the_flag(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    assert not is_flag_set()
    assert not isinstance(in_one_pass(optax.scale_by_adam()), OnePass)
    monkeypatch.setenv("XLA_FLAGS", FLAG)
    assert is_flag_set()
    assert isinstance(in_one_pass(optax.scale_by_adam()), OnePass)


def test_options_that_were_there_stay(monkeypatch):
    monkeypatch.setattr(
        "optaxwd.transforms._multi_output_fusion._backend_has_started", bool
    )
    other = "--xla_backend_extra_options=xla_cpu_small_call_byte_threshold=7"
    monkeypatch.setenv("XLA_FLAGS", f"--xla_cpu_enable_fast_math=false {other}")
    enable_multi_output_fusion()
    assert os.environ["XLA_FLAGS"] == (
        f"--xla_cpu_enable_fast_math=false {other},xla_cpu_use_multi_output_fusion"
    )
    assert is_flag_set()


def test_flags_may_stand_in_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(f"{MODULE}._backend_has_started", bool)
    (tmp_path / "flags").write_text("--xla_cpu_enable_fast_math=false\n")
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags"))
    assert not is_flag_set()
    enable_multi_output_fusion()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {FLAG}"


def test_too_late_is_an_error(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    assert float(jnp.ones(())) == 1.0
    with pytest.raises(RuntimeError, match="before the first array"):
        enable_multi_output_fusion()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize("first", ["jax.devices()", "jax.numpy.ones(1)"])
def test_too_late_in_a_fresh_process(first):
    done = run(f"import jax, optaxwd; {first}; optaxwd.enable_multi_output_fusion()")
    assert "RuntimeError: enable_multi_output_fusion: JAX has started" in done.stderr


def test_it_starts_no_backend():
    done = run(
        """
        import jax, optaxwd
        optaxwd.enable_multi_output_fusion()
        optaxwd.adamw(1e-3)
        jax.config.update("jax_platforms", "nowhere")
        try:
            jax.devices()
        except RuntimeError:
            print("not started")
        """
    )
    assert done.stdout.strip() == "not started", done.stderr


def test_a_flag_without_effect_is_told_and_not_followed():
    done = run(
        """
        import os, warnings, jax, jax.numpy as jnp, optaxwd
        jax.devices()
        os.environ["XLA_FLAGS"] = (
            "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"
        )
        tx, params = optaxwd.adamw(1e-3), jnp.zeros((64, 64))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step = jax.jit(tx.update).lower(params, tx.init(params), params)
            jax.jit(optaxwd.lionw(1e-3).update).lower(
                params, optaxwd.lionw(1e-3).init(params), params
            )
        print(len([w for w in caught if "does not heed it" in str(w.message)]))
        print("optimization_barrier" in step.as_text())
        """
    )
    assert done.stdout.split() == ["1", "False"], done.stderr
