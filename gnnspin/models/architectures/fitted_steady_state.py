"""Green's functions at few energies, fitted to the torques of driven states: a model of unlimited range."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons.driven.driven_steady_state import DrivenSteadyState, lead_potentials
from gnnspin.electrons.driven.few_energies import SteadyStateNodes, few_energies_fields, rough_nodes
from gnnspin.electrons.driven.fitting import EVALUATIONS, DrivenLabel, SteadyStateFit
from gnnspin.electrons.driven.sparse_contacts import SparseContacts
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.known_electrons import (
    ElectronRecord,
    ElectronsHyperparameters,
    SolvedElectrons,
    electron_records,
    one_record,
    require_same_hamiltonian,
)
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

#: States of a fit at each voltage: as many as this number of multiply-adds allows, between these bounds.
_WORK, _FEWEST, _MOST = 1e12, 4, 24
#: Multiply-adds of a Green's function above which a state is not used.
_LARGEST = 1e10

_Voltage = float | tuple[float, ...]


def _widths(solver: Mapping[str, Any]) -> dict[str, Any]:
    gamma = solver.get("gamma")
    if not isinstance(gamma, list | tuple):
        return {}
    return {"gamma": [float(each[0]) if np.size(each) > 1 and np.ptp(each) == 0 else each for each in gamma]}


def _of_any_size(recipe: Recipe) -> Recipe:
    """The same leads with widths that are alike on all sites of a contact as one number."""
    values = recipe.model_dump(mode="json")
    return DrivenSteadyState.recipe({**values, **_widths(values)}, ("hamiltonian",))


class FittedSteadyStateHyperparameters(ElectronsHyperparameters):
    """Hyperparameters of `FittedSteadyState`: the electrons, their leads, and how many energies stand for all."""

    poles: int = Field(default=4, ge=1, le=12, description="Green's functions per field that stand for an equilibrium")
    energies: int = Field(default=4, ge=1, le=12, description="energies at which each lead injects electrons")
    solver: (
        Annotated[Recipe, RecipeOf(DrivenSteadyState, without=("hamiltonian",)), AfterValidator(_of_any_size)] | None
    ) = Field(default=None, description="the leads, as the solver of labels names them; null: those of the labels")
    voltages: tuple[_Voltage, ...] = Field(
        default=(), description="voltages at which numbers are fitted, as of the solver; empty: those of the labels"
    )
    parameters: tuple[str, ...] = Field(
        default=(), description="the voltage that tells the member of a family, such as voltage.0; set by `conditions`"
    )


class LeadsOfSystem:
    """The parts of a system with the plans of their Green's functions, on one device."""

    def __init__(self, contacts: Sequence[SparseContacts], device: torch.device | None = None) -> None:
        self.contacts, self.device = list(contacts), torch.device("cpu") if device is None else device

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LeadsOfSystem:
        """The same on another device; precision is that of the spins."""
        del dtype
        wanted = self.device if device is None else torch.device(device)
        return self if wanted == self.device else LeadsOfSystem([each.on(wanted) for each in self.contacts], wanted)


@register
class FittedSteadyState(SolvedElectrons):
    r"""Electrons between leads with few Green's functions in place of all, fitted to the torques of the labels' states.

    The density matrix is

    .. math:: \rho = \frac12\sum_{k=1}^n \big[w_k G(z_k) + \mathrm{h.c.}\big]
        + \sum_p\sum_{j=1}^m r_{pj}\, G(e_{pj})\,\Gamma_p\, G^\dagger(e_{pj})

    with the leads' self-energies in G, as `DrivenSteadyState` has them at many energies. Energies and weights are
    learned, see `gnnspin.electrons.driven.fitting`; the second sum runs over the leads whose chemical potential is not
    that of all. The field is no gradient, as that of the exact steady state. Its range is that of the electrons, and it
    holds on every system that has the same leads.

    In a family, ``conditions: {voltage.0: [0.1, 0.4]}``, the numbers are fitted at every voltage of the labels; between
    two of them the field is the mean of theirs, weighted by the distances, at twice the cost.

    Parameters
    ----------
    spec : GraphSpec
        Only tells the kind of system; no graph is used.
    hyperparameters : FittedSteadyStateHyperparameters

    Raises
    ------
    InvalidInput
        If the Hamiltonian or the leads are missing, or there are several voltages outside of a family.
    """

    name = "fitted_steady_state"
    Hyperparameters = FittedSteadyStateHyperparameters
    hyperparameters: FittedSteadyStateHyperparameters
    shares: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: FittedSteadyStateHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        missing = [name for name in ("hamiltonian", "solver") if getattr(h, name) is None]
        if missing:
            raise InvalidInput(f"{self.name} needs {', '.join(missing)}; give them, or labels that record them")
        if len(self.voltages) > 1 and len(h.parameters) != 1:
            raise InvalidInput(
                f"voltages={list(self.voltages)}: numbers at several of them are those of a family; "
                "give it one condition, the voltage that tells them apart: conditions: {voltage.0: [low, high]}"
            )
        if len(self.voltages) > 1:
            values = [self._value(voltage) for voltage in self.voltages]
            if values != sorted(set(values)):
                raise InvalidInput(f"{h.parameters[0]} takes the values {values}; give each once, in ascending order")
        points = [rough_nodes(self.potentials(v), self._solver["kT"], h.poles, h.energies) for v in self.voltages]
        arrays = [torch.stack(each) for each in zip(*points, strict=True)]
        self.poles, self.weights, self.energies = (nn.Parameter(torch.view_as_real(a).float()) for a in arrays[:3])
        self.rates = nn.Parameter(arrays[3].float())
        # weights of the fields at the fitted voltages
        self.register_buffer("shares", torch.eye(len(self.voltages))[0])
        self._known: tuple[tuple[Tensor, ...], list[int], list[tuple[float, SteadyStateNodes, list[int]]]] | None = None

    @classmethod
    def for_labels(cls, labels: LabelSet, values: dict[str, Any]) -> dict[str, Any]:
        """The electrons, leads and voltages that the labels record, where `values` are silent.

        Raises
        ------
        InvalidInput
            If they record none, or several that differ in more than the voltage.
        """
        given = {name: value for name, value in values.items() if value not in (None, (), [])}
        if {"hamiltonian", "solver", "voltages"} <= set(given):
            return given
        records = electron_records(labels)
        if {"hamiltonian", "solver"} <= set(given) and not any(record.solver for record in records):
            return given
        leads = one_record([_electrons(record) for record in records], cls.name)
        solver = leads["solver"]
        by_potentials = {_potentials(solver, _voltage(record)): _voltage(record) for record in records}
        name = (given.get("parameters") or [""])[0]
        ordered = sorted(by_potentials.values(), key=lambda voltage: _named(voltage, name) if name else 0.0)
        return {**leads, "voltages": tuple(ordered), **given}

    @property
    def _solver(self) -> dict[str, Any]:
        assert self.hyperparameters.solver is not None
        return self.hyperparameters.solver.arguments()

    @property
    def voltages(self) -> tuple[_Voltage, ...]:
        """Voltages at which the numbers are fitted."""
        return self.hyperparameters.voltages or (_as_voltage(self._solver["voltage"]),)

    def potentials(self, voltage: _Voltage) -> tuple[float, ...]:
        """Chemical potentials of the leads at a voltage."""
        return _potentials(self._solver, voltage)

    def _value(self, voltage: _Voltage) -> float:
        return _named(voltage, self.hyperparameters.parameters[0])

    @property
    def conservative(self) -> bool:
        return False

    @property
    def symmetries(self) -> frozenset[str]:
        """Rotation of all spins, where Hamiltonian and leads have it: the current breaks those of space and of time."""
        leads = self._solver["leads"]
        rules = [each for each in (leads if isinstance(leads, list | tuple) else [leads]) if isinstance(each, Recipe)]
        if not all(rule.build().spin_independent for rule in rules):
            return frozenset()
        return super().symmetries & {"spin_rotation"}

    def closed_form(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Shares of the fitted voltages in the field of a member of a family; outside the nearest one is all."""
        if not self.hyperparameters.parameters:
            return {}
        known = np.array([self._value(voltage) for voltage in self.voltages])
        at = float(values[self.hyperparameters.parameters[0]])
        return {"shares": torch.tensor([np.interp(at, known, line) for line in np.eye(len(known))])}

    @property
    def nodes(self) -> list[SteadyStateNodes]:
        """Energies and weights at every voltage, in double precision."""
        complexes = (
            torch.view_as_complex(each.detach().double()) for each in (self.poles, self.weights, self.energies)
        )
        arrays = (*complexes, self.rates.detach().double())
        return [SteadyStateNodes(*each) for each in zip(*arrays, strict=True)]

    def _fields(self, contacts: SparseContacts, spins: Tensor) -> Tensor:
        """Fields (R, N, 3), between voltages the mean of those at the two next to it: numbers of fits do not mix."""
        found = torch.zeros_like(spins)
        for share, nodes, driven in self._evaluated():
            found += share * few_energies_fields(contacts, spins, nodes, driven)
        return found

    def _evaluated(self) -> list[tuple[float, SteadyStateNodes, list[int]]]:
        """Shares, nodes and driven leads of the voltages that count; read from the device once for the same weights."""
        weights = (self.shares, self.poles, self.weights, self.energies, self.rates)
        state = [each._version for each in weights]
        if self._known is None or self._known[1] != state or any(map(operator.is_not, self._known[0], weights)):
            chosen = zip(self.shares.tolist(), self.nodes, strict=True)
            self._known = weights, state, [(share, nodes, nodes.driven) for share, nodes in chosen if share]
        return self._known[2]

    def prepare(self, system: SpinSystem) -> LeadsOfSystem:
        """Plans of the Green's functions of every part of a system."""
        return LeadsOfSystem([self._contacts(part) for part in system.parts])

    def _contacts(self, system: SpinSystem) -> SparseContacts:
        h = self.hyperparameters
        assert h.hamiltonian is not None
        assert h.solver is not None
        return h.solver.build(system, hamiltonian=h.hamiltonian.build(system), method="dense").green_functions

    def solution(self, data: LeadsOfSystem, spins: Tensor) -> tuple[None, Tensor]:
        """No energies, and fields (R, N, 3)."""
        pieces = spins.split([each.hamiltonian.system.n_sites for each in data.contacts], dim=1)
        fields = [self._fields(each, piece) for each, piece in zip(data.contacts, pieces, strict=True)]
        return None, torch.cat(fields, 1)

    @torch.no_grad()
    def start_from(self, labels: LabelSet) -> None:
        """Fit energies and weights at every voltage to the torques of some of its labels.

        Raises
        ------
        InvalidInput
            If a voltage has no label, none with a torque, all systems are too large, or labels record other electrons.
        """
        records = electron_records(labels)
        self._require_same_electrons(records)
        contacts = {system: self._contacts(system) for system in labels.systems}
        for k, voltage in enumerate(self.voltages):
            nodes, _ = self._fit_at(voltage, labels, records, contacts).search()
            for own, values in zip((self.poles, self.weights, self.energies), nodes[:3], strict=True):
                own[k] = torch.view_as_real(values).to(own)
            self.rates[k] = nodes.rates.to(self.rates)

    def _fit_at(
        self,
        voltage: _Voltage,
        labels: LabelSet,
        records: Sequence[ElectronRecord],
        contacts: Mapping[SpinSystem, SparseContacts],
    ) -> SteadyStateFit:
        potentials = self.potentials(voltage)
        own = [each for each in records if np.allclose(self.potentials(self._voltage_of(each)), potentials)]
        if not own:
            known = sorted({str(self._voltage_of(each)) for each in records})
            raise InvalidInput(f"no labels at voltage {voltage}; the labels have {', '.join(known)}")
        small = sorted(k for each in own if contacts[each.system].work <= _LARGEST for k in each.indices)
        if not small:
            raise InvalidInput(f"all labels at voltage {voltage} are of ribbons too wide to fit to; add narrower ones")
        work = float(np.mean([contacts[labels.systems[labels.system_index[k]]].work for k in small]))
        count = int(np.clip(_WORK / (EVALUATIONS * work), _FEWEST, _MOST))
        chosen = [labels[small[k]] for k in np.unique(np.linspace(0, len(small) - 1, count).round().astype(int))]
        states = [DrivenLabel(contacts[label.system], label.spins, label.torque) for label in chosen]
        h = self.hyperparameters
        return SteadyStateFit(states, potentials, self._solver["kT"], h.poles, h.energies)

    def _voltage_of(self, record: ElectronRecord) -> _Voltage:
        """The voltage that labels record; of those that record nothing that of the model."""
        return self.voltages[0] if record.solver is None and len(self.voltages) == 1 else _voltage(record)

    def _require_same_electrons(self, records: Sequence[ElectronRecord]) -> None:
        """InvalidInput where labels record another Hamiltonian or other leads than those of the model."""
        h = self.hyperparameters
        assert h.hamiltonian is not None
        assert h.solver is not None
        require_same_hamiltonian(records, h.hamiltonian)
        own = _leads(h.solver.model_dump(mode="json"))
        for record in records:
            if record.solver is None and len(self.voltages) == 1:
                continue
            recipe = DrivenSteadyState.recipe(_electrons(record)["solver"], ("hamiltonian",))
            recorded = _leads(recipe.model_dump(mode="json"))
            if recorded != own:
                raise InvalidInput(
                    f"the model is of the leads {own}, a label of {recorded}; make a new model for these"
                )


def _electrons(record: ElectronRecord) -> dict[str, Any]:
    """Hamiltonian and leads of a record, all but the voltage."""
    if record.solver is None or record.hamiltonian is None or "contacts" not in record.solver:
        raise InvalidInput(
            "fitted_steady_state needs labels of electrons between leads; these do not record them: give hamiltonian "
            "and solver, if all are of one voltage"
        )
    return {"hamiltonian": record.hamiltonian, "solver": _leads(record.solver)}


def _leads(solver: Mapping[str, Any]) -> dict[str, Any]:
    """The section `solver` of a label without what may differ among labels of one model.

    Widths that are alike on all sites of a contact are one number, which fits contacts of any size.
    """
    kept = {name: value for name, value in solver.items() if name not in ("voltage", "tolerance", "method")}
    return {**kept, **_widths(solver)}


def _voltage(record: ElectronRecord) -> _Voltage:
    assert record.solver is not None
    return _as_voltage(record.solver["voltage"])


def _as_voltage(value: Any) -> _Voltage:
    return float(value) if isinstance(value, int | float) else tuple(float(each) for each in value)


def _potentials(solver: Mapping[str, Any], voltage: _Voltage) -> tuple[float, ...]:
    given = voltage if isinstance(voltage, int | float) else list(voltage)
    return tuple(lead_potentials(given, solver["mu"], len(solver["contacts"])))


def _named(voltage: _Voltage, name: str) -> float:
    """The number that a parameter, ``voltage`` or ``voltage.k``, has at a voltage."""
    path, _, last = name.rpartition(".")
    if last == "voltage" and isinstance(voltage, float):
        return voltage
    lead = int(last) if last.isdigit() and path.split(".")[-1] == "voltage" else -1
    if isinstance(voltage, tuple) and 0 <= lead < len(voltage):
        return voltage[lead]
    raise InvalidInput(f"{name} is no voltage of {voltage}; name voltage, or voltage.0 for the first of several leads")
