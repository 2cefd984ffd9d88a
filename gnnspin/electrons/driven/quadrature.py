"""Adaptive Gauss-Kronrod quadrature of array-valued functions, many points per call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError
from gnnspin.core.placed import Placed

#: Kronrod nodes in (0, 1], their weights, and the Gauss weights of every second node (QUADPACK, Piessens et al. 1983).
_NODES = (
    0.991455371120812639206854697526329,
    0.949107912342758524526189684047851,
    0.864864423359769072789712788640926,
    0.741531185599394439863864773280788,
    0.586087235467691130294144691693013,
    0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
    0.0,
)
_KRONROD = (
    0.022935322010529224963732008058970,
    0.063092092629978553290700663189204,
    0.104790010322250183839876322541518,
    0.140653259715525918745189590510238,
    0.169004726639267902826583426598550,
    0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
    0.209482141084727828012999174891714,
)
_GAUSS = (
    0.129484966168869693270611432679082,
    0.279705391489276667901467771423780,
    0.381830050505118944950369775488975,
    0.417959183673469387755102040816327,
)
#: An interval is not halved below this fraction of the whole range.
_SMALLEST = 1e-13


def gauss_kronrod() -> tuple[Tensor, Tensor, Tensor]:
    """Nodes, Kronrod weights and embedded Gauss weights of the 7-15 rule on [-1, 1]; float64 (15,) each."""
    gauss = np.zeros(8)
    gauss[1::2] = _GAUSS
    positive = [np.array(_NODES), np.array(_KRONROD), gauss]
    mirrored = [np.concatenate([sign * half, half[-2::-1]]) for half, sign in zip(positive, (-1, 1, 1), strict=True)]
    nodes, kronrod, embedded = (torch.from_numpy(array) for array in mirrored)
    return nodes, kronrod, embedded


@cache
def _rule() -> tuple[Placed, ...]:
    return tuple(map(Placed, gauss_kronrod()))


def integrate(
    function: Callable[[Tensor], Tensor],
    breaks: Sequence[float],
    tolerance: float,
    *,
    device: torch.device | str = "cpu",
    points: int = 960,
    max_intervals: int = 20000,
) -> Tensor:
    """Integral of an array-valued function over a finite range.

    Parameters
    ----------
    function : callable
        Takes points (B,) float64 and returns (B, ...), real or complex.
    breaks : sequence of float
        Ends of the range and points where the function is not smooth, ascending.
    tolerance : float
        Largest absolute error of any component.
    device : torch.device or str
        Where the points live.
    points : int
        Most points per call, at least 15.
    max_intervals : int
        Limit on the number of intervals.

    Raises
    ------
    ConvergenceError
        If the tolerance needs more than `max_intervals` intervals or finer ones than rounding allows.
    """
    rule = tuple(array.on(device) for array in _rule())
    edges = sorted({float(x) for x in breaks})
    smallest = _SMALLEST * (edges[-1] - edges[0])
    pending = list(pairwise(edges))
    done: list[tuple[float, float, Tensor, float]] = []
    used = 0
    while pending:
        used += len(pending)
        if used > max_intervals:
            raise ConvergenceError(f"quadrature needs more than {max_intervals} intervals for tolerance={tolerance}")
        for k in range(0, len(pending), max(1, points // 15)):
            done += _panels(function, pending[k : k + max(1, points // 15)], rule)
        if sum(part[3] for part in done) <= tolerance:
            break
        share = tolerance / (2 * len(done))
        rough = [part for part in done if part[3] > share]
        if any(high - low < smallest for low, high, *_ in rough):
            raise ConvergenceError(f"quadrature does not reach tolerance={tolerance} near {rough[0][0]}; enlarge it")
        done = [part for part in done if part[3] <= share]
        pending = [half for low, high, *_ in rough for half in ((low, (low + high) / 2), ((low + high) / 2, high))]
    return torch.stack([part[2] for part in done]).sum(0)


def _panels(
    function: Callable[[Tensor], Tensor], intervals: list[tuple[float, float]], rule: tuple[Tensor, ...]
) -> list[tuple[float, float, Tensor, float]]:
    """Ends, integral by the Kronrod rule and the difference of the two rules, for every interval."""
    nodes, kronrod, gauss = rule
    ends = torch.tensor(intervals, dtype=nodes.dtype, device=nodes.device)
    half = (ends[:, 1] - ends[:, 0]) / 2
    values = function((ends.mean(1)[:, None] + half[:, None] * nodes).reshape(-1))
    values = values.unflatten(0, (len(intervals), -1)) * half.view(-1, *[1] * values.ndim)
    fine = torch.einsum("k,bk...->b...", kronrod.to(values.dtype), values)
    coarse = torch.einsum("k,bk...->b...", gauss.to(values.dtype), values)
    difference = (fine - coarse).abs().reshape(len(intervals), -1).amax(1)
    spread = values.abs().reshape(len(intervals), len(nodes), -1).amax(2) @ kronrod
    error = torch.where(difference <= 50 * torch.finfo(nodes.dtype).eps * spread, 0.0, difference)
    pieces = zip(intervals, fine, error.tolist(), strict=True)
    return [(*interval, integral, size) for interval, integral, size in pieces]
