"""The commands of ``python -m optaxwd``, one per file: arguments in, text out."""

from optaxwd._commands._audit import add_audit_command as add_audit_command
from optaxwd._commands._plan import add_plan_command as add_plan_command

__all__ = ["add_audit_command", "add_plan_command"]
