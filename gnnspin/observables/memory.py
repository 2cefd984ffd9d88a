"""Memory of spin configurations: correlations of two times, overlaps of two replicas."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins


def two_time_correlation(spins_t: Tensor | ArrayLike, spins_tw: Tensor | ArrayLike) -> Tensor:
    """Correlation of two times, ``C(t, t_w) = (1/N) sum_i S_i(t) . S_i(t_w)``, shape (...).

    1 at ``t = t_w``. In equilibrium it depends on ``t - t_w`` alone; where it depends on t_w too, the system ages.

    Parameters
    ----------
    spins_t, spins_tw : (..., N, 3)
        Unit spins at the later time and at the waiting time; leading dimensions are replicas and broadcast.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the numbers of sites differ.
    """
    later = as_spins(spins_t)
    waiting = as_spins(spins_tw, later.shape[-2]).to(later.device)
    dtype = torch.promote_types(later.dtype, waiting.dtype)
    return (later.to(dtype) * waiting.to(dtype)).sum(-1).mean(-1)


def edwards_anderson_overlap(spins_a: Tensor | ArrayLike, spins_b: Tensor | ArrayLike) -> Tensor:
    """Overlap of two replicas of one system, ``q = sqrt(sum_mn q_mn^2)``, ``q_mn = (1/N) sum_i S_im^a S_in^b``.

    Shape (...). The same for all global rotations of either replica: 1 for collinear spins, ``1 / sqrt(3)`` for equal
    states of spins that point everywhere, ``O(N^(-1/2))`` for unrelated ones. Edwards and Anderson, J. Phys. F 5, 965
    (1975), doi:10.1088/0305-4608/5/5/017; tensor for vector spins: Lee and Young, Phys. Rev. Lett. 90, 227203 (2003),
    doi:10.1103/PhysRevLett.90.227203.

    Parameters
    ----------
    spins_a, spins_b : (..., N, 3)
        Unit spins; leading dimensions broadcast.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the numbers of sites differ.
    """
    first = as_spins(spins_a).to(torch.float64)
    second = as_spins(spins_b, first.shape[-2]).to(first)
    tensor = torch.einsum("...nc,...nd->...cd", first, second) / first.shape[-2]
    return tensor.square().sum((-1, -2)).sqrt()


def mean_overlap(spins: Tensor | ArrayLike) -> Tensor:
    """Mean of `edwards_anderson_overlap` between each replica and all others, spins (R, N, 3), shape (R,).

    Raises
    ------
    InvalidInput
        If there are fewer than two replicas or more than one dimension of them.
    """
    checked = as_spins(spins)
    if checked.ndim != 3 or len(checked) < 2:
        raise InvalidInput(f"spins have shape {tuple(checked.shape)}; an overlap needs two replicas or more, (R, N, 3)")
    pairs = edwards_anderson_overlap(checked[:, None], checked[None])
    return (pairs.sum(1) - pairs.diagonal()) / (len(checked) - 1)
