"""Observers of equilibrium: spin temperature, energy and torque residual.

The spin temperature needs no momenta: for every energy on a product of spheres, integrating the divergence of
``grad E exp(-E / kT)`` gives exactly

    kT = < sum_i |S_i x H_i|^2 > / < Laplace E >,    Laplace E = sum_i [ 2 S_i.H_i + c_i ],

where ``c_i = tr[P_i (d^2 E / dS_i dS_i)]``, ``P_i = 1 - S_i S_i``, is the curvature of the energy in the spin's own
direction: zero where the energy is linear in each spin (exchange, Dzyaloshinskii-Moriya, Zeeman). Nurdin and Schotte,
Phys. Rev. E 61, 3579 (2000), doi:10.1103/PhysRevE.61.3579 (general); Ma, Dudarev, Semenov, Woo, Phys. Rev. E 82, 031111
(2010), doi:10.1103/PhysRevE.82.031111 (linear case, c = 0).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.noise import thermal_noise
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize, project_tangent, torque
from gnnspin.core.state import State
from gnnspin.trajectories.observers import Observer

#: Rotation of the spins in the finite difference of the curvature, radians.
_ANGLE = 1e-4
_ANGLE_SINGLE = 1e-2
_PROBE_KEY = 0x5445000000000000


def temperature_terms(source: FieldSource, *, curvature: bool = False, probes: int = 1, seed: int = 0) -> Observer:
    """Observer of the two terms of the spin temperature, per site: ``(sum |S x H|^2 / N, Laplace E / N)``, (..., 2).

    The temperature is the ratio of the averages, not the average of the ratios: see `spin_temperature`.

    Parameters
    ----------
    source : FieldSource
        Needs no energy, but its field must be the gradient of one.
    curvature : bool
        False: the field on a spin does not depend on that spin, ``c = 0``. True: the Laplacian is measured with random
        probes, ``v.(grad E(S + h v) - grad E(S - h v)) / 2h`` along geodesics, unbiased and right for every source
        (anisotropy, electrons, learned models); two field evaluations per probe.
    probes : int
        Probes per observation.
    seed : int
        The probes are functions of (seed, replica, step, site).
    """
    if probes < 1:
        raise InvalidInput(f"probes={probes} must be at least 1")

    def spin_temperature_terms(state: State) -> Tensor:
        spins = state.spins.detach()
        field = source.field(spins, state.time)
        square = torque(spins, field).to(torch.float64).square().sum((-1, -2))
        if curvature:
            measured = [_laplacian(source, state, state.step * probes + k, seed) for k in range(probes)]
            laplacian = torch.stack(measured).mean(0)
        else:
            laplacian = 2 * (spins * field).to(torch.float64).sum((-1, -2))
        return torch.stack([square, laplacian], -1) / spins.shape[-2]

    return spin_temperature_terms


def spin_temperature(terms: ArrayLike | Tensor) -> NDArray[np.float64]:
    """Temperature kT (...) from observed terms (T, ..., 2): the ratio of the averages over the T observations.

    Raises
    ------
    InvalidInput
        If the terms have the wrong shape.

    Examples
    --------
    >>> float(spin_temperature([[0.25, 0.5], [0.5, 1.0]]))
    0.5
    """
    values = np.asarray(terms, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] != 2 or len(values) == 0:
        raise InvalidInput(f"terms have shape {values.shape}; expected (observations, ..., 2) from temperature_terms")
    square, laplacian = np.moveaxis(values.mean(0), -1, 0)
    return np.asarray(square / laplacian)


def energy_per_site(source: FieldSource) -> Observer:
    """Observer of the energy per site (...); (..., n_graphs) for a union, each part by its own number of sites."""
    source._require_energy()
    sites = torch.tensor([part.n_sites for part in source.system.parts], dtype=torch.float64)

    def energy_per_site(state: State) -> Tensor:
        energy = source.energy(state.spins, state.time)
        return energy / (sites.to(energy.device) if len(sites) > 1 else sites.item())

    return energy_per_site


def torque_residual(source: FieldSource) -> Observer:
    """Observer of the largest and the root-mean-square torque ``|S_i x H_i|`` of each replica, (..., 2).

    Both vanish at an extremum of the energy; during a relaxation they say how far it is.
    """

    def torque_residual(state: State) -> Tensor:
        square = source.torque(state.spins, state.time).to(torch.float64).square().sum(-1)
        return torch.stack([square.amax(-1), square.mean(-1)], -1).sqrt()

    return torque_residual


def _laplacian(source: FieldSource, state: State, number: int, seed: int) -> Tensor:
    """Unbiased estimate of the Laplacian of E (...), from the change of the gradient along one random geodesic."""
    spins = state.spins.detach()
    shape = spins.shape
    normals = thermal_noise(
        seed ^ _PROBE_KEY, range(math.prod(shape[:-2])), number, shape[-2], dtype=spins.dtype, device=spins.device
    ).reshape(shape)
    direction = math.sqrt(2) * normalize(project_tangent(normals, spins))  # <v v> = 1 - S S
    h = _ANGLE_SINGLE if torch.float32 in (source.dtype, spins.dtype) else _ANGLE
    turn = math.sqrt(2) * h
    slopes = []
    for sign in (1, -1):
        moved = normalize(math.cos(turn) * spins + sign * math.sin(turn) / math.sqrt(2) * direction)
        velocity = math.cos(turn) * direction - sign * math.sin(turn) * math.sqrt(2) * spins
        slopes.append(-(source.field(moved, state.time) * velocity).to(torch.float64).sum((-1, -2)))
    return (slopes[0] - slopes[1]) / (2 * h)
