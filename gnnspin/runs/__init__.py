"""Runs: what is begun, interrupted and gone on with owns its folder or file here."""

from gnnspin.runs.files import read_json, replaced, write_json, write_text
from gnnspin.runs.folder import claim, run_folder
from gnnspin.runs.identity import MAY_BE_UNRECORDED, MAY_CHANGE, differences, require_same_run
from gnnspin.runs.interrupt import Interrupt, interruptible
from gnnspin.runs.ownership import Ownership, owned
from gnnspin.runs.progress import Progress

__all__ = [
    "MAY_BE_UNRECORDED",
    "MAY_CHANGE",
    "Interrupt",
    "Ownership",
    "Progress",
    "claim",
    "differences",
    "interruptible",
    "owned",
    "read_json",
    "replaced",
    "require_same_run",
    "run_folder",
    "write_json",
    "write_text",
]
