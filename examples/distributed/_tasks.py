"""What is trained: networks of other examples, and their data by row."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from examples.claims import _digits as claims_digits
from examples.low_precision import _language
from examples.low_precision._digits import TRAIN, digits
from examples.low_precision._train import Task


class Rows(NamedTuple):
    """Training data that can be read row by row.

    Attributes:
      count: how many rows there are.
      take: from row numbers ``[n]`` to a batch of ``n`` examples, in NumPy.
    """

    count: int
    take: Callable[[np.ndarray], Any]


def perceptron_on_digits(steps: int) -> tuple[Task, Rows]:
    """Return the perceptron on handwritten digits of scikit-learn."""
    train = jax.tree.map(np.asarray, claims_digits.load(TRAIN)[0])

    def take(rows):
        return jax.tree.map(lambda x: x[rows], train)

    return digits(steps, peak_learning_rate=1e-2), Rows(TRAIN, take)


def transformer_on_text(steps: int) -> tuple[Task, Rows]:
    """Return the transformer on the source of Python's standard library."""
    text = np.asarray(_language.read(_language.TRAIN))

    def take(rows):
        return text[rows[:, None] + np.arange(_language.LENGTH)]

    return _language.language(steps), Rows(text.size - _language.LENGTH, take)


TASKS = {"digits": perceptron_on_digits, "transformer": transformer_on_text}
