"""States carried from Optax's chains to ours and back, through Orbax."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib
import orbax.checkpoint as ocp
import pytest
from helpers import OPTAX_ADVANCES_SCHEDULES, assert_identical, by_stage

import optaxwd

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([1.0, -1.0])}
PEAK = 0.2


def schedule(count):
    return PEAK / (count + 1)


def gradients(step):
    return jax.tree.map(lambda p: jnp.sin(p + step), PARAMS)


def trained(optimizer, start=0, stop=3, params=PARAMS, state=None):
    state = optimizer.init(PARAMS) if state is None else state
    for step in range(start, stop):
        updates, state = optimizer.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


MASK = {"w": True, "b": False}
PAIRS = {
    "constant": (optax.adamw(0.1), optaxwd.adamw(0.1)),
    "schedule": (optax.adamw(schedule), optaxwd.adamw(schedule)),
    "decay schedule": (
        optax.adamw(0.1, weight_decay=schedule),
        optaxwd.adamw(0.1, weight_decay=schedule),
    ),
    "both": (
        optax.adamw(schedule, weight_decay=schedule),
        optaxwd.adamw(schedule, weight_decay=schedule),
    ),
    "mask": (optax.adamw(0.1, mask=MASK), optaxwd.adamw(0.1, mask=MASK)),
    "mask and schedule": (
        optax.adamw(0.1, weight_decay=schedule, mask=MASK),
        optaxwd.adamw(0.1, weight_decay=schedule, mask=MASK),
    ),
    "lion": (optax.lion(schedule), optaxwd.lionw(schedule)),
    "muon": (
        optax.contrib.muon(schedule, weight_decay=0.1),
        optaxwd.muonw(schedule, weight_decay=0.1),
    ),
    "adafactor": (
        optax.adafactor(schedule, weight_decay_rate=0.01),
        optaxwd.adafactorw(schedule, weight_decay=0.01, coupling="constant"),
    ),
    "rmsprop": (
        optax.rmsprop(schedule, momentum=0.9),
        optaxwd.rmspropw(schedule, momentum=0.9, weight_decay=0.0),
    ),
    "clipped": (
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule)),
        optax.chain(optax.clip_by_global_norm(1.0), optaxwd.adamw(schedule)),
    ),
    "accumulated": (
        optax.MultiSteps(optax.adamw(schedule), 2).gradient_transformation(),
        optax.MultiSteps(optaxwd.adamw(schedule), 2).gradient_transformation(),
    ),
    "injected": (
        optax.inject_hyperparams(optax.adamw)(0.1, weight_decay=0.1, mask=MASK),
        optax.inject_hyperparams(optaxwd.adamw)(0.1, weight_decay=0.1, mask=MASK),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_both_ways_and_on(name):
    theirs, ours = PAIRS[name]
    params, state = trained(theirs)
    over = optaxwd.convert_state(state, jax.eval_shape(ours.init, PARAMS))
    assert jax.tree.structure(over) == jax.tree.structure(ours.init(PARAMS))
    back = optaxwd.convert_state(over, jax.eval_shape(theirs.init, PARAMS))
    assert_identical(back, state)
    scheduled = name in ("decay schedule", "both", "mask and schedule")
    if scheduled and not OPTAX_ADVANCES_SCHEDULES:
        pytest.skip("optax 0.2.6 never advances a schedule of λ, and ours does")
    stay = trained(theirs, 3, 6, params, state)[0]
    move = trained(ours, 3, 6, params, over)[0]
    assert_identical(jax.device_get(move), jax.device_get(stay))


@pytest.mark.parametrize("name", by_stage(PAIRS, first="clipped"))
def test_through_checkpoints_and_on(name, tmp_path):
    """Three steps of theirs, three of ours, three of theirs, as nine of theirs."""
    theirs, ours = PAIRS[name]

    def from_disk(tx, run):
        like = (PARAMS, jax.eval_shape(tx.init, PARAMS))
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, run)
            checkpointer.wait_until_finished()
            targeted = checkpointer.restore(path, like)
            plain = optaxwd.restore_state(checkpointer.restore(path), like)
        assert_identical(plain, targeted)
        return plain

    params, state = from_disk(theirs, trained(theirs))
    over = optaxwd.convert_state(state, jax.eval_shape(ours.init, PARAMS))
    scheduled = name in ("decay schedule", "both", "mask and schedule")
    if not scheduled or OPTAX_ADVANCES_SCHEDULES:
        params, over = trained(ours, 3, 6, params, over)
        state = trained(theirs, stop=6)[1]
    params, over = from_disk(ours, (params, over))
    back = optaxwd.convert_state(over, jax.eval_shape(theirs.init, PARAMS))
    assert_identical(back, state)
    start = 6 if not scheduled or OPTAX_ADVANCES_SCHEDULES else 3
    end = trained(theirs, start, start + 3, params, back)
    assert_identical(end, trained(theirs, stop=start + 3))


def test_a_constant_may_become_a_schedule():
    # The slots of Optax's own chain change with it.
    params, state = trained(optax.adamw(0.1))
    target = optax.adamw(schedule, weight_decay=schedule)
    converted = optaxwd.convert_state(state, jax.eval_shape(target.init, PARAMS))
    assert int(converted[1].count) == int(converted[2].count) == 3
    trained(target, 3, 4, params, converted)


def test_couplings_share_their_states():
    before = optaxwd.adamw(0.1)
    after = optaxwd.adamw(0.1, coupling="independent")
    _, state = trained(before)
    converted = optaxwd.convert_state(state, after.init(PARAMS))
    assert [type(stage).__name__ for stage in converted] == [
        "ScaleByAdamState",
        "ScaleByLearningRateState",
        "AddDecayedWeightsState",
    ]
    assert_identical(optaxwd.convert_state(converted, before.init(PARAMS)), state)


def test_a_state_without_any_count_asks_for_it():
    theirs, ours = optax.sgd(0.1, 0.9), optaxwd.sgdw(0.1, 0.9)
    _, state = trained(theirs)
    with pytest.raises(ValueError, match="no stage of the state counts"):
        optaxwd.convert_state(state, ours.init(PARAMS))
    count = jnp.asarray(3, jnp.int32)
    converted = optaxwd.convert_state(state, ours.init(PARAMS), count=count)
    assert int(converted[1].decay_count) == 3
    back = optaxwd.convert_state(converted, theirs.init(PARAMS))
    assert_identical(back, state)


def test_an_anchor_is_not_lost():
    anchored = optaxwd.adamw(0.1, anchor="init")
    _, state = trained(anchored)
    with pytest.raises(ValueError, match="holds an anchor that the target has not"):
        optaxwd.convert_state(state, optax.adamw(0.1).init(PARAMS))
    with pytest.raises(ValueError, match="holds an anchor that the state has not"):
        optaxwd.convert_state(trained(optax.adamw(0.1))[1], anchored.init(PARAMS))
    later = optaxwd.adamw(0.1, anchor="init", coupling="constant")
    converted = optaxwd.convert_state(state, later.init(PARAMS))
    assert_identical(converted[2], state[1])


def test_an_anchor_under_a_mask_is_not_lost():
    def chain(rate):
        decay = optaxwd.add_decayed_weights(0.1, anchor="init")
        return optax.chain(
            optax.masked(decay, MASK), optax.scale_by_learning_rate(rate)
        )

    _, state = trained(chain(0.1))
    converted = optaxwd.convert_state(
        state, chain(schedule).init(PARAMS), count=jnp.asarray(3)
    )
    assert_identical(converted[0].inner_state.anchor, state[0].inner_state.anchor)


def test_anchors_of_other_shapes_are_refused():
    anchored = optaxwd.adamw(0.1, anchor="init")
    other = {"w": PARAMS["w"], "b": jnp.ones(7)}
    later = optaxwd.adamw(0.1, anchor="init", coupling="constant")
    with pytest.raises(ValueError, match=r"is float32\[2\], but the target"):
        optaxwd.convert_state(trained(anchored)[1], later.init(other))


def test_a_converted_state_may_be_donated():
    _, state = trained(optax.adamw(0.1))
    tx = optaxwd.adamw(0.1)
    converted = optaxwd.convert_state(state, tx.init(PARAMS))
    donating = jax.jit(tx.update, donate_argnums=1)
    _, after = donating(gradients(0), converted, PARAMS)
    assert int(after[1].decay_count) == int(after[2].learning_rate_count) == 4


@pytest.mark.parametrize("count", [-3.5, "3", float("nan")])
def test_a_count_must_be_one(count):
    _, state = trained(optax.sgd(0.1, 0.9))
    with pytest.raises((TypeError, ValueError), match="convert_state: count must be"):
        optaxwd.convert_state(state, optaxwd.sgdw(0.1, 0.9).init(PARAMS), count=count)


def test_a_python_count_becomes_an_array():
    _, state = trained(optax.sgd(0.1, 0.9))
    target = optaxwd.sgdw(0.1, 0.9).init(PARAMS)
    converted = optaxwd.convert_state(state, target, count=3)
    assert converted[1].decay_count.dtype == jnp.int32
    assert_identical(optaxwd.convert_state(converted, target), converted)


def test_other_optimizers_and_other_shapes_are_refused():
    _, state = trained(optax.adamw(0.1))
    with pytest.raises(ValueError, match="stages differ.*ScaleByAdamState"):
        optaxwd.convert_state(state, optaxwd.lionw(0.1).init(PARAMS))
    with pytest.raises(ValueError, match="stages differ"):
        optaxwd.convert_state(state, optaxwd.sgdw(0.1).init(PARAMS))
    with pytest.raises(
        ValueError, match=r"is float32\[2\], but the target has .*\[3\]"
    ):
        other = {"w": PARAMS["w"], "b": jnp.ones(3)}
        optaxwd.convert_state(state, optaxwd.adamw(0.1).init(other))
    with pytest.raises(ValueError, match="stages differ"):
        optaxwd.convert_state({"not": jnp.ones(1)}, optaxwd.adamw(0.1).init(PARAMS))
