"""All of Optax's optimizers that take a weight decay, and those that do not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import optaxwd

PARAMS = {"bias": np.ones(4), "kernel": np.ones((6, 4))}
ETA, LAM = 1e-3, 0.1


def quartic(params):
    return sum(jnp.sum(x**4) for x in jax.tree.leaves(params))


# Name, extra arguments, and for each leaf coupling, decoupled, in the state.
DIRECT = ("learning_rate", True, False)
L2 = ("l2", False, True)
NONE = ("none", False, False)
KNOWN = {
    "adamw": ({}, DIRECT),
    "adamaxw": ({}, DIRECT),
    "adan": ({}, DIRECT),
    "lion": ({}, DIRECT),
    "adafactor": ({}, ("constant", True, False)),
    "adadelta": ({}, L2),
    "lamb": ({}, ("trust_ratio", False, False)),
    "lars": ({}, ("trust_ratio", False, True)),
    "novograd": ({}, ("momentum", False, True)),
    "contrib.acprop": ({}, DIRECT),
    "contrib.ademamix": ({}, DIRECT),
    "contrib.simplified_ademamix": ({}, DIRECT),
    "contrib.galore": ({}, DIRECT),
    "contrib.sophia": ({"obj_fn": quartic}, DIRECT),
    "contrib.dadapt_adamw": ({}, DIRECT),
    "contrib.prodigy": ({}, DIRECT),
    "contrib.cocob": ({}, L2),
    "contrib.dog": ({}, L2),
    "contrib.dowg": ({}, L2),
    "contrib.madgrad": ({}, L2),
    "contrib.momo": ({"value": 1.0}, ("proximal", True, False)),
    "contrib.momo_adam": ({"value": 1.0}, ("proximal", True, False)),
    "contrib.schedule_free_sgd": ({}, ("averaged", False, True)),
    "contrib.schedule_free_adamw": ({}, ("averaged", False, True)),
    "contrib.muon": ({}, DIRECT),
}
# Some laws; the rest in the second stage.
FAST = {
    "adamw",
    "adafactor",
    "lamb",
    "contrib.dog",
}
OWN_RATE = {"contrib.dadapt_adamw", "contrib.prodigy"}


def alias(name):
    return getattr(optax.contrib if "." in name else optax, name.split(".")[-1])


def made(name, weight_decay):
    decay = "weight_decay_rate" if name == "adafactor" else "weight_decay"
    return alias(name)(ETA, **{decay: weight_decay})


def by_speed(names):
    return [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in names
    ]


def available(name):
    module = optax.contrib if "." in name else optax
    if not hasattr(module, name.split(".")[-1]):
        pytest.skip(f"this version of Optax has no {name}")


def test_every_alias_with_decay_is_in_the_table():
    import inspect

    found = set()
    for prefix, module in (("", optax), ("contrib.", optax.contrib)):
        for name, value in vars(module).items():
            if not inspect.isfunction(value) or name.startswith("_"):
                continue
            names = set(inspect.signature(value).parameters)
            if "learning_rate" in names and names & {
                "weight_decay",
                "weight_decay_rate",
            }:
                found.add(prefix + name)
    assert found <= set(KNOWN)


@pytest.mark.parametrize("name", by_speed(KNOWN))
def test_factory_is_classified(name):
    available(name)
    extra, (coupling, decoupled, in_state) = KNOWN[name]
    report = optaxwd.audit(alias(name), PARAMS, extra_args=extra)
    for path, leaf in report.leaves.items():
        if name == "contrib.muon" and path == "bias":
            assert (leaf.coupling, leaf.decays) == ("none", False)
            continue
        assert leaf.decays and not leaf.cannot_tell
        assert (leaf.coupling, leaf.decoupled) == (coupling, decoupled)
        assert leaf.in_state == in_state
        if coupling in ("learning_rate", "proximal"):
            assert leaf.lr_power == 1.0
        linear = coupling in ("learning_rate", "proximal", "constant", "l2")
        if linear and name not in OWN_RATE:
            assert leaf.weight_decay == pytest.approx(LAM, rel=1e-6)
    codes = {finding.code for finding in report.findings}
    assert ("coupled" in codes) == (coupling == "l2")
    assert ("lr-independent" in codes) == (coupling == "constant")
    assert not codes & {"no-decay", "wrong-sign", "rate-mismatch", "not-descent"}


@pytest.mark.parametrize("name", by_speed(KNOWN))
def test_object_is_never_wrong(name):
    available(name)
    extra, (coupling, decoupled, _) = KNOWN[name]
    report = optaxwd.audit(made(name, LAM), PARAMS, extra_args=extra)
    for path, leaf in report.leaves.items():
        if name == "contrib.muon" and path == "bias":
            assert not leaf.decays
            continue
        assert leaf.decays
        assert leaf.decoupled in (decoupled, None)
        assert leaf.coupling in (coupling, "other")
        if coupling == "learning_rate" and name not in OWN_RATE:
            assert leaf.rate == pytest.approx(ETA * LAM, rel=1e-6)
        if leaf.coupling == "l2":
            assert leaf.weight_decay == pytest.approx(LAM, rel=1e-6)


@pytest.mark.parametrize("name", by_speed(KNOWN))
def test_without_decay_nothing_is_accused(name):
    available(name)
    report = optaxwd.audit(made(name, 0.0), PARAMS, extra_args=KNOWN[name][0])
    assert not any(leaf.decays for leaf in report.leaves.values())
    assert not report.at_least("warning")


PLAIN = [
    "adabelief",
    "adagrad",
    "adam",
    "adamax",
    "amsgrad",
    "nadam",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sign_sgd",
    "sm3",
    "yogi",
]
WITHOUT = {name: lambda name=name: getattr(optax, name)(ETA) for name in PLAIN} | {
    "rmsprop, centered": lambda: optax.rmsprop(ETA, centered=True, momentum=0.9),
    "momentum": lambda: optax.sgd(ETA, momentum=0.9, nesterov=True),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(ETA)),
    "adopt": lambda: optax.contrib.adopt(ETA),
    "adafactor": lambda: optax.adafactor(ETA),
    "mechanize": lambda: optax.contrib.mechanize(optax.sgd(ETA), weight_decay=0.0),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(ETA)),
    "schedule_free": lambda: optax.contrib.schedule_free(optax.sgd(ETA), ETA),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_optimizers_without_decay_are_not_accused(name):
    try:
        optimizer = WITHOUT[name]()
    except AttributeError:
        pytest.skip(f"this version of Optax has no {name}")
    report = optaxwd.audit(optimizer, PARAMS)
    assert not any(leaf.decays for leaf in report.leaves.values())
    assert not report.at_least("warning")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["adadelta", "contrib.prodigy", "contrib.dadapt_adamw", "contrib.dog"]
)
def test_float32_swallows_nothing_that_training_would_show(name):
    params = {path: x.astype(np.float32) for path, x in PARAMS.items()}
    report = optaxwd.audit(alias(name), params)
    assert all(leaf.effective for leaf in report.leaves.values())
    assert not report.at_least("error")


@pytest.mark.slow
def test_muon_decays_its_other_leaves_by_another_argument():
    report = optaxwd.audit(
        lambda eta, lam: optax.contrib.muon(
            eta, weight_decay=lam, adam_weight_decay=lam / 2
        ),
        PARAMS,
    )
    decay = {path: leaf.weight_decay for path, leaf in report.leaves.items()}
    assert decay == pytest.approx({"kernel": LAM, "bias": LAM / 2}, rel=1e-6)


def test_fromage_shrinks_by_design_and_is_not_accused():
    # Its step is followed by a division by sqrt(1 + η²), in float32 in older JAX.
    report = optaxwd.audit(optax.fromage(ETA), PARAMS)
    for leaf in report.leaves.values():
        assert leaf.cannot_tell and leaf.rate == pytest.approx(ETA**2 / 2, rel=0.1)
    assert not report.at_least("warning")


@pytest.mark.slow
def test_mechanic_decays_nothing_and_is_not_called_broken():
    # Its λ only enters the estimate of one scale for all steps.
    report = optaxwd.audit(
        lambda eta, lam: optax.contrib.mechanize(optax.sgd(eta), weight_decay=lam),
        PARAMS,
    )
    assert all(leaf.cannot_tell for leaf in report.leaves.values())
    assert not report.at_least("warning")
