"""Optimizers of other code bases as plain NumPy float64, line for line.

Each follows one file at one version, and nothing here is shared with the library. A
factory returns what keeps the moments of one leaf: a function
``(gradient, theta, eta, decays) -> theta``.
"""

import numpy as np


def mosaicml_adamw(weight_decay, initial, betas=(0.9, 0.95), eps=1e-8):
    """composer/optim/decoupled_weight_decay.py of mosaicml 0.32.1: DecoupledAdamW."""
    m = v = t = 0.0

    def step(grad, param, lr, decays):
        nonlocal m, v, t
        t += 1
        if decays:
            factor = lr / initial if initial else 1.0
            param = param * (1 - factor * weight_decay)
        m = betas[0] * m + (1 - betas[0]) * grad
        v = betas[1] * v + (1 - betas[1]) * grad * grad
        denom = np.sqrt(v) / np.sqrt(1 - betas[1] ** t) + eps
        return param - lr / (1 - betas[0] ** t) * m / denom

    return step


def mosaicml_sgdw(weight_decay, initial, momentum=0.0, nesterov=False):
    """The same file: DecoupledSGDW, with dampening 0."""
    buf = None

    def step(grad, param, lr, decays):
        nonlocal buf
        d_p = grad
        if momentum:
            buf = grad if buf is None else momentum * buf + grad
            d_p = grad + momentum * buf if nesterov else buf
        if decays:
            factor = lr / initial if initial else 1.0
            param = param * (1 - factor * weight_decay)
        return param - lr * d_p

    return step


def keras_adamw(weight_decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """keras/src/optimizers/adam.py of keras 3.15.1, for Adam and AdamW.

    The decay is `_apply_weight_decay` of base_optimizer.py. ε stands beside √v before
    the correction of its bias.
    """
    m = v = t = 0.0

    def step(gradient, variable, lr, decays):
        nonlocal m, v, t
        t += 1
        if decays:
            variable = variable - variable * weight_decay * lr
        alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        m = m + (gradient - m) * (1 - beta_1)
        v = v + (gradient**2 - v) * (1 - beta_2)
        return variable - m * alpha / (np.sqrt(v) + epsilon)

    return step


def keras_sgd(weight_decay, momentum=0.0, nesterov=False):
    """keras/src/optimizers/sgd.py of keras 3.15.1: the momentum holds the rate."""
    m = 0.0

    def step(gradient, variable, lr, decays):
        nonlocal m
        if decays:
            variable = variable - variable * weight_decay * lr
        m = momentum * m - gradient * lr
        return variable + (momentum * m - gradient * lr if nesterov else m)

    return step


def timm_adamc(weight_decay, initial, betas=(0.9, 0.999), eps=1e-8):
    """timm/optim/adamw.py of timm 1.0.31: AdamWLegacy(corrected_weight_decay=True)."""
    m = v = t = 0.0

    def step(grad, param, lr, decays):
        nonlocal m, v, t
        t += 1
        if decays:
            param = param * (1 - lr**2 / initial * weight_decay)
        m = betas[0] * m + (1 - betas[0]) * grad
        v = betas[1] * v + (1 - betas[1]) * grad * grad
        denom = np.sqrt(v) / np.sqrt(1 - betas[1] ** t) + eps
        return param - lr / (1 - betas[0] ** t) * m / denom

    return step


def timm_adan(weight_decay, betas=(0.98, 0.92, 0.99), eps=1e-8, weight=None):
    """timm/optim/adan.py of timm 1.0.31: Adan(no_prox=False), the default.

    ``weight`` is that of the differences of gradients: timm's is β₂.
    """
    m = d = n = t = 0.0
    weight = betas[1] if weight is None else weight
    previous = None

    def step(grad, param, lr, decays):
        nonlocal m, d, n, t, previous
        t += 1
        diff = np.zeros_like(grad) if previous is None else grad - previous
        previous = grad
        m = betas[0] * m + (1 - betas[0]) * grad
        d = betas[1] * d + (1 - betas[1]) * diff
        n = betas[2] * n + (1 - betas[2]) * (grad + weight * diff) ** 2
        denom = np.sqrt(n) / np.sqrt(1 - betas[2] ** t) + eps
        param = param - lr / (1 - betas[0] ** t) * m / denom
        param = param - lr * weight / (1 - betas[1] ** t) * d / denom
        return param / (1 + lr * weight_decay) if decays else param

    return step


def timm_lion(weight_decay, betas=(0.9, 0.99)):
    """timm/optim/lion.py of timm 1.0.31."""
    m = 0.0

    def step(grad, param, lr, decays):
        nonlocal m
        if decays:
            param = param * (1 - lr * weight_decay)
        param = param - lr * np.sign(betas[0] * m + (1 - betas[0]) * grad)
        m = betas[1] * m + (1 - betas[1]) * grad
        return param

    return step


def timm_sgdw(weight_decay, momentum=0.9, nesterov=True):
    """timm/optim/sgdw.py of timm 1.0.31, with dampening 0, as "sgdw" makes it."""
    buf = None

    def step(grad, param, lr, decays):
        nonlocal buf
        if decays:
            param = param * (1 - lr * weight_decay)
        buf = grad if buf is None else momentum * buf + grad
        return param - lr * (grad + momentum * buf if nesterov else buf)

    return step
