"""A checkpoint's arrays go where a target on eight devices has them."""

import flax.serialization
import jax
from helpers import assert_identical
from sharding.layouts import displaced, placed, shardings

import optaxwd


def check_arrays_of_one_device_and_of_none():
    where = shardings("tensor parallel")
    params, _ = placed("adamw", where)
    tx = optaxwd.adamw(0.1, anchor="init")
    expected = optaxwd.state_shardings(tx, params)
    state = jax.jit(tx.init, out_shardings=expected)(params)
    data = flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))
    for restored in (data, jax.device_put(jax.device_get(state), jax.devices()[3])):
        back = optaxwd.restore_state(restored, state)
        assert not displaced(back, expected)
        assert_identical(jax.device_get(back), jax.device_get(state))
        jax.jit(tx.update, donate_argnums=1)(params, back, params)
