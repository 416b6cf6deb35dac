"""The monitor: each warning where it is due, once, and not in the case beside it."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optaxwd
from optaxwd.telemetry import read_telemetry, record_decay
from optaxwd.telemetry._monitor import DecayMonitor, DecayWarning

PATIENCE = 4


def watch(records, *, patience=PATIENCE, **options):
    """Return for each record the messages of a monitor that sees them in turn."""
    monitor = DecayMonitor(patience=patience, emit=False, **options)
    told = [monitor.check({"step": float(i), **r}) for i, r in enumerate(records)]
    assert monitor.messages == [message for messages in told for message in messages]
    return told


def once(records, at, **options):
    """Return the only message, which must come with record ``at``."""
    told = watch(records, **options)
    assert [len(messages) for messages in told] == [
        int(i == at) for i in range(len(told))
    ]
    return told[at][0]


def silent(records, **options):
    return not any(watch(records, **options))


def rounding(realised, rate=1e-4):
    return [{"decay_realised/a": share, "decay_rate/a": rate} for share in realised]


def test_decay_that_rounding_swallows():
    message = once(rounding([0.1] * 9), at=3)
    assert message.startswith(
        "Rounding swallows decay at step 3: a (90 % lost of 1.0e-04 per step). "
    )
    assert 'precision="split"' in message and "optaxwd.with_precision" in message


def test_decay_that_survives_rounding():
    assert silent(rounding([0.51] * 9))
    # Nothing in most steps, and much in a few.
    assert silent(rounding([0.0, 0.0, 0.0, 4.0] * 5))
    assert silent(rounding([0.0, 0.0, 0.0, 1.9] * 2))
    assert silent(rounding([0.3] * 9), swallowed=0.2)
    assert silent(rounding([0.0] * 9, rate=0.0))
    assert silent(rounding([0.0] * 3))


def test_few_weights_move_in_one_step():
    # A weight of 16 moves by the spacing, 100 times its decay, one time in 100.
    random = np.random.default_rng(0)
    moved = random.binomial(16, 0.01, 3000) * 100 / 16
    assert silent(rounding([1.0] * 3 + moved.tolist()), patience=10)
    # The same where decay is all but swallowed.
    told = watch(rounding((moved / 10).tolist()), patience=10)
    assert sum(map(len, told)) == 1


def test_decay_counts_by_its_rate():
    # Lost where there is little of it, as at the end of a cosine schedule.
    assert silent(rounding([1.0] * 5, rate=1e-4) + rounding([0.0] * 20, rate=1e-5))
    assert once(rounding([1.0] * 5, rate=1e-5) + rounding([0.0] * 20), at=6)


def test_decay_that_starts_late_is_judged_from_there():
    records = rounding([0.0] * 5, rate=0.0) + rounding([0.0] * 5)
    assert once(records, at=8)


def shares(values):
    return [{"decay_share/a": value} for value in values]


def test_decay_that_dominates():
    message = once(shares([0.4, 0.6, 0.7, 0.8, 0.9, 1.0]), at=4)
    assert message.startswith("Decay dominates updates at step 4: a (90 % of the step)")
    assert "smaller λ" in message and "Gradients" in message


def test_decay_that_does_not_dominate():
    assert silent(shares([0.9, 0.9, 0.9, 0.5] * 4))
    assert silent(shares([0.5] * 9))
    assert silent(shares([0.9] * 9), dominates=0.9)


def ratios(values, quantity="rms_ratio", predicted=None):
    name = {"rms_ratio": "predicted_rms", "rotation_ratio": "predicted_rotation"}
    records = [{f"{quantity}/a": value} for value in values]
    for record, prediction in zip(records, predicted or [], strict=bool(predicted)):
        record[f"{name[quantity]}/a"] = prediction
    return records


@pytest.mark.parametrize(
    ("quantity", "values", "words"),
    [
        ("rms_ratio", [2.1, 2.2, 2.3, 2.4], "outgrow"),
        ("rms_ratio", [0.48, 0.46, 0.44, 0.42], "shrink away"),
        ("rotation_ratio", [2.1, 2.2, 2.3, 2.4], "ever faster"),
        ("rotation_ratio", [0.48, 0.46, 0.44, 0.42], "ever slower"),
    ],
)
def test_weights_that_run_away(quantity, values, words):
    message = once(ratios([1.0, 1.5, *values, values[-1]], quantity), at=5)
    assert words in message and " at step 5: a (" in message
    assert f"{quantity} {values[-1]}, was {values[0]}" in message


@pytest.mark.parametrize(
    "values",
    [
        [40.0 * 0.9**i for i in range(30)],  # far, but on its way
        [0.01 * 1.1**i for i in range(50)],
        [3.0] * 20,  # far, and stays
        [3.0, 3.1, 3.2, 3.3, 3.2] * 5,  # far, up and down
        [3.0 + 0.001 * i for i in range(20)],  # less than a tenth farther
        [1.0, 1.2, 1.4, 1.6, 1.8, 1.99],  # growing, but within the band
        [2.1, 2.3, 2.5],  # too few records
        [0.4, 2.2, 0.38, 2.5, 0.36, 2.8, 0.34, 3.1],  # on both sides
        [2.1, 2.2, 1.9, 2.3, 2.4, 2.5],  # back in between
        [0.0, -1.0] * 5,
    ],
)
def test_weights_that_do_not(values):
    assert silent(ratios(values))
    assert silent(ratios(values, "rotation_ratio"))


def test_the_band():
    values = [1.6, 1.8, 2.0, 2.2, 2.4, 2.6]
    assert once(ratios(values), at=3, runaway=1.5)
    assert silent(ratios(values), runaway=3.0)


def test_a_schedule_moves_the_equilibrium_and_not_the_weights():
    # η falls by a factor of 100 under weights that stay: RMS at equilibrium and
    # rotation there go with √η, the rotation itself with η.
    roots = [0.9**i for i in range(40)]
    assert silent(ratios([1 / root for root in roots], predicted=roots))
    assert silent(ratios(roots, "rotation_ratio", predicted=roots))
    # In a warmup it grows.
    roots = [1.1**i for i in range(40)]
    assert silent(ratios([1 / root for root in roots], predicted=roots))
    # Weights that grow by themselves while the equilibrium shrinks a little.
    grown = [2.1 * 1.05**i / 0.99**i for i in range(9)]
    falling = [0.99**i for i in range(9)]
    assert once(ratios(grown, predicted=falling), at=3)
    # No prediction where nothing decays.
    assert once(ratios(grown, predicted=[0.0] * 9), at=3)


def test_weights_of_another_size_turn_at_another_pace():
    turning = [1.0, 0.45, 0.4, 0.35, 0.3, 0.25]
    turns = ratios(turning, "rotation_ratio")
    assert silent([record | {"rms_ratio/a": 2.5} for record in turns])
    assert "ever slower" in once([r | {"rms_ratio/a": 1.9} for r in turns], at=4)
    # Once the size is right, the rotation is followed from there.
    sizes = [2.5, 2.5, 2.5, 1.9, 1.9, 1.9]
    pairs = zip(turns, sizes, strict=True)
    assert silent([record | {"rms_ratio/a": size} for record, size in pairs])


def test_nothing_decays():
    nothing = {"weight_decay": 0.1, "learning_rate": 0.1, "decay_rate": 0.0}
    nothing |= {"decay_rate/a": 0.0}
    message = once([nothing] * 6, at=3)
    assert message.startswith(
        "No parameter decays at step 3: weight_decay (0.1, but decay_rate is 0 "
        "everywhere). "
    )
    assert "rules.explain(params)" in message
    assert silent([nothing | {"decay_rate/b": 1e-9}] * 6)
    assert silent([nothing | {"weight_decay": 0.0}] * 6)
    assert silent([nothing | {"learning_rate": 0.0}] * 6)
    assert silent([{"weight_decay": 0.1, "learning_rate": 0.1}] * 6)
    assert silent([{"decay_rate": 0.0}] * 6)


def test_nothing_decays_in_any_group():
    nothing = {"weight_decay/x": 0.1, "weight_decay/y": 0.0}
    rates = {"decay_rate/x": 0.0, "decay_rate/y": 0.0}
    assert once([nothing | rates] * 6, at=3)
    assert silent([nothing | rates | {"decay_rate/y": 1e-5}] * 6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite(value):
    bad = {"cosine/a": value, "cosine/b": 0.5}
    told = watch([{"cosine/a": 0.5}, bad, bad, bad | {"weight_rms": value}])
    assert [len(messages) for messages in told] == [0, 1, 0, 1]
    assert told[1][0].startswith(f"Not finite at step 1: cosine/a ({value}). ")
    assert told[3][0].startswith(f"Not finite at step 3: weight_rms ({value}). ")


def test_what_is_not_finite_is_not_judged_otherwise():
    keys = ("decay_share/a", "rms_ratio/a", "decay_realised/a", "decay_rate/a")
    told = watch([dict.fromkeys(keys, math.nan)] * 9)
    assert len(told[0]) == 1 and "and 1 more" in told[0][0]
    assert not any(told[1:])


def test_many_leaves_are_one_message():
    record = {f"decay_share/layer{i}": 0.5 + i / 20 for i in range(10)}
    message = once([record] * 6, at=3)
    assert (
        ": layer9 (95 % of the step), layer8 (90 % of the step), layer7 (85 % of the "
        "step) and 6 more. "
    ) in message
    assert "layer6" not in message


def test_later_leaves_are_told_of_later():
    first, both = {"decay_share/a": 0.9}, {"decay_share/a": 0.9, "decay_share/b": 0.8}
    told = watch([first] * 5 + [both] * 6)
    assert [len(messages) for messages in told] == [0, 0, 0, 1] + [0] * 4 + [1, 0, 0]
    assert ": b (80 % of the step). " in told[8][0]


def test_all_parameters_where_no_leaves_are_recorded():
    assert "all parameters (90 %" in once([{"decay_share": 0.9}] * 6, at=3)
    assert silent([{"decay_share": 0.9, "decay_share/a": 0.1}] * 6)


def test_a_record_counts_once():
    monitor = DecayMonitor(patience=2, emit=False)
    record = {"step": 100.0, "decay_share/a": 0.9}
    assert not any(monitor.check(record) for _ in range(5))
    assert monitor.check({**record, "step": 200.0})


def test_a_record_of_any_recorder_counts():
    monitor = DecayMonitor(patience=2, emit=False)
    record = {"step/x": 0.0, "step/y": 0.0, "decay_share/a": 0.9}
    assert not monitor.check(record) and not monitor.check(record)
    [message] = monitor.check({**record, "step/y": 7.0})
    assert message.startswith("Decay dominates updates at step 7: a")


def test_without_steps_each_call_counts():
    monitor = DecayMonitor(patience=2, emit=False)
    assert not monitor.check({"decay_share/a": 0.9})
    [message] = monitor.check({"decay_share/a": 0.9})
    assert message.startswith("Decay dominates updates: a")


def test_before_the_first_record():
    assert silent([{}, {"learning_rate": 0.1}, {"learning_rate/a": 0.1}] * 3)


def test_numbers_may_be_arrays():
    record = {"decay_share/a": jnp.float32(0.9), "cosine": jnp.float32(math.nan)}
    told = watch([record] * 4)
    assert [len(messages) for messages in told] == [1, 0, 0, 1]


PARAMS = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
RENAMED = {"dense": {"weights": jnp.ones((2, 2)), "b": jnp.ones(2)}}


def test_rules_that_no_longer_match():
    rules = optaxwd.DecayRules([(r".*/bias", False)])
    monitor = DecayMonitor(rules, emit=False)
    assert monitor.check({}, PARAMS) == monitor.check({}) == []
    [message] = monitor.check({}, RENAMED)
    assert message.startswith(
        "The rules do not match the parameters: rule 0 ('.*/bias') matches nothing"
    )
    assert "dense/b" in message and "Correct the rules" in message
    assert monitor.check({}, RENAMED) == monitor.check({}, PARAMS) == []
    assert monitor.messages == [message]
    assert DecayMonitor(emit=False).check({}, RENAMED) == []


def test_rules_are_resolved_once_for_each_structure(monkeypatch):
    rules = optaxwd.DecayRules([(r".*/bias", False)])
    calls = []
    decide = rules._decide
    monkeypatch.setattr(rules, "_decide", lambda p: calls.append(p) or decide(p))
    monitor = DecayMonitor(rules, emit=False)
    for _ in range(3):
        monitor.check({}, PARAMS)
        monitor.check({}, RENAMED)
    assert len(calls) == 2


def test_warnings_are_emitted():
    monitor = DecayMonitor(patience=1)
    with pytest.warns(DecayWarning, match="Decay dominates updates") as caught:
        messages = monitor.check({"decay_share/a": 0.9})
    assert [str(warning.message) for warning in caught] == messages
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert monitor.check({"decay_share/a": 0.9}) == []


def test_as_errors_warnings_stop_the_run_and_stay_in_messages():
    monitor = DecayMonitor(patience=1)
    with pytest.raises(DecayWarning):
        monitor.check({"decay_share/a": 0.9, "cosine/a": math.nan})
    assert len(monitor.messages) == 2


@pytest.mark.parametrize(("precision", "told"), [(None, 1), ("split", 0)])
def test_a_run_in_bfloat16(precision, told, key):
    adamw = optaxwd.adamw(1e-3, weight_decay=0.1, precision=precision)
    optimizer = record_decay(adamw, equilibrium="adamw")
    params = jax.random.normal(key, (64, 64), jnp.bfloat16)
    state, monitor = optimizer.init(params), DecayMonitor(emit=False)
    update = jax.jit(optimizer.update)
    for step in range(12):
        grads = jax.random.normal(jax.random.fold_in(key, step), params.shape)
        updates, state = update(grads.astype(params.dtype), state, params)
        params = optax.apply_updates(params, updates)
        monitor.check(read_telemetry(state))
    assert len(monitor.messages) == told
    assert all("Rounding swallows" in message for message in monitor.messages)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rules": {"a": 1.0}}, TypeError, "rules must be a DecayRules or None, got {"),
        ({"swallowed": 1.5}, ValueError, r"swallowed must be in \(0, 1\], got 1.5"),
        ({"swallowed": 0.0}, ValueError, "swallowed must be > 0, got 0.0"),
        ({"dominates": -0.1}, ValueError, "dominates must be finite and > 0"),
        ({"dominates": math.inf}, ValueError, "dominates must be finite and > 0"),
        ({"runaway": 1.0}, ValueError, "runaway must be > 1, got 1.0"),
        ({"runaway": "far"}, TypeError, "runaway must be a number"),
        ({"patience": 0}, ValueError, "patience must be a whole number from 1"),
        ({"patience": 2.5}, ValueError, "patience must be a whole number from 1"),
        ({"emit": "no"}, TypeError, "emit must be True or False, got 'no'"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=f"DecayMonitor: {message}"):
        DecayMonitor(**options)


def test_what_is_no_telemetry():
    with pytest.raises(TypeError, match="DecayMonitor.check: telemetry must be a map"):
        DecayMonitor().check([("decay_share", 0.9)])  # type: ignore[arg-type]
