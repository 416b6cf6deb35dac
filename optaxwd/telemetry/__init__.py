"""Telemetry: measures that look and never change, read back as a flat dict.

``record_decay`` keeps them in its state, ``read_telemetry`` reads them, writers pass
them on. It imports ``rules`` and ``schedules`` and below.
"""

from optaxwd.telemetry._format import format_telemetry as format_telemetry
from optaxwd.telemetry._monitor import DecayMonitor as DecayMonitor
from optaxwd.telemetry._monitor import DecayWarning as DecayWarning
from optaxwd.telemetry._quantities import QUANTITIES as QUANTITIES
from optaxwd.telemetry._quantities import Quantity as Quantity
from optaxwd.telemetry._read import read_telemetry as read_telemetry
from optaxwd.telemetry._record import RecordDecayState as RecordDecayState
from optaxwd.telemetry._record import record_decay as record_decay
from optaxwd.telemetry._writers import CSVWriter as CSVWriter
from optaxwd.telemetry._writers import JSONLinesWriter as JSONLinesWriter
from optaxwd.telemetry._writers import TensorBoardWriter as TensorBoardWriter
from optaxwd.telemetry._writers import read_json_lines as read_json_lines

__all__ = [
    "QUANTITIES",
    "CSVWriter",
    "DecayMonitor",
    "DecayWarning",
    "JSONLinesWriter",
    "Quantity",
    "RecordDecayState",
    "TensorBoardWriter",
    "format_telemetry",
    "read_json_lines",
    "read_telemetry",
    "record_decay",
]
