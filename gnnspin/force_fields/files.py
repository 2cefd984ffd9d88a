"""Model files: safetensors weights with a JSON header. Loading runs no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.version import __version__
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.model_uncertainty import PREFIX as UNCERTAINTY
from gnnspin.force_fields.model_uncertainty import restored_uncertainty
from gnnspin.force_fields.pretrained import PREFIX, pretrained_path
from gnnspin.graphs import GraphSpec
from gnnspin.models import build
from gnnspin.runs.files import replaced
from gnnspin.systems import SpinSystem

FORMAT = "gnnspin force field 1"

CONVENTIONS = {
    "energy": "units of the hopping t, k_B = 1",
    "field": "H_i = -dE/dS_i, unprojected Euclidean gradient, |S_i| = 1",
    "potential": "grand potential at fixed mu, free energy at fixed electron number",
}

CONVENTIONS_WITHOUT_ENERGY = {
    "field": "H_i in units of the hopping t, no gradient of an energy; torque S_i x H_i, |S_i| = 1",
}


def save(force_field: ForceField, path: str | Path) -> Path:
    """Write a force field to a safetensors file, atomically.

    The header holds architecture, hyperparameters, graph specification, units and conventions, versions, where the
    model comes from, and the calibration of its error bars if it has them.

    Parameters
    ----------
    force_field : ForceField
    path : path
        Replaced if it exists.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    model = force_field.model
    header = {
        "format": FORMAT,
        "model": model.name,
        "hyperparameters": model.hyperparameters.model_dump(mode="json"),
        "graph": model.spec.to_dict(),
        "conventions": CONVENTIONS if model.conservative else CONVENTIONS_WITHOUT_ENERGY,
        "versions": {"gnnspin": __version__, "torch": torch.__version__},
        "provenance": force_field.provenance,
    }
    tensors = {**model.state_dict()}
    if force_field.uncertainty is not None:
        header["uncertainty"] = force_field.uncertainty.header()
        tensors |= force_field.uncertainty.tensors()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replaced(path) as temporary:
        save_file(tensors, temporary, metadata={"gnnspin": json.dumps(header)})
        temporary.chmod(0o644)  # safetensors keeps others from reading it
    return path


@independent_of_modes
def load(path: str | Path, system: SpinSystem, *, at: Mapping[str, float] | None = None) -> ForceField:
    """Load a force field for `system`.

    Parameters
    ----------
    path : path
        A file written by `save`, or ``pretrained:NAME`` for a model that comes with the package.
    system : SpinSystem
        Any system that fits the model's graph specification.
    at : mapping of str to float, optional
        Of a family of models, the parameters of the member, such as ``{"J": 3.0, "filling": 0.3}``; see `Family.at`.

    Raises
    ------
    StoreError
        If the file is missing, damaged, or not a gnnspin force field, or its weights do not fit its header.
    InvalidInput
        If the system does not fit the model, there is no pretrained model of that name, or `at` does not fit the
        family.

    Warns
    -----
    ExtrapolationWarning
        If a parameter in `at` is outside of the range of the family.
    """
    if str(path).startswith(PREFIX):
        path = pretrained_path(str(path))
    header = read_header(path)
    try:
        spec = GraphSpec(**header["graph"])
        model = build(header["model"], spec, **header["hyperparameters"])
        tensors = load_file(Path(path))
        known = header.get("uncertainty")
        uncertainty = None if known is None else restored_uncertainty(known, tensors)
        model.load_state_dict({name: each for name, each in tensors.items() if not name.startswith(UNCERTAINTY)})
    except InvalidInput as error:
        raise StoreError(f"{path}: {error}") from error
    except (KeyError, TypeError, RuntimeError) as error:
        raise StoreError(f"{path}: header and weights do not fit together ({error}); save the model again") from error
    force_field = ForceField(model, system, header.get("provenance", {}))
    force_field.uncertainty = uncertainty
    return force_field if at is None else force_field.at(**at)


def read_header(path: str | Path) -> dict[str, Any]:
    """Header of a model file; errors as in `load`."""
    path = Path(path)
    if path.is_dir():
        raise StoreError(f"{path} is a folder; give a model file, or Committee.load the folder")
    if not path.is_file():
        raise StoreError(f"{path} does not exist; give a model written by gnnspin.save")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header = json.loads(metadata["gnnspin"])
    except KeyError as error:
        raise StoreError(f"{path} is a safetensors file, but not one written by gnnspin.save") from error
    except (safetensors.SafetensorError, json.JSONDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged or no safetensors file ({error})") from error
    if header.get("format") != FORMAT:
        raise StoreError(f"{path} has format {header.get('format')!r}; this version reads {FORMAT!r}")
    return dict(header)
