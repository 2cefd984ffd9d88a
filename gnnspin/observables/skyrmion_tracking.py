"""Where one skyrmion is and how large, and how a current must move it (Thiele)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.graphs.gradient import neighbor_gradient
from gnnspin.observables.chirality import topological_charge, topological_charge_density
from gnnspin.observables.triangulation import triangles
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.system import FloatArray, SpinSystem

#: Smallest topological charge that is one skyrmion.
_SMALLEST_CHARGE = 0.5
#: Times that a centre is moved to the mean of the charge around it.
_MOVES = 3


def skyrmion_center(system: SpinSystem, spins: Tensor | ArrayLike, *, within: float | None = None) -> Tensor:
    """Centre of a skyrmion, the mean position of the topological charge, shape (..., 2); NaN where there is none.

    Periodic images are taken into account: the mean is first taken on the circle of each periodic direction, then of
    the shortest displacements from there.

    Parameters
    ----------
    system : SpinSystem
        Planar, see `triangles`.
    spins : (..., N, 3)
        Unit spins with one skyrmion, of either charge.
    within : float, optional
        Charge further than this from the centre is left out, so that thermal fluctuations elsewhere do not move it;
        default: all charge.

    Returns
    -------
    (..., 2) float64 tensor
        Cartesian; in periodic directions within the cell.

    Raises
    ------
    InvalidInput
        If the system is not planar, or `within` is not positive.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(24, 24)
    >>> spins = gs.observables.skyrmion(system, center=(22.3, 5.0), radius=4.0)
    >>> gs.observables.skyrmion_center(system, spins).numpy().round(2).tolist()
    [22.3, 5.0]
    """
    if within is not None and not within > 0:
        raise InvalidInput(f"within={within} must be a positive distance")
    density = topological_charge_density(system, spins)
    charge = density.sum(-1, keepdim=True)
    weight = (density * charge.sign()).cpu().numpy()
    places = triangles(system, tiling=True).centers.numpy()
    center = _mean_on_circles(system, places, weight)
    for _ in range(_MOVES):
        away = shortest_images(system, places - center[..., None, :])
        near = weight if within is None else weight * (np.linalg.norm(away, axis=-1) <= within)
        with np.errstate(invalid="ignore", divide="ignore"):
            center = center + (away * near[..., None]).sum(-2) / near.sum(-1)[..., None]
    fractions = center @ np.linalg.inv(system.cell)
    fractions = np.where(system.pbc, fractions % 1.0, fractions)
    found = torch.from_numpy(np.ascontiguousarray((fractions @ system.cell)[..., :2])).to(density.device)
    return torch.where(charge.abs() >= _SMALLEST_CHARGE, found, torch.nan)


def _mean_on_circles(system: SpinSystem, places: FloatArray, weight: FloatArray) -> FloatArray:
    """Mean (..., 3) of places (T, 3), on the circle of every periodic direction."""
    fractions = places @ np.linalg.inv(system.cell)
    total = weight.sum(-1)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        straight = weight @ fractions / total
    turned = np.angle(weight @ np.exp(2j * np.pi * fractions)) / (2 * np.pi)
    return np.where(system.pbc, turned, straight) @ system.cell


def skyrmion_radius(
    system: SpinSystem, spins: Tensor | ArrayLike, *, axis: ArrayLike = (0.0, 0.0, 1.0), polarity: int = 0
) -> Tensor:
    """Radius (...) of the circle whose area is that of the skyrmion's core, where S.n has the sign of its polarity.

    The line S.n = 0 is taken from linear interpolation in every triangle, so that the radius changes smoothly; it is
    that of `skyrmion` to second order in the spacing.

    Parameters
    ----------
    system : SpinSystem
        Planar, see `triangles`.
    spins : (..., N, 3)
        Unit spins.
    axis : (3,)
        n, normal of the film.
    polarity : int
        Sign of S.n in the core: 1, -1, or 0 for the sign that covers the smaller area.

    Raises
    ------
    InvalidInput
        If the system is not planar, or an argument is out of range.
    """
    n = np.asarray(axis, dtype=np.float64)
    if n.shape != (3,) or not np.isfinite(n).all() or not n.any():
        raise InvalidInput(f"axis={axis!r} must be three finite numbers, not all zero")
    if polarity not in (-1, 0, 1):
        raise InvalidInput(f"polarity={polarity} must be 1, -1, or 0 for the smaller area")
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    along = checked @ torch.from_numpy(n).to(checked)
    corners = along[..., triangles(system, tiling=True).sites.to(along.device)]
    areas = torch.from_numpy(_areas(system)).to(along)
    below = (_share_below_zero(corners) * areas).sum(-1)
    above = areas.sum() - below
    core = torch.minimum(below, above) if polarity == 0 else (above if polarity > 0 else below)
    return (core / np.pi).sqrt()


def _share_below_zero(values: Tensor) -> Tensor:
    """Share (..., T) of triangles where the linear function with the values (..., T, 3) at the corners is negative."""
    low, middle, high = values.sort(-1).values.unbind(-1)
    tip = low.square() / ((low - middle) * (low - high)).clamp_min(1e-300)
    other = 1 - high.square() / ((high - middle) * (high - low)).clamp_min(1e-300)
    mixed = torch.where(middle >= 0, tip, other)
    return torch.where(low >= 0, 0.0, torch.where(high <= 0, 1.0, mixed))


@lru_cache(maxsize=16)
def _areas(system: SpinSystem) -> FloatArray:
    """Areas (T,) of the triangles that cover the plane."""
    corners = triangles(system, tiling=True).sites.numpy()
    start = system.positions[corners[:, 0]]
    first, second = (shortest_images(system, system.positions[corners[:, k]] - start) for k in (1, 2))
    return np.asarray(0.5 * np.abs(np.cross(first, second)[:, 2]), dtype=np.float64)


def dissipation_tensor(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Dissipation tensor ``D_ab = int d_a S . d_b S dx dy`` of a texture, shape (..., 2, 2).

    4 pi times the identity for a Belavin-Polyakov skyrmion. Gradients are those of
    `gnnspin.graphs.gradient.neighbor_gradient`, the area of a site is that of the unit cell over its sites.

    Parameters
    ----------
    system : SpinSystem
        Planar.
    spins : (..., N, 3)
        Unit spins.
    """
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    bonds, weight = neighbor_gradient(system)
    site, neighbor = (torch.from_numpy(each).to(checked.device) for each in (bonds.site, bonds.neighbor))
    change = checked[..., neighbor, :] - checked[..., site, :]
    slopes = torch.stack(
        [
            torch.zeros_like(checked).index_add(-2, site, torch.from_numpy(weight[:, [a]]).to(checked) * change)
            for a in (0, 1)
        ],
        dim=-3,
    )
    return torch.einsum("...aic,...bic->...ab", slopes, slopes) * _site_area(system)


def _site_area(system: SpinSystem) -> float:
    rows = system.primitive_vectors if system.lattice_shape else system.cell
    sites = system.n_basis if system.lattice_shape else system.n_sites
    return abs(float(np.linalg.det(rows[:2, :2]))) / sites


def thiele_velocity(
    system: SpinSystem, spins: Tensor | ArrayLike, u: ArrayLike, *, alpha: float, beta: float
) -> Tensor:
    """Velocity (..., 2) of a rigid texture under the Zhang-Li torque, in the Gilbert form of the equation.

    ``(alpha D + G e) v = (beta D + G e) u`` with the dissipation tensor D, ``G = 4 pi Q`` of the topological charge Q
    and ``e = [[0, 1], [-1, 0]]``: at beta = alpha ``v = u``; a wall (Q = 0) has ``v = (beta / alpha) u``, a skyrmion
    also a part across the current. Thiele, Phys. Rev. Lett. 30, 230 (1973), doi:10.1103/PhysRevLett.30.230; signs as in
    `gnnspin.classical.ZhangLi`.

    Parameters
    ----------
    system : SpinSystem
        Planar.
    spins : (..., N, 3)
        The texture, relaxed.
    u : (2,) or (3,)
        Drift velocity of the electrons.
    alpha : float
        Gilbert damping, positive.
    beta : float
        Nonadiabaticity.

    Raises
    ------
    InvalidInput
        If u is no vector in the plane, or alpha is not positive.
    """
    drift = np.asarray(u, dtype=np.float64)
    if drift.shape not in ((2,), (3,)) or not np.isfinite(drift).all() or (len(drift) == 3 and drift[2]):
        raise InvalidInput(f"u={u!r} must be a finite vector in the xy plane")
    if not alpha > 0:
        raise InvalidInput(f"alpha={alpha} must be positive")
    dissipation = dissipation_tensor(system, spins)
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64, device=dissipation.device)
    gyration = 4 * np.pi * topological_charge(system, spins)[..., None, None] * turn
    force = (beta * dissipation + gyration) @ torch.from_numpy(drift[:2]).to(dissipation)
    return torch.linalg.solve(alpha * dissipation + gyration, force)
