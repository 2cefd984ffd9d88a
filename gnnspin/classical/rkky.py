"""Ruderman-Kittel-Kasuya-Yosida exchange."""

from __future__ import annotations

import numpy as np
import torch

from gnnspin.classical.pair_exchange import PairExchange
from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import radius_graph
from gnnspin.systems.system import FloatArray, SpinSystem


class RKKY(PairExchange, kind="rkky"):
    """E = sum_pairs J_RKKY(2 k_F r_ij) S_i . S_j with J_RKKY(x) = 9 pi (J^2 / e_F) (x cos x - sin x) / x^4.

    Every pair within the cutoff counts once, periodic images included, so that ``H_i = -sum_j J_RKKY S_j``; positive
    values of J_RKKY favour antiparallel spins (Shi, Zhang, Chern, metallic spin glass, eq. 2).

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    J : float
        Coupling of spin and electrons, in units of the energy.
    fermi_energy : float
        e_F, > 0.
    k_F : float
        Fermi wave number, > 0, in inverse units of the positions.
    cutoff : float
        Largest distance of an interacting pair, > 0.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a number is not finite or not positive.
    """

    def __init__(
        self,
        system: SpinSystem,
        J: float,
        fermi_energy: float,
        k_F: float,
        cutoff: float,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        for name, value in (("fermi_energy", fermi_energy), ("k_F", k_F)):
            if not np.isfinite(value) or value <= 0:
                raise InvalidInput(f"{name}={value} must be a positive finite number")
        if not np.isfinite(J):
            raise InvalidInput(f"J={J} must be finite")
        self.J, self.fermi_energy, self.k_F = float(J), float(fermi_energy), float(k_F)
        self.cutoff = float(cutoff)
        graph = radius_graph(system, cutoff)
        neighbor, site = graph.edge_index.numpy()
        strength = rkky(2 * self.k_F * graph.edge_distance.numpy()) * self.J**2 / self.fermi_energy
        ClassicalTerm.__init__(self, system, device, dtype)
        self._set_bonds(site, neighbor, -strength)


def rkky(x: FloatArray) -> FloatArray:
    """Range function ``9 pi (x cos x - sin x) / x^4`` of x = 2 k_F r > 0."""
    return 9 * np.pi * (x * np.cos(x) - np.sin(x)) / x**4
