"""Which part of a transformation a kernel computes, read off small ones by hand."""

import jax
import jax.numpy as jnp
import optax

import optaxwd
from optaxwd.precision._jaxprs import without_calls
from optaxwd.precision._regions import Region, signature_of, split

SHAPE = (32, 256)
ARRAY = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
NUMBER = jax.ShapeDtypeStruct((), jnp.float32)


def traced(function, count, *arguments):
    """Return the jaxpr of ``function(*arguments)`` and what it is split into.

    The first ``count`` arguments and results are stored.
    """
    flat = [*jax.tree.leaves(arguments)]
    jaxpr = without_calls(jax.make_jaxpr(function)(*arguments), flat).jaxpr
    return jaxpr, split(jaxpr, count)


def only_region(jaxpr_and_steps):
    jaxpr, steps = jaxpr_and_steps
    (region,) = [step for step in steps if isinstance(step, Region)]
    return jaxpr, region


def names(region):
    return [one.primitive.name for one in region.equations]


def test_a_mean_of_gradients():
    jaxpr, region = only_region(
        traced(lambda m, g, b: (b * m + (1 - b) * g, g), 1, ARRAY, ARRAY, NUMBER)
    )
    _, g, b = jaxpr.invars
    assert region.held == (0,) and region.arrays == (g,) and region.results == ()
    # 1 - β is a number, so it is computed outside and read.
    assert sorted(names(region)) == ["add", "mul", "mul"]
    assert set(region.scalars) > {b} and len(region.scalars) == 2


def adam(m, v, g, param, correction):
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
    return m, v, -0.1 * (m / (jnp.sqrt(v) * correction + 1e-8) + 0.1 * param)


def test_a_direction_goes_along_and_decay_does_not():
    jaxpr, region = only_region(traced(adam, 2, *[ARRAY] * 4, NUMBER))
    _, _, g, param, correction = jaxpr.invars
    assert region.held == (0, 1)
    assert region.arrays == (g,) and region.scalars == (correction,)
    # Another array would have to be read for the decay, so the direction comes out.
    (direction,) = region.results
    assert names(region)[-1] == "div" and direction in region.equations[-1].outvars
    assert param not in region.arrays


def test_decay_in_the_gradient_is_inside():
    def l2(m, v, g, param, correction):
        return adam(m, v, g + 0.1 * param, param, correction)

    jaxpr, region = only_region(traced(l2, 2, *[ARRAY] * 4, NUMBER))
    assert set(region.arrays) == set(jaxpr.invars[2:4])
    # Then all is at hand for the update, which is the one array that comes out.
    assert region.results == (jaxpr.outvars[2],)


def test_of_two_results_that_follow_from_each_other_one_comes_out():
    def cautious(m, g, param):
        m = 0.9 * m + g
        return m, jnp.where(jnp.sign(m) * jnp.sign(param) >= 0, m + param, m)

    _, region = only_region(traced(cautious, 1, ARRAY, ARRAY, ARRAY))
    assert len(region.results) == 1 and "sign" not in names(region)


def test_what_leads_there_from_gradients_alone_is_inside_too():
    def lion(m, g):
        return 0.99 * m + 0.01 * g, jnp.sign(0.9 * m + 0.1 * g)

    jaxpr, region = only_region(traced(lion, 1, ARRAY, ARRAY))
    assert region.arrays == (jaxpr.invars[1],)
    assert region.results == (jaxpr.outvars[1],)


def test_a_norm_of_gradients_stays_outside():
    def clipped(m, g):
        factor = 1.0 / jnp.sqrt(jnp.sum(g * g))
        return 0.9 * m + factor * g, g

    jaxpr, steps = traced(clipped, 1, ARRAY, ARRAY)
    _, region = only_region((jaxpr, steps))
    assert region.arrays == (jaxpr.invars[1],) and region.results == ()
    assert len(region.scalars) == 1
    assert steps[-1] is region  # after the norm


def test_what_waits_for_a_result_stays_outside():
    def trust_ratio(m, g):
        m = 0.9 * m + g
        return m, m / jnp.sqrt(jnp.sum(m * m))

    jaxpr, steps = traced(trust_ratio, 1, ARRAY, ARRAY)
    _, region = only_region((jaxpr, steps))
    assert jaxpr.outvars[1] not in region.results
    assert len(region.results) == 1
    assert steps.index(region) < len(steps) - 1


def test_no_region_where_it_would_wait_for_itself():
    def own_norm(m, v, g):
        m = 0.9 * m + g
        return m, 0.9 * v + m / jnp.sum(m * m), g

    _, steps = traced(own_norm, 2, ARRAY, ARRAY, ARRAY)
    assert steps is None


def test_no_region_where_a_constant_is_stored_or_order_matters():
    constant = jnp.ones(SHAPE)
    if split(jax.make_jaxpr(lambda m: (constant, m))(ARRAY).jaxpr, 1) is not None:
        # This version of JAX has constants among the variables.
        _, region = only_region(traced(lambda m: (constant, m), 1, ARRAY))
        assert len(region.arrays) == 1 and not region.equations

    def printing(m, g):
        jax.debug.print("{}", g[0, 0])
        return 0.9 * m + g, g

    assert traced(printing, 1, ARRAY, ARRAY)[1] is None


def test_no_region_of_more_arrays_than_a_kernel_takes():
    def summed(*arrays):
        total = sum(arrays)
        return *(a + total for a in arrays), total

    for count, exists in ((8, True), (20, False)):
        _, steps = traced(summed, count, *[ARRAY] * count)
        assert (steps is not None) == exists


def test_without_entrywise_equations_the_new_array_is_read():
    jaxpr, region = only_region(
        traced(lambda m, g: (jnp.sort(m + g), g), 1, ARRAY, ARRAY)
    )
    assert region.equations == () and region.arrays == (jaxpr.outvars[0],)


def test_what_stays_as_it_is_needs_nothing():
    _, region = only_region(traced(lambda m, g: (m, m + g), 1, ARRAY, ARRAY))
    assert region == Region((0,), (), (), (), ())


def test_arrays_that_are_swapped_are_one_region():
    _, region = only_region(traced(lambda a, b, g: (b, a + g, g), 2, *[ARRAY] * 3))
    assert region.held == (0, 1) and names(region) == ["add"]


def test_wide_and_complex_numbers_stay_outside():
    def wide(m, g):
        return (m.astype(jnp.complex64) * 0.9 + g).real, g

    _, region = only_region(traced(wide, 1, ARRAY, ARRAY))
    assert region.equations == ()


def test_functions_of_whole_trees_do_not_tie_leaves_together():
    @jax.jit
    def decayed(m, g):
        return jax.tree.map(lambda m, g: jnp.where(g > 0, 0.9, 0.8) * m + g, m, g)

    def step(*arrays):
        m, g = arrays[:3], arrays[3:]
        return *decayed(m, g), *g

    _, steps = traced(step, 3, *[ARRAY] * 6)
    regions = [one for one in steps if isinstance(one, Region)]
    assert sorted(one.held for one in regions) == [(0,), (1,), (2,)]
    assert all(len(one.arrays) == 1 for one in regions)


def test_a_function_that_is_only_in_part_entrywise():
    @jax.jit
    def centered(m, g):
        return 0.9 * m + g - jnp.mean(m)

    jaxpr, region = only_region(
        traced(lambda m, g: (centered(m, g), g), 1, ARRAY, ARRAY)
    )
    assert region.arrays == (jaxpr.invars[1],) and len(region.scalars) == 1


def test_one_region_per_leaf_and_equal_ones_have_one_signature():
    tx = optaxwd.adamw(1e-3, weight_decay=0.1, max_grad_norm=1.0, cautious=True)
    params = {"a": ARRAY, "b": ARRAY, "c": jax.ShapeDtypeStruct((512,), jnp.float32)}
    state = jax.eval_shape(tx.init, params)
    mu, nu = optax.tree.get(state, "mu"), optax.tree.get(state, "nu")

    def step(mu, nu, grads, state, params):
        state = optax.tree.set(state, mu=mu, nu=nu)
        updates, state = tx.update(grads, state, params)
        return optax.tree.get(state, "mu"), optax.tree.get(state, "nu"), updates

    jaxpr, steps = traced(step, 6, mu, nu, params, state, params)
    regions = [one for one in steps if isinstance(one, Region)]
    assert sorted(one.held for one in regions) == [(0, 3), (1, 4), (2, 5)]
    signatures = [signature_of(one, jaxpr) for one in regions]
    assert len(set(signatures)) == 2
    assert all(len(one.results) == 1 and len(one.arrays) == 1 for one in regions)


def test_other_numbers_powers_and_shapes_have_other_signatures():
    other = jax.ShapeDtypeStruct((512,), jnp.float32)
    narrow = jax.ShapeDtypeStruct(SHAPE, jnp.bfloat16)

    def step(*arrays):
        a, b, c, d, e, f = arrays
        return 0.9 * a, 0.9 * b, 0.8 * c, d**2, 0.9 * e, 0.9 * f, a[0, 0]

    jaxpr, steps = traced(step, 6, ARRAY, ARRAY, ARRAY, ARRAY, other, narrow)
    signatures = {
        one.held[0]: signature_of(one, jaxpr)
        for one in steps
        if isinstance(one, Region)
    }
    assert signatures[0] == signatures[1] and len(set(signatures.values())) == 5


def test_what_triton_does_not_compile_stays_outside():
    def step(a, b, c, d, e, g):
        return (
            a + jax.lax.pow(g, (g > 0).astype(jnp.int32)),
            b + jax.lax.select_n((g > 0).astype(jnp.int32), g, -g),
            c + g.astype(jnp.int8),
            d + jax.lax.max(g > 0, g > 1),
            e + jnp.exp(g.astype(jnp.bfloat16)),
            g,
        )

    _, steps = traced(step, 5, *[ARRAY] * 6)
    inside = {one.held[0]: names(one) for one in steps if isinstance(one, Region)}
    assert "pow" not in inside[0] and "select_n" not in inside[1]
    assert inside[2] == ["add"]
    assert "max" not in inside[3]
    assert "exp" in inside[4]  # which widens it


def test_what_leads_to_something_that_is_read_stays_outside():
    def step(a, b, g):
        return jax.nn.relu(0.9 * a + g), 0.9 * b + jnp.sort(g + 2.0 * b), g

    jaxpr, steps = traced(step, 2, ARRAY, ARRAY, ARRAY)
    (first, second) = (one for one in steps if isinstance(one, Region))
    # A derivative of its own makes relu an equation that nobody can look into.
    assert first.equations == () and first.arrays == (jaxpr.outvars[0],)
    assert sorted(names(second)) == ["add", "mul"] and second.results == ()
