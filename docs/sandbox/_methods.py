"""The optimizers of the page, as functions of η, λ and β₂."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

import optaxwd
from docs.sandbox import _grid
from optaxwd.plots import _style


class Method(NamedTuple):
    """One optimizer and how the page draws it.

    Attributes:
      title: its name on the page.
      make: of η, λ and β₂.
      color: of its lines; ``currentColor`` is that of the text.
      dashes: of its lines, as SVG has them.
      note: what stands beside the name where methods are chosen.
      is_l2: whether decay goes through the moments.
    """

    title: str
    make: Callable[[Any, Any, Any], optax.GradientTransformationExtraArgs]
    color: str
    dashes: str
    note: str = ""
    is_l2: bool = False


def _adam_l2(eta: Any, lam: Any, b2: Any) -> optax.GradientTransformationExtraArgs:
    return optaxwd.adam_l2(eta, b2=b2, weight_decay=lam)


def _adamw(eta: Any, lam: Any, b2: Any) -> optax.GradientTransformationExtraArgs:
    return optaxwd.adamw(eta, b2=b2, weight_decay=lam)


def _cautious(eta: Any, lam: Any, b2: Any) -> optax.GradientTransformationExtraArgs:
    return optaxwd.adamw(eta, b2=b2, weight_decay=lam, cautious=True)


def _independent(eta: Any, lam: Any, b2: Any) -> optax.GradientTransformationExtraArgs:
    return optaxwd.adamw(
        eta,
        b2=b2,
        weight_decay=_grid.PEAK * lam,
        coupling="independent",
        peak_learning_rate=eta,
    )


def _sgd(eta: Any, lam: Any, b2: Any) -> optax.GradientTransformationExtraArgs:
    del b2
    return optaxwd.sgdw(eta, weight_decay=lam)


METHODS = {
    "adam_l2": Method("Adam + L2", _adam_l2, _style.VERMILLION, "", is_l2=True),
    "adamw": Method("AdamW", _adamw, _style.BLUE, "9 4"),
    "cautious": Method("Cautious AdamW", _cautious, _style.GREEN, "3 3"),
    "independent": Method("Independent AdamW", _independent, _style.PINK, "9 3 2 3"),
    "sgd": Method("SGD", _sgd, "currentColor", "1 4", "(L2 = decoupled)"),
}
