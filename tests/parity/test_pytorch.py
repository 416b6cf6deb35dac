"""A thousand steps beside PyTorch, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import precision_for

import optaxwd

torch = pytest.importorskip("torch", reason="needs the extra 'parity'")
pytestmark = pytest.mark.parity

STEPS, RATE, DECAY = 1000, 1e-2, 0.1


def rmsprop(factory, **options):
    return factory(RATE, decay=0.99, eps_in_sqrt=False, weight_decay=DECAY, **options)


PAIRS = {
    "AdamW": (
        lambda p: torch.optim.AdamW(p, RATE, weight_decay=DECAY),
        lambda: optaxwd.adamw(RATE, weight_decay=DECAY),
    ),
    "Adam": (
        lambda p: torch.optim.Adam(p, RATE, weight_decay=DECAY),
        lambda: optaxwd.adam_l2(RATE, weight_decay=DECAY),
    ),
    "SGD": (
        lambda p: torch.optim.SGD(p, RATE, weight_decay=DECAY),
        lambda: optaxwd.sgd_l2(RATE, weight_decay=DECAY),
    ),
    "SGD momentum": (
        lambda p: torch.optim.SGD(p, RATE, momentum=0.9, weight_decay=DECAY),
        lambda: optaxwd.sgd_l2(RATE, 0.9, weight_decay=DECAY),
    ),
    "SGD Nesterov": (
        lambda p: torch.optim.SGD(
            p, RATE, momentum=0.9, nesterov=True, weight_decay=DECAY
        ),
        lambda: optaxwd.sgd_l2(RATE, 0.9, nesterov=True, weight_decay=DECAY),
    ),
    "NAdam": (
        lambda p: torch.optim.NAdam(p, RATE, weight_decay=DECAY),
        lambda: optaxwd.nadamw(
            RATE, weight_decay=DECAY, momentum_decay=4e-3, coupling="l2"
        ),
    ),
    "NAdam decoupled": (
        lambda p: torch.optim.NAdam(
            p, RATE, weight_decay=DECAY, decoupled_weight_decay=True
        ),
        lambda: optaxwd.nadamw(RATE, weight_decay=DECAY, momentum_decay=4e-3),
    ),
    "RMSprop": (
        lambda p: torch.optim.RMSprop(p, RATE, weight_decay=DECAY),
        lambda: rmsprop(optaxwd.rmsprop_l2),
    ),
    "RMSprop momentum": (
        lambda p: torch.optim.RMSprop(p, RATE, weight_decay=DECAY, momentum=0.9),
        lambda: rmsprop(optaxwd.rmsprop_l2, momentum=0.9),
    ),
    "RMSprop centered": (
        lambda p: torch.optim.RMSprop(p, RATE, weight_decay=DECAY, centered=True),
        lambda: rmsprop(optaxwd.rmsprop_l2, centered=True),
    ),
}


@pytest.fixture(autouse=True)
def double_precision():
    # NAdam keeps its product of momenta in the default dtype, whatever θ's.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def problem():
    """Return start, curvatures and noise: gradients are curvature · θ + noise."""
    random = np.random.default_rng(0)
    start = random.normal(size=(8, 5))
    return start, random.uniform(0.1, 10, (8, 5)), random.normal(size=(STEPS, 8, 5))


def by_pytorch(build):
    start, curvature, noise = map(torch.from_numpy, problem())
    theta = start.clone().requires_grad_()
    optimizer = build([theta])
    for n in noise:
        theta.grad = (curvature * theta + n).detach()
        optimizer.step()
    return theta.detach().numpy()


def by_us(build):
    start, curvature, noise = map(jnp.asarray, problem())
    optimizer = build()

    def step(carry, n):
        theta, state = carry
        updates, state = optimizer.update(curvature * theta + n, state, theta)
        return (optax.apply_updates(theta, updates), state), None

    carry = (start, optimizer.init(start))
    return jax.jit(lambda: jax.lax.scan(step, carry, noise)[0][0])()


@pytest.mark.parametrize("name", PAIRS)
def test_a_thousand_steps(name):
    theirs, ours = PAIRS[name]
    with precision_for("float64"):
        expected, got = by_pytorch(theirs), np.asarray(by_us(ours))
    assert got.dtype == expected.dtype == np.float64
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error <= 1e-12, f"relative difference {error:.1e}"
