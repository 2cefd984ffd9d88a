"""Roots inside a bracket, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError
from gnnspin.electrons.roots import bracketed_newton, scalar_root


def test_the_occupation_of_a_single_level() -> None:
    """f(e - mu) = n at mu = e + kT ln(n / (1 - n)), for a batch of temperatures, fillings and starts."""
    level, kT = 0.7, torch.tensor([0.01, 0.3, 5.0]).double()
    number = torch.tensor([1e-9, 0.5, 0.999]).double()

    def excess(mu: Tensor) -> tuple[Tensor, Tensor]:
        occupation = torch.sigmoid((mu - level) / kT)
        return occupation - number, occupation * (1 - occupation) / kT

    low, high = torch.full_like(kT, -50.0), torch.full_like(kT, 60.0)
    for start in (low, high, (low + high) / 2):
        mu = bracketed_newton(excess, low, high, start, absolute=1e-15 * kT, failure="none")
        torch.testing.assert_close(mu, level + kT * torch.logit(number), rtol=1e-13, atol=0)


def test_a_derivative_that_vanishes_at_the_root() -> None:
    found = scalar_root(lambda x: ((x - 2) ** 3, 3 * (x - 2) ** 2), -10.0, 3.0, 3.0, absolute=1e-9, failure="none")
    assert found == pytest.approx(2.0, abs=2e-9)


def test_a_step_is_found_by_bisection() -> None:
    """The derivative is zero everywhere: 44 halvings of the bracket resolve one part in 10^13."""
    points = []

    def step(x: float) -> tuple[float, float]:
        points.append(x)
        return math.copysign(1.0, x - math.pi), 0.0

    assert scalar_root(step, 0.0, 10.0, 5.0, absolute=1e-12, failure="none") == pytest.approx(math.pi, abs=1e-12)
    assert len(points) <= 46


def test_a_wavy_function_has_a_root_within_the_bracket() -> None:
    def wavy(x: float) -> tuple[float, float]:
        return x / 10 + math.sin(7 * x), 0.1 + 7 * math.cos(7 * x)

    found = scalar_root(wavy, -20.0, 25.0, 25.0, absolute=1e-13, failure="none")
    assert -20 < found < 25
    assert wavy(found)[0] == pytest.approx(0, abs=1e-11)


def test_newton_steps_converge_quadratically() -> None:
    points = []

    def square(x: float) -> tuple[float, float]:
        points.append(x)
        return x * x - 2, 2 * x

    assert scalar_root(square, 0.0, 2.0, 1.0, absolute=1e-15, failure="none") == pytest.approx(math.sqrt(2), rel=1e-15)
    assert len(points) <= 7


def test_a_start_at_the_root_stays_there() -> None:
    assert scalar_root(lambda x: (x, 0.0), -1.0, 3.0, 0.0, absolute=1e-12, failure="none") == 0.0


@pytest.mark.parametrize("offset", [-5.0, 5.0])
def test_a_bracket_that_misses_the_root_ends_at_its_nearest_end(offset: float) -> None:
    found = scalar_root(lambda x: (x - offset, 1.0), -1.0, 1.0, 0.0, absolute=1e-12, failure="none")
    assert found == pytest.approx(math.copysign(1.0, offset), abs=2e-12)


def test_what_is_not_a_number_ends_the_search() -> None:
    with pytest.raises(ConvergenceError, match="no mu"):
        scalar_root(lambda x: (x * math.nan, 1.0), 0.0, 1.0, 0.5, absolute=1e-12, failure="no mu")
