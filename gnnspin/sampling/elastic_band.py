"""Minimum-energy paths between two states: the geodesic nudged elastic band with a climbing image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize, project_tangent
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.dynamics.timestep import fastest_rate
from gnnspin.sampling.geodesics import geodesic, geodesic_distance
from gnnspin.sampling.minimize import Pairs, Point, free_spins, inner, minimize, moved_along, transported
from gnnspin.systems.system import FloatArray

#: Largest turn of a spin in one iteration, in radians.
_MAX_TURN = 0.1
#: Pairs that the optimiser remembers.
_MEMORY = 12
#: Residual of the band, in units of its first one, from which an image climbs.
_CLIMB_FROM = 0.05
#: Energies that differ by this part of the barrier are equally high.
_EQUAL = 1e-2
#: Residual, in the same units, below which quasi-Newton steps are taken, while they lower it by half in so many steps
#: and do not raise it that many times; else inertial ones are taken so many times, after a few failures for good.
_NEWTON_FROM, _PATIENT, _WORSE, _REST, _FAILURES = 0.05, 60, 30.0, 40, 2
#: Inertial relaxation (FIRE): first and longest time step in units of the fastest motion, and its usual constants.
_FIRST_STEP, _LONGEST_STEP = 0.2, 1.4
_PATIENCE, _FASTER, _SLOWER, _MIXING, _LESS_MIXING = 5, 1.1, 0.5, 0.1, 0.99


@dataclass(frozen=True, eq=False)
class MinimumEnergyPath:
    """Path between two minima on which the force is along the path.

    Attributes
    ----------
    spins : (M, N, 3)
        Images, both minima included.
    energies : (M,) float64 tensor
        Their energies.
    distances : (M,) float64 tensor
        Reaction coordinate: geodesic distance along the path from the first image, in radians.
    slopes : (M,) float64 tensor
        Derivative of the energy with respect to it.
    torques : (M,) float64 tensor
        Largest residual torque of a spin: across the path, of the climbing image all of it.
    climbing : int or None
        Image at the saddle point; None where no image climbed, as no image is higher than both ends.
    converged : bool
        Whether the residual torques are at most the tolerance.
    iterations, evaluations : int
        Iterations; evaluations of energy and field, all images at once counted as one.
    """

    spins: Tensor
    energies: Tensor
    distances: Tensor
    slopes: Tensor
    torques: Tensor
    climbing: int | None
    converged: bool
    iterations: int
    evaluations: int

    @property
    def barrier(self) -> float:
        """Energy of the highest image above the first one; with a climbing image that of the saddle point."""
        return float(self.energies.max() - self.energies[0])

    @property
    def reverse_barrier(self) -> float:
        """Energy of the highest image above the last one."""
        return float(self.energies.max() - self.energies[-1])

    @property
    def saddle(self) -> Tensor:
        """Spins (N, 3) of the climbing image.

        Raises
        ------
        InvalidInput
            If no image climbed.
        """
        if self.climbing is None:
            raise InvalidInput("no image of this path climbed to a saddle point: none is higher than both ends")
        return self.spins[self.climbing]

    def profile(self, n: int = 200) -> tuple[FloatArray, FloatArray]:
        """Distances (n,) and energies (n,) of the path, by cubic interpolation through energies and slopes."""
        x, e, g = (each.cpu().numpy() for each in (self.distances, self.energies, self.slopes))
        at = np.linspace(x[0], x[-1], whole_at_least(n, 2, "n"))
        k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
        h = x[k + 1] - x[k]
        t = (at - x[k]) / h
        rising, bend = t * t * (3 - 2 * t), t * (1 - t)
        return at, e[k] + (e[k + 1] - e[k]) * rising + h * bend * ((1 - t) * g[k] - t * g[k + 1])


@independent_of_modes
def elastic_band(
    source: FieldSource,
    path: Tensor | ArrayLike,
    *,
    climbing: bool = True,
    spring: float | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    pinned: Tensor | ArrayLike | None = None,
) -> MinimumEnergyPath:
    """Minimum-energy path through a source's landscape by the geodesic nudged elastic band.

    ::

        F_i = -g_i + (g_i . t_i) t_i + k (L_i+1 - L_i) t_i       across the path, and springs along it
        F_c = -g_c + 2 (g_c . t_c) t_c                           of the climbing image, which is drawn to the saddle

    g is the part of -H perpendicular to the spins, t the unit tangent of the path towards the higher neighbour, L the
    geodesic distances of neighbouring images. Both ends are minimised first and then stay. All images are evaluated at
    once as replicas. The forces are followed with inertia (FIRE: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006),
    doi:10.1103/PhysRevLett.97.170201), close to the path by limited-memory BFGS without line search, by at most 0.1
    radians per spin and iteration.
    Bessarab, Uzdin, Jonsson, Comput. Phys. Commun. 196, 335 (2015), doi:10.1016/j.cpc.2015.07.001;
    tangents: Henkelman, Jonsson, J. Chem. Phys. 113, 9978 (2000), doi:10.1063/1.1323224; climbing image: Henkelman,
    Uberuaga, Jonsson, J. Chem. Phys. 113, 9901 (2000), doi:10.1063/1.1329672.

    Parameters
    ----------
    source : FieldSource
        Any source with an energy, on one system.
    path : (M, N, 3)
        Images to start from, for instance a `geodesic_path`; the ends lie in the valleys of the two minima.
    climbing : bool
        Whether the highest image climbs to the saddle point once the band has found its way.
    spring : float, optional
        k, energy per square radian; default: a force of the springs like the mean slope of the first path.
    tolerance : float
        Largest residual torque at the end, in units of the energy.
    max_iterations : int
    pinned : (N,) bool, optional
        Spins that stay as they are in the first image.

    Returns
    -------
    MinimumEnergyPath
        Look at ``converged``: running out of iterations, or of precision (a float32 source), is not an error.

    Raises
    ------
    InvalidInput
        If an argument is out of range, the ends relax to one state, or the system is a union.
    NoEnergyError
        If the source has no energy.

    Examples
    --------
    One spin over its hard axis, ``E = -K S_z^2 + K' S_y^2``: the barrier is K

    >>> import gnnspin as gs
    >>> spin = gs.systems.chain(1, pbc=False)
    >>> source = gs.classical.UniaxialAnisotropy(spin, 0.5) + gs.classical.UniaxialAnisotropy(spin, -0.2, (0, 1, 0))
    >>> start = gs.sampling.geodesic_path([[0.0, 0.0, 1.0]], [[0.0, 0.0, -1.0]], 7, noise=0.1)
    >>> round(elastic_band(source, start).barrier, 6)
    0.5
    """
    source._require_energy()
    images = as_spins(path, source.system.n_sites).detach().to(torch.float64)
    if images.ndim != 3 or len(images) < 3:
        raise InvalidInput(f"path has shape {tuple(images.shape)}; give (M, N, 3) with three or more images")
    if source.system.n_graphs > 1:
        raise InvalidInput("a path needs one energy; the source's system is a union, give one of its parts")
    for name, value in (("tolerance", tolerance), ("spring", spring)):
        if value is not None and not value > 0:
            raise InvalidInput(f"{name}={value} must be positive")
    max_iterations = whole_at_least(max_iterations, 0, "max_iterations")
    images, free = normalize(images), free_spins(pinned, images)
    images = torch.where(free[:, None] > 0, images, images[:1])
    ends = _relaxed_ends(source, images, tolerance, pinned)
    band = _Band(source, torch.cat([ends[:1], images[1:-1], ends[1:]]), free, spring)
    climber, point = None, band.at(band.images, None)
    first, iteration, walk = point.residual, 0, _Walk(band)
    while iteration < max_iterations:
        done = point.residual <= tolerance
        may_climb = climbing and (done or point.residual <= _CLIMB_FROM * first)
        highest = band.highest(point, climber) if may_climb else climber
        if highest != climber:
            climber, walk = highest, _Walk(band)
            point = band.at(point.images, climber)
        elif done:
            break
        point = walk.step(point, climber, _NEWTON_FROM * first)
        iteration += 1
    return band.result(point, climber, tolerance, iteration)


def _relaxed_ends(source: FieldSource, images: Tensor, tolerance: float, pinned: Tensor | ArrayLike | None) -> Tensor:
    """The minima (2, N, 3) of the valleys in which the path begins and ends."""
    found = minimize(source, images[[0, -1]], tolerance=tolerance, max_iterations=10_000, pinned=pinned)
    distance = float(geodesic_distance(found.spins[0], found.spins[1]))
    if distance < 1e-3:
        raise InvalidInput(
            "both ends of the path relax to one state; give ends in the valleys of two minima, for instance minima "
            "found by gnnspin.sampling.minimize"
        )
    return found.spins


@dataclass(frozen=True, eq=False)
class _State:
    """Images (M, N, 3), their energies (M,), gradients and band forces (M - 2, N, 3) inside, and the residual."""

    images: Tensor
    energies: Tensor
    gradients: Tensor
    tangents: Tensor
    force: Tensor
    torques: Tensor

    @property
    def residual(self) -> float:
        return float(self.torques.max())


class _Band:
    """Forces on the images of a path, and steps along them."""

    def __init__(self, source: FieldSource, images: Tensor, free: Tensor, spring: float | None) -> None:
        self.source, self.images, self.free, self.evaluations = source, images, free, 0
        self.ends = source.energy(images[[0, -1]])
        self.spring = spring or self._usual_spring()

    def _usual_spring(self) -> float:
        energies = self.source.energy(self.images)
        lengths = geodesic_distance(self.images[:-1], self.images[1:])
        spread = float(energies.max() - energies.min())
        return max(spread, 1e-12) / float(lengths.sum() * lengths.mean())

    def at(self, images: Tensor, climber: int | None) -> _State:
        """Energies, gradients and forces of the images."""
        self.evaluations += 1
        inside = images[1:-1]
        energy, field = self.source.energy_and_field(inside)
        energies = torch.cat([self.ends[:1], energy, self.ends[1:]])
        gradients = -project_tangent(field, inside) * self.free[:, None]
        tangents, lengths = _tangents(images, energies)
        along = (gradients * tangents).sum((-1, -2), keepdim=True)
        across = -(gradients - along * tangents)
        force = across + self.spring * (lengths[1:] - lengths[:-1])[:, None, None] * tangents
        residual = across.clone()
        if climber is not None:
            force[climber - 1] = across[climber - 1] + along[climber - 1] * tangents[climber - 1]
            residual[climber - 1] = gradients[climber - 1]
        torques = residual.norm(dim=-1).amax(-1)
        return _State(images, energies, gradients, tangents, force, torques)

    def highest(self, point: _State, climber: int | None) -> int | None:
        """The image that is to climb: the highest, unless it is an end; one that climbs goes on beside equal ones."""
        image = int(point.energies.argmax())
        top, base = float(point.energies[image]), float(self.ends.min())
        if climber is not None and top - float(point.energies[climber]) <= _EQUAL * (top - base):
            return climber
        return image if 0 < image < len(point.images) - 1 else None

    def moved(self, point: _State, step: Tensor, climber: int | None) -> _State:
        """The band whose images inside moved along a step (3, 1, (M - 2) N)."""
        inside = vectors(moved_along(self.flat(point).spins, step)).reshape(point.images[1:-1].shape)
        return self.at(torch.cat([point.images[:1], inside, point.images[-1:]]), climber)

    def stiffness(self, point: _State) -> float:
        """Largest curvature that the forces have, about."""
        return max(fastest_rate(self.source, point.images), 1e-12) + 4 * self.spring

    def flat(self, point: _State) -> Point:
        """All images as one point (3, 1, (M - 2) N), whose gradient is minus the force."""
        spins = components(point.images[1:-1].reshape(1, -1, 3))
        gradient = components(-point.force.reshape(1, -1, 3))
        return Point(spins, point.energies.sum()[None], gradient, gradient.square().sum(0).max().sqrt()[None])

    def result(self, point: _State, climber: int | None, tolerance: float, iterations: int) -> MinimumEnergyPath:
        """The path with its reaction coordinate."""
        lengths = geodesic_distance(point.images[:-1], point.images[1:])
        slopes = (point.gradients * point.tangents).sum((-1, -2))
        nothing = slopes.new_zeros(1)
        return MinimumEnergyPath(
            spins=point.images,
            energies=point.energies,
            distances=torch.cat([nothing, lengths.cumsum(0)]),
            slopes=torch.cat([nothing, slopes, nothing]),
            torques=torch.cat([nothing, point.torques, nothing]),
            climbing=climber,
            converged=point.residual <= tolerance,
            iterations=iterations,
            evaluations=self.evaluations,
        )


class _Walk:
    """Steps along the forces: with inertia, and by limited-memory BFGS where the residual is small."""

    def __init__(self, band: _Band) -> None:
        self.band, self.pairs, self.lowest = band, Pairs(_MEMORY), float("inf")
        self.newton, self.rest, self.since, self.failures = False, 0, 0, 0
        self.velocity: Tensor | None = None
        self.dt = self.longest = 0.0
        self.downhill, self.mixing = 0, _MIXING

    def step(self, point: _State, climber: int | None, newton_from: float) -> _State:
        """The band after one iteration."""
        self.rest -= 1
        self.since += 1
        if point.residual < 0.5 * self.lowest:
            self.lowest, self.since = point.residual, 0
        if self.newton and (point.residual > _WORSE * self.lowest or self.since > _PATIENT):
            self.newton, self.velocity, self.rest, self.failures = False, None, _REST, self.failures + 1
        elif not self.newton and self.rest <= 0 and point.residual <= newton_from and self.failures < _FAILURES:
            self.newton, self.pairs, self.lowest, self.since = True, Pairs(_MEMORY), point.residual, 0
        return self._newton(point, climber) if self.newton else self._inertial(point, climber)

    def _newton(self, point: _State, climber: int | None) -> _State:
        old = self.band.flat(point)
        direction = self.pairs.descent(old)
        if float(inner(direction, old.gradient)) >= 0:
            self.pairs.forget(torch.ones(1, dtype=torch.bool, device=direction.device))
            direction = self.pairs.descent(old)
        direction = _shortened(direction)
        new = self.band.moved(point, direction, climber)
        self.pairs.extend(old, direction, self.band.flat(new))
        return new

    def _inertial(self, point: _State, climber: int | None) -> _State:
        old = self.band.flat(point)
        force = -old.gradient
        if self.velocity is None:
            rate = self.band.stiffness(point) ** 0.5
            self.dt, self.longest = _FIRST_STEP / rate, _LONGEST_STEP / rate
            self.velocity, self.downhill, self.mixing = torch.zeros_like(force), 0, _MIXING
        power = float(inner(force, self.velocity))
        if power > 0:
            share = self.mixing * float(self.velocity.norm() / force.norm().clamp_min(1e-300))
            self.velocity = (1 - self.mixing) * self.velocity + share * force
            self.downhill += 1
            if self.downhill > _PATIENCE:
                self.dt, self.mixing = min(_FASTER * self.dt, self.longest), _LESS_MIXING * self.mixing
        elif power < 0:
            self.dt *= _SLOWER
            self.velocity, self.downhill, self.mixing = torch.zeros_like(force), 0, _MIXING
        self.velocity = self.velocity + self.dt * force
        step = _shortened(self.dt * self.velocity)
        self.velocity = transported(self.velocity, old.spins, step)
        return self.band.moved(point, step, climber)


def _shortened(step: Tensor) -> Tensor:
    """A step (3, ..., n) no longer than the largest turn of a spin."""
    return step * min(1.0, _MAX_TURN / max(float(step.square().sum(0).max().sqrt()), 1e-300))


def _tangents(images: Tensor, energies: Tensor) -> tuple[Tensor, Tensor]:
    """Unit tangents (M - 2, N, 3) at the images inside, towards the higher neighbour, and distances (M - 1,)."""
    inside = images[1:-1]
    ahead, back = geodesic(inside, images[2:]), -geodesic(inside, images[:-2])
    lengths = geodesic_distance(images[:-1], images[1:])
    below, here, above = energies[:-2], energies[1:-1], energies[2:]
    up, down = (above - here).abs(), (below - here).abs()
    larger, smaller = torch.maximum(up, down), torch.minimum(up, down)
    forward = torch.where(above > below, larger, smaller)
    backward = torch.where(above > below, smaller, larger)
    rising, falling = (above > here) & (here > below), (above < here) & (here < below)
    forward = torch.where(rising, 1.0, torch.where(falling, 0.0, forward))
    backward = torch.where(rising, 0.0, torch.where(falling, 1.0, backward))
    flat = (forward + backward) == 0
    mixed = torch.where(flat, 1.0, forward)[:, None, None] * ahead
    mixed = mixed + torch.where(flat, 1.0, backward)[:, None, None] * back
    return mixed / mixed.norm(dim=(-1, -2), keepdim=True).clamp_min(1e-300), lengths
