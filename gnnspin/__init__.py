"""gnnspin: machine-learned force fields of itinerant magnets. Subpackages are imported at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnspin.core.version import __version__

if TYPE_CHECKING:
    from gnnspin import (
        analysis,
        classical,
        core,
        datasets,
        descriptors,
        dynamics,
        electrons,
        force_fields,
        graphs,
        labels,
        learning,
        models,
        observables,
        plotting,
        runs,
        sampling,
        studies,
        systems,
        testing,
        training,
        trajectories,
    )
    from gnnspin.force_fields.committee import Committee
    from gnnspin.force_fields.files import load, save
    from gnnspin.force_fields.force_field import ForceField

__all__ = [
    "Committee",
    "ForceField",
    "__version__",
    "analysis",
    "classical",
    "core",
    "datasets",
    "descriptors",
    "dynamics",
    "electrons",
    "force_fields",
    "graphs",
    "labels",
    "learning",
    "load",
    "models",
    "observables",
    "plotting",
    "runs",
    "sampling",
    "save",
    "studies",
    "systems",
    "testing",
    "training",
    "trajectories",
]

_HOME = {
    "Committee": "gnnspin.force_fields.committee",
    "ForceField": "gnnspin.force_fields.force_field",
    "load": "gnnspin.force_fields.files",
    "save": "gnnspin.force_fields.files",
}


if not TYPE_CHECKING:  # a type checker knows the names above and no others

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'gnnspin' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name) if name in _HOME else import_module(f"gnnspin.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
