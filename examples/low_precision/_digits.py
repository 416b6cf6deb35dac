"""Handwritten digits, and a perceptron on them."""

import jax.numpy as jnp
import optax

from examples.claims import _digits
from examples.low_precision._train import Task

LAYERS, BATCH, TRAIN = (64, 128, 10), 64, 800


def digits(steps: int, *, peak_learning_rate: float) -> Task:
    """Return the task; of 1e-3, 3e-3 and 1e-2, float32 learns best with 1e-2."""
    train, valid, test = _digits.load(TRAIN)
    return Task(
        init=lambda key: _digits.init(key, LAYERS),
        batch=lambda key: _digits.batch(key, train, BATCH),
        loss=loss,
        valid=valid,
        test=test,
        peak_learning_rate=peak_learning_rate,
        weight_decay=0.1,
        steps=steps,
    )


def loss(params, data):
    """Return the mean negative log-likelihood, its softmax in float32."""
    images = data.images.astype(params[0]["kernel"].dtype)
    return optax.softmax_cross_entropy_with_integer_labels(
        _digits.logits(params, images).astype(jnp.float32), data.labels
    ).mean()
