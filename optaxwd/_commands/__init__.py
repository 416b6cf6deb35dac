"""The commands of ``python -m optaxwd``, one per file: arguments in, text out."""

from optaxwd._commands._audit import add_audit_command as add_audit_command
from optaxwd._commands._plan import add_plan_command as add_plan_command
from optaxwd._commands._sandbox import add_sandbox_command as add_sandbox_command

__all__ = ["add_audit_command", "add_plan_command", "add_sandbox_command"]
