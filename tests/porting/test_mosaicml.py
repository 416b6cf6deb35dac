"""What docs/porting/mosaicml.md says gives the numbers of MosaicML Composer."""

import pytest
from porting_problem import (
    PEAK,
    RULES,
    assert_same_numbers,
    by_them,
    by_torch,
    by_us,
    groups,
    import_alone,
    largest_difference,
    page,
    schedule,
)
from reference_code_bases import mosaicml_adamw, mosaicml_sgdw

import optaxwd

PAGE = "porting/mosaicml.md"
DECAY = 3e-3


def adamw():
    return page(PAGE)["decoupled_adamw"](schedule(), PEAK, DECAY, RULES)


def sgdw():
    return page(PAGE)["decoupled_sgdw"](schedule(), PEAK, 0.9, DECAY, RULES)


def test_adamw():
    ours = by_us(adamw())
    assert_same_numbers(ours, by_them(lambda: mosaicml_adamw(DECAY, PEAK)))
    assert largest_difference(ours, by_them(lambda: mosaicml_adamw(0, PEAK))) > 1e-3


@pytest.mark.slow
def test_sgdw():
    assert_same_numbers(
        by_us(sgdw()), by_them(lambda: mosaicml_sgdw(DECAY, PEAK, momentum=0.9))
    )


@pytest.mark.slow
def test_lambda_of_adamw_gives_the_same():
    value = optaxwd.convert_weight_decay(
        DECAY, source="mosaicml", target="optax", peak_learning_rate=PEAK
    )
    tied = optaxwd.adamw(schedule(), b2=0.95, weight_decay=value, mask=RULES)
    assert_same_numbers(by_us(tied), by_them(lambda: mosaicml_adamw(DECAY, PEAK)))


@pytest.fixture
def composer(monkeypatch):
    return import_alone(
        monkeypatch,
        "composer.optim.decoupled_weight_decay",
        "mosaicml",
        composer__utils={"dist": None},
    )


@pytest.mark.parity
def test_composer_itself_adamw(composer):
    def build(params):
        return composer.DecoupledAdamW(groups(params, DECAY), PEAK)

    assert_same_numbers(by_us(adamw()), by_torch(build))


@pytest.mark.parity
def test_composer_itself_sgdw(composer):
    def build(params):
        return composer.DecoupledSGDW(groups(params, DECAY), PEAK, momentum=0.9)

    assert_same_numbers(by_us(sgdw()), by_torch(build))
