"""Site energies from local Chebyshev moments of the s-d Hamiltonian: a linear part and a learned closure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.containers import TensorContainer, kept_in
from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import torque
from gnnspin.datasets.labels import LabelSet
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import HiddenUnits, SpinModel
from gnnspin.models.blocks.density import NeighborGeometry
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.models.moments.fields import (
    grand_potential_coefficients,
    normal_matrix,
    solve_coefficients,
    trace_fields,
    whitening,
)
from gnnspin.models.moments.hamiltonian import ElectronHyperparameters, ModelHamiltonian
from gnnspin.models.moments.recursion import local_moments, moments_and_bonds
from gnnspin.models.moments.walks import HoppingTerms, WalkGeometry, prepare_walks
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

#: Moments are bounded by 2 in size; what varies less than this is rounding.
SMALLEST_SPREAD = 1e-4


@dataclass(frozen=True)
class MomentData(TensorContainer):
    """Frozen geometry of one system for a moment model.

    Attributes
    ----------
    walks : WalkGeometry
        Balls of the closure.
    deep_walks : WalkGeometry or None
        Balls of the linear part of a known Hamiltonian, always in double precision: the field that it sums up is many
        times the torque. None: the linear part uses the moments of the closure.
    neighbors : NeighborGeometry or None
        Graph of the cluster expansion layers, if there are any.
    """

    walks: WalkGeometry
    deep_walks: WalkGeometry | None = field(default=None, metadata=kept_in(torch.float64))
    neighbors: NeighborGeometry | None = None


class Moments(NamedTuple):
    """Local moments of the Hamiltonian, from which the closure computes site energies.

    Attributes
    ----------
    scalar : (R, D + 1, N)
        Moments m_n.
    vector : (R, 3, D + 1, N)
        Their vectors.
    bonds : (R, F, M, N)
        Sums over bonds, see `moments_and_bonds`; F = 0 where there are none.
    """

    scalar: Tensor
    vector: Tensor
    bonds: Tensor


class MomentHyperparameters(ElectronHyperparameters):
    """Hyperparameters of `MomentNetwork`."""

    hops: int = Field(default=4, ge=1, description="radius of the closure's walks; its moments go up to 2 hops + 1")
    linear_degree: int | None = Field(
        default=None, ge=0, description="largest degree of the linear part; default 2 hops + 1, 0 for none"
    )
    hidden: int = Field(default=64, ge=1, description="width of the two hidden layers of the site network")


class MomentModel(SpinModel):
    r"""Base of models whose energy is a trace of a polynomial of H plus a closure.

    .. math:: E = \sum_i\Big[\sum_{n=2}^{D} c_n m_n^i + \epsilon(\text{moments and their surroundings})\Big]

    A walk of n steps that feels a spin d hops away spends 2d hops and a visit there: :math:`m_n` depends on spins
    within (n - 1)/2 hops. The linear part converges to the exact energy with its degree D. Being a trace, its torque
    on a spin depends on spins within (D - 2)/2 hops alone, where other energies of its range reach twice as far.

    A subclass implements `_closure`. Hyperparameters hold at least those of `MomentHyperparameters`.
    """

    capabilities = frozenset()
    hyperparameters: MomentHyperparameters
    bond_degree: int = 1
    base_coefficients: Tensor
    whitening: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: MomentHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self.hamiltonian = ModelHamiltonian(spec, hyperparameters)
        size = max(0, self.linear_degree - 1)
        self.linear = nn.Parameter(torch.zeros(size))
        self.register_buffer("base_coefficients", torch.zeros(size))
        self.register_buffer("whitening", torch.eye(size))

    @property
    def hops(self) -> int:
        """Radius of the closure's walks."""
        return self.hyperparameters.hops

    @property
    def degree(self) -> int:
        """Largest degree of the closure's moments."""
        return 2 * self.hops + 1

    @property
    def linear_degree(self) -> int:
        """Largest degree of the linear part."""
        given = self.hyperparameters.linear_degree
        return self.degree if given is None else given

    @property
    def time_reversal(self) -> bool:
        """Whether the energy is even under inversion of all spins: real or learned hopping."""
        return self.hamiltonian.time_reversal

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that leave energies as they are: those of the hopping."""
        return self.hamiltonian.symmetries

    @property
    def closure_radius(self) -> float:
        """Radius within which the closure of a site depends on spins."""
        return self.hops * self.hamiltonian.hop_length

    @property
    def receptive_radius(self) -> float:
        """Radius within which a site energy depends on spins; see `torque_receptive_radius` for torques."""
        return max(self.closure_radius, max(0, self.linear_degree - 1) // 2 * self.hamiltonian.hop_length)

    @property
    def torque_receptive_radius(self) -> float:
        """Radius within which the torque on a spin depends on spins.

        Twice that of the closure, or (D - 2)/2 hops for the linear part of degree D: the gradient of a trace is a sum
        over closed walks through the spin itself.
        """
        return max(2 * self.closure_radius, max(0, self.linear_degree - 2) // 2 * self.hamiltonian.hop_length)

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Nearest-neighbour hopping of unknown strength J on a lattice where nothing is said."""
        if "hopping" in values or any(part.lattice_shape is None for part in system.parts):
            return values
        return {**values, "hopping": {"kind": "nearest_neighbor"}}

    def prepare(self, system: SpinSystem, *, lattice: bool = True) -> MomentData:
        """Freeze the geometry of `system`; ``lattice=False`` lists all pairs of a lattice, with the same result."""
        terms, shifted = self._terms(system), self.hamiltonian.shifted
        walks = prepare_walks(system, terms, self.hops, lattice=lattice, shifted=shifted)
        deep_hops = self.linear_degree // 2
        if deep_hops <= self.hops and (not self.hamiltonian.known or self.linear_degree < 2):
            return MomentData(walks)
        deep = (
            walks
            if deep_hops == self.hops
            else prepare_walks(system, terms, deep_hops, lattice=lattice, shifted=shifted)
        )
        return MomentData(walks, deep)

    def _terms(self, system: SpinSystem) -> HoppingTerms:
        return self.hamiltonian.terms(system)

    @abstractmethod
    def _closure(self, data: MomentData, spins: Tensor, moments: Moments, *, calibrate: bool = False) -> Tensor:
        """Dimensionless site energies (R, N) beyond the linear part."""

    @property
    def coefficients(self) -> Tensor:
        """Coefficients c_n of the linear part, n = 2 .. D, in units of the energy scale."""
        return self.whitening @ self.linear + self.base_coefficients / self.energy_scale

    def closed_form(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Coupling and bounds of the spectrum for J, coefficients of the grand potential for mu and kT together.

        Raises
        ------
        InvalidInput
            If J varies and is also a fixed hyperparameter.
        """
        found = self.hamiltonian.at_coupling(values["J"]) if "J" in values else {}
        if {"mu", "kT"} <= set(values) and len(self.linear):
            half_width = found.get("hamiltonian.half_width", self.hamiltonian.half_width)
            found["base_coefficients"] = grand_potential_coefficients(
                self.linear_degree, values["mu"], values["kT"], self.hamiltonian.center, half_width
            )
        return found

    def _moments(self, walks: WalkGeometry, spins: Tensor, degree: int) -> tuple[Tensor, Tensor]:
        """Moments and vectors in the precision of the walks."""
        return local_moments(walks, self.hamiltonian.scaled().to(dtype=walks.dtype), spins.to(walks.dtype), degree)

    def _closure_moments(self, data: MomentData, spins: Tensor) -> Moments:
        moments, bonds = moments_and_bonds(data.walks, self.hamiltonian.scaled(), spins, self.degree, self.bond_degree)
        return Moments(moments[:, 0], moments[:, 1:], bonds)

    def dimensionless_energies(self, data: MomentData, spins: Tensor) -> Tensor:
        moments = self._closure_moments(data, spins)
        deep = data.deep_walks
        scalar = moments.scalar if deep is None else self._moments(deep, spins, self.linear_degree)[0]
        linear = torch.einsum("d,rdn->rn", self.coefficients.to(scalar.dtype), scalar[:, 2 : self.linear_degree + 1])
        return linear.to(spins.dtype) + self._closure(data, spins, moments)

    def energies_and_fields(
        self, data: MomentData, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N) and fields (R, N, 3); the field of the linear part follows from its moments alone."""
        if data.deep_walks is None or not self.hamiltonian.known:
            return super().energies_and_fields(data, spins, create_graph=create_graph)
        flat = spins.detach().reshape(-1, *spins.shape[-2:])
        with torch.no_grad():
            scalar, vector = self._moments(data.deep_walks, flat, self.linear_degree)
            columns = trace_fields(vector, self.hamiltonian.scaled(), self.linear_degree)
        coefficients = self.coefficients.to(scalar.dtype)
        with torch.enable_grad():
            moving = flat.clone().requires_grad_(True)
            closure = self._closure(data, moving, self._closure_moments(data, moving))
            (gradient,) = torch.autograd.grad(closure.sum(), moving, create_graph=create_graph)
            site = closure + torch.einsum("d,rdn->rn", coefficients, scalar[:, 2:]).to(closure.dtype)
            field = torch.einsum("d,rdnx->rnx", coefficients, columns).to(gradient.dtype) - gradient
        site, field = self.energy_scale * site + self.energy_shift, self.energy_scale * field
        return site.reshape(spins.shape[:-1]), field.reshape(spins.shape)

    @torch.no_grad()
    def calibrate(self, data: MomentData, spins: Tensor) -> None:
        """Bounds of the spectrum, statistics of all features, and an orthonormal basis of the linear part's fields."""
        if not bool(self.base_coefficients.any()):
            self.hamiltonian.measure(data.walks.terms, exact=data.walks.is_lattice)
        if len(self.linear):
            columns = self._columns(data, spins[:2])
            matrix = normal_matrix(columns, spins[:2], field_weight=0.1)
            self.whitening.copy_(whitening(matrix))
        self._closure(data, spins, self._closure_moments(data, spins), calibrate=True)

    def _columns(self, data: MomentData, spins: Tensor) -> Tensor:
        """Fields (R, D - 1, N, 3) of every degree of the linear part."""
        walks = data.walks if data.deep_walks is None else data.deep_walks
        _, vector = self._moments(walks, spins, max(1, self.linear_degree - 1))
        return trace_fields(vector, self.hamiltonian.scaled(), self.linear_degree)

    @torch.no_grad()
    def start_from(self, labels: LabelSet) -> None:
        """Start from the least-squares solution of the linear part, see `fit_linear_part`."""
        if len(self.linear):
            self.fit_linear_part(labels)

    def fit_linear_part(self, labels: LabelSet, *, field_weight: float = 0.1, ridge: float = 1e-7) -> float:
        """Start the linear part from the least-squares solution; the trainer does so by itself.

        Parameters
        ----------
        labels : LabelSet
        field_weight : float
            Weight of the field beside the torque.
        ridge : float
            Relative strength of the penalty that keeps coefficients of nearly dependent degrees finite.

        Returns
        -------
        float
            Torque error per component of the linear part alone on these labels.

        Raises
        ------
        InvalidInput
            If the model has no linear part.
        """
        if not len(self.linear):
            raise InvalidInput(f"linear_degree={self.linear_degree} leaves no linear part to fit; choose 2 or more")
        dtype = self.energy_scale.dtype
        terms = [self.hamiltonian.terms(system) for system in labels.systems]
        self.hamiltonian.measure(*terms, exact=all(system.lattice_shape is not None for system in labels.systems))
        blocks = []
        for system, indices in labels.by_system().items():
            data = self.prepare(system).to(self.energy_scale.device, dtype)
            stack = labels.stacked(indices)
            for spins, target in zip(stack.spins, stack.field, strict=True):
                columns = self._columns(data, spins[None].to(self.energy_scale)).double().cpu()
                blocks.append((columns, spins[None].double(), target[None].double()))
        coefficients = solve_coefficients(blocks, field_weight=field_weight, ridge=ridge)
        self.base_coefficients.copy_(coefficients)
        errors = [torque(s, torch.einsum("d,rdnx->rnx", coefficients, c) - h).square().mean() for c, s, h in blocks]
        return float(torch.stack(errors).mean().sqrt())


@register
class MomentNetwork(MomentModel):
    r"""Energies from walks of the known Hamiltonian.

    The local Chebyshev moments :math:`[T_n((H-b)/W)]_{ii} = (m_n + \mathbf m_n\cdot\sigma)/2` of the s-d Hamiltonian,
    by message passing with 2x2-matrix messages (`gnnspin.models.moments`), give the site energy: linearly, with one
    global coefficient per degree, which is exact in the limit of large degree, plus a network of the invariants
    :math:`m_n,\ \mathbf S_i\cdot\mathbf m_n,\ \mathbf m_n\cdot\mathbf m_k` that closes the truncated series.

    Exactly invariant under global spin rotation and every symmetry of the hopping, and under time reversal
    (inversion of all spins) where the hopping is real; complex Peierls phases break it, as they do in nature.

    Parameters
    ----------
    spec : GraphSpec
        Its cutoff bounds hopping that is learned or of infinite range.
    hyperparameters : MomentHyperparameters

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(6, 6)
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.0)
    >>> rule = gs.electrons.NearestNeighborHopping(t=1.0)
    >>> model = gs.models.build("moment_network", spec, hopping=rule, J=3.5, hops=3)
    >>> gs.ForceField(model, system).field(gs.core.random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    name = "moment_network"
    Hyperparameters = MomentHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: MomentHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        size = n_invariants(self.degree)
        self.standardization = Standardization(size)
        self.network = site_network((size, hyperparameters.hidden, hyperparameters.hidden, 1))

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return (HiddenUnits(self.network[-2], sites_last=False),)

    def _closure(self, data: MomentData, spins: Tensor, moments: Moments, *, calibrate: bool = False) -> Tensor:
        features = moment_invariants(spins, moments.scalar, moments.vector).transpose(1, 2)
        standard = self.standardization(features, calibrate=calibrate)
        if calibrate:
            drop_rounding(self.standardization, features.shape[-1])
        energies: Tensor = self.network(standard)[..., 0]
        return energies


def n_invariants(degree: int) -> int:
    """Number of `moment_invariants`."""
    return 0 if degree < 2 else 2 * (degree - 1) + (degree - 1) * degree // 2


def moment_invariants(spins: Tensor, scalar: Tensor, vector: Tensor) -> Tensor:
    """Invariants (R, F, N) of spins (R, N, 3), moments (R, D + 1, N) and vectors (R, 3, D + 1, N), degrees 2 .. D.

    In order: ``m_n``, ``S_i . m_n`` and ``m_n . m_k`` with n <= k.
    """
    vector = vector[:, :, 2:]
    along = (spins.transpose(1, 2)[:, :, None] * vector).sum(1)
    products = [(vector[:, :, k : k + 1] * vector[:, :, k:]).sum(1) for k in range(vector.shape[2])]
    return torch.cat([scalar[:, 2:], along, *products], dim=1)


def drop_rounding(standardization: Standardization, count: int) -> None:
    """Switch off those of the last `count` features that vary by no more than the rounding of moments."""
    inverse = standardization.inverse_spread[-count:] if count else standardization.inverse_spread[:0]
    inverse.copy_(torch.where(inverse > 1 / SMALLEST_SPREAD, torch.zeros_like(inverse), inverse))
