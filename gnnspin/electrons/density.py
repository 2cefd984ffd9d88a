"""Density and spin of electrons from the diagonal blocks of the density matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def spin_density(up: Tensor, down: Tensor, flip: Tensor) -> Tensor:
    """Spin ``<c+ sigma c>`` (..., 3) of occupations of both spin directions (real) and ``flip = <c+_up c_down>``."""
    return torch.stack([2 * flip.real, 2 * flip.imag, up - down], -1)


def density_and_spin(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Density (...) and spin (..., 3) of blocks ``rho_ab = <c+_b c_a>`` (..., 2, 2) of the density matrix."""
    up, down = blocks[..., 0, 0].real, blocks[..., 1, 1].real
    return up + down, spin_density(up, down, blocks[..., 1, 0])
