"""Handwritten digits, and a perceptron on them: what several experiments train."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Split(NamedTuple):
    """Images, pixels in [0, 1], and labels.

    Attributes:
      images: ``[n, 64]``, float32.
      labels: ``[n]``, integers from 0 to 9.
    """

    images: jax.Array
    labels: jax.Array


def load(train_size: int) -> tuple[Split, Split, Split]:
    """Return training, validation and test data; the same split every time."""
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32) / 16
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=600, random_state=0, stratify=labels
    )
    x_train, x_valid, y_train, y_valid = train_test_split(
        x, y, train_size=train_size, random_state=1, stratify=y
    )
    pairs = ((x_train, y_train), (x_valid, y_valid), (x_test, y_test))
    train, valid, test = (Split(jnp.asarray(a), jnp.asarray(b)) for a, b in pairs)
    return train, valid, test


def init(key: jax.Array, sizes: tuple[int, ...]) -> list[dict[str, jax.Array]]:
    """Return the weights of a perceptron with layers of ``sizes``."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"kernel": jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, "bias": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def logits(params: Any, images: jax.Array) -> jax.Array:
    """Return ``[batch, 10]`` of ``images``."""
    *hidden, last = params
    for layer in hidden:
        images = jax.nn.relu(images @ layer["kernel"] + layer["bias"])
    return images @ last["kernel"] + last["bias"]


def loss(params: Any, data: Split) -> jax.Array:
    """Return the mean negative log-likelihood."""
    found = logits(params, data.images)
    return optax.softmax_cross_entropy_with_integer_labels(found, data.labels).mean()


def batch(key: jax.Array, data: Split, size: int) -> Split:
    """Draw ``size`` examples with replacement."""
    chosen = jax.random.randint(key, (size,), 0, len(data.labels))
    return Split(data.images[chosen], data.labels[chosen])
