"""Reference spin orders on lattices, and random rotations and perturbations of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import normalize, random_rotation
from gnnspin.graphs.shells import shell_bonds
from gnnspin.observables.reciprocal import dimension
from gnnspin.systems.lattice import site_cells
from gnnspin.systems.system import FloatArray, SpinSystem


def available_orders() -> tuple[str, ...]:
    """Names that `reference_order` takes."""
    return tuple(_ORDERS)


def reference_order(name: str, system: SpinSystem) -> Tensor:
    """Spins of a perfect order.

    Parameters
    ----------
    name : str
        ``ferromagnet``: all along z.
        ``neel``: up and down on the two sublattices of a chain, square, honeycomb or cubic lattice.
        ``stripe``: up and down in alternating rows, alternating along the first direction of a lattice.
        ``120-degree``: three sublattices of the triangular lattice at 120 degrees in the xy plane.
        ``tetrahedral``: four sublattices of the triangular lattice along the corners of a tetrahedron; scalar
        chirality ``+4 / (3 sqrt 3)``, its mirror image is ``-spins``.
    system : SpinSystem

    Returns
    -------
    (N, 3) float64 tensor

    Raises
    ------
    InvalidInput
        If the name is unknown, or the order does not fit the lattice or its periodic lengths.
    """
    if name not in _ORDERS:
        raise InvalidInput(f"order {name!r} is unknown; known: {', '.join(_ORDERS)}")
    return torch.from_numpy(np.ascontiguousarray(_ORDERS[name](system), dtype=np.float64))


def perturbed(spins: Tensor, amplitude: float, *, seed: int, rotate: bool = True) -> Tensor:
    """Rotate spins globally at random and add Gaussian noise to each component, then normalise.

    Parameters
    ----------
    spins : (..., N, 3)
        Unit spins.
    amplitude : float
        Standard deviation of the noise per component; 0.1 tilts a spin by about 0.14 rad.
    seed : int
        The result is a function of the arguments.
    rotate : bool
        Whether to rotate all spins by one Haar-random rotation first.

    Raises
    ------
    InvalidInput
        If the amplitude is negative.
    """
    if not amplitude >= 0:
        raise InvalidInput(f"amplitude={amplitude} must not be negative")
    noise_seed, rotation_seed = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    generator = torch.Generator().manual_seed(int(noise_seed))
    noise = torch.randn(spins.shape, generator=generator, dtype=torch.float64).to(spins)
    rotated = spins @ random_rotation(int(rotation_seed)).to(spins).T if rotate else spins
    return normalize(rotated + amplitude * noise)


def _ferromagnet(system: SpinSystem) -> FloatArray:
    return np.tile([0.0, 0.0, 1.0], (system.n_sites, 1))


def _neel(system: SpinSystem) -> FloatArray:
    """Alternates along every direction on one-site lattices; on the honeycomb lattice it follows the basis."""
    directions = range(dimension(system))
    if system.n_basis == 2:
        sign = 1 - 2 * system.basis_index
    elif system.n_basis == 1:
        _require_multiple(system, "neel", 2, directions)
        sign = 1 - 2 * (_cells(system)[:, : len(directions)].sum(1) % 2)
    else:
        sign = np.ones(system.n_sites, dtype=np.int64)
    bonds = shell_bonds(system)
    i, j = bonds.site, bonds.neighbor
    if len(i) == 0 or (sign[i] * sign[j] > 0).any():
        raise InvalidInput("neel order needs a bipartite lattice: chain, square, honeycomb or simple cubic")
    return sign[:, None] * _ferromagnet(system)


def _stripe(system: SpinSystem) -> FloatArray:
    _require_multiple(system, "stripe", 2, range(1))
    return (1 - 2 * (_cells(system)[:, :1] % 2)) * _ferromagnet(system)


def _hundred_twenty(system: SpinSystem) -> FloatArray:
    _require_triangular(system, "120-degree")
    _require_multiple(system, "120-degree", 3, range(2))
    cells = _cells(system)
    angle = 2 * np.pi / 3 * ((cells[:, 0] - cells[:, 1]) % 3)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)


def _tetrahedral(system: SpinSystem) -> FloatArray:
    _require_triangular(system, "tetrahedral")
    _require_multiple(system, "tetrahedral", 2, range(2))
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    cells = _cells(system) % 2
    return corners[2 * cells[:, 1] + cells[:, 0]]


def _cells(system: SpinSystem) -> NDArray[np.int64]:
    """Bravais indices (n1, n2, n3) of each site (N, 3)."""
    dimension(system)  # raises for a system that is not a lattice
    return site_cells(system)


def _require_triangular(system: SpinSystem, order: str) -> None:
    if dimension(system) == 2 and system.n_basis == 1:
        a = system.primitive_vectors[:2]
        if np.allclose(a @ a.T / (a[0] @ a[0]), [[1, 0.5], [0.5, 1]]):
            return
    raise InvalidInput(f"{order} order needs a triangular lattice")


def _require_multiple(system: SpinSystem, order: str, period: int, directions: range) -> None:
    dimension(system)
    for k in directions:
        length = system.lattice_shape[k]  # type: ignore[index]
        if system.pbc[k] and length % period:
            raise InvalidInput(
                f"{order} order needs periodic lengths that are multiples of {period}; length {k + 1} is {length}"
            )


_ORDERS: dict[str, Callable[[SpinSystem], FloatArray]] = {
    "ferromagnet": _ferromagnet,
    "neel": _neel,
    "stripe": _stripe,
    "120-degree": _hundred_twenty,
    "tetrahedral": _tetrahedral,
}
