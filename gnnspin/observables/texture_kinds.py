"""Observables of walls and skyrmions by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.observables.observable import Observable
from gnnspin.observables.skyrmion_tracking import skyrmion_center, skyrmion_radius
from gnnspin.observables.walls import domain_wall
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class WallTracking(Observable, kind="domain_wall"):
    """Position, width, angle, tilt or roughness of a domain wall, (...); row by row (..., rows).

    Parameters
    ----------
    quantity : {"position", "width", "angle", "tilt", "roughness", "positions", "widths", "angles"}
        The position is the mean over rows, as the width; the angle is that of the first row. Plurals are row by row.
    direction : int
        Lattice direction (0, 1, 2) of the rows, along which the wall moves.
    axis : (3,)
        Easy axis n.
    sense : int
        +1: S.n rises along the row, -1: it falls; 0: whichever step is larger.
    method : {"fit", "crossing"}
        By a fit of tanh, or by the zero crossing.
    order : {"spins", "bonds"}
        Of S.n, or of the mean of ``S_i.S_j`` over a site's bonds: the boundary between a ferromagnet and an
        antiferromagnet.
    """

    quantity: Literal["position", "width", "angle", "tilt", "roughness", "positions", "widths", "angles"] = "position"
    direction: int = 0
    axis: Sequence[float] = (0.0, 0.0, 1.0)
    sense: Literal[-1, 0, 1] = 0
    method: Literal["fit", "crossing"] = "fit"
    order: Literal["spins", "bonds"] = "spins"

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput if the direction is none of a lattice."""
        direction = recipe.arguments()["direction"]
        if direction not in (0, 1, 2):
            raise InvalidInput(f"direction={direction} must be a lattice direction, 0, 1 or 2")

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """One number of the wall, or one per row."""
        wall = domain_wall(
            system,
            spins,
            direction=self.direction,
            axis=self.axis,
            sense=self.sense,
            method=self.method,
            order=self.order,
        )
        if self.quantity == "position":
            return wall.mean_position()
        if self.quantity in ("tilt", "roughness"):
            return getattr(wall, self.quantity)()
        if self.quantity == "width":
            return wall.width.nanmean(-1)
        if self.quantity == "angle":
            return wall.angle[..., 0]
        return {"positions": wall.position, "widths": wall.width, "angles": wall.angle}[self.quantity]


@dataclass(frozen=True)
class SkyrmionCenter(Observable, kind="skyrmion_center"):
    """Centre of a skyrmion by its topological charge, (..., 2).

    Parameters
    ----------
    within : float, optional
        Charge further than this from the centre is left out; default: all charge.
    """

    within: float | None = None

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Mean position of the charge."""
        return skyrmion_center(system, spins, within=self.within)


@dataclass(frozen=True)
class SkyrmionRadius(Observable, kind="skyrmion_radius"):
    """Radius of the circle with the area of a skyrmion's core, (...).

    Parameters
    ----------
    axis : (3,)
        Normal n of the film.
    polarity : int
        Sign of S.n in the core: 1, -1, or 0 for the sign that covers the smaller area.
    """

    axis: Sequence[float] = (0.0, 0.0, 1.0)
    polarity: Literal[-1, 0, 1] = 0

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Radius from the area of the core."""
        return skyrmion_radius(system, spins, axis=self.axis, polarity=self.polarity)
