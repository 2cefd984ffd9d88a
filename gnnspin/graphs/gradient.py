"""Gradients of site quantities by least squares over neighbours."""

from __future__ import annotations

import numpy as np

from gnnspin.graphs.shells import Bonds, shell_bonds
from gnnspin.systems.system import FloatArray, SpinSystem

#: Eigenvalues of the sum of r r^T below this part of the largest mean that the neighbours do not span a direction.
_RANK = 1e-9


def neighbor_gradient(system: SpinSystem, n_shells: int = 1) -> tuple[Bonds, FloatArray]:
    """Bonds (E) and weights (E, 3) of the gradient ``(grad f)_i = sum_j w_ij (f_j - f_i)`` at every site.

    ``w_ij = (sum_k r_ik r_ik^T)^+ r_ij`` over the neighbours k of i is the least-squares fit of a linear function:
    exact for linear variation on every lattice and packing, at open boundaries too. In the bulk of a Bravais lattice,
    whose neighbours come in pairs +-r, it is the symmetric difference, with an error of second order. Directions that
    the neighbours of a site do not span have a gradient of zero.

    Parameters
    ----------
    system : SpinSystem
        Parts of a union have shells of their own.
    n_shells : int
        Neighbour shells that are fitted.
    """
    bonds = shell_bonds(system, n_shells)
    unit = system.spacing if np.isfinite(system.spacing) else 1.0
    vectors = bonds.vector / unit
    squares = np.zeros((system.n_sites, 3, 3))
    np.add.at(squares, bonds.site, vectors[:, :, None] * vectors[:, None, :])
    inverse = np.linalg.pinv(squares, rcond=_RANK, hermitian=True)
    return bonds, np.einsum("eab,eb->ea", inverse[bonds.site], vectors) / unit


def spanned_directions(bonds: Bonds) -> FloatArray:
    """Projector (3, 3) on the directions in which a system has neighbours."""
    squares = bonds.vector.T @ bonds.vector
    return squares @ np.linalg.pinv(squares, rcond=_RANK, hermitian=True)
