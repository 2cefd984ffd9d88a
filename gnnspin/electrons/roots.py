"""Roots of rising functions inside a bracket: the search for a chemical potential."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError

_MAX_ITERATIONS = 200


def bracketed_newton(
    function: Callable[[Tensor], tuple[Tensor, Tensor]],
    low: Tensor,
    high: Tensor,
    start: Tensor,
    *,
    absolute: Tensor | float,
    relative: float = 0.0,
    failure: str,
) -> Tensor:
    """Root of a function between `low`, where it is negative, and `high`, where it is positive.

    Newton steps that at least halve, and bisection where they do not or would leave the bracket: it converges for
    every continuous function, also where the derivative vanishes. All roots of a batch are sought at once.

    Parameters
    ----------
    function : callable
        Values and derivatives (...) at points (...).
    low, high, start : (...)
        Brackets, and first points within them. A function without a root there leads to the end of its bracket.
    absolute : float or (...)
        Accepted error of a root x is ``absolute + relative |x|``.
    relative : float
    failure : str
        Message of the ConvergenceError.

    Raises
    ------
    ConvergenceError
        If a root is not found in 200 steps: a value that is not a number.

    Examples
    --------
    >>> squares = torch.tensor([4.0, 49.0])
    >>> zero, ten = torch.zeros(2), torch.full((2,), 10.0)
    >>> roots = bracketed_newton(lambda x: (x**2 - squares, 2 * x), zero, ten, ten, absolute=1e-5, failure="none")
    >>> [round(float(x), 4) for x in roots]
    [2.0, 7.0]
    """
    point, previous = start, high - low
    for _ in range(_MAX_ITERATIONS):
        tolerance = absolute + relative * point.abs()
        value, slope = function(point)
        low, high = torch.where(value <= 0, point, low), torch.where(value >= 0, point, high)
        newton = point - value / slope
        trusted = (newton > low) & (newton < high) & ((newton - point).abs() <= previous / 2)
        proposal = torch.where(value == 0, point, torch.where(trusted, newton, (low + high) / 2))
        previous, point = (proposal - point).abs(), proposal
        if bool(((previous <= tolerance) | (high - low <= tolerance)).all()):
            if bool(value.isnan().any()):
                break
            return point
    raise ConvergenceError(failure)


def scalar_root(
    function: Callable[[float], tuple[float, float]],
    low: float,
    high: float,
    start: float,
    *,
    absolute: float,
    failure: str,
) -> float:
    """`bracketed_newton` of a function of one number in double precision."""

    def double(value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device="cpu")

    def evaluated(point: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = function(float(point))
        return double(value), double(slope)

    found = bracketed_newton(evaluated, double(low), double(high), double(start), absolute=absolute, failure=failure)
    return float(found)
