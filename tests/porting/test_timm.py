"""What docs/porting/timm.md says gives the numbers of timm."""

import importlib.metadata

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
from reference_code_bases import timm_adamc, timm_adan, timm_lion, timm_sgdw

import optaxwd

PAGE = "porting/timm.md"
DECAY = 0.4
OURS = {
    "adamc": lambda: page(PAGE)["adamc"](schedule(), PEAK, DECAY, RULES),
    "lion": lambda: optaxwd.lionw(schedule(), weight_decay=DECAY, mask=RULES),
    "sgdw": lambda: page(PAGE)["sgdw"](schedule(), DECAY, RULES),
}
REFERENCES = {
    "adamc": lambda decay: timm_adamc(decay, PEAK),
    "lion": timm_lion,
    "sgdw": timm_sgdw,
}
NAMES = [
    pytest.param(name, marks=[] if name == "adamc" else [pytest.mark.slow])
    for name in OURS
]


@pytest.mark.parametrize("name", NAMES)
def test_numbers(name):
    ours = by_us(OURS[name]())
    assert_same_numbers(ours, by_them(lambda: REFERENCES[name](DECAY)))
    assert largest_difference(ours, by_them(lambda: REFERENCES[name](0))) > 1e-3


@pytest.mark.slow
def test_adan_has_the_decay_of_timm_and_the_direction_of_optax():
    ours = by_us(page(PAGE)["adan"](schedule(), DECAY, RULES))
    theirs = {w: by_them(lambda w=w: timm_adan(DECAY, weight=w)) for w in (0.08, 0.92)}
    nearest = min(theirs, key=lambda w: largest_difference(ours, theirs[w]))
    assert_same_numbers(ours, theirs[nearest])
    if importlib.metadata.version("optax") in ("0.2.6", "0.2.7", "0.2.8"):
        assert nearest == 0.08
        assert largest_difference(ours, theirs[0.92]) > 1e-2


@pytest.fixture
def timm(monkeypatch):
    # timm.models, which needs torchvision, is asked for groups of layers only.
    return import_alone(
        monkeypatch,
        "timm.optim._optim_factory",
        "timm",
        timm__models={"group_parameters": None},
    )


@pytest.mark.parity
@pytest.mark.parametrize("name", OURS)
def test_timm_itself(timm, name):
    options = {} if name in ("adamc", "lion") else {"momentum": 0.9}

    def build(params):
        each = groups(params, DECAY)
        return timm.create_optimizer_v2(each, name, lr=PEAK, **options)

    assert_same_numbers(by_us(OURS[name]()), by_torch(build))


@pytest.mark.parity
def test_timm_itself_adan(timm):
    theirs = by_torch(
        lambda params: timm.create_optimizer_v2(groups(params, DECAY), "adan", lr=PEAK)
    )
    reference = by_them(lambda: timm_adan(DECAY))
    assert_same_numbers(reference, theirs)


@pytest.mark.parity
def test_timm_itself_has_these_defaults(timm):
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    plain = timm.create_optimizer_v2(model, "adamw", lr=0.1)
    assert [group["weight_decay"] for group in plain.param_groups] == [0.0]
    sgd = timm.create_optimizer_v2(model, "sgd", lr=0.1, weight_decay=0.5)
    assert isinstance(sgd, torch.optim.SGD)
    assert all(g["nesterov"] and g["momentum"] == 0.9 for g in sgd.param_groups)
    decaying = {g["weight_decay"]: g["params"] for g in sgd.param_groups}
    assert [p.ndim for p in decaying[0.5]] == [2]
    assert [p.ndim for p in decaying[0.0]] == [1, 1, 1]
