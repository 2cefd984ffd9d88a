"""Boundary between two spin orders: a wall at a place, of a width, straight or waved, to start from."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.observables.orders import ORDERS, is_order, reference_order
from gnnspin.systems.lattice import is_lattice
from gnnspin.systems.system import FloatArray, SpinSystem

#: Sine of the angle between two opposite spins, below which no rotation from one to the other is singled out.
_OPPOSITE = 1e-6


class BoundaryConfig(Config):
    """Boundary between two orders of a lattice; see `order_boundary`."""

    orders: tuple[str, str] = Field(
        default=("neel", "ferromagnet"),
        description="names of orders, or files of spins (.npz, .npy): before the boundary and behind it",
    )
    place: float = Field(default=0.5, ge=0, le=1, description="where it is, as a share of the system's length")
    width: float = Field(default=1.5, gt=0, description="w of the profile tanh(x / w), in units of length")
    direction: int = Field(default=0, ge=0, le=2, description="lattice direction across the boundary")
    turn: float = Field(
        default=90.0, description="degrees by which the second order is turned about y: 90 turns z to x"
    )
    wave: float = Field(
        default=0.0, ge=0, description="amplitude of one wave of the boundary along the next lattice direction"
    )
    phase: float = Field(default=0.0, description="phase of that wave in degrees")

    @field_validator("orders")
    @classmethod
    def _known_orders(cls, orders: tuple[str, str]) -> tuple[str, str]:
        for name in orders:
            if not is_order(name):
                known = ", ".join(ORDERS.names())
                raise ValueError(f"order {name!r} is unknown; known: {known}, and existing files .npz or .npy of spins")
        return orders

    def build(self, system: SpinSystem) -> Tensor:
        """Spins (N, 3) on a system; errors as from `order_boundary`."""
        return order_boundary(system, **dict(self))


@independent_of_modes
def order_boundary(
    system: SpinSystem,
    orders: tuple[str, str] = ("neel", "ferromagnet"),
    *,
    place: float = 0.5,
    width: float = 1.5,
    direction: int = 0,
    turn: float = 90.0,
    wave: float = 0.0,
    phase: float = 0.0,
) -> Tensor:
    """Spins (N, 3) of two orders A and B with a boundary between them.

    Every spin turns on the shortest way from its direction in A to that in B, by the share ``1 - 2 theta / pi`` with
    ``cos 2 theta = tanh((x - x0) / w)``: of an antiferromagnet and a ferromagnet at a right angle the sublattices are
    canted by theta towards each other. Along a periodic direction B fills half of the length, around `place`.

    Parameters
    ----------
    system : SpinSystem
        A lattice.
    orders : (str, str)
        A and B, as `reference_order` takes them.
    place : float
        x0 as a share of the length from the first site to the last, or of the period.
    width : float
        w, in the system's unit of length.
    direction : int
        Lattice direction along which x counts.
    turn : float
        Angle in degrees by which B is turned about the y axis; 90 turns z to x.
    wave : float
        Amplitude of a sine along the next lattice direction, one period over its length, that is added to x0.
    phase : float
        Phase of that sine in degrees.

    Raises
    ------
    InvalidInput
        If an order does not fit the system, the system is no lattice or has one site along the direction, a number is
        out of range, or two spins are opposite, so that no way between them is shortest.

    Examples
    --------
    >>> import gnnspin as gs
    >>> ribbon = gs.systems.square(20, 4, pbc=(False, True))
    >>> spins = gs.observables.order_boundary(ribbon, place=0.25)
    >>> float(gs.observables.domain_wall(ribbon, spins, order="bonds").mean_position()).__round__()
    5
    """
    if not is_lattice(system) or direction not in (0, 1, 2):
        raise InvalidInput(f"direction={direction} of {system}: a boundary needs a lattice and a direction 0, 1 or 2")
    if not (0 <= place <= 1 and width > 0 and wave >= 0 and np.isfinite([width, turn, wave, phase]).all()):
        raise InvalidInput(
            f"place={place} must be between 0 and 1, width={width} positive, wave={wave} not negative, all finite"
        )
    share = _share_of_first(system, place, width, direction, wave, np.radians(phase))
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    first, second = (reference_order(name, system).numpy() for name in orders)
    return torch.from_numpy(_between(first, second @ rotation.T, share))


def _share_of_first(
    system: SpinSystem, place: float, width: float, direction: int, wave: float, phase: float
) -> FloatArray:
    """Share (N,) of the way that leads from the second order to the first."""
    shape = system.lattice_shape
    assert shape is not None
    if shape[direction] < 2:
        raise InvalidInput(f"direction={direction} of {system} has one site; a boundary needs two or more")
    vector = system.primitive_vectors[direction]
    step = float(np.linalg.norm(vector))
    fractions = system.positions @ np.linalg.inv(system.primitive_vectors)
    along, across = fractions[:, direction] * step, (direction + 1) % 3
    if wave:
        if shape[across] < 2:
            raise InvalidInput(f"wave={wave}: {system} has one site along direction {across}; set wave to 0")
        along = along - wave * np.sin(2 * np.pi * fractions[:, across] / shape[across] + phase)
    if system.pbc[direction]:
        period = shape[direction] * step
        away = np.abs((along - place * period + period / 2) % period - period / 2)
        distance = period / 4 - away
    else:
        distance = along - place * (shape[direction] - 1) * step
    return np.asarray(np.arccos(np.tanh(distance / width)) / np.pi, dtype=np.float64)


def _between(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    """Unit vectors (N, 3) on the great circles from the second to the first."""
    cosine = np.clip((first * second).sum(1), -1, 1)
    angle = np.arccos(cosine)
    if (np.sin(angle) + (cosine > 0) < _OPPOSITE).any():
        raise InvalidInput("the two orders have opposite spins at a site; turn the second by another angle")
    near = angle < _OPPOSITE
    sine = np.where(near, 1.0, np.sin(angle))
    one = np.where(near, share, np.sin(share * angle) / sine)[:, None]
    other = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)[:, None]
    spins = one * first + other * second
    return np.asarray(spins / np.linalg.norm(spins, axis=1, keepdims=True), dtype=np.float64)
