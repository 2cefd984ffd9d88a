"""Symmetries of the Hamiltonian that made a set of labels, and what a model imposes beyond them."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from gnnspin.core.errors import InvalidInput, SymmetryWarning
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons import DrivenSteadyState, ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.electronic_source import ElectronicSource
from gnnspin.force_fields.symmetries import SourceSymmetries, source_symmetries
from gnnspin.models.base import SpinModel
from gnnspin.models.registry import architecture
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import is_ideal_lattice
from gnnspin.systems.lattices import bravais

#: Symmetries of a lattice are measured on so many cells in each direction, by the number of dimensions.
CELLS = {1: 6, 2: 6, 3: 4}

log = logging.getLogger(__name__)


def label_symmetries(labels: LabelSet) -> tuple[SourceSymmetries, ...]:
    """Symmetries of the Hamiltonian behind labels, measured by exact evaluations on random spins.

    The Hamiltonian is the one in the provenance of the first label of every system; lattices are measured on a few
    unit cells, where the Hamiltonian allows it.

    Parameters
    ----------
    labels : LabelSet

    Returns
    -------
    tuple of SourceSymmetries
        One for every system; empty if the Hamiltonian of any is unknown, as of labels from elsewhere.
    """
    found = []
    for system, members in labels.by_system().items():
        provenance = labels[int(members[0])].provenance
        recorded = {key: provenance[key] for key in ("hamiltonian", "solver") if key in provenance}
        measured = _measured(json.dumps(recorded, sort_keys=True), system) if len(recorded) == 2 else None
        if measured is None:
            return ()
        found.append(measured)
    return tuple(found)


def fitting_hyperparameters(
    name: str, system: SpinSystem, values: dict[str, Any], found: tuple[SourceSymmetries, ...]
) -> dict[str, Any]:
    """Hyperparameters that leave out the symmetries which the labels' Hamiltonian lacks, where `values` are silent."""
    return architecture(name).without(_worth_leaving_out(found), system, values)


def check_imposed(model: SpinModel, labels: LabelSet) -> dict[str, Any]:
    """Warn of symmetries that a model imposes and the labels' Hamiltonian lacks; what was found, for the record.

    Parameters
    ----------
    model : SpinModel
    labels : LabelSet

    Returns
    -------
    dict
        ``checked``; and where the Hamiltonian is known ``broken``, the odd share of the torque of random spins by
        symmetry, and ``imposed``, the symmetries among these that the model has nevertheless.

    Warns
    -----
    SymmetryWarning
        With the share of the torque that is out of the model's reach.
    """
    found = label_symmetries(labels)
    if not found:
        log.info("symmetries of the labels were not checked against those of the model: their Hamiltonian is unknown")
        return {"checked": False}
    shares: dict[str, float] = {}
    for each in found:
        for kind in each.broken:
            shares[kind] = max(shares.get(kind, 0.0), each.shares[kind])
    imposed = sorted(shares.keys() & model.symmetries)
    if imposed:
        listed = ", ".join(f"{kind.replace('_', ' ')} ({shares[kind]:.2g} of it)" for kind in imposed)
        warnings.warn(
            f"{model.name} imposes symmetries that the Hamiltonian of the labels lacks; the part of the torque that is "
            f"odd under them is out of its reach: {listed}; {_remedy(model, imposed, found)}",
            SymmetryWarning,
            stacklevel=3,
        )
    return {"checked": True, "broken": shares, "imposed": imposed}


def report(record: Mapping[str, Any]) -> str:
    """One line on what `check_imposed` recorded."""
    if not record["checked"]:
        return "symmetries: not checked, since the Hamiltonian of the labels is unknown"
    if not record["broken"]:
        return "symmetries: the Hamiltonian of the labels has all that were tried"
    broken = ", ".join(f"{kind.replace('_', ' ')} {share:.2g}" for kind, share in sorted(record["broken"].items()))
    imposed = ", ".join(kind.replace("_", " ") for kind in record["imposed"]) or "none"
    return f"symmetries: broken, with the share of the torque that is odd: {broken}; imposed nevertheless: {imposed}"


def _worth_leaving_out(found: tuple[SourceSymmetries, ...]) -> frozenset[str]:
    """Broken symmetries; without mirrors where real disorder breaks translations too, which every model imposes."""
    broken = frozenset().union(*(each.broken for each in found))
    return broken - {"mirrors"} if "translation" in broken and "time_reversal" not in broken else broken


def _remedy(model: SpinModel, imposed: list[str], found: tuple[SourceSymmetries, ...]) -> str:
    own = [kind for kind in imposed if kind in type(model.hyperparameters).model_fields]
    own = [kind for kind in own if kind in _worth_leaving_out(found)]
    if own:
        return "set " + " and ".join(f"{kind}: false" for kind in own)
    return "no setting of this model helps; the page on symmetries of the documentation lists models by symmetry"


@lru_cache(maxsize=32)
def _measured(recorded: str, system: SpinSystem) -> SourceSymmetries | None:
    """Symmetries of a recorded Hamiltonian and solver, None where they cannot be rebuilt."""
    parts = json.loads(recorded)
    try:
        hamiltonian = SDHamiltonian.recipe(parts["hamiltonian"])
    except InvalidInput:
        return None
    if parts["solver"].get("kind") == DrivenSteadyState.kind:
        driven = ElectronicSource.recipe(parts["solver"], without=("hamiltonian",))
        return source_symmetries(driven.build(hamiltonian=hamiltonian.build(system)), every=False)
    small = _few_cells(system)
    for each in (small, system) if small != system else (system,):
        try:
            source = ExactDiagonalization(hamiltonian.build(each), **_ensemble(parts["solver"], each.n_sites, system))
            return source_symmetries(source, every=False)
        except InvalidInput as error:
            log.info("symmetries of the labels' Hamiltonian could not be measured on %s: %s", each, error)
    return None


def _ensemble(solver: dict[str, Any], n_sites: int, system: SpinSystem) -> dict[str, Any]:
    """Temperature and mu, filling or electron number of a recorded solver, the last for another number of sites."""
    given = {key: float(solver[key]) for key in ("kT", "mu", "filling", "n_electrons") if solver.get(key) is not None}
    if "n_electrons" in given:
        given["n_electrons"] *= n_sites / system.n_sites
    return given


def _few_cells(system: SpinSystem) -> SpinSystem:
    """The same lattice, of a few cells; the system itself if it is none."""
    if system.lattice_shape is None or not is_ideal_lattice(system):
        return system
    length = CELLS[sum(n > 1 for n in system.lattice_shape) or 1]
    shape = [min(n, length) for n in system.lattice_shape]
    basis = slice(system.n_basis)
    lattice = bravais(shape, system.primitive_vectors, system.positions[basis], pbc=system.pbc)
    arrays = lattice.arrays() | {"species": np.tile(system.species[basis], int(np.prod(shape)))}
    if system.polar_axis is not None:
        arrays["polar_axis"] = system.polar_axis
    return SpinSystem.from_arrays(arrays)
