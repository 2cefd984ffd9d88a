"""Steady state between lattice leads: a complex contour for equilibrium, the real axis for the bias window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gnnspin.electrons.driven.leads import AttachedLead
from gnnspin.electrons.driven.quadrature import integrate

#: The Fermi function is 0 or 1 to rounding this many kT away from mu.
_TAIL = 38.0
#: Most Matsubara poles below the straight part of the contour.
_MOST_POLES = 24
#: Preferred height of the straight part, in units of the hopping.
_HEIGHT = 0.3
#: Memory that the matrices treated together may take, in bytes.
_CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**31}
#: Most levels of H in the bias window that are given to the quadrature as starting points.
_MOST_BREAKS = 400


@dataclass(frozen=True)
class LatticeContacts:
    """Hermitian H (D, D) with leads attached; `rows` holds the rows that each lead touches."""

    matrix: Tensor
    rows: Sequence[Tensor]
    leads: Sequence[AttachedLead]

    def integrate(self, function: Callable[[Tensor], Tensor], breaks: Sequence[float], tolerance: float) -> Tensor:
        """`integrate` with as many energies at once as memory allows."""
        device = self.matrix.device
        memory = _CHUNK_BYTES.get(device.type, _CHUNK_BYTES["cuda"])
        points = max(15, memory // (4 * 16 * len(self.matrix) ** 2))
        return integrate(function, breaks, tolerance, device=device, points=points)

    @property
    def _identity(self) -> Tensor:
        return torch.eye(len(self.matrix), dtype=self.matrix.dtype, device=self.matrix.device)

    def inverse(self, energies: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``z - H - sum_p Sigma_p(z)``, shape (B, D, D), and the self-energies."""
        result = energies[:, None, None] * self._identity - self.matrix
        sigmas = [lead.self_energy(energies) for lead in self.leads]
        for rows, sigma in zip(self.rows, sigmas, strict=True):
            result[:, rows[:, None], rows[None, :]] -= sigma
        return result, sigmas

    def green_blocks(self, energies: Tensor) -> Tensor:
        """Diagonal spin blocks (B, M, 2, 2) of G(z)."""
        green = torch.linalg.inv(self.inverse(energies)[0])
        n = len(self.matrix) // 2
        return green.view(-1, n, 2, n, 2).diagonal(dim1=1, dim2=3).movedim(-1, 1)

    def injected(self, energies: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks of ``G Gamma_p G+`` (B, P, M, 2, 2) and transmissions (B, P, P) at real energies (B,)."""
        inverse, sigmas = self.inverse(torch.complex(energies, torch.zeros_like(energies)))
        widths = [1j * (sigma - sigma.mH) for sigma in sigmas]
        ends = np.cumsum([0] + [len(rows) for rows in self.rows])
        sources = self._identity[:, torch.cat(list(self.rows))]
        columns = torch.linalg.solve(inverse, sources.expand(len(energies), -1, -1))
        pieces = [columns[..., a:b] for a, b in pairwise(ends)]
        spectral = [piece @ width for piece, width in zip(pieces, widths, strict=True)]
        blocks = [
            torch.einsum("emak,embk->emab", s.unflatten(1, (-1, 2)), g.unflatten(1, (-1, 2)).conj())
            for s, g in zip(spectral, pieces, strict=True)
        ]
        transmission = [
            torch.einsum("bji,bjk,bik->b", width, s[:, rows], g[:, rows].conj()).real
            for rows, width in zip(self.rows, widths, strict=True)
            for s, g in zip(spectral, pieces, strict=True)
        ]
        return torch.stack(blocks, 1), torch.stack(transmission, 1).unflatten(1, (len(pieces), -1))

    def bottom(self) -> float:
        """An energy below every level of the system with its leads."""
        coupling = sum(lead.coupling_norm for lead in self.leads)
        lowest = float(torch.linalg.eigvalsh(self.matrix)[0])
        return min([lowest] + [float(lead.band_edges()[0]) for lead in self.leads]) - coupling - 1.0


def lattice_steady_state(
    system: LatticeContacts, mu: list[float], kT: float, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Density matrix and currents between lattice leads.

    ``rho = mean_p i (X_p - X_p+) / (2 pi) + sum_p int dE/(2 pi) (f_p - f) G Gamma_p G+`` with f the mean of the leads'
    Fermi functions and ``X_p = int f_p G dE``. The first term runs over a contour in the upper half plane and holds the
    bound states outside the leads' bands, which are filled with f; the second is confined to the bias window.

    Parameters
    ----------
    system : LatticeContacts
    mu : list of P floats
        Chemical potentials of the leads.
    kT : float
        Temperature, >= 0.
    tolerance : float
        Largest absolute error of any component of the density matrix.

    Returns
    -------
    blocks : (D/2, 2, 2) complex128
        Diagonal spin blocks of the density matrix.
    currents : (P,) float64
        Particle current from each lead into the system.

    Raises
    ------
    ConvergenceError
        If the quadrature does not converge.
    """
    bottom = system.bottom()
    equilibrium = {potential: _contour(system, bottom, potential, kT, tolerance) for potential in set(mu)}
    total = torch.stack([equilibrium[potential] for potential in mu]).mean(0)
    blocks = 0.5j / math.pi * (total - total.mH)
    if len(equilibrium) == 1:
        return blocks, torch.zeros(len(mu), dtype=torch.float64, device=total.device)
    driven, currents = _window(system, mu, kT, tolerance)
    return blocks + 0.5 * (driven + driven.mH), currents


def _contour(system: LatticeContacts, bottom: float, mu: float, kT: float, tolerance: float) -> Tensor:
    """X = int f G dE: an arc from the real axis below all levels, a line past mu, and the Matsubara poles below it."""
    poles = 0 if kT == 0 else min(_MOST_POLES, max(1, round(_HEIGHT / (2 * math.pi * kT))))
    height = 2 * math.pi * kT * poles
    end = mu - (_TAIL * kT if kT > 0 else 0.0)
    start = min(bottom, end - max(1.0, 2 * height))
    centre = (end**2 + height**2 - start**2) / (2 * (end - start))
    radius = centre - start
    device = system.matrix.device

    def arc(angle: Tensor) -> Tensor:
        step = torch.polar(torch.full_like(angle, radius), angle)
        weight = 1j * step * _fermi(centre + step, mu, kT)
        return weight[:, None, None, None] * system.green_blocks(centre + step)

    def line(distance: Tensor) -> Tensor:
        energies = torch.complex(mu + distance, torch.full_like(distance, height))
        weight = _fermi(energies, mu, kT)
        return weight[:, None, None, None] * system.green_blocks(energies)

    last = math.atan2(height, end - centre)
    result = -system.integrate(arc, [last, math.pi], tolerance)
    if kT > 0:
        result = result + system.integrate(line, [-_TAIL * kT, 0.0, _TAIL * kT], tolerance)
        frequencies = math.pi * kT * (2 * torch.arange(poles, device=device, dtype=torch.float64) + 1)
        residues = system.green_blocks(torch.complex(torch.full_like(frequencies, mu), frequencies))
        result = result - 2j * math.pi * kT * residues.sum(0)
    return result


def _window(system: LatticeContacts, mu: list[float], kT: float, tolerance: float) -> tuple[Tensor, Tensor]:
    """``sum_p int dE/(2 pi) (f_p - f) G Gamma_p G+`` and the currents ``int dE/(2 pi) sum_q T_pq (f_p - f_q)``."""
    low, high = min(mu) - _TAIL * kT, max(mu) + _TAIL * kT
    potentials = torch.tensor(mu, dtype=torch.float64, device=system.matrix.device)

    def integrand(energies: Tensor) -> Tensor:
        fermi = _real_fermi(energies[:, None], potentials, kT)
        blocks, transmission = system.injected(energies)
        excess = (fermi - fermi.mean(1, keepdim=True)).to(blocks.dtype)
        flow = (transmission * (fermi[:, :, None] - fermi[:, None, :])).sum(2)
        return torch.cat([torch.einsum("ep,epmab->emab", excess, blocks).flatten(1), flow.to(blocks.dtype)], 1)

    levels = torch.linalg.eigvalsh(system.matrix).cpu().numpy()
    edges = [lead.band_edges() for lead in system.leads]
    marks = np.concatenate([*edges, levels[:: max(1, len(levels) // _MOST_BREAKS)]])
    inside = marks[(marks > low) & (marks < high)].tolist()
    result = system.integrate(integrand, [low, high, *mu, *inside], tolerance) / (2 * math.pi)
    n = len(mu)
    return result[:-n].view(-1, 2, 2), result[-n:].real


def _fermi(energies: Tensor, mu: float, kT: float) -> Tensor:
    """1 / (1 + exp((z - mu) / kT)) at complex z; 1 at kT = 0, where only z below mu are asked for."""
    if kT == 0:
        return torch.ones_like(energies)
    x = (energies - mu) / kT
    small = torch.exp(-torch.where(x.real > 0, x, -x))
    return torch.where(x.real > 0, small, torch.ones_like(small)) / (1 + small)


def _real_fermi(energies: Tensor, mu: Tensor, kT: float) -> Tensor:
    return torch.sigmoid((mu - energies) / kT) if kT > 0 else (energies < mu).to(energies.dtype)
