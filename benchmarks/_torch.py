"""PyTorch's AdamW, a peer that may not be there."""

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._laws import B1, B2, EPS, LEARNING_RATE, WEIGHT_DECAY
from benchmarks._tensors import Tensors


def reason_to_skip() -> str | None:
    """Return why torch cannot be measured, ``None`` if it can."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    return None


def adamw(**options: Any) -> Callable[[list[Any]], Any]:
    """Return a function from tensors to ``torch.optim.AdamW`` in one of its forms."""

    def build(tensors: list[Any]) -> Any:
        import torch  # pyright: ignore[reportMissingImports]

        return torch.optim.AdamW(
            tensors,
            LEARNING_RATE,
            (B1, B2),
            EPS,
            weight_decay=WEIGHT_DECAY,
            **options,
        )

    return build


class TorchRunner:
    """Steps of an optimizer of torch's, on the GPU if there is one."""

    def __init__(
        self,
        build: Callable[[list[Any]], Any],
        tensors: Tensors,
        dtype: str = "float32",
        max_norm: float | None = None,
    ):
        """Copy the tensors, and build the optimizer."""
        import torch  # pyright: ignore[reportMissingImports]

        self._torch, self._max_norm = torch, max_norm
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = getattr(torch, dtype)

        def move(leaf: np.ndarray, copy: bool) -> Any:
            return torch.from_numpy(leaf).to(self._device, kind, copy=copy)

        self._params = [move(leaf, copy=True) for leaf in tensors.params]
        for param in self._params:
            param.requires_grad_()
        # Clipping writes to the gradients, so that they must not be shared. From the
        # second round on they are clipped already, which takes the same time.
        grads = [
            [move(leaf, copy=max_norm is not None) for leaf in tree]
            for tree in tensors.grads
        ]
        self._grads: Iterator[list[Any]] = itertools.cycle(grads)
        self._optimizer = build(self._params)

    def step(self) -> None:
        """Take one step with the next gradients."""
        for param, grad in zip(self._params, next(self._grads), strict=True):
            param.grad = grad
        if self._max_norm is not None:
            self._torch.nn.utils.clip_grad_norm_(self._params, self._max_norm)
        self._optimizer.step()

    def wait(self) -> None:
        """Wait until the device is done."""
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def parameters(self, every: int = 1) -> list[np.ndarray]:
        """Return each ``every``-th entry of each leaf."""
        return [
            param.detach().flatten()[::every].float().cpu().numpy()
            for param in self._params
        ]

    def state_bytes(self) -> int:
        """Return the size of the optimizer's state."""
        return sum(
            value.nbytes
            for state in self._optimizer.state.values()
            for value in state.values()
        )
