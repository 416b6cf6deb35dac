"""C11: rare words on a tiny corpus of English verb forms.

A lemma, by Zipf's law, and a slot go in, the form comes out letter by letter: an
embedding, a layer-normed perceptron. Who loses the embeddings of rare lemmas to decay;
β₂, masks, embeddings in and out; and how far a rare gradient moves its weight.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _protocols, _verbs
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._precision import float64
from examples.claims._protocols import BUDGETS, Arm
from examples.claims._statistics import Interval, interval, signs

ETA, BATCH, WIDTH, SLOT, HIDDEN = 5e-3, 8, 32, 8, 32
RARE, HELD_OUT = 40, 100  # forms for validation, and as many for the test
LAMBDAS = (0.0, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
SECOND = (0.95, 0.999)
EVERY = (1, 10, 100, 1000)
FORMS, FREQUENCIES = _verbs.letters(), _verbs.frequencies()
ARMS = {  # method and which leaves decay
    "AdamW": (optaxwd.adamw, optaxwd.rules.standard()),
    "Adam + L2": (optaxwd.adam_l2, optaxwd.rules.standard()),
    "AdamW on biases and norms too": (optaxwd.adamw, None),
    "AdamW not on embeddings": (
        optaxwd.adamw,
        optaxwd.DecayRules([(".*/embedding|.*/bias|norm/.*", 0.0)]),
    ),
}
METHODS = tuple(ARMS)[:2]  # with every β₂, the others with the first
SEEDS = {"smoke": 2, "quick": 10, "full": 20}
STEPS = {"smoke": 50, "quick": 1000, "full": 4000}


def split(key) -> dict[str, jax.Array]:
    """Return the share of each form, ``[lemma, cell]``, in training and beside it."""
    order = jax.random.permutation(key, FORMS.shape[0] * FORMS.shape[1])
    order = order.reshape(FORMS.shape[:2])
    parts = {
        "valid": order < HELD_OUT,
        "test": (order >= HELD_OUT) & (order < 2 * HELD_OUT),
        "train": order >= 2 * HELD_OUT,
    }
    shares = {name: part * FREQUENCIES[:, None] for name, part in parts.items()}
    return {name: share / share.sum() for name, share in shares.items()}


def init(key):
    """Return the weights: embeddings, a normalised layer, letters by position."""
    keys = jax.random.split(key, 4)
    inputs = WIDTH + SLOT
    outputs = _verbs.LENGTH * _verbs.LETTERS
    return {
        "lemma": {"embedding": jax.random.normal(keys[0], (len(FORMS), WIDTH))},
        "slot": {"embedding": jax.random.normal(keys[1], (len(_verbs.CELLS), SLOT))},
        "hidden": {
            "kernel": jax.random.normal(keys[2], (inputs, HIDDEN)) / inputs**0.5,
            "bias": jnp.zeros(HIDDEN),
        },
        "norm": {"scale": jnp.ones(HIDDEN), "bias": jnp.zeros(HIDDEN)},
        "out": {
            "kernel": jax.random.normal(keys[3], (HIDDEN, outputs)) / HIDDEN**0.5,
            "bias": jnp.zeros(outputs),
        },
    }


def logits(params, lemma, cell):
    """Return ``[batch, position, letter]``."""
    x = jnp.concatenate(
        [params["lemma"]["embedding"][lemma], params["slot"]["embedding"][cell]], -1
    )
    x = x @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    x = jax.nn.standardize(x) * params["norm"]["scale"] + params["norm"]["bias"]
    x = jax.nn.relu(x) @ params["out"]["kernel"] + params["out"]["bias"]
    return x.reshape(*lemma.shape, _verbs.LENGTH, _verbs.LETTERS)


def losses(params, lemma, cell):
    """Return the negative log-likelihood of each form, and whether it is right."""
    found = logits(params, lemma, cell)
    target = jnp.asarray(FORMS)[lemma, cell]
    nll = optax.softmax_cross_entropy_with_integer_labels(found, target).sum(-1)
    return nll, (found.argmax(-1) == target).all(-1)


def train(arm, steps, b2, weight_decay, key):
    """Train once and return all measures."""
    factory, mask = ARMS[arm]
    tx = factory(ETA, b2=b2, weight_decay=weight_decay, mask=mask)
    keys, cells = jax.random.split(key, 3), len(_verbs.CELLS)
    params: Any = init(keys[0])
    shares = split(keys[1])
    drawn = jax.random.categorical(
        keys[2], jnp.log(shares["train"].ravel()), shape=(steps, BATCH)
    )

    def loss(params, form):
        return losses(params, form // cells, form % cells)[0].mean()

    def step(carry, form):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, form), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), drawn)
    return measures(params, shares)


def measures(params, shares):
    """Return losses of unseen forms, errors of seen ones, and norms of embeddings."""
    nll, right = losses(params, *np.indices(FORMS.shape[:2]))
    rank = np.arange(len(FORMS))[:, None]
    rare, frequent = rank >= len(FORMS) - RARE, rank < RARE
    norms = jnp.linalg.norm(params["lemma"]["embedding"], axis=-1)
    centred = np.log(FREQUENCIES) - np.log(FREQUENCIES).mean()
    seen = shares["train"] > 0
    return {
        "valid": (nll * shares["valid"]).sum(),
        "test": (nll * shares["test"]).sum(),
        "error": 1 - jnp.mean(right, where=seen & rare),
        "frequent": 1 - jnp.mean(right, where=seen & frequent),
        "slope": centred @ jnp.log(norms) / (centred @ centred),
        "norms": norms,
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def over_grid(arm, steps, b2, weight_decays, keys):
    """Train over λ and seeds; measures are ``[λ, seed, …]``."""

    def one(weight_decay, key):
        return train(arm, steps, b2, weight_decay, key)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(weight_decays, keys)


@functools.partial(jax.jit, static_argnums=1)
def displacement(b2, every):
    """Return how far each of a weight's gradients moves it, in units of η.

    All gradients are 1 and come every so many steps; the last of 20, moments warm.
    """
    tx = optaxwd.adamw(1.0, b2=b2, weight_decay=0.0)

    def step(carry, at):
        theta, state = carry
        updates, state = tx.update(jnp.where(at % every == 0, 1.0, 0.0), state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    carry = (jnp.zeros(()), tx.init(jnp.zeros(())))
    count = max(20, 10_000 // every)  # of gradients
    path: Any = jax.lax.scan(step, carry, jnp.arange(count * every))[1]
    return path[-every - 1] - path[-1]


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train over arms and β₂, and move a weight by rare gradients."""
    keys, steps = jax.random.split(jax.random.key(0), SEEDS[size]), STEPS[size]
    found = {}
    for arm in ARMS:
        for b2 in SECOND if arm in METHODS else SECOND[:1]:
            name = f"{arm}, β₂ = {b2}"
            progress(name)
            measured = over_grid(arm, steps, b2, jnp.array(LAMBDAS), keys)
            values = {k: np.asarray(v, float).round(6) for k, v in measured.items()}
            values["norms"] = values["norms"].mean(1)
            found[name] = {key: value.tolist() for key, value in values.items()}
    progress("rare gradients")
    with float64():
        moved = [[float(displacement(b2, every)) for every in EVERY] for b2 in SECOND]
    return {"seeds": len(keys), "steps": steps, "arms": found, "moved": moved}


def arms_of(numbers, first: str, second: str, measure: str) -> tuple[Arm, Arm]:
    """Return a measure of two arms, ready to be compared."""
    one, other = (
        Arm(numbers["arms"][name]["valid"], numbers["arms"][name][measure])
        for name in (first, second)
    )
    return one, other


def gaps(numbers: dict[str, Any]) -> dict[str, Interval]:
    """Return the differences that decide, each arm at its own best λ."""
    usual, slow = (f"AdamW, β₂ = {b2}" for b2 in SECOND)
    pairs = {
        **{
            f"{measure} {b2}": (f"Adam + L2, β₂ = {b2}", f"AdamW, β₂ = {b2}", measure)
            for measure in ("slope", "error")
            for b2 in SECOND
        },
        "β₂": (usual, slow, "error"),
        "β₂, frequent": (usual, slow, "frequent"),
        "biases": (usual, f"AdamW on biases and norms too, β₂ = {SECOND[0]}", "test"),
        "embeddings": (usual, f"AdamW not on embeddings, β₂ = {SECOND[0]}", "test"),
    }
    return {
        name: _protocols.at_own_best(*arms_of(numbers, *pair))
        for name, pair in pairs.items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge what L2 does to rare words, by β₂; β₂; biases and norms; embeddings."""
    found = gaps(numbers)
    parts = {
        f"{words} at β₂ = {b2}": found[f"{measure} {b2}"].among(len(SECOND)).low > 0
        for measure, words in (
            ("slope", "rare embeddings eaten by L2"),
            ("error", "rare forms better known under AdamW"),
        )
        for b2 in SECOND
    } | {
        f"β₂ = {SECOND[0]} helps rare words": found["β₂"].high < 0,
        "leaving out biases and norms helps": found["biases"].high < 0,
        "decay of embeddings helps": found["embeddings"].high < 0,
    }
    estimate = (
        f"Each at its own best λ. Adam + L2 − AdamW on the {RARE} rarest lemmas: "
        + "; ".join(
            f"error {found[f'error {b2}']}, slope of log norm on log frequency "
            f"{found[f'slope {b2}']} (β₂ = {b2})"
            for b2 in SECOND
        )
        + f". Error at β₂ = {SECOND[0]} less that at {SECOND[1]}: {found['β₂']}. Test "
        f"loss without decay of biases and norms less with: {found['biases']}; with "
        f"decay of embeddings less without: {found['embeddings']}."
    )
    fast, late = (row[-1] for row in numbers["moved"])
    finding = (
        "The slopes themselves are "
        + ", ".join(_slope(numbers, f"{m}, β₂ = {b}") for m in METHODS for b in SECOND)
        + ". Error of Adam + L2 less that of AdamW: "
        + "; ".join(_everywhere(numbers, b2) for b2 in SECOND)
        + f". On the {RARE} most frequent lemmas the error at β₂ = {SECOND[0]} less "
        f"that at {SECOND[1]} is {found['β₂, frequent']}. A gradient that comes every "
        f"{EVERY[-1]} steps moves its weight by {fast:.3g} η with β₂ = {SECOND[0]} and "
        f"by {late:.3g} η with {SECOND[1]}: a short memory divides a rare gradient by "
        "nearly its own size, a long one by its average over the steps between. The "
        "test loss without decay of biases and norms less with is "
        f"{signs(_spared(numbers))} at the same λ."
    )
    advice = said(
        (
            parts[f"rare embeddings eaten by L2 at β₂ = {SECOND[0]}"],
            f"With β₂ = {SECOND[0]} use decoupled decay for the embeddings of rare "
            "tokens: between two gradients L2 inside Adam moves them at full speed.",
        ),
        (
            not parts[f"β₂ = {SECOND[0]} helps rare words"],
            "Do not lower β₂ for the sake of rare tokens; it has other reasons.",
        ),
        (parts["decay of embeddings helps"], "Decay embeddings."),
    )
    return Verdict(parts, estimate, finding, advice)


def _slope(numbers, name) -> str:
    arm = numbers["arms"][name]
    at = _protocols.best(arm["valid"])
    return f"{interval(arm['slope'][at])} ({name}, λ = {LAMBDAS[at]:g})"


def _everywhere(numbers, b2) -> str:
    """Return how errors on rare lemmas compare at the same λ and on the frontier."""
    pair = arms_of(numbers, f"Adam + L2, β₂ = {b2}", f"AdamW, β₂ = {b2}", "error")
    return (
        f"{signs(_protocols.at_same_weight_decay(*pair))} at the same λ and "
        f"{signs(_protocols.along_frontier(*pair))} along the frontier (β₂ = {b2})"
    )


def _spared(numbers) -> list[Interval]:
    """Return what sparing biases and norms adds to the test loss, by λ."""
    usual, other = (f"{arm}, β₂ = {SECOND[0]}" for arm in list(ARMS)[0:3:2])
    return _protocols.at_same_weight_decay(*arms_of(numbers, usual, other, "test"))


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw norms, errors on rare lemmas, and the way of a rare gradient."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    styles = ("o-", "o--", "s-", "s--")
    for style, name in zip(styles, list(numbers["arms"])[: len(styles)], strict=True):
        found = numbers["arms"][name]
        at = _protocols.best(found["valid"])
        color = "black" if name.startswith("AdamW") else "tab:orange"
        label = f"{name}, λ = {LAMBDAS[at]:g}"
        left.loglog(
            FREQUENCIES,
            found["norms"][at],
            style[0],
            color=color,
            label=label,
            markersize=3,
            fillstyle="full" if "0.95" in name else "none",
        )
        error = np.mean(found["error"], axis=1)
        middle.plot(range(len(LAMBDAS)), error, style, color=color, label=name)
    left.set(xlabel="frequency of the lemma", ylabel="norm of its embedding")
    left.set_title("embeddings, at the best λ")
    middle.set_xticks(range(len(LAMBDAS)), [f"{x:g}" for x in LAMBDAS])
    middle.set(xlabel="λ", title=f"error on the {RARE} rarest lemmas")
    for style, b2, moved in zip(("o-", "o--"), SECOND, numbers["moved"], strict=True):
        right.loglog(EVERY, moved, style, color="black", label=f"β₂ = {b2}")
    right.set(xlabel="steps between gradients", ylabel="way of one gradient over η")
    right.set_title("how far a rare gradient moves its weight")
    for axes in (left, middle, right):
        axes.legend(fontsize="x-small")
        axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C11",
    title="Rare tokens",
    sentence="On a small corpus rare words' embeddings are eaten by Adam + L2 but not "
    "by AdamW; β₂ = 0.95 helps the rare signal; excluding biases and norms matters; "
    "embeddings should be decayed.",
    comparisons=len(SECOND) * (4 + len(LAMBDAS) + len(BUDGETS)) + 5,
    settings={
        "learning_rate": ETA,
        "batch": BATCH,
        "weight_decays": LAMBDAS,
        "b2": SECOND,
        "every": EVERY,
        "widths": (WIDTH, SLOT, HIDDEN),
        "held_out": HELD_OUT,
        "rare": RARE,
    },
    run=run,
    judge=judge,
    draw=draw,
)
