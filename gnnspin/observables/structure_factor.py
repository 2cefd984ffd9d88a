"""Static structure factors.

``S(q) = (1/N) |sum_i S_i exp(-i q . r_i)|^2``, summed over the three spin components, with the true positions r_i. Its
mean over the grid of `wave_vectors` is one, and ``S(q) = S(-q)``. A perfect ferromagnet has S(0) = N, the 120-degree
order of the triangular lattice S(K) = S(-K) = N/2. With several sites per cell S(q) does not repeat from one Brillouin
zone to the next: the q = 0 order of the kagome lattice shows nothing in the first zone and 4N/9 in the extended one
(Messio, Lhuillier and Misguich, Phys. Rev. B 83, 184401 (2011), doi:10.1103/PhysRevB.83.184401, figures 7 to 9).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.extended_zone import WaveVectorGrid, Zones, wave_vector_grid
from gnnspin.systems.lattice import is_lattice
from gnnspin.systems.system import SpinSystem

#: Phases held at once by the direct sum.
_BLOCK = 2**22


def structure_factor(system: SpinSystem, spins: Tensor | ArrayLike, zones: Zones | None = None) -> Tensor:
    """Spin structure factor on the lattice's reciprocal grid by fast Fourier transform.

    Parameters
    ----------
    system : SpinSystem
        A lattice; open directions are transformed as if they were periodic.
    spins : (..., N, 3)
        Unit spins.
    zones : int or three ints, optional
        Reciprocal cells to cover, see `wave_vectors`; default: the extended zone, beyond which S(q) repeats.

    Returns
    -------
    (..., K1, K2, K3) tensor
        ``S(q)`` at ``wave_vectors(system, zones)``, exactly equal at q and -q; (K1, K2, K3) is the lattice's shape for
        one site per cell.

    Raises
    ------
    InvalidInput
        If the system is not a lattice, the spins do not fit it, or `zones` are wrong or missing.
    """
    return _power(system, as_spins(spins, system.n_sites), zones)


def scalar_structure_factor(system: SpinSystem, values: Tensor | ArrayLike, zones: Zones | None = None) -> Tensor:
    """Structure factor ``(1/N) |sum_i v_i exp(-i q . r_i)|^2`` of numbers per site (..., N), such as a chirality.

    Shape and errors as in `structure_factor`.
    """
    tensor = torch.as_tensor(values)
    if tensor.ndim < 1 or tensor.shape[-1] != system.n_sites:
        raise InvalidInput(f"values have shape {tuple(tensor.shape)}; expected (..., {system.n_sites}), one per site")
    return _power(system, tensor[..., None], zones)


def structure_factor_at(system: SpinSystem, spins: Tensor | ArrayLike, wave_vector: ArrayLike) -> Tensor:
    """Spin structure factor at any wave vectors, by the direct sum; also for systems that are not lattices.

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    wave_vector : (..., 3)
        Cartesian wave vectors in any arrangement: a value of `high_symmetry_points`, a `wave_vector_path`, a window of
        one's own, or the `commensurate_wave_vectors` of an amorphous packing.

    Returns
    -------
    tensor of the leading shapes of spins and wave vectors

    Raises
    ------
    InvalidInput
        If a shape is wrong or a wave vector is not finite.
    """
    checked = as_spins(spins, system.n_sites)
    q = torch.as_tensor(np.asarray(wave_vector, dtype=np.float64))
    if q.ndim < 1 or q.shape[-1] != 3 or not bool(q.isfinite().all()):
        raise InvalidInput(f"wave_vector has shape {tuple(q.shape)}; expected finite vectors (..., 3)")
    positions = torch.tensor(system.positions)
    flat = checked.reshape(-1, *checked.shape[-2:])
    parts = []
    for block in q.reshape(-1, 3).split(max(1, _BLOCK // system.n_sites)):
        angles = (block @ positions.T).to(checked.device)
        waves = torch.stack([angles.cos(), angles.sin()]).to(checked.dtype)
        parts.append(torch.einsum("pqn,rnc->rpqc", waves, flat).square().sum((1, 3)))
    power = torch.cat(parts, dim=1) / system.n_sites
    return power.reshape((*checked.shape[:-2], *q.shape[:-1]))


def _power(system: SpinSystem, values: Tensor, zones: Zones | None) -> Tensor:
    """``(1/N) |FT|^2`` of values (..., N, C), summed over C, on the grid of `wave_vectors`."""
    grid = wave_vector_grid(system, zones)
    if not is_lattice(system):
        raise InvalidInput("the sites do not lie on their lattice; use structure_factor_at, which takes any positions")
    shape = system.lattice_shape or ()
    cells = values.reshape(*values.shape[:-2], *shape, system.n_basis, values.shape[-1])
    transformed = torch.fft.fftn(cells, dim=(-5, -4, -3))
    if system.n_basis == 1:
        amplitudes = _repeated(transformed[..., 0, :], grid, shape)
    else:
        basis = torch.tensor(system.positions[: system.n_basis], device=values.device)
        angles = torch.tensor(grid.vectors, device=values.device) @ basis.T
        phases = torch.polar(torch.ones_like(angles), -angles).to(transformed.dtype)
        amplitudes = torch.zeros((), dtype=transformed.dtype, device=values.device)
        for b in range(system.n_basis):
            amplitudes = amplitudes + _repeated(transformed[..., b, :], grid, shape) * phases[..., b, None]
    power = amplitudes.abs().square().sum(-1) / system.n_sites
    opposite = power.flip((-3, -2, -1)).roll((1, 1, 1), (-3, -2, -1))
    return (power + opposite) / 2


def _repeated(transform: Tensor, grid: WaveVectorGrid, shape: tuple[int, ...]) -> Tensor:
    """A transform (..., L1, L2, L3, C) that repeats in reciprocal space, on the whole grid (..., K1, K2, K3, C)."""
    for dim, (index, length) in enumerate(zip(grid.indices, shape, strict=True), start=-4):
        if len(index) != length:
            transform = transform.index_select(dim, torch.from_numpy(index % length).to(transform.device))
    return transform
