"""What docs/porting/pytorch.md says gives the numbers of PyTorch.

tests/parity has a thousand steps of each optimizer; here are groups, schedules, clips.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import donated_step
from porting_problem import (
    DECAYING,
    PEAK,
    RULES,
    as_tree,
    assert_same_numbers,
    by_torch,
    by_us,
    groups,
    largest_difference,
    page,
    problem,
    schedule,
)

import optaxwd

torch = pytest.importorskip("torch", reason="needs the extra 'parity'")
pytestmark = pytest.mark.parity

PAGE = "porting/pytorch.md"
DECAY = 0.4


def theirs(factory, **options):
    return lambda params: factory(groups(params, DECAY), PEAK, **options)


def clip(parameters):
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)


def clip_by_norm_alone(parameters):
    norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))
    for p in parameters:
        p.grad *= min(1.0, 1.0 / norm)


def test_adamw():
    ours = by_us(page(PAGE)["adamw"](schedule(), DECAY, RULES))
    build = theirs(torch.optim.AdamW, betas=(0.9, 0.95))
    assert_same_numbers(ours, by_torch(build, before_step=clip_by_norm_alone))
    difference = largest_difference(ours, by_torch(build, before_step=clip))
    assert 0 < difference < 1e-7
    assert largest_difference(ours, by_torch(build)) > 1e-3


def test_sgd():
    ours = by_us(page(PAGE)["sgd"](schedule(), DECAY, RULES))
    build = theirs(torch.optim.SGD, momentum=0.9, nesterov=True)
    assert_same_numbers(ours, by_torch(build))


def test_rmsprop():
    ours = by_us(page(PAGE)["rmsprop"](schedule(), DECAY, RULES))
    expected = by_torch(theirs(torch.optim.RMSprop, momentum=0.9))
    assert_same_numbers(ours, expected)
    after_rate = optaxwd.rmsprop_l2(
        schedule(),
        decay=0.99,
        eps_in_sqrt=False,
        momentum=0.9,
        weight_decay=DECAY,
        mask=RULES,
    )
    assert largest_difference(by_us(after_rate), expected) > 1e-3


def bfloat16_by_torch(weight_decay, gradients, **options):
    """The weights after AdamW at η = 0.01, all 1 at the start."""
    params = torch.ones(gradients.shape[1], dtype=torch.bfloat16, requires_grad=True)
    optimizer = torch.optim.AdamW([params], 1e-2, weight_decay=weight_decay, **options)
    for gradient in gradients:
        params.grad = torch.from_numpy(gradient).to(torch.bfloat16)
        optimizer.step()
    return params.detach().float().numpy()


def test_decay_in_bfloat16():
    gradients = np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32)
    params = jnp.ones(1000, jnp.bfloat16)
    adamw = optaxwd.adamw(1e-2, weight_decay=0.1)
    state, step = adamw.init(params), donated_step(adamw)
    for gradient in gradients:
        state, params = step(jnp.bfloat16(gradient), state, params)
    ours = np.asarray(params, np.float32)
    with_decay = bfloat16_by_torch(0.1, gradients)
    np.testing.assert_array_equal(with_decay, bfloat16_by_torch(0.0, gradients))
    kept = 0.999**300 - 1
    for found in (ours, bfloat16_by_torch(0.1, gradients, fused=True)):
        assert abs((found.mean() - with_decay.mean()) / kept - 1) < 0.25


def test_groups_with_a_learning_rate():
    scales = {path: 0.5 if path in DECAYING else 1.0 for path in problem()[0]}

    def build(params):
        decaying, others = groups(params, DECAY)
        return torch.optim.AdamW([{**decaying, "lr": 0.5 * PEAK}, others], PEAK)

    adamw = optaxwd.adamw(schedule(), weight_decay=DECAY, mask=RULES)
    ours = page("porting/timm.md")["with_layer_decay"](adamw, as_tree(scales))
    assert_same_numbers(by_us(ours), by_torch(build))
