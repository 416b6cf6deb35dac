"""Where decay and random updates balance: how large weights get, how fast they turn."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from optaxwd._checks import check_bool, check_number
from optaxwd._typing import ScalarOrSchedule
from optaxwd.schedules._rates import rates_over_steps
from optaxwd.schedules._walks import Walk, gradient_of, walk_of


def equilibrium_rms(
    optimizer: str,
    *,
    learning_rate: float,
    weight_decay: float,
    b1: float | None = None,
    b2: float | None = None,
    momentum: float | None = None,
    gradient_rms: float | None = None,
    scale_invariant: bool = False,
) -> float:
    r"""The RMS of a leaf's entries where decay and random updates balance.

    Updates that point in random directions make weights grow until decay takes as much
    as they add. With :math:`\eta\lambda \ll 1` and :math:`\bar g` the RMS of the
    gradient's entries,

    ============ ================================================== ====================
    optimizer    RMS                                                decay
    ============ ================================================== ====================
    ``adamw``    :math:`\sqrt{\eta / 2\lambda}`                     decoupled
    ``lionw``    :math:`\sqrt{\eta / (\pi\lambda\rho^2)}`           decoupled
    ``sgd_l2``   :math:`\bar g \sqrt{\eta / (2\lambda(1 - \mu))}`   in the gradient
    ``sgdw``     :math:`\bar g \sqrt{\eta / 2\lambda} / (1 - \mu)`  decoupled
    ``adam_l2``  :math:`\sqrt{\eta\,\bar g / 2\lambda}`             in the gradient
    ============ ================================================== ====================

    with :math:`\rho^2 = (1-\beta_1)^2 + \beta_1^2 (1-\beta_2)/(1+\beta_2)` and momentum
    μ without dampening. The norm of a leaf of C entries is :math:`\sqrt C` times that.

    Before a normalisation layer the gradient is inversely proportional to the size of
    the weights. With ``scale_invariant`` the gradient's RMS is that at weights of RMS
    1; the RMS is then the root of what stands above for SGD, and its power 2/3 for
    ``adam_l2``. Adam and Lion do not see the size of the gradient, once their
    moments have settled.

    The rotations' source gives the formulas for neurons; the RMS of ``sgdw`` and all of
    ``adam_l2`` are reconstructions by the same argument, ``adam_l2`` for a λθ that is
    small in the second moment. Terms of order :math:`R/(1 - \beta)` are left out: in
    simulations with R = 5e-4 AdamW and SGD agree within 1 %, and Lion, whose momentum
    remembers longer, is 1 to 2 % smaller.

    Args:
      optimizer: one of the table; ``"lion"`` is ``"lionw"``, and ``"sgd"`` is
        ``"sgd_l2"``, as in PyTorch.
      learning_rate: :math:`\eta > 0`, a number.
      weight_decay: :math:`\lambda > 0`, a number.
      b1: :math:`\beta_1` of Adam and Lion; ``None``: 0.9. The RMS of Adam does not
        depend on it.
      b2: :math:`\beta_2` of Lion; ``None``: 0.99.
      momentum: μ of SGD; ``None``: 0.
      gradient_rms: :math:`\bar g > 0`, needed for SGD and ``"adam_l2"``.
      scale_invariant: whether the gradient goes with the inverse size of the weights.

    Returns:
      The RMS, in units of the weights.

    Raises:
      ValueError: on an unknown optimizer, an argument that it does not read or that is
        missing, a number that is not positive, or :math:`\eta\lambda \ge 1`.
      TypeError: if an argument is not a number.

    Examples:
      >>> import optaxwd
      >>> rms = optaxwd.equilibrium_rms("adamw", learning_rate=0.01, weight_decay=0.05)
      >>> round(rms, 4), round(rms * 2000**0.5, 2)  # and the norm of 2000 entries
      (0.3162, 14.14)

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    owner = "equilibrium_rms"
    walk = walk_of(optimizer, owner, b1=b1, b2=b2, momentum=momentum)
    gradient = gradient_of(walk, optimizer, gradient_rms, owner)
    return _settle(
        walk, gradient, learning_rate, weight_decay, scale_invariant, owner
    ).rms


def equilibrium_rotation(
    optimizer: str,
    *,
    learning_rate: float,
    weight_decay: float,
    b1: float | None = None,
    b2: float | None = None,
    momentum: float | None = None,
    gradient_rms: float | None = None,
    scale_invariant: bool = False,
) -> float:
    r"""How far weights turn per step where decay and random updates balance.

    The RMS of one update over that of the weights, an angle in radians:

    ============ ==========================================================
    optimizer    rotation per step
    ============ ==========================================================
    ``adamw``    :math:`\sqrt{2\eta\lambda(1-\beta_1)/(1+\beta_1)}`
    ``lionw``    :math:`\sqrt{\pi\eta\lambda}\,\rho`
    ``sgd_l2``   :math:`\sqrt{2\eta\lambda/(1+\mu)}`
    ``sgdw``     :math:`\sqrt{2\eta\lambda(1-\mu)/(1+\mu)}`
    ``adam_l2``  :math:`\eta\sqrt{(1-\beta_1)/(1+\beta_1)}` over the RMS
    ============ ==========================================================

    with ρ and the RMS of :func:`equilibrium_rms`. Only for ``adam_l2`` it depends on
    the size of the gradients: there layers turn at rates of their own.

    Args:
      optimizer, learning_rate, weight_decay: as in :func:`equilibrium_rms`.
      b1, b2, momentum: likewise.
      gradient_rms, scale_invariant: likewise; only ``"adam_l2"`` reads them.

    Returns:
      The angle per step, in radians.

    Raises:
      ValueError: as :func:`equilibrium_rms`.
      TypeError: likewise.

    Examples:
      >>> import optaxwd
      >>> round(optaxwd.equilibrium_rotation(
      ...     "adamw", learning_rate=0.01, weight_decay=0.05, b1=0.9
      ... ), 5)
      0.00725

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    owner = "equilibrium_rotation"
    walk = walk_of(optimizer, owner, b1=b1, b2=b2, momentum=momentum)
    if walk.power and gradient_rms is None:
        gradient_rms = 1.0  # of SGD it cancels
    gradient = gradient_of(walk, optimizer, gradient_rms, owner)
    found = _settle(walk, gradient, learning_rate, weight_decay, scale_invariant, owner)
    return found.learning_rate * walk.step * found.gradient**walk.power / found.rms


def predicted_rms(
    optimizer: str,
    *,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    steps: int,
    initial_rms: float,
    b1: float | None = None,
    b2: float | None = None,
    momentum: float | None = None,
    gradient_rms: float | None = None,
    scale_invariant: bool = False,
) -> np.ndarray:
    r"""The way to the equilibrium: the RMS of a leaf's entries, step by step.

    The mean square m of the entries of a random walk with decay,

    .. math:: m_{t+1} = (1 - R_t)^2 m_t + \eta_t^2 D

    with the rate :math:`R_t` and the diffusion D of the optimizer, under any schedules.
    For constant ones that is
    :math:`m_t = m_\infty + (m_0 - m_\infty)(1 - R)^{2t}`, with
    :math:`m_\infty` the square of :func:`equilibrium_rms` up to terms in R.
    Momentum and Adam's second moment take part as if they were instantaneous: the
    first :math:`1/(1-\beta)` steps, and what they remember of another size of the
    gradients, are not in it.

    Args:
      optimizer: as in :func:`equilibrium_rms`.
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count.
      weight_decay: :math:`\lambda_t`, likewise.
      steps: number of steps :math:`T \ge 1`.
      initial_rms: :math:`\sqrt{m_0} > 0`.
      b1, b2, momentum, gradient_rms, scale_invariant: as in :func:`equilibrium_rms`.

    Returns:
      A float64 array of shape ``(steps + 1,)``: before the first step, and after each.

    Raises:
      ValueError: as :func:`equilibrium_rms` and :func:`cumulative_decay`.
      TypeError: likewise.

    Examples:
      >>> import optaxwd
      >>> rms = optaxwd.predicted_rms(
      ...     "adamw", learning_rate=0.01, weight_decay=0.05, steps=5_000,
      ...     initial_rms=1.0,
      ... )
      >>> [round(float(value), 3) for value in rms[[0, 1_000, 5_000]]]
      [1.0, 0.657, 0.326]

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    owner = "predicted_rms"
    walk = walk_of(optimizer, owner, b1=b1, b2=b2, momentum=momentum)
    gradient = gradient_of(walk, optimizer, gradient_rms, owner)
    check_bool(scale_invariant, "scale_invariant", owner)
    start = check_number(initial_rms, "initial_rms", owner, positive=True)
    run = rates_over_steps(
        learning_rate,
        weight_decay,
        steps,
        coupling="learning_rate",
        peak_learning_rate=None,
        owner=owner,
    )

    def advance(mean_square: float, rates: tuple[float, float]) -> float:
        eta, rate = rates
        g = gradient / math.sqrt(mean_square) if scale_invariant else gradient
        kept = _kept(walk, rate, g, owner)
        return kept**2 * mean_square + eta**2 * walk.diffusion * g ** (2 * walk.power)

    pairs = zip(run.learning_rate.tolist(), run.rate.tolist(), strict=True)
    squares = itertools.accumulate(pairs, advance, initial=start**2)
    return np.sqrt(np.fromiter(squares, np.float64))


class _Settled(NamedTuple):
    """The equilibrium: η, the RMS of the weights and that of the gradient there."""

    learning_rate: float
    rms: float
    gradient: float


def _settle(
    walk: Walk,
    gradient: float,
    learning_rate: Any,
    weight_decay: Any,
    scale_invariant: Any,
    owner: str,
) -> _Settled:
    """Return where 2·R·m = η²·D, the leading order in R, for m the mean square."""
    eta = check_number(learning_rate, "learning_rate", owner, positive=True)
    lam = check_number(weight_decay, "weight_decay", owner, positive=True)
    check_bool(scale_invariant, "scale_invariant", owner)
    power = 2 * walk.power - walk.shrink_power
    mean_square = eta * walk.diffusion * gradient**power / (2 * lam * walk.shrink)
    # With g = gradient/√m both sides have powers of m.
    rms = mean_square ** (1 / (2 + power) if scale_invariant else 0.5)
    if scale_invariant:
        gradient /= rms
    _kept(walk, eta * lam, gradient, owner)
    return _Settled(eta, rms, gradient)


def _kept(walk: Walk, rate: float, gradient: float, owner: str) -> float:
    """Return what one step leaves of a weight, or raise if nothing."""
    shrink = rate * walk.shrink * gradient**walk.shrink_power
    if shrink >= 1:
        raise ValueError(
            f"{owner}: decay would remove {100 * shrink:.4g} % of every weight per step"
            f", got learning_rate * weight_decay = {rate:.4g}, with momentum and the "
            "size of the gradients as given. It must be below 100 %."
        )
    return 1 - shrink
