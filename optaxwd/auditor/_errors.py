"""Errors of the auditor: what could not be audited, and why."""

import pathlib
from types import TracebackType

_HERE = str(pathlib.Path(__file__).parent)


class AuditError(ValueError):
    """The optimizer could not be audited; the message has its own error, if any.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> try:
      ...     optaxwd.audit(optax.contrib.momo(), {"w": jnp.ones(4)})
      ... except optaxwd.AuditError as error:
      ...     print("value" in str(error))
      True

    References:
      As of :func:`audit`.
    """


def own_traceback(error: BaseException) -> BaseException:
    """Return ``error`` with the auditor's frames cut off its traceback."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    return error.with_traceback(traceback)


def describe(error: BaseException, limit: int = 400) -> str:
    """Return the type and the message of ``error`` in one line."""
    text = " ".join(str(error).split())
    text = text if len(text) <= limit else text[:limit] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_ours(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename.startswith(_HERE)
