"""The s-d Hamiltonian of a model: given by the user, or learned as a function of distance."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator, Field
from scipy import sparse
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hopping.rules import HoppingRule
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SYMMETRIES
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.moments.recursion import ScaledHamiltonian
from gnnspin.models.moments.walks import HoppingTerms
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import FloatArray, IntArray

#: Fraction of the cutoff from which hops of infinite range are switched off.
SWITCH = 0.75
#: Factor by which the bounds of the spectrum are widened where systems differ or the hopping is learned.
MARGIN = 1.25


def _in_full(recipe: Recipe) -> Recipe:
    """The same rule without the files that it was read from, so that a model needs nothing else."""
    return HoppingRule.recipe(recipe.build())


class ElectronHyperparameters(Config):
    """The Hamiltonian behind a model's moments."""

    hopping: Annotated[Recipe, RecipeOf(HoppingRule), AfterValidator(_in_full)] | None = Field(
        default=None,
        description="hopping rule, as in a configuration file or as an object; null: learned as a function of distance "
        "up to the cutoff",
    )
    J: float | None = Field(
        default=None, description="coupling of electron spin to classical spin; null: learned, starting from 1"
    )
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")


class ModelHamiltonian(nn.Module):
    """Hopping and coupling of a model, with the bounds of the spectrum that scale it.

    Parameters
    ----------
    spec : GraphSpec
        No hop may be longer than its cutoff. Learned hopping ends there, and hopping of infinite range
        (`HoppingRule.has_infinite_range`) is switched off smoothly between 0.75 and 1 times the cutoff.
    hyperparameters : ElectronHyperparameters

    Raises
    ------
    InvalidInput
        If the rule acts on the spin (spin-orbit terms): its moments are not invariant under spin rotation.
    """

    coupling: Tensor
    amplitudes: Tensor
    center: Tensor
    half_width: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: ElectronHyperparameters) -> None:
        super().__init__()
        self.spec = spec
        recipe = hyperparameters.hopping
        self.rule: HoppingRule | None = None if recipe is None else recipe.build()
        if self.rule is not None and self.rule.acts_on_spin:
            raise InvalidInput(f"moments need hopping without spin-orbit terms; {self.rule} acts on the spin")
        self.learned = self.rule is None
        self._radial = RadialBasis(spec, hyperparameters.n_radial)
        if self.learned:
            self.amplitudes = nn.Parameter(self._initial_amplitudes())
        else:
            self.register_buffer("amplitudes", torch.ones(1), persistent=False)
        if hyperparameters.J is None:
            self.coupling = nn.Parameter(torch.ones(()))
        else:
            self.register_buffer("coupling", torch.tensor(float(hyperparameters.J)), persistent=False)
        self.register_buffer("center", torch.zeros(()))
        self.register_buffer("half_width", self.coupling.detach().abs() + 6.0)

    @property
    def known(self) -> bool:
        """Whether nothing of the Hamiltonian is learned."""
        return not isinstance(self.amplitudes, nn.Parameter) and not isinstance(self.coupling, nn.Parameter)

    @property
    def shifted(self) -> bool:
        """Whether the hopping may hold onsite terms."""
        return self.rule is not None and self.rule.has_onsite

    @property
    def time_reversal(self) -> bool:
        """Whether moments are even under inversion of all spins: hopping that is real, or learned."""
        return self.rule is None or self.rule.time_reversal

    @property
    def symmetries(self) -> frozenset[str]:
        """Operations that leave moments as they are; of space only those that the rule has on every system."""
        return SYMMETRIES if self.rule is None else self.rule.symmetries

    @property
    def hop_length(self) -> float:
        """Longest hop; the cutoff where the rule alone does not tell."""
        shells, reach = self.spec.shells, self.rule and self.rule.n_shells
        if shells is None or not reach or reach > len(shells):
            return self.spec.cutoff
        return shells[reach - 1]

    def terms(self, system: SpinSystem, angular: AngularBasis | None = None) -> HoppingTerms:
        """Hopping of a system, with the angular functions of its bonds if `angular` is given.

        Raises
        ------
        InvalidInput
            If the rule has more than one orbital per site, acts on the spin or hops beyond the cutoff, or is complex
            and `angular` is given.
        """
        rule = self.rule
        if rule is None:
            return self._learned_terms(system, angular)
        if (rule.orbitals(system) != 1).any():
            raise InvalidInput(f"moments need one orbital per site; {rule} has {rule.orbitals(system).max()}")
        hops = rule.hops(system)
        if hops.spinful:
            raise InvalidInput(f"moments need hopping without spin-orbit terms; {rule} acts on the spin")
        if rule.has_infinite_range:
            hops = hops.times(_switch(np.linalg.norm(hops.vector, axis=1) / self.spec.cutoff))
        longest = float(np.linalg.norm(hops.vector[hops.amplitude != 0], axis=-1).max(initial=0.0))
        if longest > self.spec.cutoff * (1 + LENGTH_TOLERANCE):
            raise InvalidInput(
                f"{rule} hops as far as {longest:.6g}, beyond the model's cutoff={self.spec.cutoff:g}; increase it"
            )
        matrix = hops.matrix(system.n_sites)
        matrix.eliminate_zeros()
        imaginary = sparse.csr_array(matrix.imag) if np.iscomplexobj(matrix.data) else None
        if angular is None:
            return HoppingTerms((sparse.csr_array(matrix.real),), imaginary)
        if imaginary is not None:
            raise InvalidInput("bond moments need real hopping; leave bond_moments out for hopping with phases")
        bonds = angular_matrices(angular, hops.row, hops.column, hops.vector, hops.amplitude, system.n_sites)
        return HoppingTerms((matrix,), None, (bonds,))

    def _learned_terms(self, system: SpinSystem, angular: AngularBasis | None) -> HoppingTerms:
        graph = self.spec.graph(system)
        column, row = graph.edge_index.numpy()
        values = self._radial(graph.edge_distance, graph.edge_shell).numpy()
        shape = (system.n_sites, system.n_sites)
        matrices = [
            sparse.coo_array((values[:, k], (row, column)), shape=shape).tocsr() for k in range(values.shape[1])
        ]
        for matrix in matrices:
            matrix.eliminate_zeros()
        bonds: list[tuple[sparse.csr_array, ...]] = []
        if angular is not None:
            vector = graph.edge_vector.numpy()
            bonds = [angular_matrices(angular, row, column, vector, one, system.n_sites) for one in values.T]
        return HoppingTerms(tuple((matrix + matrix.T).tocsr() / 2 for matrix in matrices), None, tuple(bonds))

    def _initial_amplitudes(self) -> Tensor:
        """Hopping -1 at the shortest distance, decaying exponentially."""
        if self.spec.shells is not None:
            distance = torch.tensor(self.spec.shells)
            return -torch.exp(2 - 2 * distance / distance[0])
        distance = torch.linspace(0.2, 0.95, 60) * self.spec.cutoff
        basis = self._radial(distance, torch.zeros(60, dtype=torch.long))
        target = -torch.exp(-distance) * (1 - distance / self.spec.cutoff) ** 2
        return torch.linalg.lstsq(basis, target[:, None], driver="gelsd").solution[:, 0]

    @torch.no_grad()
    def measure(self, *terms: HoppingTerms, exact: bool) -> None:
        """Set b and W from J and the bounds of the hopping of some systems, `exact` where all others have the same."""
        amplitudes: FloatArray = self.amplitudes.detach().cpu().double().numpy()
        bounds = np.array([one.bounds(amplitudes) for one in terms])
        lower, upper = float(bounds[:, 0].min()), float(bounds[:, 1].max())
        margin = 1.0 if exact and self.known else MARGIN
        self.center.fill_((lower + upper) / 2 if self.shifted else 0.0)
        width = (upper - lower) / 2 if self.shifted else max(-lower, upper)
        self.half_width.fill_(margin * (width + float(self.coupling.abs())))

    def at_coupling(self, coupling: Tensor) -> dict[str, Tensor]:
        """Coupling and half width of the spectrum, by their names in a model, where the coupling is a given one.

        Raises
        ------
        InvalidInput
            If the coupling is fixed by the hyperparameter J.
        """
        if not isinstance(self.coupling, nn.Parameter):
            raise InvalidInput(
                f"J={float(self.coupling):g} is fixed in the hyperparameters, but the model is one for a range of J; "
                "leave it out of the hyperparameters"
            )
        wider = MARGIN * (coupling.abs() - self.coupling.detach().abs())
        return {"hamiltonian.coupling": coupling, "hamiltonian.half_width": self.half_width + wider}

    def scaled(self) -> ScaledHamiltonian:
        """Coefficients for `local_moments`."""
        return ScaledHamiltonian(self.coupling, self.amplitudes, self.center, self.half_width)


def angular_matrices(
    angular: AngularBasis, row: IntArray, column: IntArray, vector: FloatArray, amplitude: FloatArray, n_sites: int
) -> tuple[sparse.csr_array, ...]:
    """Matrices (N, N) of hops between different places times each angular function of their direction."""
    moves = np.linalg.norm(vector, axis=1) > 0
    values = angular(torch.from_numpy(vector[moves])).double().numpy().T * amplitude[moves]
    index = row[moves], column[moves]
    return tuple(sparse.coo_array((one, index), shape=(n_sites, n_sites)).tocsr() for one in values)


def _switch(x: FloatArray) -> FloatArray:
    """1 up to `SWITCH`, 0 from 1 on, with two continuous derivatives."""
    u = np.clip((x - SWITCH) / (1 - SWITCH), 0, 1)
    return np.where(x >= 1, 0.0, 1 - u**3 * (10 - 15 * u + 6 * u**2))
