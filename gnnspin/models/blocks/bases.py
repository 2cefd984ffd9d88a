"""Radial and angular functions of a neighbour vector: the frozen geometric factors of every message."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from e3nn.o3 import spherical_harmonics
from torch import Tensor

from gnnspin.graphs import GraphSpec


class AngularBasis:
    r"""Angular functions of the direction of a neighbour, grouped by degree.

    In the plane (``dimension=2``) degree 0 is the constant 1 and degree m the pair
    :math:`\sqrt2\cos m\phi,\ \sqrt2\sin m\phi`; in space degree l are the 2l + 1 real spherical harmonics,
    normalised to :math:`\sum_m Y_{lm}^2 = 2l+1`. A scalar product summed over one degree is invariant under every
    rotation and reflection of real space, hence under every point group.

    Parameters
    ----------
    dimension : 2 or 3
    max_degree : int
        Largest degree.
    """

    def __init__(self, dimension: int, max_degree: int) -> None:
        self.dimension = dimension
        self.max_degree = max_degree
        sizes = [1 + (degree > 0) if dimension == 2 else 2 * degree + 1 for degree in range(max_degree + 1)]
        #: Degree of each component (M,).
        self.degree: tuple[int, ...] = tuple(d for d, size in enumerate(sizes) for _ in range(size))

    @property
    def n_degrees(self) -> int:
        """Number of degrees."""
        return self.max_degree + 1

    @property
    def n_components(self) -> int:
        """Number of functions M."""
        return len(self.degree)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Values (E, M) for neighbour vectors (E, 3)."""
        if self.dimension == 3:
            degrees = list(range(self.n_degrees))
            return spherical_harmonics(degrees, vectors, normalize=True, normalization="component")
        phi = torch.atan2(vectors[:, 1], vectors[:, 0])
        columns = [torch.ones_like(phi)]
        for m in range(1, self.n_degrees):
            columns += [math.sqrt(2) * torch.cos(m * phi), math.sqrt(2) * torch.sin(m * phi)]
        return torch.stack(columns, dim=1)


class RadialBasis:
    r"""Radial functions of a neighbour's distance.

    On a lattice (`spec.shells` given) one indicator per shell: the learned weight is then free for every shell.
    Otherwise Bessel functions :math:`\sqrt{2/r_c}\,\sin(n\pi r/r_c)/r` times a smooth envelope that vanishes with two
    derivatives at the cutoff (Gasteiger et al., arXiv:2003.03123), so that fields are continuous when a neighbour
    crosses it.

    Parameters
    ----------
    spec : GraphSpec
    n_radial : int
        Number of Bessel functions; ignored for shells.
    """

    def __init__(self, spec: GraphSpec, n_radial: int) -> None:
        self.spec = spec
        self.size = n_radial if spec.shells is None else len(spec.shells)

    def __call__(self, distance: Tensor, shell: Tensor) -> Tensor:
        """Values (E, K) for distances (E,) and shell indices (E,)."""
        if self.spec.shells is not None:
            return torch.nn.functional.one_hot(shell, self.size).to(distance.dtype)
        x = (distance / self.spec.cutoff)[:, None]
        n = torch.arange(1, self.size + 1, dtype=distance.dtype, device=distance.device)
        return math.sqrt(2 / self.spec.cutoff) * torch.sin(n * math.pi * x) / (x * self.spec.cutoff) * envelope(x)


def envelope(x: Tensor, p: int = 6) -> Tensor:
    """Polynomial 1 at x = 0, vanishing with its first two derivatives at x = 1, zero beyond."""
    inside = 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2)
    return torch.where(x < 1, inside, torch.zeros_like(x))


def degree_slices(degree: Sequence[int]) -> list[slice]:
    """Contiguous slice of the components of each degree."""
    return [slice(degree.index(d), len(degree) - list(reversed(degree)).index(d)) for d in range(max(degree) + 1)]
