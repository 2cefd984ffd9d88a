"""Domain walls between two directions of the spins: where they are, how wide, how they lie; row by row.

A wall along +d separates a row of spins with ``S.n = -s`` behind it from ``S.n = s`` ahead: the profile is
``S.n = s m tanh((x - q) / w)`` with the coordinate x along d, the sense s, the position q, the width w, which is
``sqrt(J / 2K)`` for a chain of exchange J and easy axis K, and m = 1 without thermal disorder. The boundary between a
ferromagnet and an antiferromagnet is found in the same way, from the mean of ``S_i.S_j`` over the bonds of every site.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.correlations import bond_order
from gnnspin.systems.lattice import is_lattice
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Widths on either side of a wall that its fit takes in, and the fewest sites.
_REACH, _FEWEST = 4.0, 3
#: Iterations of the fit, and the largest change of a position in one, in widths.
_ITERATIONS, _LARGEST_STEP = 30, 0.5
#: Mean step of S.n across a wall, of the largest possible 2, below which there is none.
_SMALLEST_STEP = 0.5


@dataclass(frozen=True, eq=False)
class DomainWall:
    """One wall per row of a lattice.

    Attributes
    ----------
    position : (..., rows)
        q in the system's unit of length, along the direction of the rows; in a periodic one within the period. NaN in a
        row without a wall, as the others.
    width : (..., rows)
        w of the profile ``tanh((x - q) / w)``.
    angle : (..., rows)
        Azimuth of the spins in the wall about the axis n, in radians: 0 along the direction of the rows, if that is
        perpendicular to n.
    across : (rows,)
        Coordinate of each row perpendicular to its direction.
    period : float or None
        Length of a periodic row.
    """

    position: Tensor
    width: Tensor
    angle: Tensor
    across: Tensor
    period: float | None

    def relative(self) -> Tensor:
        """Positions (..., rows) relative to those of the first wall there, across a periodic boundary."""
        first = torch.nan_to_num(self.position, nan=-torch.inf).amax(-1, keepdim=True)
        away = self.position - first
        return away if self.period is None else away - self.period * torch.round(away / self.period)

    def mean_position(self) -> Tensor:
        """Mean position (...) of the rows that have a wall; in a periodic direction within the period."""
        first = torch.nan_to_num(self.position, nan=-torch.inf).amax(-1)
        mean = first + torch.nanmean(self.relative(), -1)
        return mean if self.period is None else torch.remainder(mean, self.period)

    def tilt(self) -> Tensor:
        """Angle (...) of the wall's line to the perpendicular of the rows, ``arctan(dq / dy)`` of the best line."""
        there = self.position.isfinite()
        height = torch.where(there, self.across.to(self.position), torch.nan)
        y = height - torch.nanmean(height, -1, keepdim=True)
        q = self.relative()
        slope = (y * (q - torch.nanmean(q, -1, keepdim=True))).nansum(-1) / y.square().nansum(-1)
        return torch.atan(slope)

    def roughness(self) -> Tensor:
        """Root mean square (...) of the positions about the best line: 0 for a straight wall."""
        q, tilt = self.relative(), self.tilt()
        height = torch.where(q.isfinite(), self.across.to(q), torch.nan)
        y = height - torch.nanmean(height, -1, keepdim=True)
        away = q - torch.nanmean(q, -1, keepdim=True) - torch.tan(tilt)[..., None] * y
        return torch.nanmean(away.square(), -1).sqrt()


def domain_wall(
    system: SpinSystem,
    spins: Tensor | ArrayLike,
    *,
    direction: int = 0,
    axis: ArrayLike = (0.0, 0.0, 1.0),
    sense: int = 0,
    method: str = "fit",
    order: str = "spins",
) -> DomainWall:
    """Position, width and angle of a domain wall in every row of a lattice.

    In each row the wall is where the step of S.n, summed over the neighbourhood, is largest; a periodic row holds walls
    of both senses, of which one is chosen. Its position starts from the zero crossing and is then fitted, with the
    width and the height m, to ``s m tanh((x - q) / w)`` by least squares (Gauss-Newton) within four widths.

    Parameters
    ----------
    system : SpinSystem
        A lattice; sites of the unit cell lie in rows of their own.
    spins : (..., N, 3)
        Unit spins.
    direction : int
        Lattice direction (0, 1, 2) of the rows, along which the wall moves.
    axis : (3,)
        n, the easy axis.
    sense : int
        +1: S.n rises along the row, -1: it falls; 0: whichever step is larger, each replica for itself.
    method : "fit" or "crossing"
        "crossing" takes the zero of S.n between two sites, and for the width the slope there, from ``artanh S.n``.
    order : "spins" or "bonds"
        "bonds": boundary of ferromagnetic order, between +1 and -1 of the local `bond_order`, which takes the place of
        S.n in all of the above; only the angle is that of the spins about n.

    Raises
    ------
    InvalidInput
        If the system is no lattice or has fewer than four sites in a row, or an argument is out of range.

    Examples
    --------
    >>> import gnnspin as gs
    >>> x = torch.arange(40.0, dtype=torch.float64)
    >>> z = torch.tanh((x - 17.3) / 3)
    >>> spins = torch.stack([(1 - z * z).sqrt(), 0 * z, z], -1)
    >>> found = domain_wall(gs.systems.chain(40, pbc=False), spins)
    >>> round(float(found.position), 6), round(float(found.width), 6)
    (17.3, 3.0)
    """
    rows = _rows(system, direction)
    n = np.asarray(axis, dtype=np.float64)
    if n.shape != (3,) or not np.isfinite(n).all() or not n.any():
        raise InvalidInput(f"axis={axis!r} must be three finite numbers, not all zero")
    if sense not in (-1, 0, 1):
        raise InvalidInput(f"sense={sense} must be 1 (S.n rises along the row), -1 (it falls) or 0 (either)")
    if method not in ("fit", "crossing"):
        raise InvalidInput(f"method={method!r} must be 'fit' or 'crossing'")
    if order not in ("spins", "bonds"):
        raise InvalidInput(f"order={order!r} must be 'spins' (S.n) or 'bonds' (mean S_i.S_j of a site's bonds)")
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    in_rows = torch.from_numpy(rows.sites).to(checked.device)
    lines = checked[..., in_rows, :]
    if order == "bonds":
        profile = bond_order(system, checked)[..., in_rows]
    else:
        profile = lines @ torch.from_numpy(n / np.linalg.norm(n)).to(checked)
    step, sign = _steepest(profile, rows.period is not None, sense)
    window = _Window.around(profile * sign[..., None], step, rows)
    position, width = window.crossing()
    if method == "fit":
        position, width = window.fitted(position, width)
    place = window.origin + position
    found = window.strength >= _SMALLEST_STEP
    place = place if rows.period is None else torch.remainder(place, rows.period)
    angle = _azimuth(lines, window, position, width, n, rows)
    place, width, angle = (torch.where(found, each, torch.nan) for each in (place, width, angle))
    return DomainWall(place, width, angle, torch.from_numpy(rows.across), rows.period)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Sites (rows, length) of each row in order, their coordinates (rows, length), and coordinates across (rows,)."""

    sites: IntArray
    along: FloatArray
    across: FloatArray
    direction: FloatArray
    period: float | None


@lru_cache(maxsize=16)
def _rows(system: SpinSystem, direction: int) -> _Rows:
    if not is_lattice(system):
        raise InvalidInput(f"a domain wall is found in the rows of a lattice; {system} is none")
    if direction not in (0, 1, 2):
        raise InvalidInput(f"direction={direction} must be a lattice direction, 0, 1 or 2")
    shape = (*(system.lattice_shape or ()), system.n_basis)
    if shape[direction] < 4:
        raise InvalidInput(
            f"direction={direction} of {system} has {shape[direction]} sites in a row; a wall needs four or more"
        )
    sites = np.moveaxis(np.arange(system.n_sites).reshape(shape), direction, -1).reshape(-1, shape[direction])
    vector = system.primitive_vectors[direction]
    unit = vector / np.linalg.norm(vector)
    along = system.positions[sites] @ unit
    start = system.positions[sites[:, 0]]
    aside = start - (start @ unit)[:, None] * unit
    spread = aside - aside.mean(0)
    across = spread @ np.linalg.svd(spread, full_matrices=True)[2][0] if len(sites) > 1 else np.zeros(1)
    furthest = int(np.abs(across).argmax())
    across = across * (np.sign(spread[furthest].sum()) * np.sign(across[furthest]) or 1.0)
    period = float(np.linalg.norm(vector) * shape[direction]) if system.pbc[direction] else None
    return _Rows(sites, along, across, unit, period)


def _steepest(profile: Tensor, periodic: bool, sense: int) -> tuple[Tensor, Tensor]:
    """Site (..., rows) before the largest step of profiles (..., rows, n), and its sense (..., 1)."""
    n = profile.shape[-1]
    if periodic:
        reach = max(1, n // 4)
        ahead = torch.cat([profile, profile[..., :reach]], -1)
        total = torch.nn.functional.pad(ahead.cumsum(-1), (1, 0))
        forward = total[..., reach : reach + n] - total[..., :n]  # sums of profile[i .. i + reach - 1]
        steps = forward.roll(-1, -1) - forward.roll(reach - 1, -1)
    else:
        behind = torch.arange(1, n, device=profile.device).to(profile)
        total = profile.cumsum(-1)
        difference = (total[..., -1:] - total[..., :-1]) / (n - behind) - total[..., :-1] / behind
        steps = (behind * (n - behind) / n).sqrt() * difference  # best two constants, by least squares
    summed = steps.sum(-2, keepdim=True)  # the rows of one wall have one sense
    if sense == 0:
        chosen = torch.where(summed.amax(-1) >= -summed.amin(-1), 1.0, -1.0).to(profile)
    else:
        chosen = torch.full_like(summed[..., 0], float(sense))
    return (steps * chosen[..., None]).argmax(-1), chosen


@dataclass(frozen=True, eq=False)
class _Window:
    """Rising profiles (..., rows, n) around their steps, with coordinates relative to the step's first site.

    Attributes
    ----------
    profile, offset : (..., rows, n)
        S.n and coordinates from the origin; NaN beyond an open end.
    origin : (..., rows)
        Coordinate of the site before the step.
    sites : (..., rows, n)
        Places in the row.
    start : int
        Place of the origin in the window.
    """

    profile: Tensor
    offset: Tensor
    origin: Tensor
    sites: Tensor
    start: int

    @classmethod
    def around(cls, profile: Tensor, step: Tensor, rows: _Rows) -> _Window:
        """The window of half a period, or of the whole row, about steps (..., rows)."""
        n, periodic = profile.shape[-1], rows.period is not None
        reach = n // 4 if periodic else n - 1
        shifts = torch.arange(-reach, reach + 2, device=profile.device)
        place = step[..., None] + shifts
        inside = torch.ones_like(place, dtype=torch.bool) if periodic else (place >= 0) & (place < n)
        place = place % n
        values = torch.where(inside, profile.gather(-1, place), torch.nan)
        spacing = float(rows.along[0, 1] - rows.along[0, 0])
        along = torch.from_numpy(rows.along).to(profile).expand(profile.shape)
        origin = along.gather(-1, step[..., None])[..., 0]
        return cls(values, (shifts * spacing).to(profile).expand(values.shape), origin, place, reach)

    @property
    def strength(self) -> Tensor:
        """Mean step (..., rows) across the wall."""
        before, after = self.profile[..., : self.start + 1].flip(-1), self.profile[..., self.start + 1 :]
        near = (after - before)[..., : max(_FEWEST, self.start // 2)]
        return torch.nan_to_num(torch.nanmean(near, -1))

    def crossing(self) -> tuple[Tensor, Tensor]:
        """Zero of the profile nearest to the step, and the width there, both (..., rows)."""
        left, right = self.profile[..., :-1], self.profile[..., 1:]
        crosses = (left <= 0) & (right > 0)
        distance = (torch.arange(left.shape[-1], device=left.device) - self.start).abs()
        place = torch.where(crosses, distance, 10 * left.shape[-1]).argmin(-1, keepdim=True)
        a, b = (_artanh(each.gather(-1, place)[..., 0]) for each in (left, right))
        x = self.offset.gather(-1, place)[..., 0]
        spacing = self.offset[..., 1] - self.offset[..., 0]
        slope = ((b - a) / spacing).clamp_min(1e-9)
        return x - torch.nan_to_num(a / slope), torch.nan_to_num(1 / slope, nan=1.0)

    def fitted(self, position: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Least squares of ``m tanh((x - q) / w)`` from a start (..., rows): Gauss-Newton in q and ln w."""
        spacing = self.offset[..., 1] - self.offset[..., 0]
        longest = spacing * (self.start + 1)
        width = torch.minimum(torch.maximum(width, 0.3 * spacing), longest)
        for _ in range(_ITERATIONS):
            reach = torch.maximum(_REACH * width, _FEWEST * spacing)[..., None]
            y = (self.offset - position[..., None]) / width[..., None]
            used = self.profile.isfinite() & ((self.offset - position[..., None]).abs() <= reach)
            shape = torch.where(used, torch.tanh(y), 0.0)
            measured = torch.where(used, self.profile, 0.0)
            height = ((measured * shape).sum(-1) / shape.square().sum(-1).clamp_min(1e-12)).clamp(0.1, 1.0)[..., None]
            missing = measured - height * shape
            slope = torch.where(used, height * (1 - shape.square()), 0.0)
            by_place, by_width = -slope / width[..., None], -slope * y
            aa, ab, bb = (by_place**2).sum(-1), (by_place * by_width).sum(-1), (by_width**2).sum(-1)
            ga, gb = (by_place * missing).sum(-1), (by_width * missing).sum(-1)
            determinant = (aa * bb - ab * ab).clamp_min(1e-300)
            move = (bb * ga - ab * gb) / determinant
            grow = (aa * gb - ab * ga) / determinant
            position = position + torch.clamp(move, -_LARGEST_STEP * width, _LARGEST_STEP * width)
            width = (width * torch.exp(grow.clamp(-0.5, 0.5))).clamp_min(0.3 * float(spacing.max()))
            width = torch.minimum(width, longest)
        return position, width


def _artanh(values: Tensor) -> Tensor:
    return torch.atanh(values.clamp(-1 + 1e-12, 1 - 1e-12))


def _azimuth(lines: Tensor, window: _Window, position: Tensor, width: Tensor, axis: FloatArray, rows: _Rows) -> Tensor:
    """Azimuth (..., rows) about n of the spins (..., rows, n, 3), weighted with ``sech^2`` of the wall."""
    n = axis / np.linalg.norm(axis)
    first = rows.direction - (rows.direction @ n) * n
    if np.linalg.norm(first) < 1e-6:
        first = np.eye(3)[int(np.abs(n).argmin())] - n[int(np.abs(n).argmin())] * n
    first = first / np.linalg.norm(first)
    frame = torch.from_numpy(np.stack([first, np.cross(n, first)], 1)).to(lines)
    aside = (lines @ frame).gather(-2, window.sites[..., None].expand(*window.sites.shape, 2))
    weight = 1 - torch.tanh((window.offset - position[..., None]) / width[..., None]).square()
    weight = torch.where(window.profile.isfinite(), weight, 0.0)
    mean = (aside * weight[..., None]).sum(-2)
    return torch.atan2(mean[..., 1], mean[..., 0])
