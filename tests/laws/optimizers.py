"""Every optimizer, and what it is without decay, in Optax's own words."""

import functools
import inspect

import optax
import optax.contrib

import optaxwd

BASES = {
    "adafactorw": optax.adafactor,
    "adam_l2": optax.adam,
    "adamc": optax.adam,
    "adams": optax.adam,
    "adamspd": optax.adam,
    "adamw": optax.adam,
    "adamwn": optax.adam,
    "lionw": lambda rate: optax.chain(
        optax.scale_by_lion(), optax.scale_by_learning_rate(rate)
    ),
    "muonw": functools.partial(optax.contrib.muon, weight_decay=0.0),
    "nadamw": optax.nadam,
    "rmsprop_l2": functools.partial(optax.rmsprop, momentum=0.9),
    "rmspropw": functools.partial(optax.rmsprop, momentum=0.9),
    "sgd_l2": functools.partial(optax.sgd, momentum=0.9),
    "sgds": functools.partial(optax.sgd, momentum=0.9),
    "sgdw": functools.partial(optax.sgd, momentum=0.9),
}
# Without decay these are not their base: a projection stays, and a rotation follows λ.
OTHER_THAN_THEIR_BASE = {
    "adamp",
    "sgdp",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
}
# What takes a learning rate away from Optax's aliases, for `with_weight_decay`.
PRECONDITIONERS = {
    "adam": optax.scale_by_adam,
    "ours": optaxwd.scale_by_adam,
    "nadam": optaxwd.scale_by_nadam,
    "amsgrad": optax.scale_by_amsgrad,
    "belief": optax.scale_by_belief,
    "lion": optax.scale_by_lion,
    "rms": optax.scale_by_rms,
    "sign": optax.scale_by_sign,
    "identity": optax.identity,
    "trace": functools.partial(optax.trace, 0.9),
    "yogi": optax.scale_by_yogi,
}
ALIASES = {
    "adabelief": optax.adabelief,
    "adamax": optax.adamax,
    "amsgrad": optax.amsgrad,
    "lamb": optax.lamb,
    "novograd": optax.novograd,
    "optimistic": optax.optimistic_gradient_descent,
    "radam": optax.radam,
    "rmsprop": optax.rmsprop,
    "sign_sgd": optax.sign_sgd,
    "yogi": optax.yogi,
}


# Optax compiles the correction of moments over whole trees, and XLA rounds a leaf by
# what else is in the tree; of these every leaf has its own bits.
BY_LEAF = ("lionw", "rmsprop_l2", "rmspropw", "sgd_l2", "sgds", "sgdw")

# Their decay is made from what the preconditioner finds, or is a rotation.
WITHOUT_L2 = {"adams", "sgds", "adamp", "sgdp"} | {
    name for name in OTHER_THAN_THEIR_BASE if name.startswith("rotational")
}


def build(name, learning_rate, weight_decay, options):
    """Build an optimizer with those of ``options`` that it knows."""
    factory = optaxwd.list_optimizers()[name].factory
    known = inspect.signature(factory).parameters
    options = {name: value for name, value in options.items() if name in known}
    if options.get("coupling") == "l2" and name in WITHOUT_L2:
        options["coupling"] = "learning_rate"
    if name.endswith(("sgd", "sgds", "sgdw", "sgdp", "sgd_l2", "propw", "prop_l2")):
        options["momentum"] = 0.9
    return factory(learning_rate, weight_decay=weight_decay, **options)
