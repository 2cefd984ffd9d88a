"""Conventions of spins, fields and energies, judged by the numbers themselves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import torque
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.system import SpinSystem

#: Total torque, relative to that of torques in random directions, up to which it counts as zero.
_TOTAL_TORQUE = 0.02

#: Largest turn (root mean square, radians) between two snapshots that are compared by their energies.
_TURN = 0.35

#: Correlation between energy differences and the work of the field from which on the slope is believed.
_BELIEVED = 0.95

#: Share of the torque explained by the neighbours in another order of sites, beyond that in the given one.
_BETTER = 0.2


class ConventionWarning(UserWarning):
    """Arrays look as if they were written in another convention than the one they are given as."""


@dataclass(frozen=True)
class Conventions:
    """Numbers by which conventions are judged.

    Attributes
    ----------
    total_torque : float
        ``|sum_i T_i|`` over ``sqrt(sum_i |T_i|^2)``, root mean square over the snapshots: zero where the energy is
        invariant under rotation of all spins, about 1 for unrelated vectors.
    work_slope : float or None
        Slope of energy differences of neighbouring snapshots against the work ``-sum_i H_i . dS_i``: 1 where the field
        is the gradient of the energy; None where no two snapshots are near enough, or the two are not related.
    explained, explained_transposed : float or None
        Share of the torque that exchange with the nearest neighbours explains in the given order of sites, and in that
        with the lattice's axes exchanged; None where the latter makes no difference.
    """

    total_torque: float
    work_slope: float | None
    explained: float | None
    explained_transposed: float | None

    @classmethod
    def of(cls, system: SpinSystem, spins: Tensor, fields: Tensor, energies: Tensor | None) -> Conventions:
        """Measured on spins and fields (R, N, 3) and energies (R,)."""
        torques = torque(spins, fields)
        size = torques.square().sum((-1, -2))
        total = torques.sum(1).square().sum(-1)
        relative = float((total[size > 0] / size[size > 0]).mean().sqrt()) if bool((size > 0).any()) else 0.0
        planar = sum(length > 1 for length in system.lattice_shape or ()) > 1
        order = transposed_rows(system) if planar else None
        return cls(
            total_torque=relative,
            work_slope=None if energies is None else _work_slope(spins, fields, energies),
            explained=None if order is None else _explained(system, spins, torques),
            explained_transposed=None if order is None else _explained(system, spins[:, order], torques[:, order]),
        )


def check_conventions(
    system: SpinSystem, spins: Tensor, fields: Tensor, energies: Tensor | None, *, spin_orbit: bool = False
) -> Conventions:
    """Judge spins and fields (R, N, 3) and energies (R,), already in the conventions of the package.

    Raises
    ------
    InvalidInput
        If the field is provably not the gradient of the energies.

    Warns
    -----
    ConventionWarning
        If torques do not add up to zero although the energy is said to be invariant under spin rotation, there is no
        torque at all, or another order of the sites fits the lattice better.
    """
    found = Conventions.of(system, spins, fields, energies)
    if found.work_slope is not None:
        _judge_slope(found.work_slope, system.n_sites)
    if not bool(torque(spins, fields).abs().max() > 1e-12 * (1 + fields.abs().max())):
        _warn("the fields are along the spins: there is no torque to learn; are the rows of spins and fields the same?")
    elif not spin_orbit and found.total_torque > _TOTAL_TORQUE:
        _warn(
            f"the torques do not add up to zero: their sum is {found.total_torque:.2g} of what torques in random "
            "directions would give, and exactly 0 for an energy that is invariant under rotation of all spins. Rows of "
            "spins and fields in different orders, a driven field, or spin-orbit coupling, anisotropy or an external "
            "field do that; if it is one of the last, say spin_orbit"
        )
    if (
        found.explained is not None
        and found.explained_transposed is not None
        and found.explained_transposed > found.explained + _BETTER
    ):
        _warn(
            f"exchange with nearest neighbours explains {found.explained:.0%} of the torque in this order of sites, "
            f"and {found.explained_transposed:.0%} with the axes of the lattice exchanged; try "
            "site_order=first_axis_fastest"
        )
    return found


def _judge_slope(slope: float, n_sites: int) -> None:
    """Raise InvalidInput unless energy differences are the work of the field."""
    if 0.5 < slope < 2:
        return
    if slope < 0:
        remedy = "the field points up the energy: give field_scale=-1 for fields +dE/dS"
    elif abs(slope * n_sites - 1) < 0.5:
        remedy = f"energies look like energies per site: multiply them by {n_sites}"
    else:
        remedy = f"units or the length of moments differ: field_scale={slope:.3g} would make them agree"
    raise InvalidInput(f"energies of near snapshots change by {slope:.3g} times the work of the field; {remedy}")


def _work_slope(spins: Tensor, fields: Tensor, energies: Tensor) -> float | None:
    """Slope of energy differences against work over pairs of consecutive snapshots that are near each other."""
    step = spins[1:] - spins[:-1]
    near = step.square().sum(-1).mean(-1).sqrt() < _TURN
    work = -(0.5 * (fields[1:] + fields[:-1]) * step).sum((-1, -2))[near]
    change = (energies[1:] - energies[:-1])[near]
    scale = work.square().sum().sqrt() * change.square().sum().sqrt()
    if len(work) < 3 or float(scale) == 0:
        return None
    correlation = float((work * change).sum() / scale)
    return float((work * change).sum() / work.square().sum()) if abs(correlation) > _BELIEVED else None


def transposed_rows(system: SpinSystem) -> NDArray[np.int64]:
    """Row (N,) of each site of a lattice in arrays whose first cell index runs fastest, the basis faster still."""
    shape, basis = system.lattice_shape or (1, 1, 1), system.n_basis
    cells = np.arange(system.n_sites // basis).reshape(shape[::-1]).transpose(2, 1, 0).reshape(-1)
    return (cells[:, None] * basis + np.arange(basis)).reshape(-1)


def _explained(system: SpinSystem, spins: Tensor, torques: Tensor) -> float:
    """Share of the torque along that of one exchange constant between nearest neighbours."""
    bonds = shell_bonds(system, 1)
    neighbors = torch.zeros_like(spins).index_add_(
        1, torch.from_numpy(bonds.site), spins[:, torch.from_numpy(bonds.neighbor)]
    )
    model = torque(spins, neighbors)
    scale = model.square().sum() * torques.square().sum()
    return float((model * torques).sum().square() / scale) if float(scale) > 0 else 0.0


def _warn(text: str) -> None:
    warnings.warn(text, ConventionWarning, stacklevel=4)
