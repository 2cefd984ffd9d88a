"""Effective spin couplings read off any field source, exact or learned, around reference spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins
from gnnspin.systems.system import IntArray

#: Pairs whose |S_i x S_j| is below this have no information on the biquadratic coupling in their second derivatives.
_COLLINEAR = 1e-3


@dataclass(frozen=True)
class EffectiveExchange:
    """Couplings between the chosen sites (s of them) and all N sites, in the sign convention of `Heisenberg`.

    Attributes
    ----------
    sites : (s,) array
        Sites whose couplings were measured.
    J : (s, N)
        Bilinear coupling in ``E = -sum_pairs J_ij S_i.S_j - sum_pairs B_ij (S_i.S_j)^2``; 0 for j = i. For a collinear
        pair it is the slope ``J + 2 B S_i.S_j``, as if B were 0.
    B : (s, N)
        Biquadratic coupling; NaN for collinear pairs, which do not determine it.
    slope : (s, N)
        ``-dE/d(S_i.S_j) = J_ij + 2 B_ij S_i.S_j`` at the reference: the coupling seen by small rotations.
    D : (s, N)
        Component along S_i of the antisymmetric exchange, ``E = D . (S_i x S_j)``, of collinear pairs; NaN for others.
    residual : (s, N)
        Root mean square of the second derivatives in the tangent planes that these couplings do not explain:
        anisotropy, and interactions with further spins.
    hessian : (s, N, 3, 3)
        Second derivatives ``d^2 E / dS_i dS_j`` (row: component of S_i) projected on both tangent planes.
    quadruples : (Q, 4) array or None
        Sites i, j, k, l.
    K : (Q, 3) or None
        Four-spin couplings in ``E = -K_0 (S_i.S_j)(S_k.S_l) - K_1 (S_i.S_k)(S_j.S_l) - K_2 (S_i.S_l)(S_j.S_k)``.
    """

    sites: IntArray
    J: Tensor
    B: Tensor
    slope: Tensor
    D: Tensor
    residual: Tensor
    hessian: Tensor
    quadruples: IntArray | None = None
    K: Tensor | None = None


def effective_exchange(
    source: FieldSource,
    reference_spins: Tensor | ArrayLike,
    *,
    sites: Sequence[int] | None = None,
    quadruples: ArrayLike | None = None,
    step: float = 0.05,
    time: float | None = None,
) -> EffectiveExchange:
    """Couplings of the effective spin Hamiltonian, from derivatives of the field under small rotations of spins.

    The mixed second derivatives of the energy in the tangent planes of two spins need no energy and see only what the
    torque sees. With c = S_i.S_j = cos theta, n along S_i x S_j and t_i = n x S_i, those of ``-f(c)`` are
    ``(n, n): -f'``, ``(t_i, t_j): -f' cos theta + f'' sin^2 theta``, and 0 for the other two. An antisymmetric exchange
    along n cannot be told from f'' on noncollinear spins: use a collinear reference where there is spin-orbit coupling.
    Four-spin couplings are fitted to the mixed fourth derivatives of four different spins. Derivatives are central
    differences at two angles, exact for energies that are at most quadratic in each spin.

    The couplings are those of the expansion of Shi, Zhang, Chern (metallic spin glass, eq. 14) with the opposite sign
    and every pair counted once. On sources whose interactions depend on further spins they depend on the reference.

    Parameters
    ----------
    source : FieldSource
        Any source on one system; each site costs 8 fields, each quadruple 512.
    reference_spins : (N, 3)
        Unit spins around which the energy is expanded.
    sites : sequence of int, optional
        Sites i; default all.
    quadruples : (Q, 4), optional
        Four different sites each.
    step : float
        Angle of the small rotations in radians, 0 < step < 0.5. The error of a general source falls as step^4, that
        of rounding in the field grows as 1 / step (1 / step^3 for K).
    time : float, optional
        Time at which a time-dependent source is evaluated.

    Returns
    -------
    EffectiveExchange
        float64 on the processor.

    Raises
    ------
    InvalidInput
        If the system is a union, there are replicas, a site does not exist or `step` is out of range.
    NoEnergyError
        If the source has no energy.
    """
    source._require_energy()
    spins = as_spins(reference_spins, source.system.n_sites).detach().to("cpu", torch.float64)
    _check(source, spins, step)
    chosen = _checked_sites(np.arange(source.system.n_sites) if sites is None else sites, source.system.n_sites)
    measured = [_pair_couplings(spins, int(i), _second_derivatives(source, spins, int(i), step, time)) for i in chosen]
    pairs: dict[str, Any] = {name: torch.stack([one[name] for one in measured]) for name in measured[0]}
    result = EffectiveExchange(chosen, **pairs)
    if quadruples is None:
        return result
    four = np.asarray(quadruples)
    if four.ndim != 2 or four.shape[1] != 4 or any(len(set(row)) < 4 for row in four.tolist()):
        raise InvalidInput(f"quadruples have shape {four.shape}; give (Q, 4), four different sites each")
    _checked_sites(four.reshape(-1), source.system.n_sites)
    K = torch.stack([_four_spin(source, spins, row, step, time) for row in four.tolist()])
    return replace(result, quadruples=four.astype(np.int64), K=K)


def _check(source: FieldSource, spins: Tensor, step: float) -> None:
    if source.system.n_graphs > 1:
        raise InvalidInput(
            f"effective_exchange of a union of {source.system.n_graphs} systems; take one part at a time"
        )
    if spins.ndim != 2:
        raise InvalidInput(f"reference_spins have shape {tuple(spins.shape)}; give one configuration (N, 3)")
    if not 0 < step < 0.5:
        raise InvalidInput(f"step={step} must be an angle between 0 and 0.5 radians, such as 0.05")


def _checked_sites(sites: Any, n_sites: int) -> IntArray:
    array = np.atleast_1d(np.asarray(sites))
    if array.size == 0 or not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() >= n_sites:
        raise InvalidInput(f"sites {np.asarray(sites).tolist()} must be integers in 0 .. {n_sites - 1}")
    return array.astype(np.int64)


def _stencil(step: float) -> tuple[Tensor, Tensor]:
    """Angles (4,) and weights whose sum is the derivative at 0, exact for sin(x) and sin(2x)."""
    angles = np.array([step, 2 * step])
    weights = np.linalg.solve(np.stack([np.sin(angles), np.sin(2 * angles)]), [1.0, 2.0]) / 2
    return torch.tensor([*angles, *-angles]), torch.from_numpy(np.concatenate([weights, -weights]))


def _tangents(spin: Tensor) -> Tensor:
    """Two orthonormal vectors (2, 3) perpendicular to a unit spin."""
    axis = torch.eye(3, dtype=spin.dtype)[int(spin.abs().argmin())]
    first = torch.linalg.cross(axis, spin)
    first = first / first.norm()
    return torch.stack([first, torch.linalg.cross(spin, first)])


def _rotated(spin: Tensor, tangent: Tensor, angles: Tensor) -> Tensor:
    return torch.cos(angles)[:, None] * spin + torch.sin(angles)[:, None] * tangent


def _second_derivatives(source: FieldSource, spins: Tensor, site: int, step: float, time: float | None) -> Tensor:
    """``d^2 E / dS_i dS_j`` (3, N, 3) with S_i varied in its tangent plane only."""
    angles, weights = _stencil(step)
    directions = _tangents(spins[site])
    moved = spins.repeat(2, len(angles), 1, 1)
    for k, direction in enumerate(directions):
        moved[k, :, site] = _rotated(spins[site], direction, angles)
    slopes = -torch.einsum("a,kanc->knc", weights, source.field(moved, time).cpu().to(torch.float64))
    return torch.einsum("kx,knc->xnc", directions, slopes)


def _pair_couplings(spins: Tensor, site: int, hessian: Tensor) -> dict[str, Tensor]:
    """Couplings of one site with all others from its second derivatives (3, N, 3)."""
    first, second = spins[site].expand_as(spins), spins
    cross = torch.linalg.cross(first, second)
    sine, cosine = cross.norm(dim=-1), (first * second).sum(-1)
    collinear = sine < _COLLINEAR
    normal = torch.where(collinear[:, None], _tangents(spins[site])[0], cross / sine.clamp(min=1e-300)[:, None])
    t_first, t_second = torch.linalg.cross(normal, first), torch.linalg.cross(normal, second)

    def element(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("nx,xny,ny->n", a, hessian, b)

    nn, tt = element(normal, normal), element(t_first, t_second)
    nt, tn = element(normal, t_second), element(t_first, normal)
    slope = torch.where(collinear, -(nn + cosine.sign() * tt) / 2, -nn)
    curvature = (tt + slope * cosine) / sine.square().clamp(min=_COLLINEAR**2)
    biquadratic = torch.where(collinear, torch.nan, curvature / 2)
    bilinear = torch.where(collinear, slope, slope - 2 * biquadratic * cosine)
    along = cosine.sign()
    isotropic = ((nn + slope).square() + (along * tt + slope).square() + (along * nt + tn).square() / 2) / 4
    result = {
        "J": bilinear,
        "B": biquadratic,
        "slope": slope,
        "D": torch.where(collinear, (tn - along * nt) / 2, torch.nan),
        "residual": torch.where(collinear, isotropic, (nt.square() + tn.square()) / 4).sqrt(),
        "hessian": torch.einsum("xny,nyz->nxz", hessian, torch.eye(3) - second[:, :, None] * second[:, None, :]),
    }
    for values in result.values():
        values[site] = 0.0
    return result


def _four_spin(source: FieldSource, spins: Tensor, sites: list[int], step: float, time: float | None) -> Tensor:
    """K (3,) fitted to the fourth derivatives in the tangent planes of four different spins."""
    i, j, k, m = sites
    angles, weights = _stencil(step)
    a, b, c = torch.meshgrid(*[torch.arange(len(angles))] * 3, indexing="ij")
    weight = (weights[a] * weights[b] * weights[c]).reshape(-1)
    planes = [_tangents(spins[site]) for site in sites]
    derivative = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    for first in range(2):
        for second in range(2):
            for third in range(2):
                moved = spins.repeat(len(weight), 1, 1)
                for site, plane, direction, index in zip(
                    (i, j, k), planes, (first, second, third), (a, b, c), strict=False
                ):
                    moved[:, site] = _rotated(spins[site], plane[direction], angles[index.reshape(-1)])
                field = source.field(moved, time).cpu().to(torch.float64)[:, m]
                derivative[first, second, third] = -planes[3] @ (weight @ field)
    structures = [
        torch.einsum(f"{'abcd'[x]}p,{'abcd'[y]}p,{'abcd'[z]}q,{'abcd'[w]}q->abcd", *(planes[n] for n in (x, y, z, w)))
        for x, y, z, w in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
    ]
    matrix = -torch.stack([structure.reshape(-1) for structure in structures], 1)
    return torch.linalg.lstsq(matrix, derivative.reshape(-1), driver="gelsd").solution
