"""Fermi occupations and thermodynamics of given levels, batched over replicas; k_B = 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.roots import bracketed_newton

#: Levels closer than this, relative to the largest |level|, are one degenerate level at kT = 0.
DEGENERACY_TOLERANCE = 1e-10

#: Temperatures at which the width of one degenerate level spans more than this many kT are counted as 0.
_COLD = 40.0

#: Accepted error of mu relative to kT and to its distance from the filled levels.
_RESOLUTION = 1e-15


@dataclass(frozen=True)
class Occupation:
    """Occupied levels and their thermodynamics; M levels, leading dimensions are replicas.

    Attributes
    ----------
    weights : (..., M)
        Occupation of every level, 0 to 1.
    potential : (...)
        Omega at fixed mu, F = Omega + mu N at fixed electron number.
    mu, n_electrons : (...)
        Chemical potential and electron number.
    internal_energy : (...)
        <H>, the sum of occupied levels.
    entropy : (...)
        Entropy in units of k_B.
    """

    weights: Tensor
    potential: Tensor
    mu: Tensor
    n_electrons: Tensor
    internal_energy: Tensor
    entropy: Tensor


def occupy(levels: Tensor, kT: float, *, mu: float | None = None, n_electrons: float | None = None) -> Occupation:
    """Occupy levels at fixed chemical potential or fixed electron number.

    Parameters
    ----------
    levels : (..., M)
        Energies in ascending order, float64.
    kT : float
        Temperature, >= 0. At 0 occupation is a step; a degenerate level at the step is shared equally. So it is at
        temperatures below `DEGENERACY_TOLERANCE` / 40 of the largest |level|, where rounding would split the level.
    mu, n_electrons : float
        Exactly one of the two.

    Raises
    ------
    InvalidInput
        If not exactly one of `mu` and `n_electrons` is given.
    ConvergenceError
        If the search for mu fails.
    """
    if (mu is None) == (n_electrons is None):
        raise InvalidInput("give exactly one of mu and n_electrons")
    if mu is not None:
        potentials = torch.full_like(levels[..., 0], mu)
        weights = fermi(levels, potentials, kT)
        energy = grand_potential(levels, potentials, kT)
        number = weights.sum(-1)
    else:
        assert n_electrons is not None
        potentials = chemical_potential(levels, n_electrons, kT)
        number = torch.full_like(potentials, _snapped(n_electrons, levels.shape[-1]))
        weights = _held_occupations(levels, n_electrons, kT)
        energy = _free_energy(levels, potentials, number, weights, kT)
    return Occupation(weights, energy, potentials, number, (weights * levels).sum(-1), entropy(weights))


def fermi(levels: Tensor, mu: Tensor, kT: float) -> Tensor:
    """Fermi function f = 1 / (1 + exp((e - mu) / kT)); at kT = 0 a step, 1/2 on a level at mu."""
    distance = mu.unsqueeze(-1) - levels
    step = (distance > 0).to(levels.dtype).masked_fill(distance.abs() <= _degeneracy_width(levels), 0.5)
    return step if kT == 0 else torch.where(_is_cold(levels, kT), step, torch.sigmoid(distance / kT))


def grand_potential(levels: Tensor, mu: Tensor, kT: float) -> Tensor:
    """Omega = -kT sum_k ln(1 + exp(-(e_k - mu) / kT)), shape (...); at kT = 0 the sum of negative e_k - mu."""
    distance = mu.unsqueeze(-1) - levels
    if kT > 0:
        return -kT * softplus(distance / kT, threshold=50.0).sum(-1)
    return -distance.clamp(min=0).sum(-1)


def entropy(weights: Tensor) -> Tensor:
    """S = -sum_k [f ln f + (1-f) ln(1-f)] of occupations (..., M), shape (...)."""
    return -(torch.xlogy(weights, weights) + torch.xlogy(1 - weights, 1 - weights)).sum(-1)


def step_occupations(levels: Tensor, n_electrons: float) -> Tensor:
    """Lowest levels filled with `n_electrons` at kT = 0; a degenerate level at the top is shared equally."""
    n_levels = levels.shape[-1]
    number = _snapped(n_electrons, n_levels)
    top = levels[..., min(int(number), n_levels - 1), None]
    # An integer number fills up to level number - 1: it is shared only if the next level is degenerate with it.
    width = _degeneracy_width(levels)
    below, shared = levels < top - width, (levels - top).abs() <= width
    below, shared = below.to(levels.dtype), shared.to(levels.dtype)
    remaining = number - below.sum(-1, keepdim=True)
    return below + shared * (remaining / shared.sum(-1, keepdim=True))


def _held_occupations(levels: Tensor, n_electrons: float, kT: float) -> Tensor:
    """Occupations (..., M) that sum to `n_electrons` at any temperature.

    Levels and mu are measured from the top of the filled levels: there differences far smaller than the rounding of mu
    itself decide.
    """
    step = step_occupations(levels, n_electrons)
    if kT == 0:
        return step
    reference, offset = _relative_potential(levels, n_electrons, kT)
    x = (offset.unsqueeze(-1) - (levels - reference.unsqueeze(-1))) / kT
    return torch.where(_is_cold(levels, kT), step, torch.sigmoid(x))


def gap(levels: Tensor, *, mu: float | None = None, n_electrons: float | None = None) -> Tensor:
    """Distance between the highest filled and the lowest empty level at kT = 0, shape (...).

    Parameters
    ----------
    levels : (..., M)
        Energies in ascending order.
    mu, n_electrons : float
        Exactly one of the two. 0 where a level is partly filled, infinite where no level is filled or none is empty.
    """
    if (mu is None) == (n_electrons is None):
        raise InvalidInput("give exactly one of mu and n_electrons")
    edge = torch.full_like(levels[..., :1], torch.inf)
    padded = torch.cat([-edge, levels, edge], -1)
    if n_electrons is not None:
        number = _snapped(n_electrons, levels.shape[-1])
        filled = int(number)
        return torch.zeros_like(levels[..., 0]) if number != filled else padded[..., filled + 1] - padded[..., filled]
    position = torch.full_like(levels[..., :1], float(mu or 0.0))
    filled_levels = torch.searchsorted(levels.contiguous(), position)
    above, below = padded.gather(-1, filled_levels + 1), padded.gather(-1, filled_levels)
    at_mu = ((levels - position).abs() <= _degeneracy_width(levels)).any(-1)
    return torch.where(at_mu, 0.0, (above - below).squeeze(-1))


def chemical_potential(levels: Tensor, n_electrons: float, kT: float) -> Tensor:
    """Chemical potential at which the levels hold `n_electrons`, shape (...).

    With m = floor(N_e) and r = N_e - m the condition N(mu) = N_e is, without cancellation,
    ``ln sum_{k>=m} f_k = ln(sum_{k<m} (1 - f_k) + r)``: well conditioned in a gap too, where N(mu) is flat and mu goes
    to the middle (plus kT/2 times the log of the degeneracy ratio). Solved by Newton steps inside a bracket. At
    kT = 0, mu is the middle of the gap or the partly filled level. No electrons give -inf, full levels +inf.

    Parameters
    ----------
    levels : (..., M)
        Energies in ascending order.
    n_electrons : float
        Between 0 and M.
    kT : float
        Temperature, >= 0.

    Raises
    ------
    InvalidInput
        If `n_electrons` is outside 0..M.
    ConvergenceError
        If the iteration does not end; it always does for finite levels.
    """
    reference, offset = _relative_potential(levels, n_electrons, kT)
    return reference + offset


def _relative_potential(levels: Tensor, n_electrons: float, kT: float) -> tuple[Tensor, Tensor]:
    """Mu at kT = 0 and what the temperature adds to it, both (...).

    The search runs on the host: it needs the levels alone, and decides by their values at every step.
    """
    middle, offset = _searched_potential(levels.cpu(), n_electrons, kT)
    return middle.to(levels.device), offset.to(levels.device)


def _searched_potential(levels: Tensor, n_electrons: float, kT: float) -> tuple[Tensor, Tensor]:
    n_levels = levels.shape[-1]
    number = _snapped(n_electrons, n_levels)
    zero = torch.zeros_like(levels[..., 0])
    if number in (0, n_levels):
        return zero, torch.full_like(zero, -torch.inf if number == 0 else torch.inf)
    filled = int(number)
    partial = number - filled
    middle = levels[..., filled] if partial else (levels[..., filled - 1] + levels[..., filled]) / 2
    cold = _is_cold(levels, kT).squeeze(-1)
    if bool(cold.all()):
        return middle, zero
    warm = torch.where(cold, _degeneracy_width(levels).squeeze(-1) / _COLD, kT)
    shifted = levels - middle.unsqueeze(-1)
    low = shifted[..., 0] + warm * math.log(number / n_levels)
    high = shifted[..., -1] - warm * math.log1p(-number / n_levels)
    offset = bracketed_newton(
        lambda mu: _imbalance(shifted, mu, warm, filled, partial),
        low,
        high,
        torch.zeros_like(low).clamp(low, high),
        absolute=_RESOLUTION * warm,
        relative=_RESOLUTION,
        failure=f"no mu for n_electrons={n_electrons} at kT={kT}; are all levels finite?",
    )
    return middle, torch.where(cold, 0.0, offset)


def _imbalance(levels: Tensor, mu: Tensor, kT: Tensor, filled: int, partial: float) -> tuple[Tensor, Tensor]:
    """ln(electrons above level m) - ln(holes below it + r), and its derivative by mu."""
    x = (mu.unsqueeze(-1) - levels) / kT.unsqueeze(-1)
    log_electrons, log_holes = logsigmoid(x[..., filled:]), logsigmoid(-x[..., :filled])
    electrons = torch.logsumexp(log_electrons, -1)
    rest = torch.full_like(mu, partial).log()
    holes = torch.logaddexp(torch.logsumexp(log_holes, -1), rest) if filled else rest
    rise = (torch.exp(log_electrons - electrons.unsqueeze(-1)) * torch.sigmoid(-x[..., filled:])).sum(-1)
    fall = (torch.exp(log_holes - holes.unsqueeze(-1)) * torch.sigmoid(x[..., :filled])).sum(-1)
    return electrons - holes, (rise + fall) / kT


def _free_energy(levels: Tensor, mu: Tensor, number: Tensor, weights: Tensor, kT: float) -> Tensor:
    """F = Omega + mu N (stationary in mu); the bare sum of levels where mu is infinite or kT = 0."""
    internal = (weights * levels).sum(-1)
    if kT == 0:
        return internal
    finite = torch.isfinite(mu)
    safe = torch.where(finite, mu, 0.0)
    return torch.where(finite, grand_potential(levels, safe, kT) + safe * number, internal)


def _snapped(n_electrons: float, n_levels: int) -> float:
    """Electron number, rounded to an integer where it differs from one by rounding errors only."""
    if not 0 <= n_electrons <= n_levels * (1 + 1e-12):
        raise InvalidInput(f"n_electrons={n_electrons} must lie between 0 and the number of levels, {n_levels}")
    nearest = round(n_electrons)
    return float(nearest) if abs(n_electrons - nearest) <= 1e-12 * n_levels else float(n_electrons)


def _degeneracy_width(levels: Tensor) -> Tensor:
    return DEGENERACY_TOLERANCE * levels.abs().amax(-1, keepdim=True)


def _is_cold(levels: Tensor, kT: float) -> Tensor:
    """Whether kT is as good as 0 for the levels of each replica, (..., 1)."""
    return kT * _COLD <= _degeneracy_width(levels)
