"""Where the parts of a state lie, told from shapes; on devices: tests/sharding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

import optaxwd

MESH = AbstractMesh((4, 2), ("data", "model"))


def on_mesh(*shape, spec=()):
    where = NamedSharding(MESH, PartitionSpec(*spec))
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=where)


PARAMS = {
    "kernel": on_mesh(64, 512, spec=("data", "model")),
    "square": on_mesh(256, 256, spec=("data", "model")),
    "bias": on_mesh(512, spec=("model",)),
    "temperature": on_mesh(),
}


def specs_of(tx, params=PARAMS):
    """Return the axes of each leaf's sharding, by its path."""
    shardings = optaxwd.state_shardings(tx, params)
    assert jax.tree.structure(shardings) == jax.tree.structure(
        jax.eval_shape(tx.init, params)
    )
    paths = optaxwd.leaf_paths(shardings)
    return {
        path: tuple(sharding.spec)
        for path, sharding in zip(paths, jax.tree.leaves(shardings), strict=True)
    }


@pytest.mark.parametrize(
    "tx",
    [
        optaxwd.adamw(0.1),
        optax.adamw(0.1),
        optax.chain(optax.clip(1.0), optax.scale_by_adam()),
        optax.partition(
            {"a": optax.adamw(0.1)}, lambda x: jax.tree.map(lambda _: "a", x)
        ),
        optax.inject_hyperparams(optax.adamw)(0.1),
        optax.MultiSteps(optax.adamw(0.1), 2),
        optaxwd.record_decay(optaxwd.adamw(0.1)),
    ],
    ids=["ours", "Optax", "chain", "partition", "injected", "accumulated", "recorded"],
)
def test_moments_lie_with_their_parameters(tx):
    found = specs_of(tx)
    for path, spec in found.items():
        name = path.rpartition("/")[2]
        if name in PARAMS and "measures" not in path:
            assert spec == tuple(PARAMS[name].sharding.spec), path
        else:
            assert spec == (), path
    assert sum(path.endswith("mu/kernel") for path in found) == 1


def test_factored_moments_have_the_axes_that_are_left():
    found = specs_of(optax.scale_by_factored_rms(min_dim_size_to_factor=64))
    assert found["v_row/kernel"] == ("data",) and found["v_col/kernel"] == ("model",)
    # Told apart by their names, where both axes are equally long.
    assert found["v_row/square"] == ("data",) and found["v_col/square"] == ("model",)
    assert found["v/bias"] == ("model",) and found["v/kernel"] == ()


def test_shorter_axes_are_cut_where_that_divides():
    tx = optaxwd.compress_state(optax.scale_by_adam(), "int8")
    found = specs_of(tx)
    assert found["inner_state/mu/kernel"] == ("data", "model")
    # Two blocks of 256 in each row, one on each device; and one block in each.
    assert found["scales/1/kernel"] == ("data", "model")
    assert found["scales/1/square"] == ("data",)
    found = specs_of(optaxwd.rotate_neurons(0.1, 0.1, channel_axis=-1))
    assert found["mean_square/kernel"] == (None, "model")


def test_a_history_of_parameters_keeps_their_axes():
    found = specs_of(optax.scale_by_lbfgs(memory_size=3))
    assert found["diff_params_memory/kernel"] == (None, "data", "model")


def test_the_longest_path_is_the_parameter_s():
    params = {
        "w": on_mesh(8, 8, spec=("data",)),
        "a": {"w": on_mesh(8, 8, spec=("model",))},
    }
    found = specs_of(optax.scale_by_adam(), params)
    assert found["mu/w"] == ("data",) and found["mu/a/w"] == ("model",)


def test_one_array_alone():
    assert specs_of(optax.trace(0.9), on_mesh(8, spec=("data",))) == {
        "trace": ("data",)
    }


def test_flax_nnx():
    mesh = jax.make_mesh((1,), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    params = nnx.state(nnx.Linear(4, 2, rngs=nnx.Rngs(0)), nnx.Param)
    params = jax.tree.map(lambda x: jax.device_put(x, rows), params)
    tx = optaxwd.adamw(0.1)
    where = optaxwd.state_shardings(tx, params)
    state = jax.jit(tx.init, out_shardings=where)(params)
    assert state[0].mu["kernel"][...].sharding == rows


def test_on_one_device_all_is_there():
    params = {"w": jnp.ones((4, 2)), "b": jnp.ones(2)}
    tx = optaxwd.adamw(0.1)
    where = optaxwd.state_shardings(tx, params)
    assert set(jax.tree.leaves(where)) == {params["w"].sharding}
    jax.jit(tx.init, out_shardings=where)(params)


def test_a_compiled_init_gives_what_an_eager_one_does():
    params = {
        "w": jnp.array([jnp.nan, jnp.inf]),
        "z": jnp.array([1j]),
        "n": jnp.arange(2),
    }
    for tx in (
        optaxwd.adamw(0.1, mu_dtype="bfloat16", anchor="init"),
        optaxwd.nadamw(0.1),
        optaxwd.scale_by_adam(),
    ):
        eager, compiled = tx.init(params), jax.jit(tx.init)(params)
        for one, two in zip(
            jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True
        ):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def test_messages():
    tx = optaxwd.adamw(0.1)
    with pytest.raises(ValueError, match="'w' has no sharding, got ndarray. Put the"):
        optaxwd.state_shardings(tx, {"w": np.ones(2)})
    bare = jax.ShapeDtypeStruct((2,), jnp.float32)
    with pytest.raises(ValueError, match="'w' has no sharding, got ShapeDtypeStruct"):
        optaxwd.state_shardings(tx, {"w": bare})
    both = {"a": on_mesh(8, spec=("data",)), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match="all be on one mesh or device, got 'a' on Na"):
        optaxwd.state_shardings(tx, both)
    with pytest.raises(ValueError, match="got no parameter"):
        optaxwd.state_shardings(tx, {})
    with pytest.raises(TypeError, match="must have an init, .* got function"):
        optaxwd.state_shardings(optaxwd.adamw, PARAMS)
