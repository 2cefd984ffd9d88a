"""Kernel polynomial method: a field source linear in the number of sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_number
from gnnspin.core.spins import as_spins, torque
from gnnspin.electrons.ensemble import FixedBy
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.polynomials.arguments import check_arguments
from gnnspin.electrons.polynomials.chebyshev import (
    FermiExpansion,
    Kernel,
    Thermodynamics,
    moments_for_tolerance,
    spectral_interval,
)
from gnnspin.electrons.polynomials.chebyshev_moments import (
    ChebyshevMoments,
    MomentProblem,
    ScaledHamiltonian,
    SparseHamiltonian,
    StencilHamiltonian,
    exact_gradient,
)
from gnnspin.electrons.polynomials.lattice_stencil import lattice_stencil
from gnnspin.electrons.polynomials.probing import Probes, colored_probes, random_probes, site_colors, unit_probes
from gnnspin.electrons.state import ElectronicState

ProbeKind = Literal["deterministic", "colored", "random"]

#: Bytes of one row of a block vector on a processor: enough columns for its vector units, few enough for its cache.
CPU_ROW_BYTES = 384

#: Memory of one block vector on an accelerator, in bytes.
GPU_BLOCK_BYTES = 2**30

DEFAULT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ProbeError:
    """Standard error of one probe set, estimated from independent sets.

    Attributes
    ----------
    torque : (..., N, 3)
        Standard deviation of every torque component between sets, float64.
    relative : float
        Root mean square of `torque` over that of the noiseless torque; infinite where the noise hides it.
    n_sets : int
    """

    torque: Tensor
    relative: float
    n_sets: int


class KernelPolynomial(EquilibriumSource, kind="kernel_polynomial"):
    """Field source that expands Omega in Chebyshev polynomials of H; cost linear in N for a given number of probes.

    The energy is a polynomial trace, summed over probe vectors; the field is its exact gradient, probes and spectral
    bounds held fixed. The error has two parts: truncation, which falls like ``exp(-n_moments pi kT / W)``, W the
    half-width of the spectrum (without a kernel; slower with the Jackson kernel), and noise of the probes, which falls
    with the distance between sites of one colour. A metal at low temperature needs many colours: see `estimate_error`.
    The same seed gives the same probes for all spins, so that energy and field are smooth functions of the spins.
    Source: Weisse et al., Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275; Wang, Chern, Batista, Barros,
    J. Chem. Phys. 148, 094107 (2018), doi:10.1063/1.5017741.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Its system may be a union: every part is then expanded by itself.
    kT : float
        Temperature in units of the hopping, > 0.
    **fixed
        Exactly one of `mu`, `filling` and `n_electrons`, see `FixedBy`; neither empty nor full.
    n_moments : int or one per part of a union, optional
        Number of Chebyshev moments (an odd number is rounded up).
    tolerance : float, optional
        Relative truncation error of the torque, from which `n_moments` follows (kernel "none" only); default 1e-6. The
        noise of the probes is not part of it.
    kernel : "none" or "jackson"
        At kT > 0 in a metal the plain series is best.
    probes : "deterministic", "colored" or "random"
        Unit vectors (exact traces; cost quadratic in N); random phases on the sites of every colour; random phases on
        all sites, with as many vectors as "colored" has, for comparison.
    n_colors : int, optional
        Number of colours, for "colored" and "random"; a c x c tile of a Bravais lattice in the plane has c^2. Vectors:
        n_colors times the spin-orbitals of a site.
    seed : int
        Key of the random phases.
    product : "sparse" or "stencil"
        How H is applied: sparse rows, for every system; or shifts of a periodic lattice with equal hopping in every
        cell, which need no indices.
    dtype : torch.float64 or torch.float32
        Precision of the vectors. Thermodynamics are float64.
    device : torch.device or str
        Where the vectors live.

    Raises
    ------
    InvalidInput
        If a number is out of range, kT = 0, not exactly one of `mu`, `filling`, `n_electrons` is given, both
        `n_moments` and `tolerance` are given, or the stencil does not apply.

    Examples
    --------
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import triangular
    >>> h = SDHamiltonian(triangular(6, 6), J=3.0)
    >>> oracle = KernelPolynomial(h, kT=0.1, mu=-3.2, probes="colored", n_colors=9)
    >>> oracle.field(random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float = 0.01,
        *,
        n_moments: int | Sequence[int] | None = None,
        tolerance: float | None = None,
        kernel: Kernel = "none",
        probes: ProbeKind = "deterministic",
        n_colors: int | None = None,
        seed: int = 0,
        product: Literal["sparse", "stencil"] = "sparse",
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
        **fixed: Unpack[FixedBy],
    ) -> None:
        check_arguments(n_moments, tolerance, kernel, probes, n_colors, seed, product, dtype)
        super().__init__(hamiltonian, kT, device, fixed)
        self.kernel, self.probes, self.seed = kernel, probes, seed_number(seed)
        self.n_colors = None if n_colors is None else whole_number(n_colors, "n_colors")
        self.product, self.dtype = product, dtype
        asked = tolerance if tolerance is not None else DEFAULT_TOLERANCE
        counts = list(n_moments) if isinstance(n_moments, Sequence) else [n_moments] * len(hamiltonian.parts)
        if len(counts) != len(hamiltonian.parts):
            raise InvalidInput(f"n_moments={n_moments} must be one number, or {len(hamiltonian.parts)}, one per part")
        self._parts = [
            self._part(part, constraint, count, asked)
            for part, constraint, count in zip(hamiltonian.parts, self._constraints, counts, strict=True)
        ]

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        super().check(recipe)
        values = recipe.arguments()
        names = ("n_moments", "tolerance", "kernel", "probes", "n_colors", "seed", "product", "dtype")
        check_arguments(*(values[name] for name in names))

    def _part(
        self, part: SDHamiltonian, constraint: dict[str, float], n_moments: int | None, tolerance: float
    ) -> _Part:
        number = constraint.get("n_electrons")
        if number is not None and not 0 < number < part.n_spin_orbitals:
            raise InvalidInput(
                f"n_electrons={number} leaves no chemical potential; give a number between 0 and {part.n_spin_orbitals}"
            )
        interval = spectral_interval(part.one_body, float(np.abs(part.orbital_coupling).max(initial=0.0)))
        count = int(n_moments or 0) or moments_for_tolerance(tolerance, self.kT, interval, constraint.get("mu"))
        expansion = FermiExpansion(interval, self.kT, count + count % 2, self.kernel)
        matrix: ScaledHamiltonian
        if self.product == "stencil":
            stencil = lattice_stencil(part)
            if stencil is None:
                raise InvalidInput(
                    "product='stencil' needs a periodic lattice with the same hopping in every cell and no spin-orbit "
                    "terms; use product='sparse'"
                )
            matrix = StencilHamiltonian(part, stencil, interval, self.dtype, self.device)
        else:
            matrix = SparseHamiltonian(part, interval, self.dtype, self.device)
        return _Part(part, matrix, expansion, constraint, self._colors(part))

    def _colors(self, part: SDHamiltonian) -> np.ndarray | None:
        if self.probes != "colored":
            return None
        assert self.n_colors is not None
        return site_colors(part, self.n_colors)

    def _probe_set(self, part: _Part, number: int) -> Probes:
        """Probe vectors number 0, 1, ...: a pure function of the seed."""
        size = part.hamiltonian.n_spin_orbitals
        if self.probes == "deterministic":
            return unit_probes(size)
        key = np.random.SeedSequence([self.seed, number]).generate_state(1)[0]
        if part.colors is not None:
            return colored_probes(part.hamiltonian, part.colors, int(key))
        assert self.n_colors is not None
        return random_probes(size, max(1, round(self.n_colors * size / self.hamiltonian.system.n_sites)), int(key))

    @property
    def n_moments(self) -> int:
        """Number of moments; the largest among the parts of a union."""
        return max(part.expansion.n_moments for part in self._parts)

    @classmethod
    def renewed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments of version 0.1 in today's form: a list that holds one number of moments becomes that number."""
        counts = values.get("n_moments")
        return {**values, "n_moments": counts[0]} if isinstance(counts, list) and len(counts) == 1 else values

    #: A description holds the moments that a tolerance asked for, so that it does not depend on how they are chosen.
    _tolerance = None

    @property
    def _n_moments(self) -> int | list[int]:
        counts = [part.expansion.n_moments for part in self._parts]
        return counts[0] if len(set(counts)) == 1 else counts

    @property
    def n_vectors(self) -> int:
        """Number of probe vectors, summed over the parts of a union."""
        return sum(self._probe_set(part, 0).n_vectors for part in self._parts)

    def _part_states(self, spins: Tensor) -> list[ElectronicState]:
        solved = self._solve(spins, energy=True, field=True)

        def number(part: int, name: str) -> Tensor:
            values = [getattr(row[part].thermodynamics, name) for row in solved]
            return torch.tensor(values, dtype=torch.float64)

        return [
            ElectronicState(
                energy=number(part, "potential"),
                field=torch.stack([row[part].field for row in solved]),
                density=torch.stack([row[part].density for row in solved]),
                mu=number(part, "mu"),
                n_electrons=number(part, "n_electrons"),
                internal_energy=number(part, "internal_energy"),
                entropy=number(part, "entropy"),
            )
            for part in range(len(self._parts))
        ]

    def estimate_error(self, spins: Tensor | ArrayLike, n_sets: int = 8) -> ProbeError:
        """Noise of the torque, from fields of independent probe sets; zero for deterministic probes.

        Costs `n_sets` field evaluations. The truncation error is the same in all sets and not seen.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        n_sets : int
            Number of probe sets, 2 or more; the first is the one that `field` uses.

        Raises
        ------
        InvalidInput
            If `n_sets` is smaller than 2.
        """
        if n_sets < 2:
            raise InvalidInput(f"n_sets={n_sets} must be 2 or more; a spread needs two sets")
        given = as_spins(spins, self.system.n_sites).detach()
        own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
        torques = torch.stack([torque(own.double(), self._fields(own, number)) for number in range(n_sets)])
        spread, mean = torques.std(0), torques.mean(0)
        variance = spread.square().mean()
        signal = (mean.square().mean() - variance / n_sets).clamp(min=0)
        relative = float((variance / signal).sqrt()) if variance > 0 else 0.0
        return ProbeError(spread.to(given.device).reshape(given.shape), relative, n_sets)

    def _fields(self, spins: Tensor, probe_set: int = 0) -> Tensor:
        return _field(self._solve(spins, energy=False, field=True, probe_set=probe_set))

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        del time
        return _potentials(self._solve(spins, energy=True, field=False))

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        del time
        return self._fields(spins)

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        del time
        solved = self._solve(spins, energy=True, field=True)
        return _potentials(solved), _field(solved)

    def _solve(self, spins: Tensor, *, energy: bool, field: bool, probe_set: int = 0) -> list[list[_Solution]]:
        """Solutions [replica][part] for spins (R, N, 3)."""
        problems = [self._problem(part, self._probe_set(part, probe_set)) for part in self._parts]
        sizes = [part.hamiltonian.system.n_sites for part in self._parts]
        return [
            [
                _solve_part(part, problem, piece, energy=energy, field=field)
                for part, problem, piece in zip(self._parts, problems, replica.split(sizes), strict=True)
            ]
            for replica in spins
        ]

    def _problem(self, part: _Part, probes: Probes) -> MomentProblem:
        size = torch.finfo(self.dtype).bits // 8
        width = CPU_ROW_BYTES // size
        if self.device.type != "cpu":
            width = max(width, GPU_BLOCK_BYTES // (2 * part.hamiltonian.n_spin_orbitals * size))
        return MomentProblem(part.matrix, probes, part.expansion.n_moments, width)

    def __repr__(self) -> str:
        series = f"n_moments={self.n_moments}, probes='{self.probes}'"
        return f"KernelPolynomial({self.hamiltonian}, {self.ensemble}, {series})"


def _potentials(solved: list[list[_Solution]]) -> Tensor:
    """Potentials (R, n_graphs) of solutions [replica][part]."""
    return torch.tensor([[s.thermodynamics.potential for s in row] for row in solved], dtype=torch.float64)


def _field(solved: list[list[_Solution]]) -> Tensor:
    """Fields (R, N, 3) of solutions [replica][part]."""
    return torch.stack([torch.cat([s.field for s in row]) for row in solved])


@dataclass(frozen=True)
class _Part:
    """One part of the system with its expansion, what is fixed in it, and its colours."""

    hamiltonian: SDHamiltonian
    matrix: ScaledHamiltonian
    expansion: FermiExpansion
    constraint: dict[str, float]
    colors: np.ndarray | None


@dataclass(frozen=True)
class _Solution:
    """Thermodynamics (NaN if not asked for), field (n, 3) and density (n,) of one part."""

    thermodynamics: Thermodynamics
    field: Tensor
    density: Tensor


def _solve_part(part: _Part, problem: MomentProblem, spins: Tensor, *, energy: bool, field: bool) -> _Solution:
    """Moments, thermodynamics and gradient of one part for spins (n, 3)."""
    local = _local_terms(part, spins)
    expansion, mu = part.expansion, part.constraint.get("mu")
    if field and problem.probes.exact and mu is not None:
        weights = torch.from_numpy(expansion.potential_coefficients(mu))
        gradient, moments = exact_gradient(local, problem, weights, moments=energy)
        return _solution(part, expansion.equilibrium(moments.numpy(), mu=mu), gradient)
    with torch.enable_grad():
        moments = ChebyshevMoments.apply(local.requires_grad_(field), problem)
        found = expansion.equilibrium(moments.detach().numpy(), **part.constraint)
        if not field:
            return _solution(part, found, torch.zeros_like(local))
        (gradient,) = torch.autograd.grad(moments, local, torch.from_numpy(found.coefficients))
    return _solution(part, found, gradient)


def _local_terms(part: _Part, spins: Tensor) -> Tensor:
    """On-site terms (M, 4) of H in scaled units: no shift, and -J S; float64."""
    site, coupling = part.hamiltonian.tables(spins.device)
    exchange = -coupling.unsqueeze(-1) * spins.to(torch.float64)[site] / part.expansion.interval.half_width
    return torch.cat([torch.zeros_like(exchange[:, :1]), exchange], 1)


def _solution(part: _Part, thermodynamics: Thermodynamics, gradient: Tensor) -> _Solution:
    """Field and density from the derivative (M, 4) of the potential by the scaled on-site terms."""
    scaled = gradient / part.expansion.interval.half_width
    return _Solution(
        thermodynamics,
        part.hamiltonian.site_field(scaled[:, 1:]),
        part.hamiltonian.site_density(scaled[:, 0]),
    )
