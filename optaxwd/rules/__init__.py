"""Which leaves decay, and how much: every kind of mask becomes multipliers.

Transforms ask this package for one float per leaf and know nothing of masks. It
imports ``tree`` and below.
"""

from optaxwd.rules._masks import resolve_multipliers as resolve_multipliers

__all__ = ["resolve_multipliers"]
