"""AdamW in float64 by NumPy, and how far a candidate is from it."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks._laws import B1, B2, EPS, LEARNING_RATE, Law, Tolerance
from benchmarks._tensors import Tensors, kind_of

_CHECKED = 500_000  # Entries in all, of every leaf the same share.
_UNDECIDED = 1e-4  # Of |m|/√v, below which float32 may not know the sign of a step.


class Equality(NamedTuple):
    """Errors in units of the largest change that the reference's steps made.

    Attributes:
      largest, rms: of the parameters that were compared.
      compared: how many.
      undecided: left out, because float32 cannot tell whether they decay.
      passed: whether both errors are within the tolerance.
      bound: the tolerance.
    """

    largest: float
    rms: float
    compared: int
    undecided: int
    passed: bool
    bound: dict[str, Any]


def stride_of(count: int) -> int:
    """Return the stride at which parameters are compared; odd, to meet all columns."""
    return max(count // _CHECKED, 1) | 1


def check(
    found: list[np.ndarray],
    tensors: Tensors,
    law: Law,
    tolerance: Tolerance,
    steps: int,
) -> Equality:
    """Compare each ``stride_of``-th parameter of each leaf after ``steps`` steps."""
    every = stride_of(tensors.count)
    factors = [_clip_factor(grads, law.max_norm) for grads in tensors.grads]
    errors, changes, undecided = [], [], 0
    for i, (name, leaf) in enumerate(zip(tensors.names, found, strict=True)):
        first = _sampled(tensors.params[i], every)
        grads = [
            factor * _sampled(tree[i], every)
            for factor, tree in zip(factors, tensors.grads, strict=True)
        ]
        rate = law.rate * law.multipliers.get(kind_of(name), 1.0)
        expected, decided = _adamw(first, grads, law, rate, steps)
        errors.append((leaf - expected)[decided])
        changes.append(np.abs(expected - first).max())
        undecided += int((~decided).sum())
    relative = np.concatenate(errors) / max(changes)
    largest = float(np.abs(relative).max())
    rms = float(np.sqrt(np.mean(relative**2)))
    # Written so that NaN does not pass.
    passed = bool(largest <= tolerance.largest and rms <= tolerance.rms)
    return Equality(largest, rms, len(relative), undecided, passed, tolerance._asdict())


def _sampled(leaf: np.ndarray, every: int) -> np.ndarray:
    return leaf.ravel()[::every].astype(np.float64)


def _clip_factor(grads: list[np.ndarray], max_norm: float | None) -> float:
    if max_norm is None:
        return 1.0
    squares = [np.sum(np.square(leaf), dtype=np.float64) for leaf in grads]
    return min(1.0, max_norm / float(np.sqrt(sum(squares))))


def _adamw(
    first: np.ndarray, grads: list[np.ndarray], law: Law, rate: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters after ``steps``, and which of them are decided."""
    theta, m, v = first.copy(), np.zeros_like(first), np.zeros_like(first)
    decided = np.ones(first.shape, bool)
    for t in range(1, steps + 1):
        g = grads[(t - 1) % len(grads)]
        m = B1 * m + (1 - B1) * g
        v = B2 * v + (1 - B2) * g**2
        u = (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)
        pull = theta - first if law.anchored else theta
        if law.cautious:
            pull = np.where(u * theta >= 0, pull, 0.0)
            decided &= np.abs(u) > _UNDECIDED
        theta = theta - LEARNING_RATE * u - rate * pull
    return theta, decided
