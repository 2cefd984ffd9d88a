"""gnnspin: machine-learned force fields of itinerant magnets. Subpackages are imported at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnspin.core.version import __version__

if TYPE_CHECKING:
    from gnnspin import (
        classical,
        core,
        datasets,
        dynamics,
        electrons,
        graphs,
        labels,
        models,
        observables,
        plotting,
        studies,
        systems,
        training,
    )
    from gnnspin.models.committee import Committee
    from gnnspin.models.files import load, save
    from gnnspin.models.force_field import ForceField

__all__ = [
    "Committee",
    "ForceField",
    "__version__",
    "classical",
    "core",
    "datasets",
    "dynamics",
    "electrons",
    "graphs",
    "labels",
    "load",
    "models",
    "observables",
    "plotting",
    "save",
    "studies",
    "systems",
    "training",
]

_HOME = {
    "Committee": "gnnspin.models.committee",
    "ForceField": "gnnspin.models.force_field",
    "load": "gnnspin.models.files",
    "save": "gnnspin.models.files",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gnnspin' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name) if name in _HOME else import_module(f"gnnspin.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
