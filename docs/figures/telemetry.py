"""The record of a small training run, drawn as in the guide to telemetry."""

import jax
import optax

import optaxwd

STEPS, EVERY = 1_500, 25


def draw():
    """Draw the picture."""
    warmup = optax.linear_schedule(2e-3, 1e-2, 300)
    rules = optaxwd.DecayRules([("grows", 0.5)])
    optimizer = optaxwd.record_decay(
        optaxwd.adamw(warmup, weight_decay=0.1, mask=rules), equilibrium="adamw"
    )
    params = {
        "grows": 0.02 * jax.random.normal(jax.random.key(1), (32, 16)),
        "shrinks": 1.0 * jax.random.normal(jax.random.key(2), (32, 16)),
    }

    def step(carry, key):
        params, state = carry
        grads = {
            name: jax.random.normal(jax.random.fold_in(key, index), value.shape)
            for index, (name, value) in enumerate(params.items())
        }
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def some_steps(carry, keys):
        return jax.lax.scan(step, carry, keys)[0]

    carry = params, optimizer.init(params)
    keys = jax.random.split(jax.random.key(0), STEPS).reshape(-1, EVERY)
    records = []
    for some in keys:
        carry = some_steps(carry, some)
        records.append(optaxwd.read_telemetry(carry[1]))
    return optaxwd.plots.plot_telemetry(records)
