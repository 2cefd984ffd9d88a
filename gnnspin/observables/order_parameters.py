"""Order parameters of non-collinear states: 1 in the perfect order, 0 without it, the same for all global rotations."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.lattice_types import KAGOME, TRIANGULAR, Places, places_on
from gnnspin.observables.reciprocal import named_wave_vector
from gnnspin.observables.structure_factor import structure_factor_at
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest deviation of ``q . c / 2 pi`` from a whole number for a commensurate wave vector.
_COMMENSURATE = 1e-6


def tetrahedral_order(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Tetrahedral order of the triangular lattice with its handedness, ``3 sqrt 3 m_1 . (m_2 x m_3)``, shape (...).

    ``m_a = (1/N) sum_i S_i exp(-i M_a . r_i)`` are the amplitudes at the three M points. +-1 in the perfect order of
    chirality ``+-4 / (3 sqrt 3)``; 0 for collinear and coplanar states, and for equal domains of both handednesses.

    Parameters
    ----------
    system : SpinSystem
        A triangular lattice with even periodic lengths.
    spins : (..., N, 3)
        Unit spins.

    Raises
    ------
    InvalidInput
        If the lattice is another one or its periodic lengths are odd, or the spins do not fit it.
    """
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    n1, n2 = _commensurate(_triangular(system, "tetrahedral"), system, 2, [[1, 0], [0, 1], [1, 1]]).cells.T
    signs = torch.from_numpy(1.0 - 2.0 * (np.stack([n1, n2, n1 + n2]) % 2)).to(checked.device)
    m1, m2, m3 = (torch.einsum("an,...nc->...ac", signs, checked) / system.n_sites).unbind(-2)
    return -3 * np.sqrt(3) * (m1 * torch.linalg.cross(m2, m3)).sum(-1)


def three_sublattice_order(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Three-sublattice order ``sqrt(sum_a |m_a - m|^2 / 3)`` of the mean spins m_a of three sublattices, shape (...).

    On the triangular lattice it equals ``sqrt(S(K) 2 / N)``. 1 for spins at 120 degrees, ``sqrt(8 / 9)`` for two
    sublattices up and one down, 0 in a ferromagnet.

    Parameters
    ----------
    system : SpinSystem
        A triangular lattice whose periodic lengths are multiples of three, or a kagome lattice (sublattices of the
        unit cell, as in its q = 0 order).
    spins : (..., N, 3)
        Unit spins.

    Raises
    ------
    InvalidInput
        If the lattice is another one or its periodic lengths do not fit, or the spins do not.
    """
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    sublattice = torch.from_numpy(require_three_sublattices(system)).to(checked.device)
    total = torch.zeros(*checked.shape[:-2], 3, 3, dtype=torch.float64, device=checked.device)
    means = total.index_add(-2, sublattice, checked) / torch.bincount(sublattice, minlength=3)[:, None]
    return ((means - means.mean(-2, keepdim=True)).square().sum((-1, -2)) / 3).sqrt()


def triple_q_order(system: SpinSystem, spins: Tensor | ArrayLike, wave_vector: ArrayLike | str = "M") -> Tensor:
    """Triple-Q order, ``3 (w_1 w_2 w_3)^(1/3)``, shape (...).

    ``w_a`` is the share of the weight of S(q), whose mean over q is one, that lies at ``+-Q_a``: Q and its images under
    turns by 120 degrees. 1 if all weight is there in equal parts, as in tetrahedral order at the M points; 0 if one of
    the three is missing, as in single- and double-Q states. A skyrmion crystal has higher harmonics and less than 1.

    Parameters
    ----------
    system : SpinSystem
        Planar, with one site per unit cell.
    spins : (..., N, 3)
        Unit spins.
    wave_vector : (3,) or str
        Cartesian Q, or its name in `high_symmetry_points`.

    Raises
    ------
    InvalidInput
        If a wave vector does not fit the periodic cell, the name is unknown, or the spins do not fit the system.
    """
    if system.lattice_shape is None or system.n_basis != 1:
        raise InvalidInput(f"triple_q_order needs a lattice with one site per cell; {system} is none")
    triple = np.stack([turn @ named_wave_vector(system, wave_vector) for turn in _third_turns()])
    _require_commensurate(system, triple)
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    own_opposite = np.allclose(_phase_turns(system.primitive_vectors, 2 * triple[0]), 0, atol=_COMMENSURATE)
    weights = structure_factor_at(system, checked, triple) / system.n_sites * (1 if own_opposite else 2)
    return 3 * weights.clamp(min=0).prod(-1) ** (1 / 3)


def require_three_sublattices(system: SpinSystem) -> IntArray:
    """Which of three sublattices each site is on, (N,); errors as in `three_sublattice_order`."""
    kagome = places_on(KAGOME, system) if system.n_basis > 1 else None
    if kagome is not None:
        return kagome.sublattice
    places = _commensurate(_triangular(system, "three-sublattice"), system, 3, [[1, -1]])
    return np.asarray((places.cells[:, 0] - places.cells[:, 1]) % 3, dtype=np.int64)


def _triangular(system: SpinSystem, order: str) -> Places:
    places = places_on(TRIANGULAR, system)
    if places is None:
        raise InvalidInput(f"{order} order is measured on the triangular lattice; {system} is another one")
    return places


def _commensurate(places: Places, system: SpinSystem, period: int, steps: list[list[int]]) -> Places:
    """The places, if the phases ``steps . (n1, n2) / period`` repeat with the cell."""
    for k in range(2):
        if system.pbc[k] and (np.array(steps) @ places.periods[k] % period).any():
            raise InvalidInput(
                f"the order repeats every {period} cells and needs periodic lengths that are multiples of {period}; "
                f"{system} has lattice_shape {system.lattice_shape}"
            )
    return places


def _third_turns() -> list[FloatArray]:
    turns = []
    for k in range(3):
        c, s = np.cos(2 * np.pi * k / 3), np.sin(2 * np.pi * k / 3)
        turns.append(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]))
    return turns


def _phase_turns(vectors: FloatArray, wave_vectors: FloatArray) -> FloatArray:
    """Deviation of ``q . c / 2 pi`` from whole numbers."""
    turns = vectors @ wave_vectors.T / (2 * np.pi)
    return np.asarray(turns - np.round(turns), dtype=np.float64)


def _require_commensurate(system: SpinSystem, wave_vectors: FloatArray) -> None:
    periodic = system.cell[list(system.pbc)]
    off = np.abs(_phase_turns(periodic, wave_vectors)).max(0, initial=0.0)
    if off.max() > _COMMENSURATE:
        wrong = wave_vectors[off.argmax()].tolist()
        raise InvalidInput(
            f"wave vector {wrong} does not fit the periodic cell of {system}; take one of wave_vectors(system), or "
            "another size"
        )
