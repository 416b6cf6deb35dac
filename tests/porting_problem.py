"""One small training problem for ours and theirs: shapes, a mask, a schedule.

Gradients are curvature · θ + noise, so that an error in one step shows in the next.
"""

import functools
import importlib
import importlib.util
import pathlib
import sys
import types

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import TOLERANCE_PER_STEP, precision_for, run_python_blocks

import optaxwd

PORTING = pathlib.Path(__file__).parent.parent / "docs" / "porting"
STEPS, WARMUP, PEAK = 24, 5, 0.02
DECAYING = ("dense/kernel", "embed/embedding")
RULES = optaxwd.DecayRules([(path, 1.0) for path in DECAYING], default=False)


@functools.cache
def page(name):
    """Run the code of a page of docs/porting once, and return its names."""
    return run_python_blocks((PORTING / name.removeprefix("porting/")).read_text())


def rates():
    """Return a warmup from 0 and a cosine to a tenth of the peak, in float64."""
    t = np.arange(STEPS)
    cosine = 0.55 + 0.45 * np.cos(np.pi * (t - WARMUP) / (STEPS - WARMUP))
    return PEAK * np.where(t < WARMUP, t / WARMUP, cosine)


def schedule(scale=1.0):
    """Return them as a schedule; Optax's own compute in float32."""
    return lambda count: scale * jnp.asarray(rates())[count]


@functools.cache
def problem():
    """Return start, curvature and noise, by path."""
    random = np.random.default_rng(0)
    shapes = {
        "dense/bias": (3,),
        "dense/kernel": (4, 3),
        "embed/embedding": (5, 4),
        "norm/bias": (4,),
        "norm/scale": (4,),
        "scale": (),
    }
    start = {path: random.normal(size=shape) for path, shape in shapes.items()}
    curvature = {path: random.uniform(0.5, 5, shape) for path, shape in shapes.items()}
    noise = {path: random.normal(size=(STEPS, *s)) for path, s in shapes.items()}
    return start, curvature, noise


def as_tree(flat):
    """Return a nested dict of what is given by path."""
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def by_us(optimizer):
    """Return the parameters after every step, by path, as NumPy float64."""
    with precision_for("float64"):
        start, curvature, noise = jax.tree.map(jnp.asarray, problem())
        start, curvature, noise = as_tree(start), as_tree(curvature), as_tree(noise)

        def step(carry, n):
            params, state = carry
            grads = jax.tree.map(lambda c, p, n: c * p + n, curvature, params, n)
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        carry = (start, optimizer.init(start))
        seen = jax.jit(lambda: jax.lax.scan(step, carry, noise)[1])()
        leaves = map(np.asarray, jax.tree.leaves(seen))
        return dict(zip(sorted(problem()[0]), leaves, strict=True))


def by_them(make, *, max_norm=None, decaying=DECAYING):
    """Return the same of a NumPy reference, one instance of it per leaf.

    Args:
      make: returns a function ``(gradient, theta, eta, decays) -> theta``.
      max_norm: clip gradients to this global norm first.
      decaying: the paths that decay.
    """
    params, curvature, noise = problem()
    leaves, seen = {path: make() for path in params}, []
    for t, eta in enumerate(rates()):
        grads = {
            path: curvature[path] * p + noise[path][t] for path, p in params.items()
        }
        if max_norm is not None:
            norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
            grads = {path: g * min(1, max_norm / norm) for path, g in grads.items()}
        params = {
            path: leaves[path](grads[path], p, eta, path in decaying)
            for path, p in params.items()
        }
        seen.append(params)
    return {path: np.stack([p[path] for p in seen]) for path in params}


def by_torch(build, *, before_step=lambda parameters: None):
    """Return the same of a PyTorch optimizer, its learning rate set before each step.

    Args:
      build: makes the optimizer of a dict of parameters by path.
      before_step: called with the parameters, which have gradients, before each step.
    """
    import torch

    start, curvature, noise = problem()
    params = {k: torch.tensor(p, dtype=torch.float64) for k, p in start.items()}
    for p in params.values():
        p.requires_grad_()
    optimizer = build(params)
    factors = [*(rates() / PEAK), 0.0]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors.__getitem__)
    seen = []
    for t in range(STEPS):
        for path, p in params.items():
            gradient = torch.from_numpy(np.asarray(noise[path][t]))
            p.grad = (
                torch.from_numpy(np.asarray(curvature[path])) * p.detach() + gradient
            )
        before_step(list(params.values()))
        optimizer.step()
        scheduler.step()
        seen.append({path: p.detach().numpy().copy() for path, p in params.items()})
    return {path: np.stack([p[path] for p in seen]) for path in params}


def groups(params, weight_decay):
    """Return PyTorch's parameter groups: one that decays and one that does not."""
    return [
        {"params": [params[k] for k in DECAYING], "weight_decay": weight_decay},
        {
            "params": [p for k, p in params.items() if k not in DECAYING],
            "weight_decay": 0.0,
        },
    ]


def largest_difference(ours, theirs):
    """Return the largest difference at any step, over the largest value of a leaf."""
    assert ours.keys() == theirs.keys()
    return max(
        float(np.abs(ours[k] - theirs[k]).max() / np.abs(theirs[k]).max())
        for k in theirs
    )


def assert_same_numbers(ours, theirs):
    """Compare every leaf at every step to the rounding of float64."""
    assert all(leaf.dtype == np.float64 for leaf in ours.values())
    moved = [path for path, leaf in theirs.items() if np.ptp(leaf, 0).max() > 0]
    assert len(moved) == len(theirs)
    difference = largest_difference(ours, theirs)
    assert difference <= STEPS * TOLERANCE_PER_STEP["float64"], f"{difference:.1e}"


def import_alone(monkeypatch, name, distribution, **stubs):
    """Import a module of PyTorch's without what its package imports, or skip.

    Args:
      monkeypatch: puts the stand-ins of the packages away again.
      name: of the module, with its packages.
      distribution: what to install for it.
      **stubs: modules that it imports from the package, with what they should hold;
        a dot is written as two underscores.
    """
    package, *_ = name.split(".")
    for needed in ("torch", package):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(
                f"needs the extra 'parity' and pip install --no-deps {distribution}"
            )
    root = pathlib.Path(importlib.util.find_spec(package).origin).parent
    parts = name.split(".")[:-1]
    packages = {".".join(parts[: i + 1]): {} for i in range(len(parts))}
    stubs = {key.replace("__", "."): value for key, value in stubs.items()}
    for module_name, attributes in {**packages, **stubs}.items():
        module = types.ModuleType(module_name)
        module.__path__ = [str(root.joinpath(*module_name.split(".")[1:]))]
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, module_name, module)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)
