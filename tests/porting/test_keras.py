"""What docs/porting/keras.md says gives the numbers of Keras 3."""

import importlib.util

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import precision_for
from porting_problem import (
    DECAYING,
    RULES,
    STEPS,
    assert_same_numbers,
    by_them,
    by_us,
    largest_difference,
    page,
    problem,
    rates,
    schedule,
)
from reference_code_bases import keras_adamw, keras_sgd

import optaxwd

PAGE = "porting/keras.md"
DECAY = 0.4


def adamw(**options):
    if not options:
        return page(PAGE)["adamw"](schedule(), DECAY, RULES)
    return optaxwd.adamw(schedule(), weight_decay=DECAY, mask=RULES, **options)


def sgd(momentum=0.9):
    return page(PAGE)["sgd"](schedule(), momentum, DECAY, RULES)


def test_adamw_but_for_the_place_of_epsilon():
    ours = by_us(adamw())
    difference = largest_difference(ours, by_them(lambda: keras_adamw(DECAY)))
    assert 1e-9 < difference < 1e-5
    # The page's ε is Keras' to the digit, which a bound on the difference cannot tell.
    assert largest_difference(ours, by_us(adamw(eps=1e-7))) == 0


@pytest.mark.slow
def test_adamw_with_no_epsilon_to_place():
    ours = by_us(adamw(eps=1e-30))
    assert_same_numbers(ours, by_them(lambda: keras_adamw(DECAY, epsilon=1e-30)))
    assert largest_difference(ours, by_them(lambda: keras_adamw(0))) > 1e-3


@pytest.mark.slow
def test_sgd_with_momentum():
    theirs = by_them(lambda: keras_sgd(DECAY, momentum=0.9))
    assert_same_numbers(by_us(sgd()), theirs)
    momentum_without_rate = optaxwd.sgdw(
        schedule(), 0.9, weight_decay=DECAY, mask=RULES
    )
    assert largest_difference(by_us(momentum_without_rate), theirs) > 1e-3


@pytest.fixture
def keras(monkeypatch, tmp_path):
    """Import Keras on JAX, in float64, with its settings in a folder of the test."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("needs the extra 'parity'")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    before = keras.config.floatx()
    with precision_for("float64"):
        keras.config.set_floatx("float64")
        yield keras
    keras.config.set_floatx(before)


def by_keras(keras, optimizer):
    start, curvature, noise = problem()

    def variable(path):
        return keras.Variable(start[path], name=path.replace("/", "_"))

    variables = {path: variable(path) for path in start}
    optimizer.exclude_from_weight_decay(
        var_names=[v.name for k, v in variables.items() if k not in DECAYING]
    )
    seen = []
    for t in range(STEPS):
        gradients = [
            curvature[path] * v.value + noise[path][t] for path, v in variables.items()
        ]
        optimizer.apply(gradients, list(variables.values()))
        seen.append({path: np.asarray(v.value) for path, v in variables.items()})
    return {path: np.stack([p[path] for p in seen]) for path in start}


def keras_schedule(keras):
    class Table(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return jnp.asarray(rates())[step.value]

    return Table()


@pytest.mark.parity
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_keras_itself_adamw(keras, name):
    build = getattr(keras.optimizers, name)
    theirs = by_keras(
        keras, build(keras_schedule(keras), weight_decay=DECAY, epsilon=1e-30)
    )
    assert_same_numbers(by_us(adamw(eps=1e-30)), theirs)


@pytest.mark.parity
def test_keras_itself_epsilon(keras):
    theirs = by_keras(
        keras, keras.optimizers.AdamW(keras_schedule(keras), weight_decay=DECAY)
    )
    reference = by_them(lambda: keras_adamw(DECAY))
    assert_same_numbers(reference, theirs)


@pytest.mark.parity
def test_keras_itself_sgd(keras):
    optimizer = keras.optimizers.SGD(
        keras_schedule(keras), momentum=0.9, weight_decay=DECAY
    )
    assert_same_numbers(by_us(sgd()), by_keras(keras, optimizer))


@pytest.mark.parity
def test_keras_itself_lion(keras):
    optimizer = keras.optimizers.Lion(keras_schedule(keras), weight_decay=DECAY)
    ours = optaxwd.lionw(schedule(), weight_decay=DECAY, mask=RULES)
    assert_same_numbers(by_us(ours), by_keras(keras, optimizer))


@pytest.mark.parity
def test_keras_itself_rmsprop(keras):
    optimizer = keras.optimizers.RMSprop(keras_schedule(keras), weight_decay=DECAY)
    ours = optaxwd.rmspropw(schedule(), eps=1e-7, weight_decay=DECAY, mask=RULES)
    assert_same_numbers(by_us(ours), by_keras(keras, optimizer))


# Keras 3.15 reads its own variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parity
def test_keras_itself_obeys_a_mask_set_too_late(keras):
    optimizer = keras.optimizers.SGD(1.0, weight_decay=0.5)
    weight = keras.Variable(np.ones(2), name="kernel")
    optimizer.apply([np.zeros(2)], [weight])
    assert weight.value[0] == 0.5
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    optimizer.apply([np.zeros(2)], [weight])
    assert weight.value[0] == 0.5
    assert not any("exclude" in key for key in optimizer.get_config())
