"""On eight devices: one device's numbers, and states sharded as parameters.

JAX fixes the number of devices before it starts, so this file runs itself in a process
of its own.
"""

import os
import subprocess
import sys

import pytest

DEVICES = 8


@pytest.mark.slow
def test_on_eight_devices():
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([".", "tests", *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all agree" in done.stdout


def main():
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from test_contracts import NAMES, make

    assert len(jax.devices()) == DEVICES
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    specs = {"w": PartitionSpec("data", "model"), "b": PartitionSpec("model")}
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    check_laws({name: make(name) for name in NAMES}, shardings)
    check_precision(shardings)
    check_restored(shardings)
    print(f"all agree: {len(NAMES)}")


def arrays(shapes, dtype, seed=0):
    import jax.numpy as jnp
    import numpy as np

    random = np.random.default_rng(seed)
    return {
        name: jnp.asarray(random.normal(size=shape), dtype)
        for name, shape in shapes.items()
    }


def check_state(state, shapes, shardings, name):
    import jax

    for leaf in jax.tree.leaves(state):
        for key, shape in shapes.items():
            if leaf.shape == shape:
                same = leaf.sharding.is_equivalent_to(shardings[key], leaf.ndim)
                assert same, f"{name}: {leaf.shape} has {leaf.sharding}"


def check_laws(transformations, shardings):
    """Compare one update of each with that of one device."""
    import jax
    from helpers import assert_close

    shapes = {"w": (8, 16), "b": (16,)}
    params, grads = arrays(shapes, "float32", 0), arrays(shapes, "float32", 1)
    placed, placed_grads = jax.device_put((params, grads), (shardings, shardings))
    for name, tx in transformations.items():
        expected, _ = jax.jit(tx.update)(grads, tx.init(params), params)
        state = jax.jit(tx.init)(placed)
        updates, state = jax.jit(tx.update)(placed_grads, state, placed)
        # Sums over shards, and with them Newton-Schulz iterations, are ordered anew.
        assert_close(updates, jax.device_get(expected), steps=20, message=name)
        check_state(state, shapes, shardings, name)


def check_precision(shardings):
    """Compare the bits of parameters and states after some steps: noise is the same."""
    import jax
    import optax
    from helpers import assert_identical

    import optaxwd

    shapes = {"w": (64, 512), "b": (512,)}
    params, grads = arrays(shapes, "bfloat16", 0), arrays(shapes, "bfloat16", 1)
    placed, placed_grads = jax.device_put((params, grads), (shardings, shardings))
    policies = [
        optaxwd.Policy("stochastic", key=1),
        optaxwd.Policy("compensated", "bfloat16", key=1),
        optaxwd.Policy("split", "int8"),
        optaxwd.Policy("master"),
    ]
    for policy in policies:
        tx = optaxwd.adamw(0.01, weight_decay=0.1, precision=policy)

        @jax.jit
        def step(params, state, grads, tx=tx):
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        one, one_state = params, tx.init(params)
        many, many_state = placed, jax.jit(tx.init)(placed)
        for _ in range(5):
            one, one_state = step(one, one_state, grads)
            many, many_state = step(many, many_state, placed_grads)
            check_state(many_state, shapes, shardings, policy)
        for key in shapes:
            assert many[key].sharding.is_equivalent_to(shardings[key], many[key].ndim)
        assert_identical(*jax.device_get(((many, many_state), (one, one_state))))


def check_restored(shardings):
    """Restore arrays of one device, and of no sharding, to where a target has them."""
    import flax.serialization
    import jax
    from helpers import assert_identical

    import optaxwd

    shapes, tx = {"w": (8, 16), "b": (16,)}, optaxwd.adamw(0.1, anchor="init")
    placed = jax.device_put(arrays(shapes, "float32"), shardings)
    state = tx.init(placed)
    data = flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))
    for restored in (data, jax.device_put(jax.device_get(state), jax.devices()[3])):
        back = optaxwd.restore_state(restored, state)
        check_state(back, shapes, shardings, "restored")
        assert_identical(jax.device_get(back), jax.device_get(state))
        jax.jit(tx.update, donate_argnums=1)(placed, back, placed)


if __name__ == "__main__":
    main()
