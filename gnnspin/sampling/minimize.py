"""Energy minimisation on a product of spheres, batched over replicas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize
from gnnspin.dynamics.algebra import components, dot, normalized, tangent, vectors

#: Weak Wolfe conditions: sufficient decrease and curvature.
_DECREASE, _CURVATURE = 1e-4, 0.9
_MAX_TRIALS = 25
#: Largest rotation of a spin in one trial step.
_MAX_ANGLE = 1.0


@dataclass(frozen=True)
class Minimum:
    """Result of `minimize`: spins, energy, largest torque and whether it converged.

    Attributes
    ----------
    spins : (..., N, 3)
        Unit spins at the last iteration.
    energy : (...) float64 tensor, or (..., n_graphs) for a union
        Their energy.
    torque : (...) tensor
        Largest torque ``|S_i x H_i|`` of a spin that is not pinned.
    converged : (...) bool tensor
        Whether `torque` is at most the tolerance.
    iterations : int
        Iterations done (of the slowest replica).
    evaluations : int
        Field evaluations, all replicas at once counted as one.
    energies, torques : (iterations + 1, ...) arrays
        History: total energy and largest torque after each iteration.
    """

    spins: Tensor
    energy: Tensor
    torque: Tensor
    converged: Tensor
    iterations: int
    evaluations: int
    energies: NDArray[np.float64]
    torques: NDArray[np.float64]


@independent_of_modes
def minimize(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    memory: int = 8,
    pinned: Tensor | ArrayLike | None = None,
) -> Minimum:
    """Nearest local energy minimum by limited-memory BFGS on the sphere of every spin.

    ::

        S' = cos(a |d|) S + sin(a |d|) d / |d|        (exponential map, per spin)
        s_k, y_k -> parallel transport along it       (isometric)
        weak Wolfe: E(a) <= E(0) + c1 a E'(0),  E'(a) >= c2 E'(0)

    The gradient is minus the field's part perpendicular to the spin, the direction d the two-loop recursion over the
    transported pairs. Each replica has its own recursion, step and end; all share every field evaluation. Close to the
    minimum, where energy differences drown in rounding, the decrease is judged by slopes. A start with zero torque (a
    saddle point, such as a perfect order) stays where it is: disturb it. Huang, Gallivan, Absil, SIAM J. Optim. 25,
    1660 (2015), doi:10.1137/140955483; for spins: Ivanov, Uzdin, Jonsson, Comput. Phys. Commun. 260, 107749 (2021),
    doi:10.1016/j.cpc.2020.107749; line search: Lewis, Overton, Math. Program. 141, 135 (2013),
    doi:10.1007/s10107-012-0514-2; slopes: Hager, Zhang, SIAM J. Optim. 16, 170 (2005), doi:10.1137/030601880.

    Parameters
    ----------
    source : FieldSource
        Any source with an energy.
    spins : (..., N, 3)
        Initial unit spins; leading dimensions are replicas.
    tolerance : float
        Largest torque ``|S_i x H_i|`` at the end, in units of the energy.
    max_iterations : int
    memory : int
        Pairs kept by the recursion.
    pinned : (N,) bool, optional
        Spins that stay.

    Returns
    -------
    Minimum
        Look at ``converged``: running out of iterations, or of precision (a float32 source), is not an error.

    Raises
    ------
    InvalidInput
        If an argument is out of range.
    NoEnergyError
        If the source has no energy.

    Examples
    --------
    >>> import gnnspin as gs
    >>> source = gs.classical.Heisenberg(gs.systems.square(4, 4))
    >>> result = minimize(source, gs.core.random_spins(16, seed=0))
    >>> round(result.energy.item(), 6)
    -32.0
    """
    start = normalize(as_spins(spins, source.system.n_sites).detach())
    if tolerance <= 0:
        raise InvalidInput(f"tolerance={tolerance} must be positive")
    max_iterations = whole_at_least(max_iterations, 0, "max_iterations")
    memory = whole_at_least(memory, 1, "memory")
    source._require_energy()
    landscape = _Landscape(source, free_spins(pinned, start))
    point = landscape.at(components(start.reshape(-1, *start.shape[-2:])))
    pairs, energies, torques = Pairs(memory), [point.energy], [point.torque]
    stuck = torch.zeros_like(point.torque, dtype=torch.bool)
    while len(energies) <= max_iterations and bool(((point.torque > tolerance) & ~stuck).any()):
        point, failed = _descend(landscape, point, pairs, (point.torque > tolerance) & ~stuck)
        stuck |= failed
        energies.append(point.energy)
        torques.append(point.torque)
    replicas = start.shape[:-2]
    final = vectors(point.spins).reshape(start.shape)
    return Minimum(
        spins=final,
        energy=source.energy(final),
        torque=point.torque.reshape(replicas),
        converged=(point.torque <= tolerance).reshape(replicas),
        iterations=len(energies) - 1,
        evaluations=landscape.evaluations,
        energies=torch.stack(energies).cpu().numpy().reshape(-1, *replicas),
        torques=torch.stack(torques).cpu().numpy().reshape(-1, *replicas),
    )


@dataclass(frozen=True)
class Point:
    """Spins (3, R, N), their energy (R,), Riemannian gradient (3, R, N) and largest torque (R,)."""

    spins: Tensor
    energy: Tensor
    gradient: Tensor
    torque: Tensor


class _Landscape:
    """Evaluates points, with pinned spins held, and counts how often."""

    def __init__(self, source: FieldSource, free: Tensor) -> None:
        self.source, self.free, self.evaluations = source, free, 0

    def at(self, spins: Tensor) -> Point:
        self.evaluations += 1
        energy, field = self.source.energy_and_field(vectors(spins))
        gradient = -tangent(components(field), spins) * self.free
        torque = dot(gradient, gradient).sqrt().amax(-1).to(torch.float64)
        return Point(spins, energy.reshape(spins.shape[1], -1).sum(-1), gradient, torque)

    def rounding(self, point: Point) -> Tensor:
        """Energy differences below this are noise."""
        coarsest = max(torch.finfo(dtype).eps for dtype in (self.source.dtype, point.spins.dtype))
        return 10 * coarsest * point.energy.abs()


class Pairs:
    """Steps s_k and gradient changes y_k, in the tangent space of the newest point."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.weights: list[Tensor] = []  # 1 / (s.y), 0 where a replica has no such pair

    def descent(self, point: Point) -> Tensor:
        """Direction by the two-loop recursion; where there is no pair, against the gradient by about 0.1."""
        q, factors = point.gradient.clone(), []
        for s, y, weight in zip(reversed(self.steps), reversed(self.changes), reversed(self.weights), strict=True):
            factor = weight * inner(s, q)
            factors.append(factor)
            q -= _scaled(factor, y)
        scale = 0.1 / point.torque.clamp_min(1e-30)
        for y, weight in zip(self.changes, self.weights, strict=True):
            scale = torch.where(weight > 0, 1 / (weight * inner(y, y)).clamp_min(1e-300), scale)
        q = _scaled(scale, q)
        for s, y, weight, factor in zip(self.steps, self.changes, self.weights, reversed(factors), strict=True):
            q += _scaled(factor - weight * inner(y, q), s)
        return -q

    def extend(self, old: Point, step: Tensor, new: Point) -> None:
        """Carry everything along `step` and add the new pair; where nothing moved, the pair has no weight."""
        self.steps = [transported(s, old.spins, step) for s in self.steps]
        self.changes = [transported(y, old.spins, step) for y in self.changes]
        s = transported(step, old.spins, step)
        y = new.gradient - transported(old.gradient, old.spins, step)
        product = inner(s, y)
        positive = product > 1e-12 * (inner(s, s) * inner(y, y)).sqrt()
        self.steps.append(s)
        self.changes.append(y)
        self.weights.append(torch.where(positive, 1 / product, 0.0))
        if len(self.steps) > self.memory:
            del self.steps[0], self.changes[0], self.weights[0]

    def forget(self, replicas: Tensor) -> Tensor:
        """Drop the pairs of `replicas` (R,) bool; returns which of them had any."""
        had = torch.zeros_like(replicas)
        for k, weight in enumerate(self.weights):
            had |= weight > 0
            self.weights[k] = torch.where(replicas, 0.0, weight)
        return had & replicas


def _descend(landscape: _Landscape, point: Point, pairs: Pairs, active: Tensor) -> tuple[Point, Tensor]:
    """One iteration of the `active` replicas (R,); the new point, and which replicas cannot go on."""
    direction = pairs.descent(point)
    slope = inner(direction, point.gradient)
    wrong = ~(slope < 0)
    direction = torch.where(wrong[:, None], -point.gradient, direction)
    slope = torch.where(wrong, -inner(point.gradient, point.gradient), slope)
    length, new = _line_search(landscape, point, direction, slope, active)
    moved = length > 0
    pairs.extend(point, _scaled(length, direction), new)
    failed = active & ~moved
    return new, failed & ~pairs.forget(failed)


def _line_search(
    landscape: _Landscape, point: Point, direction: Tensor, slope: Tensor, active: Tensor
) -> tuple[Tensor, Point]:
    """Weak Wolfe bisection for each active replica; lengths (R,), 0 where none was found, and the points there."""
    longest = _MAX_ANGLE / dot(direction, direction).sqrt().amax(-1).to(slope.dtype).clamp_min(1e-300)
    length, low, high = longest.clamp_max(1.0), torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    found, best, searching = torch.zeros_like(slope), point, active
    for _ in range(_MAX_TRIALS):
        step = _scaled(length, direction)
        trial = landscape.at(moved_along(point.spins, step))
        end_slope = inner(transported(direction, point.spins, step), trial.gradient)
        rise = trial.energy - point.energy
        flat = (rise <= landscape.rounding(point)) & (end_slope <= -0.8 * slope)
        decreased = (rise <= _DECREASE * length * slope) | flat
        accepted = searching & decreased & ((end_slope >= _CURVATURE * slope) | (length >= longest))
        found = torch.where(accepted, length, found)
        best = _chosen(accepted, trial, best)
        searching = searching & ~accepted
        if not bool(searching.any()):
            break
        low, high = torch.where(decreased, length, low), torch.where(decreased, high, length)
        length = torch.where(high.isinf(), torch.minimum(2 * length, longest), 0.5 * (low + high))
    return found, best


def moved_along(spins: Tensor, step: Tensor) -> Tensor:
    """Exponential map of the spheres: unit `spins` (3, ..., N) moved along the geodesics of tangent vectors `step`."""
    angle = dot(step, step).sqrt()
    return normalized(torch.cos(angle) * spins + torch.sinc(angle / torch.pi) * step)


def transported(tangents: Tensor, spins: Tensor, step: Tensor) -> Tensor:
    """Parallel transport of tangent vectors at `spins` along the geodesics of `step`; all (3, ..., N)."""
    angle = dot(step, step).sqrt()
    half = torch.sinc(angle / (2 * torch.pi))
    along = dot(tangents, step)
    return tangents - along * (0.5 * half.square() * step + torch.sinc(angle / torch.pi) * spins)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Scalar product over all spins of each replica, (R,) float64."""
    return dot(a, b).to(torch.float64).sum(-1)


def _scaled(factor: Tensor, planes: Tensor) -> Tensor:
    """`planes` (3, R, N) times one number per replica (R,)."""
    return factor.to(planes.dtype)[:, None] * planes


def _chosen(mask: Tensor, new: Point, old: Point) -> Point:
    """The new point where `mask` (R,) holds, else the old one."""
    wide = mask[:, None]
    return Point(
        torch.where(wide, new.spins, old.spins),
        torch.where(mask, new.energy, old.energy),
        torch.where(wide, new.gradient, old.gradient),
        torch.where(mask, new.torque, old.torque),
    )


def free_spins(pinned: Tensor | ArrayLike | None, spins: Tensor) -> Tensor:
    """1 for a spin that may move, 0 for a pinned one, (N,)."""
    if pinned is None:
        return torch.ones(spins.shape[-2], dtype=spins.dtype, device=spins.device)
    mask = torch.as_tensor(pinned)
    if mask.shape != spins.shape[-2:-1] or mask.dtype != torch.bool:
        raise InvalidInput(f"pinned has shape {tuple(mask.shape)}, {mask.dtype}; expected {spins.shape[-2]} bools")
    return (~mask).to(spins.device, spins.dtype)
