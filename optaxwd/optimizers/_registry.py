"""Optimizers by name, with what each is and where it comes from."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax

from optaxwd._checks import check_choice
from optaxwd.optimizers._adafactor import adafactorw
from optaxwd.optimizers._adam import adam_l2, adamw, nadamw
from optaxwd.optimizers._adam_variants import adamc, adamwn
from optaxwd.optimizers._adamcpr import adamcpr
from optaxwd.optimizers._adamp import adamp, sgdp
from optaxwd.optimizers._amos import amos
from optaxwd.optimizers._hyperball import adamh, muonh
from optaxwd.optimizers._lion import lionw
from optaxwd.optimizers._muon import muonw
from optaxwd.optimizers._rmsprop import rmsprop_l2, rmspropw
from optaxwd.optimizers._rotational import (
    rotational_adamw,
    rotational_lion,
    rotational_sgd,
)
from optaxwd.optimizers._selective import adamspd
from optaxwd.optimizers._sgd import sgd_l2, sgdw
from optaxwd.optimizers._stable import adams, sgds


@dataclasses.dataclass(frozen=True)
class OptimizerInfo:
    """What :func:`list_optimizers` tells of an optimizer.

    Attributes:
      name: the name that :func:`create_optimizer` takes.
      factory: the function that builds it.
      description: one line.
      reference: author, year and link.

    Examples:
      >>> import optaxwd
      >>> optaxwd.list_optimizers()["sgdw"].factory is optaxwd.sgdw
      True

    References:
      Its field ``reference``, which is that of the factory, such as :func:`adamw`.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    description: str
    reference: str


_HYPERBALL = "Wen et al., 2026, https://arxiv.org/abs/2606.16899"
_ADAM = "Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980"
_DECOUPLED = "Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101"
_PROJECTED = "Heo et al., 2021, https://arxiv.org/abs/2006.08217"
_ROTATION = "Kosson et al., 2024, https://arxiv.org/abs/2305.17212"
_RMSPROP = (
    "Tieleman and Hinton, 2012, "
    "https://www.cs.toronto.edu/~hinton/coursera/lecture6/lec6.pdf"
)
_STABLE = "Xie et al., 2023, https://arxiv.org/abs/2011.11152"

_REGISTRY = {
    factory.__name__: OptimizerInfo(factory.__name__, factory, description, reference)
    for factory, description, reference in (
        (
            adafactorw,
            "Adafactor with decoupled decay that the learning rate reaches.",
            "Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235",
        ),
        (adam_l2, "Adam on the loss plus an L2 penalty: not weight decay.", _ADAM),
        (
            adamc,
            "Adam whose normalised layers decay by the square of the learning rate.",
            "Defazio, 2025, https://arxiv.org/abs/2506.02285",
        ),
        (
            adamcpr,
            "Adam with a bound on every tensor in place of a rate of decay.",
            "Franke et al., 2024, https://arxiv.org/abs/2311.09058",
        ),
        (adamh, "Adam with matrices kept at their norm, no decay.", _HYPERBALL),
        (
            adamp,
            "Adam without steps along the weights where the loss ignores their size.",
            _PROJECTED,
        ),
        (
            adams,
            "Adam whose decay is divided by the root mean square gradient.",
            _STABLE,
        ),
        (
            adamspd,
            "Adam whose steps away from the start are taken back selectively.",
            "Tian et al., 2024, https://arxiv.org/abs/2411.01713",
        ),
        (adamw, "Adam with decoupled decay.", _DECOUPLED),
        (
            adamwn,
            "Adam that decays each tensor to a norm, up or down, instead of to zero.",
            "Loshchilov, 2023, https://arxiv.org/abs/2311.11446",
        ),
        (
            amos,
            "Learning rate and decay that adapt to an expected scale of the weights.",
            "Tian and Parikh, 2022, https://arxiv.org/abs/2210.11693",
        ),
        (
            lionw,
            "Sign of an interpolated momentum, with decoupled decay.",
            "Chen et al., 2023, https://arxiv.org/abs/2302.06675",
        ),
        (muonh, "Muon with matrices kept at their norm, no decay.", _HYPERBALL),
        (
            muonw,
            "Orthogonalised momentum for matrices, Adam for the rest, decoupled decay.",
            "Liu et al., 2025, https://arxiv.org/abs/2502.16982",
        ),
        (
            nadamw,
            "Adam with Nesterov momentum and decoupled decay.",
            "Dozat, 2016, https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ",
        ),
        (rmsprop_l2, "RMSProp on the loss plus an L2 penalty.", _RMSPROP),
        (rmspropw, "RMSProp with decoupled decay.", _RMSPROP),
        (
            rotational_adamw,
            "Adam whose neurons turn at AdamW's rate of equilibrium, at a set norm.",
            _ROTATION,
        ),
        (
            rotational_lion,
            "Lion whose neurons turn at their rate of equilibrium, at a set norm.",
            _ROTATION,
        ),
        (
            rotational_sgd,
            "SGD whose neurons turn at their rate of equilibrium, at a set norm.",
            _ROTATION,
        ),
        (
            sgd_l2,
            "SGD with momentum on the loss plus an L2 penalty.",
            "Krogh and Hertz, 1991, https://proceedings.neurips.cc/paper/1991",
        ),
        (
            sgdp,
            "SGD without steps along the weights where the loss ignores their size.",
            _PROJECTED,
        ),
        (sgds, "SGD whose decay grows with its momentum as its steps do.", _STABLE),
        (sgdw, "SGD with momentum and decoupled decay.", _DECOUPLED),
    )
}


def list_optimizers() -> dict[str, OptimizerInfo]:
    """Return every optimizer by name, in alphabetical order.

    Returns:
      A new dict from name to :class:`OptimizerInfo`.

    Examples:
      >>> import optaxwd
      >>> print(optaxwd.list_optimizers()["adamw"].description)
      Adam with decoupled decay.

    References:
      That of each optimizer is in its :class:`OptimizerInfo`.
    """
    return dict(_REGISTRY)


def create_optimizer(
    name: str, *args: Any, **kwargs: Any
) -> optax.GradientTransformationExtraArgs:
    """Build an optimizer by its name, for configuration files.

    Args:
      name: one of :func:`list_optimizers`.
      *args: positional arguments of that optimizer; the learning rate comes first.
      **kwargs: its keyword arguments.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`.

    Raises:
      ValueError: if there is no optimizer of that name, with the nearest one.
      TypeError: if the optimizer does not take one of the arguments.

    Examples:
      >>> import optaxwd
      >>> tx = optaxwd.create_optimizer("adamw", 1e-3, weight_decay=0.1)
      >>> optaxwd.create_optimizer("adamW", 1e-3)  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      ValueError: create_optimizer: unknown name 'adamW'; ... Did you mean 'adamw'?

    References:
      That of each optimizer is in :func:`list_optimizers`.
    """
    check_choice(name, _REGISTRY, "name", "create_optimizer")
    return _REGISTRY[name].factory(*args, **kwargs)
