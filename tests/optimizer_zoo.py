"""Small optimizers with the bugs that were seen in the wild, and healthy twins.

Each is a factory ``(learning_rate, weight_decay) -> GradientTransformation``, written
out by hand where the bug is: nothing here shares code with the library.
"""

import jax
import jax.numpy as jnp
import optax


def by_path(step):
    """Return a factory from a step that also gets the path, first."""

    def factory(learning_rate, weight_decay):
        def update(updates, state, params=None):
            lr = learning_rate(state) if callable(learning_rate) else learning_rate
            new = jax.tree_util.tree_map_with_path(
                lambda path, g, p: step(
                    jax.tree_util.keystr(path), g, p, lr, weight_decay
                ),
                updates,
                params,
            )
            return new, state + 1

        return optax.GradientTransformation(lambda _: jnp.zeros([], jnp.int32), update)

    return factory


def by_hand(step):
    """Return a factory from ``step(grad, param, learning_rate, weight_decay)``."""
    return by_path(lambda path, *arguments: step(*arguments))


healthy_sign = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) + wd * p))
# λ is taken, kept, and never used.
ignored = by_hand(lambda g, p, lr, wd: -lr * jnp.sign(g))
grows = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) - wd * p))
without_lr = by_hand(lambda g, p, lr, wd: -lr * jnp.sign(g) - wd * p)
squared = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) + wd**2 * p))
lr_squared = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) + lr * wd * p))
doubled = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) + 2 * wd * p))
after_step = by_hand(lambda g, p, lr, wd: (1 - lr * wd) * (p - lr * jnp.sign(g)) - p)
proximal = by_hand(lambda g, p, lr, wd: (p - lr * jnp.sign(g)) / (1 + lr * wd) - p)
l1 = by_hand(lambda g, p, lr, wd: -lr * (jnp.sign(g) + wd * jnp.sign(p)))
ascent = by_hand(lambda g, p, lr, wd: lr * jnp.sign(g) - lr * wd * p)
nan = by_hand(lambda g, p, lr, wd: -lr * g / (g - g) - lr * wd * p)
nan_at_rest = by_hand(lambda g, p, lr, wd: -lr * g / jnp.linalg.norm(g) - lr * wd * p)


def captured_rate(learning_rate, weight_decay):
    """Read the schedule once, at the start, for the decay."""
    start = learning_rate(0) if callable(learning_rate) else learning_rate
    return optax.chain(
        optax.adam(learning_rate), optax.add_decayed_weights(-start * weight_decay)
    )


def names_never_match(learning_rate, weight_decay):
    """Look for full names in a list of short ones: `name in no_decay` is never true."""
    return by_path(
        lambda path, g, p, lr, wd: (
            -lr * (jnp.sign(g) + (0.0 if path in ("bias", "norm") else wd) * p)
        )
    )(learning_rate, weight_decay)


def multiplied_twice(multipliers):
    """Return a factory that multiplies by a group's multiplier in getter and step."""

    def factory(learning_rate, weight_decay):
        def update(updates, state, params=None):
            new = jax.tree.map(
                lambda g, p, m: -learning_rate * (g + weight_decay * m * m * p),
                updates,
                params,
                multipliers,
            )
            return new, state

        return optax.GradientTransformation(lambda _: optax.EmptyState(), update)

    return factory


def before_unscaling(scale):
    """Return a training loop whose loss is scaled, and decay added to its gradient."""

    def factory(learning_rate, weight_decay):
        return optax.chain(
            optax.scale(scale),
            optax.add_decayed_weights(weight_decay),
            optax.scale(1.0 / scale),
            optax.adam(learning_rate),
        )

    return factory


def in_every_micro_step(calls, inner=optax.adamw):
    """Return a factory that collects gradients outside of what decays."""

    def factory(learning_rate, weight_decay):
        return optax.chain(
            optax.apply_every(calls), inner(learning_rate, weight_decay=weight_decay)
        )

    return factory


def inside_what_collects(calls):
    """Return the healthy twin of :func:`in_every_micro_step`."""

    def factory(learning_rate, weight_decay):
        inner = optax.adamw(learning_rate, weight_decay=weight_decay)
        return optax.MultiSteps(inner, calls).gradient_transformation()

    return factory


def l2_inside_adam(learning_rate, weight_decay):
    """Add decay to the gradient of Adam."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
    )


def after_the_chain(learning_rate, weight_decay):
    """Add decay, with the sign of gradients, after the learning rate has turned it."""
    return optax.chain(
        optax.adam(learning_rate), optax.add_decayed_weights(weight_decay)
    )


def another_leaf(learning_rate, weight_decay):
    """Decay each leaf by the values of its neighbour: the order got lost."""

    def update(updates, state, params=None):
        leaves, structure = jax.tree.flatten(params)
        turned = jax.tree.unflatten(structure, leaves[1:] + leaves[:1])
        return (
            jax.tree.map(
                lambda g, p: -learning_rate * (g + weight_decay * p), updates, turned
            ),
            state,
        )

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def sees_norm_of_all(learning_rate, weight_decay):
    """Decay at a rate that the norm of all parameters sets."""

    def update(updates, state, params=None):
        rate = learning_rate * weight_decay / (1 + optax.tree.norm(params))
        return (
            jax.tree.map(lambda g, p: -learning_rate * g - rate * p, updates, params),
            state,
        )

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def towards_start(learning_rate, weight_decay):
    """Decay towards the initial parameters."""

    def update(updates, state, params=None):
        return (
            jax.tree.map(
                lambda g, p, p0: -learning_rate * (g + weight_decay * (p - p0)),
                updates,
                params,
                state,
            ),
            state,
        )

    return optax.GradientTransformation(lambda params: params, update)


@by_hand
def cautious(g, p, lr, wd):
    """Decay only where it does not oppose the step."""
    u = jnp.sign(g)
    return -lr * (u + wd * jnp.where(u * p >= 0, p, 0.0))


def decay_schedule(learning_rate, weight_decay):
    """Let λ fall from step to step."""
    return optax.adamw(
        learning_rate,
        weight_decay=lambda count: weight_decay * 0.9 ** jnp.asarray(count, float),
    )


def scheduled_only(learning_rate, weight_decay):
    """Decay by λ times the schedule relative to its peak: big_vision's idiom."""
    peak = learning_rate(0) if callable(learning_rate) else learning_rate
    return optax.chain(
        optax.scale_by_adam(),
        optax.scale(peak),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_schedule(
            lambda count: (
                learning_rate(count) / peak if callable(learning_rate) else 1.0
            )
        ),
        optax.scale(-1.0),
    )


def hidden_in_state(learning_rate, weight_decay):
    """Keep decay in a buffer and let it act some steps later."""

    def init(params):
        return [jax.tree.map(jnp.zeros_like, params)] * 3

    def update(updates, state, params=None):
        decay = jax.tree.map(lambda p: learning_rate * weight_decay * p, params)
        new = jax.tree.map(lambda g, d: -learning_rate * g - d, updates, state[0])
        return new, [*state[1:], decay]

    return optax.GradientTransformation(init, update)


def late(learning_rate, weight_decay):
    """Let decay start after some steps."""
    return optax.adamw(
        learning_rate,
        weight_decay=lambda count: jnp.where(count >= 30, weight_decay, 0.0),
    )


@by_hand
def divided_by_length(g, p, lr, wd):
    """Decay by λ over the length of the first axis."""
    return -lr * (g + wd / p.shape[0] * p)


@by_hand
def only_rows_with_gradients(g, p, lr, wd):
    """Decay no row of an embedding that the batch did not touch."""
    return -lr * (g + wd * p * jnp.any(g != 0, axis=-1, keepdims=True))


def every_third_step(learning_rate, weight_decay):
    """Decay in every third step only."""
    return optax.adamw(
        learning_rate,
        weight_decay=lambda count: jnp.where(count % 3 == 2, weight_decay, 0.0),
    )
