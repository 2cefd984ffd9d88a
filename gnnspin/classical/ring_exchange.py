"""Four-spin ring exchange."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_clusters, checked_couplings, parallelograms, share_among_sites
from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import SpinSystem


class RingExchange(ClassicalTerm, kind="ring_exchange"):
    """E = sum_p K_p [(S1.S2)(S3.S4) + (S1.S4)(S2.S3) - (S1.S3)(S2.S4)], sites 1 to 4 around plaquette p.

    The classical part of the cyclic exchange of four spins (Thouless, Proc. Phys. Soc. 86, 893 (1965)).

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    K : float or (P,)
        Coupling of all plaquettes, or of each.
    plaquettes : (P, 4), optional
        Sites of every plaquette in cyclic order. Default: all parallelograms of nearest-neighbour bonds, that is the
        squares of the square lattice and the rhombi of the triangular one.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a site does not exist, a plaquette joins different parts of a union, or K has the wrong shape.
    """

    def __init__(
        self,
        system: SpinSystem,
        K: ArrayLike = 1.0,
        plaquettes: ArrayLike | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        given = parallelograms(system) if plaquettes is None else plaquettes
        self.plaquettes = checked_clusters(given, 4, system, "plaquettes")
        self.K = checked_couplings(K, len(self.plaquettes), "K")
        self._sites = self._tensor(self.plaquettes)
        self._couplings = self._tensor(self.K)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        a, b, c, d = (spins[:, column] for column in self._sites.T)
        sides = (a * b).sum(-1) * (c * d).sum(-1) + (a * d).sum(-1) * (b * c).sum(-1)
        energies = self._couplings * (sides - (a * c).sum(-1) * (b * d).sum(-1))
        return share_among_sites(energies, self._sites, self.system.n_sites)
