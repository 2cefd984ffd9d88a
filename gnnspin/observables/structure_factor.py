"""Static structure factors.

``S(q) = (1/N) |sum_i S_i exp(-i q . r_i)|^2``, summed over the three spin components. On a Bravais lattice of N sites
``(1/N) sum_q S(q) = 1`` over the N wave vectors of the reciprocal grid. A perfect ferromagnet has S(0) = N, the
120-degree order S(K) = S(-K) = N/2.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.reciprocal import wave_vectors
from gnnspin.systems.system import SpinSystem


def structure_factor(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Spin structure factor on the lattice's reciprocal grid by fast Fourier transform.

    Parameters
    ----------
    system : SpinSystem
        A lattice; open directions are transformed as if they were periodic.
    spins : (..., N, 3)
        Unit spins.

    Returns
    -------
    (..., L1, L2, L3) tensor
        ``S(q)`` at `wave_vectors`. With several sites per cell the phases of the true positions are included, so S is
        that of the listed q, not periodic in reciprocal space.

    Raises
    ------
    InvalidInput
        If the system is not a lattice or the spins do not fit it.
    """
    checked = as_spins(spins, system.n_sites)
    return _power(system, checked)


def scalar_structure_factor(system: SpinSystem, values: Tensor | ArrayLike) -> Tensor:
    """Structure factor ``(1/N) |sum_i v_i exp(-i q . r_i)|^2`` of numbers per site (..., N), such as a chirality.

    Shape and errors as in `structure_factor`.
    """
    tensor = torch.as_tensor(values)
    if tensor.ndim < 1 or tensor.shape[-1] != system.n_sites:
        raise InvalidInput(f"values have shape {tuple(tensor.shape)}; expected (..., {system.n_sites}), one per site")
    return _power(system, tensor[..., None])


def structure_factor_at(system: SpinSystem, spins: Tensor | ArrayLike, wave_vector: ArrayLike) -> Tensor:
    """Spin structure factor at any wave vectors, by the direct sum; also for systems that are not lattices.

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    wave_vector : (3,) or (Q, 3)
        Cartesian, such as the values of `high_symmetry_points`.

    Returns
    -------
    (...) or (..., Q) tensor

    Raises
    ------
    InvalidInput
        If a shape is wrong.
    """
    checked = as_spins(spins, system.n_sites)
    q = torch.as_tensor(wave_vector, dtype=torch.float64)
    if q.shape[-1:] != (3,) or q.ndim > 2:
        raise InvalidInput(f"wave_vector has shape {tuple(q.shape)}; expected (3,) or (Q, 3)")
    angles = torch.atleast_2d(q) @ torch.tensor(system.positions).T
    phases = torch.polar(torch.ones_like(angles), -angles).to(checked.device)
    amplitudes = torch.einsum("qn,...nc->...qc", phases.to(_complex(checked)), checked.to(_complex(checked)))
    power = amplitudes.abs().square().sum(-1) / system.n_sites
    return power[..., 0] if q.ndim == 1 else power


def _power(system: SpinSystem, values: Tensor) -> Tensor:
    """``(1/N) |FT|^2`` of values (..., N, C), summed over C, on the reciprocal grid."""
    q = torch.tensor(wave_vectors(system), device=values.device)
    shape = q.shape[:3]
    cells = values.reshape(*values.shape[:-2], *shape, system.n_basis, values.shape[-1])
    transformed = torch.fft.fftn(cells, dim=(-5, -4, -3))
    basis = torch.tensor(system.positions[: system.n_basis], device=values.device)
    angles = q @ basis.T
    phases = torch.polar(torch.ones_like(angles), -angles).to(transformed.dtype)
    return (transformed * phases[..., None]).sum(-2).abs().square().sum(-1) / system.n_sites


def _complex(tensor: Tensor) -> torch.dtype:
    return torch.complex64 if tensor.dtype == torch.float32 else torch.complex128
