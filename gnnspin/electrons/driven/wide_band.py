"""Steady state between wide-band leads in closed form: the energy integrals are digamma functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError
from gnnspin.electrons.driven.digamma import fermi_integral

#: Largest error of the eigendecomposition, relative to the matrix, that is accepted without splitting.
_DECOMPOSITION_TOLERANCE = 1e-12
#: Size of the splitting of a matrix that cannot be diagonalised, relative to its norm. Its square is the error.
_SPLITTING = 1e-6
#: Levels narrower than this, relative to the norm, do not feel the leads.
_DECOUPLED = 1e-14
#: Below this width, relative to the norm, a level's width is taken from its amplitude on the contacts.
_NARROW = 1e-6


def wide_band_steady_state(
    matrix: Tensor,
    widths: Tensor,
    contacts: list[Tensor],
    mu: list[float],
    kT: float,
    bottom: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Density matrix and currents of H between leads p with constant ``Sigma_p = -i Gamma_p / 2``.

    With ``h = H - i sum_p Gamma_p / 2 = sum_n |n) z_n (n|`` and phi of `fermi_integral`,
    ``int dE/(2 pi) f_p G Gamma_p G+ = sum_nm |n) (n|Gamma_p|m) (m| (phi_p(z_n) - phi_p(z_m)*) / (2 pi (z_n - z_m*))``.
    Summed over leads with one common phi this is ``i (phi(h) - phi(h)+) / (2 pi)``, which holds for levels that do not
    feel the leads too; the leads' deviations from the mean are added as above. A level without any width is filled
    with the mean of the leads' Fermi functions: its true occupation depends on its history.

    Parameters
    ----------
    matrix : (D, D) complex128
        Hermitian H.
    widths : (P, D) float64
        Diagonal of Gamma_p of every lead, >= 0.
    contacts : list of P tensors of int64
        Rows that each lead touches: where its widths are not zero.
    mu : list of P floats
        Chemical potentials of the leads.
    kT : float
        Temperature, >= 0.
    bottom : float, optional
        Lower end of the energy integrals; default minus infinity.

    Returns
    -------
    blocks : (D/2, 2, 2) complex128
        Diagonal spin blocks ``<c+_b c_a>`` (row a, column b) of the density matrix.
    currents : (P,) float64
        Particle current from each lead into the system, ``int dE/(2 pi) sum_q Tr[Gamma_p G Gamma_q G+] (f_p - f_q)``.

    Raises
    ------
    ConvergenceError
        If the eigendecomposition fails even after a splitting.
    """
    damped = matrix - 0.5j * torch.diag(widths.sum(0)).to(matrix)
    scale = float(torch.linalg.matrix_norm(damped))
    decomposed = _decompose(damped, scale)
    if decomposed is not None:
        return _from_levels(*decomposed, widths, contacts, mu, kT, scale, bottom)
    steps = torch.arange(len(damped), device=damped.device, dtype=torch.float64)
    splitting = _SPLITTING * scale * torch.diag(torch.sin(1.0 + steps.square())).to(damped)
    results = []
    for sign in (1, -1):
        decomposed = _decompose(damped + sign * splitting, scale)
        if decomposed is None:
            raise ConvergenceError("h - i Gamma/2 cannot be diagonalised; change gamma by a part in a thousand")
        results.append(_from_levels(*decomposed, widths, contacts, mu, kT, scale, bottom))
    return (results[0][0] + results[1][0]) / 2, (results[0][1] + results[1][1]) / 2


def _decompose(matrix: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor] | None:
    """Eigenvalues, right eigenvectors as columns and their inverse; None at or near an exceptional point."""
    levels, right = torch.linalg.eig(matrix)
    left, failed = torch.linalg.inv_ex(right)
    if bool(failed):
        return None
    error = torch.linalg.matrix_norm((right * levels) @ left - matrix)
    return (levels, right, left) if bool(error <= _DECOMPOSITION_TOLERANCE * scale) else None


def _from_levels(
    levels: Tensor,
    right: Tensor,
    left: Tensor,
    widths: Tensor,
    contacts: list[Tensor],
    mu: list[float],
    kT: float,
    scale: float,
    bottom: float | None,
) -> tuple[Tensor, Tensor]:
    feeding = [(left[:, c] * width[c]) @ left[:, c].mH for c, width in zip(contacts, widths, strict=True)]
    levels = _with_accurate_widths(levels, left, feeding, scale)
    phi = torch.stack([fermi_integral(levels, potential, kT, bottom) for potential in mu])
    blocks = _spin_blocks(right * phi.mean(0), left)
    blocks = 0.5j / math.pi * (blocks - blocks.mH)
    if len(set(mu)) == 1:
        return blocks, torch.zeros(len(mu), dtype=torch.float64, device=levels.device)
    difference = levels[:, None] - levels[None, :].conj()
    inverse = torch.where(difference.abs() <= _DECOUPLED * scale, 0, 0.5 / math.pi / difference)
    weights = sum(
        gain * (excess[:, None] - excess[None, :].conj()) * inverse
        for gain, excess in zip(feeding, phi - phi.mean(0), strict=True)
    )
    driven = _spin_blocks(right @ weights, right.mH)
    return blocks + 0.5 * (driven + driven.mH), _currents(right, feeding, contacts, widths, phi, inverse)


def _with_accurate_widths(levels: Tensor, left: Tensor, feeding: list[Tensor], scale: float) -> Tensor:
    """Narrow levels get ``Im z = -(n|Gamma|n) / (2 (n|n))``, which does not suffer from cancellation."""
    rate = torch.stack([gain.diagonal().real for gain in feeding]).sum(0)
    exact = -0.5 * rate / left.abs().square().sum(1)
    imaginary = torch.where(levels.imag.abs() < _NARROW * scale, exact, levels.imag)
    return torch.complex(levels.real, imaginary.clamp(max=0))


def _spin_blocks(rows: Tensor, columns: Tensor) -> Tensor:
    """Diagonal (2, 2) blocks (M, 2, 2) of the product of (D, n) and (n, D)."""
    return torch.einsum("man,nmb->mab", rows.unflatten(0, (-1, 2)), columns.unflatten(1, (-1, 2)))


def _currents(
    right: Tensor, feeding: list[Tensor], contacts: list[Tensor], widths: Tensor, phi: Tensor, inverse: Tensor
) -> Tensor:
    """Landauer currents ``int dE/(2 pi) sum_q T_pq (f_p - f_q)``."""
    draining = [right[c].mT @ (right[c].conj() * w[c, None]) for c, w in zip(contacts, widths, strict=True)]
    currents = torch.zeros(len(phi), dtype=torch.float64, device=right.device)
    for p, own in enumerate(phi):
        for q, other in enumerate(phi):
            if p != q:  # T_pq and T_qp of three leads differ where noncoplanar spins break time reversal
                excess = own - other
                window = (excess[:, None] - excess[None, :].conj()) * inverse
                currents[p] += (draining[p] * feeding[q] * window).sum().real
    return currents
