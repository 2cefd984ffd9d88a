"""Green's functions at few poles, fitted to the torques of a known Hamiltonian: a model of unlimited range."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import FractionalNumber
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.poles.few_poles import Alignment, FewPoles, FewPolesState, OccupationTensors
from gnnspin.electrons.poles.fitting import TorqueSpectra, unfitted_occupation
from gnnspin.electrons.poles.pole_sums import spectral_bounds
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.known_electrons import (
    ElectronsHyperparameters,
    SolvedElectrons,
    electron_records,
    one_record,
    require_same_hamiltonian,
)
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

#: Snapshots that are diagonalised for a fit: as many as this number of multiply-adds allows, between these bounds.
_WORK, _FEWEST, _MOST = 1e11, 2, 32
#: Levels of a snapshot above which it is not diagonalised.
_LARGEST = 5000

#: Part of the levels within a few kT of mu below which a state is an insulator.
_INSULATING = 1e-5


class FittedPolesHyperparameters(ElectronsHyperparameters):
    """Hyperparameters of `FittedPoles`: the electrons, and how many poles stand for their Fermi function."""

    poles: int = Field(default=2, ge=1, le=12, description="Green's functions per field; at fixed filling take 3")
    kT: float | None = Field(
        default=None, gt=0, description="temperature of the electrons in units of the hopping; null: that of the labels"
    )
    mu: float | None = Field(default=None, description="chemical potential; or the filling; null: that of the labels")
    filling: FractionalNumber | None = Field(
        default=None, gt=0, lt=1, description="electrons per spin-orbital, held fixed; null: that of the labels"
    )

    @model_validator(mode="after")
    def _one_ensemble(self) -> FittedPolesHyperparameters:
        if self.mu is not None and self.filling is not None:
            raise ValueError(f"mu={self.mu} and filling={self.filling} are both given; give one of them")
        return self


class PolesOfSystem:
    """The parts of a system with the plans of their inversions, on one device."""

    def __init__(self, hamiltonian: SDHamiltonian, device: torch.device | None = None) -> None:
        self.hamiltonian, self.device = hamiltonian, torch.device("cpu") if device is None else device

    @cached_property
    def parts(self) -> list[FewPoles]:
        """Solvers of the connected parts."""
        return [FewPoles(part, self.device) for part in self.hamiltonian.parts]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PolesOfSystem:
        """The same on another device; precision is that of the spins."""
        del dtype
        wanted = self.device if device is None else torch.device(device)
        return self if wanted == self.device else PolesOfSystem(self.hamiltonian, wanted)


@register
class FittedPoles(SolvedElectrons):
    r"""Exact electrons with few poles in place of the Fermi function, fitted to the torques of the labels' states.

    The density matrix is r(H - mu) with :math:`r(x) = c + \mathrm{Re}\sum_k w_k/(\zeta_k - x)` and the energy

    .. math:: E = c\,\mathrm{Tr}(H - \mu) - \mathrm{Re}\sum_{k=1}^n w_k \ln\det(\mu + \zeta_k - H)\;[\,+ \mu N\,],

    by selected inversion as in `PoleExpansion`; at fixed filling :math:`\mathrm{Tr}\,r(H - \mu) = N` gives mu. Only the
    4n + 1 numbers of r are learned, see `gnnspin.electrons.poles.fitting`. Two or three poles err by some per cent of
    the torque where a network of finite range may err by tens, for less than the exact expansion costs; the cost grows
    as N^1.5 in two dimensions and N^2 in three, that of networks as N. Every symmetry of the Hamiltonian is exact, and
    so is the range of its forces.

    Site energies are the energy over the number of sites: they are not local.

    Parameters
    ----------
    spec : GraphSpec
        Only tells the kind of system; no graph is used.
    hyperparameters : FittedPolesHyperparameters

    Raises
    ------
    InvalidInput
        If the Hamiltonian, its temperature or its ensemble is missing.
    """

    name = "fitted_poles"
    Hyperparameters = FittedPolesHyperparameters
    hyperparameters: FittedPolesHyperparameters
    constant: Tensor
    mu_of_alignment: Tensor
    mu_range: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: FittedPolesHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        missing = [name for name in ("hamiltonian", "kT") if getattr(hyperparameters, name) is None]
        if hyperparameters.mu is None and hyperparameters.filling is None:
            missing.append("mu or filling")
        if missing:
            raise InvalidInput(f"fitted_poles needs {', '.join(missing)}; give them, or labels that record them")
        n_poles, kT = hyperparameters.poles, float(hyperparameters.kT or 0)
        start = unfitted_occupation(n_poles, kT)
        self.poles = nn.Parameter(torch.view_as_real(torch.from_numpy(start.poles)).float())
        self.weights = nn.Parameter(torch.view_as_real(torch.from_numpy(start.weights)).float())
        self.register_buffer("constant", torch.tensor(start.constant))
        # coefficients of a polynomial in the alignment of the spins: where a search for mu begins
        self.register_buffer("mu_of_alignment", torch.zeros(3))
        # where mu is looked for first; where both ends are the same, mu stays there: the states are insulators
        self.register_buffer("mu_range", torch.tensor([-torch.inf, torch.inf]))

    @classmethod
    def for_labels(cls, labels: LabelSet, values: dict[str, Any]) -> dict[str, Any]:
        """The electrons that the labels record, where `values` are silent.

        Raises
        ------
        InvalidInput
            If they record none, or several.
        """
        given = {name: value for name, value in values.items() if value is not None}
        fixed = "mu" in given or "filling" in given
        if fixed and {"hamiltonian", "kT"} <= set(given):
            return given
        record = _recorded_electrons(labels)
        return {**{name: value for name, value in record.items() if not (fixed and name in ("mu", "filling"))}, **given}

    @property
    def occupation(self) -> OccupationTensors:
        """The rational function, in double precision."""
        poles, weights = (torch.view_as_complex(each.detach().double()) for each in (self.poles, self.weights))
        return OccupationTensors(poles, weights, self.constant.double())

    def prepare(self, system: SpinSystem) -> PolesOfSystem:
        assert self.hyperparameters.hamiltonian is not None
        return PolesOfSystem(self.hyperparameters.hamiltonian.build(system))

    @torch.no_grad()
    def fields_and_columns(self, data: PolesOfSystem, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Fields (R, N, 3) of spins (R, N, 3), and those (R, N, 3, 2 n) of every weight being one, at their mu."""
        states = self._states(data, spins, columns=True)
        return torch.cat([each.field for each in states], 1), torch.cat([each.columns for each in states], 1)  # type: ignore[misc]

    def _states(self, data: PolesOfSystem, spins: Tensor, *, columns: bool = False) -> list[FewPolesState]:
        """States of all parts for spins (R, N, 3)."""
        pieces = spins.detach().split([part.hamiltonian.system.n_sites for part in data.parts], dim=1)
        return [self._state(part, piece, columns=columns) for part, piece in zip(data.parts, pieces, strict=True)]

    def _state(self, part: FewPoles, spins: Tensor, *, columns: bool) -> FewPolesState:
        filling = self.hyperparameters.filling
        number = None if filling is None else filling * part.n_levels
        if number is not None and bool(self.mu_range[0] == self.mu_range[1]):
            state = part.solve(spins, self.occupation, self.start_of_mu(part, spins), columns=columns)
            return state._replace(energy=state.energy + state.mu * number)
        return part.solve(spins, self.occupation, self.start_of_mu(part, spins), number, columns=columns)

    def solution(self, data: PolesOfSystem, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Energies over the sites of each part (R, N) and fields (R, N, 3)."""
        states = self._states(data, spins)
        sites = [
            (each.energy / each.field.shape[1]).to(spins)[:, None].expand(each.field.shape[:-1]) for each in states
        ]
        return torch.cat(sites, 1), torch.cat([each.field for each in states], 1)

    def start_of_mu(self, part: FewPoles, spins: Tensor) -> Tensor:
        """Chemical potentials (R,) at fixed mu, or where the search for them begins; float64."""
        fixed = self.hyperparameters.mu
        if fixed is not None:
            return torch.full((len(spins),), fixed, dtype=torch.float64, device=spins.device)
        powers = part.alignment(spins)[:, None] ** torch.arange(3, device=spins.device)
        low, high = self.mu_range.to(powers)
        return (powers @ self.mu_of_alignment.to(powers)).clamp(low, high)

    @torch.no_grad()
    def start_from(self, labels: LabelSet) -> None:
        """Fit poles and weights to the states of the labels, of which some are diagonalised.

        Raises
        ------
        InvalidInput
            If all labels have more than 5000 levels, none has a torque, or they record other electrons than those of
            the model.
        """
        given = self.hyperparameters
        _require_same_electrons(labels, given)
        chosen = _diagonalised(labels, self)
        hamiltonians = {system: self.prepare(system).hamiltonian for system in {labels[k].system for k in chosen}}
        bounds = [spectral_bounds(each) for each in hamiltonians.values()]
        assert given.kT is not None
        spectra = TorqueSpectra(given.kT, (min(low for low, _ in bounds), max(high for _, high in bounds)))
        potentials, alignments = [], []
        for k in chosen:
            hamiltonian, spins = hamiltonians[labels[k].system], labels[k].spins
            number = None if given.filling is None else given.filling * hamiltonian.n_spin_orbitals
            potentials.append(spectra.add(hamiltonian, spins, mu=given.mu, n_electrons=number))
            alignments.append(float(Alignment(hamiltonian)(spins[None])))
        if given.filling is not None and spectra.active_levels().max() < _INSULATING:
            # insulators: one mu in the gap of all, about which the spectra are counted anew
            mu = float(np.median(potentials))
            fixed = TorqueSpectra(given.kT, (min(low for low, _ in bounds), max(high for _, high in bounds)))
            for k in chosen:
                fixed.add(hamiltonians[labels[k].system], labels[k].spins, mu=mu)
            if fixed.active_levels().max() < _INSULATING:
                spectra, potentials = fixed, [mu]
        found = spectra.fit(given.poles, fixed_number=given.filling is not None and len(potentials) > 1)
        self.poles.copy_(torch.tensor(np.stack([found.poles.real, found.poles.imag], 1)))
        self.weights.copy_(torch.tensor(np.stack([found.weights.real, found.weights.imag], 1)))
        self.constant.fill_(found.constant)
        if given.filling is not None:
            self._start_search(potentials, alignments)

    def _start_search(self, potentials: list[float], alignments: list[float]) -> None:
        """Where a search for mu begins: by a polynomial in the alignment; a single mu stays as it is."""
        self.mu_of_alignment.zero_()
        if len(potentials) == 1:
            self.mu_of_alignment[0] = potentials[0]
            self.mu_range.fill_(potentials[0])
        else:
            spread = max(potentials) - min(potentials)
            self.mu_range.copy_(torch.tensor([min(potentials) - spread / 2, max(potentials) + spread / 2]))
            degree = min(2, len(set(np.round(alignments, 6))) - 1)
            coefficients = np.polynomial.polynomial.polyfit(alignments, potentials, degree)
            self.mu_of_alignment[: degree + 1] = torch.tensor(coefficients)


def _recorded_electrons(labels: LabelSet) -> dict[str, Any]:
    """Hamiltonian, kT and mu or filling that all labels record."""
    found = []
    for record in electron_records(labels):
        solver, hamiltonian = record.solver, record.hamiltonian
        if solver is not None and solver.get("kT") == 0:
            raise InvalidInput("labels of kT=0; give fitted_poles a temperature of its own, such as kT: 0.001")
        if solver is None or hamiltonian is None or solver.get("kT") is None or "contacts" in solver:
            raise InvalidInput(
                "fitted_poles needs labels of a known Hamiltonian in equilibrium; these do not record it"
            )
        filling = solver.get("filling")
        if solver.get("n_electrons") is not None:
            filling = (
                float(solver["n_electrons"]) / SDHamiltonian.recipe(hamiltonian).build(record.system).n_spin_orbitals
            )
        found.append({"hamiltonian": hamiltonian, "kT": solver["kT"], "mu": solver.get("mu"), "filling": filling})
    return one_record(found, FittedPoles.name)


def _require_same_electrons(labels: LabelSet, given: FittedPolesHyperparameters) -> None:
    """InvalidInput where labels record another Hamiltonian, mu or filling than those of a model."""
    assert given.hamiltonian is not None
    records = electron_records(labels)
    for record in records:
        for name in ("mu", "filling"):
            own, recorded = getattr(given, name), (record.solver or {}).get(name)
            if own is not None and recorded is not None and abs(own - recorded) > 1e-9:
                raise InvalidInput(
                    f"the model has {name}={own}, a label {name}={recorded}; make a new model for these labels"
                )
    require_same_hamiltonian(records, given.hamiltonian)


def _diagonalised(labels: LabelSet, model: FittedPoles) -> list[int]:
    """Numbers of the labels that are diagonalised, in even steps, as many as a minute or so allows."""
    levels = {system: model.prepare(system).hamiltonian.n_spin_orbitals for system in labels.systems}
    sizes = [levels[labels.systems[number]] for number in labels.system_index]
    small = [k for k, size in enumerate(sizes) if size <= _LARGEST]
    if not small:
        raise InvalidInput(
            f"all labels have more than {_LARGEST} levels, the smallest {min(sizes)}: too many to diagonalise; "
            "make some of smaller systems"
        )
    count = int(np.clip(_WORK / np.mean([float(sizes[k]) ** 3 for k in small]), _FEWEST, _MOST))
    return [small[k] for k in np.unique(np.linspace(0, len(small) - 1, count).round().astype(int))]
