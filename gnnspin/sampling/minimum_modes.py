"""Curvature of the energy on the product of spheres: the Hessian, its lowest modes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator, lobpcg
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize, project_tangent
from gnnspin.sampling.geodesics import along_geodesic
from gnnspin.sampling.minimize import free_spins

#: Angles of the finite differences, radians, for sources in double and in single precision.
_ANGLE, _ANGLE_SINGLE = 1e-3, 3e-2
#: Spins per batch of field evaluations.
_BATCH_SITES = 1 << 19
#: Largest number of degrees of freedom whose Hessian is diagonalised as a matrix.
DENSE = 800
#: Modes beyond those wanted in the block of the iteration, its accuracy and longest duration.
_SPARE, _ACCURACY, _ITERATIONS = 4, 1e-7, 500


@dataclass(frozen=True, eq=False)
class MinimumModes:
    """Lowest modes of the Hessian at a state.

    Attributes
    ----------
    eigenvalues : (n,) float64 tensor
        In ascending order; negative ones are unstable directions.
    modes : (n, N, 3) float64 tensor
        Orthonormal displacements, each perpendicular to the spins.
    """

    eigenvalues: Tensor
    modes: Tensor


@independent_of_modes
def minimum_modes(
    source: FieldSource, spins: Tensor | ArrayLike, n_modes: int = 1, *, pinned: Tensor | ArrayLike | None = None
) -> MinimumModes:
    """Lowest modes of the energy's Hessian on the product of spheres.

    The Hessian is the covariant one, ``P_i (d^2 E / dS_i dS_j) P_j + delta_ij (S_i . H_i) P_i`` with
    ``P_i = 1 - S_i S_i``: it takes in that spins move on spheres. It is applied by fourth-order differences of the
    fields along geodesics, so that every source has it. Up to 800 free directions it is diagonalised as a matrix,
    beyond that the lowest modes are found by LOBPCG (Knyazev, SIAM J. Sci. Comput. 23, 517 (2001),
    doi:10.1137/S1064827500366124).

    Parameters
    ----------
    source : FieldSource
        On one system.
    spins : (N, 3)
        A state; at a saddle point the first mode is the unstable one.
    n_modes : int
        Modes wanted, at most 2 N.
    pinned : (N,) bool, optional
        Spins that stay.

    Raises
    ------
    InvalidInput
        If an argument is out of range.
    ConvergenceError
        If the iteration does not find the modes.

    Examples
    --------
    >>> import gnnspin as gs
    >>> source = gs.classical.UniaxialAnisotropy(gs.systems.chain(1, pbc=False), 0.5)
    >>> minimum_modes(source, [[0.0, 0.0, 1.0]], 2).eigenvalues.numpy().round(9).tolist()
    [1.0, 1.0]
    """
    curvature = Curvature(source, spins, pinned)
    n_modes = whole_at_least(n_modes, 1, "n_modes")
    if n_modes > curvature.n_modes:
        raise InvalidInput(f"n_modes={n_modes} is more than the {curvature.n_modes} directions of the free spins")
    if curvature.n_modes <= max(DENSE, n_modes + 1):
        values, vectors = torch.linalg.eigh(curvature.matrix())
        return MinimumModes(values[:n_modes], curvature.displacements(vectors[:, :n_modes].T))
    return _lowest(curvature, n_modes)


def _lowest(curvature: Curvature, n_modes: int) -> MinimumModes:
    """Lowest modes by a block method, which finds every mode of a degenerate set."""
    start = np.random.default_rng(0).normal(size=(curvature.n_modes, n_modes + _SPARE))
    operator = LinearOperator(
        (curvature.n_modes,) * 2,
        matvec=as_vectors(curvature.times),
        matmat=lambda block: as_vectors(curvature.times)(block.T).T,
        dtype=np.float64,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of the spare modes, too
        values, vectors = lobpcg(operator, start, largest=False, tol=_ACCURACY, maxiter=_ITERATIONS)
    order = np.argsort(values)[:n_modes]
    found, vectors = values[order], vectors[:, order]
    error = float(np.abs(operator.matmat(vectors) - vectors * found).max())
    if error > 1e-3 * max(1e-12, float(np.abs(values).max())):
        raise ConvergenceError(f"the lowest modes are found to {error:.1e} only; ask for fewer or more, or pin spins")
    modes = torch.from_numpy(vectors.T.copy()).to(curvature.spins)
    return MinimumModes(torch.from_numpy(found), curvature.displacements(modes))


class Curvature:
    """The Hessian at a state in an orthonormal frame of the tangent planes, two directions per free spin.

    Parameters
    ----------
    source, spins, pinned
        As in `minimum_modes`.

    Attributes
    ----------
    spins : (N, 3)
    n_modes : int
        Directions d, twice the number of free spins.
    frame : (n, 2, 3)
        First and second direction at each free spin, ``e2 = S x e1``.
    """

    def __init__(
        self, source: FieldSource, spins: Tensor | ArrayLike, pinned: Tensor | ArrayLike | None = None
    ) -> None:
        given = as_spins(spins, source.system.n_sites).detach().to(torch.float64)
        if given.ndim != 2 or source.system.n_graphs > 1:
            raise InvalidInput(
                f"spins have shape {tuple(given.shape)}; give one state (N, 3) of a system that is no union"
            )
        self.source, self.spins = source, normalize(given)
        self.sites = torch.nonzero(free_spins(pinned, self.spins) > 0)[:, 0]
        self.n_modes = 2 * len(self.sites)
        at = self.spins[self.sites]
        least = torch.eye(3, dtype=at.dtype, device=at.device)[at.abs().argmin(-1)]
        first = normalize(project_tangent(least, at))
        self.frame = torch.stack([first, torch.linalg.cross(at, first)], 1)

    def displacements(self, coefficients: Tensor) -> Tensor:
        """Displacements (..., N, 3) of coefficients (..., d) in the frame."""
        shaped = coefficients.reshape(*coefficients.shape[:-1], -1, 2)
        moved = torch.einsum("...nk,nkc->...nc", shaped, self.frame)
        whole = torch.zeros(*moved.shape[:-2], *self.spins.shape, dtype=moved.dtype, device=moved.device)
        whole[..., self.sites, :] = moved
        return whole

    def coefficients(self, displacements: Tensor) -> Tensor:
        """Coefficients (..., d) in the frame of vectors (..., N, 3), their parts along the free spins left out."""
        return torch.einsum("...nc,nkc->...nk", displacements[..., self.sites, :], self.frame).flatten(-2)

    def times(self, coefficients: Tensor) -> Tensor:
        """Hessian times vectors (..., d), (..., d)."""
        flat = coefficients.reshape(-1, self.n_modes)
        size = max(1, _BATCH_SITES // (4 * len(self.spins)))
        return torch.cat([self._applied(part) for part in flat.split(size)]).reshape(coefficients.shape)

    def matrix(self) -> Tensor:
        """The Hessian (d, d), symmetric."""
        found = self.times(torch.eye(self.n_modes, dtype=self.spins.dtype, device=self.spins.device))
        return 0.5 * (found + found.T)

    def _applied(self, coefficients: Tensor) -> Tensor:
        """Derivative of the gradient, carried back in parallel, along geodesics: four points."""
        largest = coefficients.reshape(len(coefficients), -1, 2).norm(dim=-1).amax(-1).clamp_min(1e-300)
        single = torch.float32 in (self.source.dtype, self.spins.dtype)
        angle = (_ANGLE_SINGLE if single else _ANGLE) / largest
        step = self.displacements(coefficients) * angle[:, None, None]
        slopes = [self._gradient(share * step) for share in (-2, -1, 1, 2)]
        difference = (slopes[0] - 8 * slopes[1] + 8 * slopes[2] - slopes[3]) / (12 * angle[:, None])
        return difference

    def _gradient(self, step: Tensor) -> Tensor:
        """Gradient at the end of steps (B, N, 3) in the frame that is carried along, (B, d)."""
        moved = along_geodesic(self.spins, step)
        gradient = -self.source.field(moved)[:, self.sites]
        at, step = self.spins[self.sites], step[:, self.sites]
        angle = step.norm(dim=-1, keepdim=True)
        toward = step / angle.clamp_min(1e-300)
        # a vector of the frame is carried as its part across the step, and its part along it turns with the spin
        turned = torch.cos(angle) * toward - torch.sin(angle) * at
        along = torch.einsum("bnc,nkc->bnk", toward, self.frame)
        across = torch.einsum("bnc,nkc->bnk", gradient, self.frame)
        change = (gradient * (turned - toward)).sum(-1, keepdim=True)
        return (across + along * change).reshape(len(gradient), -1)


def as_vectors(times: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of tensors (d,) as one of arrays, for scipy."""
    return lambda vector: (
        times(torch.from_numpy(np.ascontiguousarray(vector.squeeze(), dtype=np.float64))).cpu().numpy()
    )
