"""The auditor: what does this optimizer's weight decay really do?

Data goes one way: leaves and scripts → runs → what each leaf showed → its law →
findings → the report. It imports nothing of the transforms and optimizers that it may
have to judge.
"""

from optaxwd.auditor._audit import audit as audit
from optaxwd.auditor._errors import AuditError as AuditError
from optaxwd.auditor._findings import CODES as CODES
from optaxwd.auditor._findings import SEVERITIES as SEVERITIES
from optaxwd.auditor._findings import Finding as Finding
from optaxwd.auditor._report import AuditReport as AuditReport
from optaxwd.auditor._report import LeafReport as LeafReport

__all__ = [
    "CODES",
    "SEVERITIES",
    "AuditError",
    "AuditReport",
    "Finding",
    "LeafReport",
    "audit",
]
