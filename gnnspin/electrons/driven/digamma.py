"""The digamma function of complex arguments, and the antiderivative-like function of Fermi integrals."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float64).tiny
#: The recurrence psi(w) = psi(w + 1) - 1/w is used this many times before the asymptotic series.
_SHIFTS = 10
#: B_2k / (2k), k = 1 .. 8, of psi(w) ~ ln w - 1/(2w) - sum_k B_2k / (2k w^2k).
_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


def digamma(argument: Tensor) -> Tensor:
    """psi(w) of complex w with Re w >= 0, to rounding (Abramowitz and Stegun 6.3.5 and 6.3.18).

    Parameters
    ----------
    argument : tensor, complex128
        Away from the pole at 0.

    Returns
    -------
    tensor of the same shape and dtype
    """
    shifted, result = argument, torch.zeros_like(argument)
    for _ in range(_SHIFTS):
        result = result - 1 / shifted
        shifted = shifted + 1
    inverse_square = 1 / shifted.square()
    series = torch.zeros_like(argument)
    for coefficient in reversed(_SERIES):
        series = (series + coefficient) * inverse_square
    return result + shifted.log() - 0.5 / shifted - series


def fermi_integral(energies: Tensor, mu: float, kT: float, bottom: float | None = None) -> Tensor:
    """phi(z) = int f(E) / (E - z) dE up to a real constant that is the same for every z, mu and kT.

    For Im z <= 0, ``phi(z) = psi(1/2 + i (z - mu) / (2 pi kT)) + ln(2 pi kT) - i pi / 2``, at kT = 0
    ``phi(z) = ln(i (z - mu)) - i pi / 2``; an integral from E = bottom adds ``-ln(z - bottom)``. On the real axis
    ``Im phi = -pi f`` (0 below the bottom).

    Parameters
    ----------
    energies : complex128 tensor
        Points z with Im z <= 0; a positive imaginary part, a rounding error, is ignored.
    mu : float
        Chemical potential.
    kT : float
        Temperature, >= 0.
    bottom : float, optional
        Lower end of the integral, many kT below mu; default minus infinity.
    """
    if bottom is not None:
        above = torch.complex(energies.real - bottom, energies.imag.clamp(max=0) - 0.0)
        return fermi_integral(energies, mu, kT) - torch.where(above == 0, _TINY, above).log()
    distance = torch.complex(-energies.imag.clamp(max=0), energies.real - mu)  # i (z - mu)
    if kT > 0:
        return digamma(0.5 + distance / (2 * math.pi * kT)) + (math.log(2 * math.pi * kT) - 0.5j * math.pi)
    return torch.where(distance == 0, _TINY, distance).log() - 0.5j * math.pi
