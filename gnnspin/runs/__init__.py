"""Runs: what is begun, interrupted and gone on with owns its folder or file here; imported at first use."""

from typing import TYPE_CHECKING

from gnnspin.core.lazy import lazy_names

if TYPE_CHECKING:
    from gnnspin.runs.files import read_json, replaced, write_json, write_text
    from gnnspin.runs.folder import claim, run_folder
    from gnnspin.runs.identity import MAY_BE_UNRECORDED, MAY_CHANGE, differences, require_same_run
    from gnnspin.runs.interrupt import Interrupt, interruptible
    from gnnspin.runs.ownership import Ownership, owned
    from gnnspin.runs.progress import Progress
    from gnnspin.runs.stages import Stages

__all__ = [
    "MAY_BE_UNRECORDED",
    "MAY_CHANGE",
    "Interrupt",
    "Ownership",
    "Progress",
    "Stages",
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

_NAMES = {
    "files": ("read_json", "replaced", "write_json", "write_text"),
    "folder": ("claim", "run_folder"),
    "identity": ("MAY_BE_UNRECORDED", "MAY_CHANGE", "differences", "require_same_run"),
    "interrupt": ("Interrupt", "interruptible"),
    "ownership": ("Ownership", "owned"),
    "progress": ("Progress",),
    "stages": ("Stages",),
}

__getattr__ = lazy_names(
    __name__, {name: f"gnnspin.runs.{module}" for module, names in _NAMES.items() for name in names}
)


def __dir__() -> list[str]:
    return sorted(__all__)
