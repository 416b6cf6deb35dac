"""What docs/porting/levanter.md says gives the numbers of levanter."""

import optax
import pytest
from porting_problem import (
    DECAYING,
    PEAK,
    RULES,
    as_tree,
    assert_same_numbers,
    by_us,
    page,
    problem,
    schedule,
)

import optaxwd

PAGE = "porting/levanter.md"
MASK = as_tree({path: path in DECAYING for path in problem()[0]})
DECAY = 0.4


def build(direction, *, adamc_weight_decay=False):
    """optim/config.py: AdamConfig.build and LionConfig.build, written again."""

    def optimizer(learning_rate):
        weight_decay = DECAY
        if adamc_weight_decay:
            weight_decay = DECAY * (learning_rate / PEAK)
        return optax.chain(
            optax.clip_by_global_norm(1.0),
            direction,
            optax.add_decayed_weights(weight_decay, MASK),
            optax.scale(-learning_rate),
        )

    return optax.inject_hyperparams(optimizer)(learning_rate=schedule())


def theirs(*arguments, **options):
    return by_us(build(*arguments, **options))


@pytest.mark.slow
def test_adam():
    ours = page(PAGE)["adam"](schedule(), DECAY, RULES)
    assert_same_numbers(by_us(ours), theirs(optax.scale_by_adam(0.9, 0.95)))


@pytest.mark.slow
def test_adamc():
    ours = page(PAGE)["adamc"](schedule(), PEAK, DECAY, RULES)
    expected = theirs(optax.scale_by_adam(0.9, 0.95), adamc_weight_decay=True)
    assert_same_numbers(by_us(ours), expected)


@pytest.mark.slow
def test_lion():
    ours = optaxwd.lionw(
        schedule(), b2=0.95, weight_decay=DECAY, mask=RULES, max_grad_norm=1.0
    )
    assert_same_numbers(by_us(ours), theirs(optax.scale_by_lion(0.9, 0.95)))


@pytest.mark.slow
def test_their_schedule():
    """lr_scheduler: a warmup and a cosine, joined, of one cycle."""
    warmup = int(0.01 * 1000)
    expected = optax.join_schedules(
        [
            optax.linear_schedule(0.0, 6e-4, warmup),
            optax.cosine_decay_schedule(6e-4, 1000 - warmup, 0.1),
        ],
        [warmup],
    )
    ours = page(PAGE)["schedule_of"](6e-4, 1000)
    for step in (0, 3, 9, 10, 11, 500, 999, 1000):
        assert abs(float(ours(step)) - float(expected(step))) < 1e-9
