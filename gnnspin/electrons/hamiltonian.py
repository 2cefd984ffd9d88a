"""The s-d Hamiltonian of electrons that hop between classical spins."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.electrons.hopping import HoppingRule, NearestNeighborHopping, checked_hopping, matrix_digest
from gnnspin.systems.system import FloatArray, SpinSystem


class SDHamiltonian:
    """H = sum_ij,a h_ij c+_ia c_ja - sum_i J_i S_i . c+_i sigma c_i, with classical unit spins S_i.

    Rows of its matrices are ordered site by site, spin up before spin down: row ``2 i + a``.

    Parameters
    ----------
    system : SpinSystem
        Where the sites are.
    hopping : HoppingRule or (N, N) Hermitian scipy.sparse matrix, optional
        Amplitudes h_ij; default ``NearestNeighborHopping(t=1.0)``. A matrix is bound to this system.
    J : float or (N,)
        Coupling of the electron spin to the classical spin, in units of the hopping; 0 on a site without a spin.
        Positive J favours electrons parallel to the spin.

    Attributes
    ----------
    system : SpinSystem
    hopping_matrix : (N, N) csr_array
        Amplitudes h_ij, float64 or complex128.
    couplings : (N,) array
        J of every site.

    Raises
    ------
    InvalidInput
        If the matrix has the wrong shape, is not Hermitian or connects the parts of a union, or J has the wrong shape
        or is not finite.

    Examples
    --------
    >>> from gnnspin.systems import square
    >>> SDHamiltonian(square(4, 4), J=3.0).n_orbitals
    32
    """

    def __init__(
        self,
        system: SpinSystem,
        hopping: HoppingRule | sparse.sparray | sparse.spmatrix | None = None,
        J: float | ArrayLike = 1.0,
    ) -> None:
        self.system = system
        self.hopping = NearestNeighborHopping() if hopping is None else hopping
        rule = self.hopping
        self.hopping_matrix = checked_hopping(rule.matrix(system) if isinstance(rule, HoppingRule) else rule, system)
        self.couplings = _site_couplings(J, system.n_sites)

    @property
    def n_orbitals(self) -> int:
        """Number of spin-orbitals, 2N."""
        return 2 * self.system.n_sites

    @property
    def time_reversal(self) -> bool:
        """Whether the hopping is real, so that reversing every spin reverses every field."""
        matrix = self.hopping_matrix
        return not np.iscomplexobj(matrix) or not np.any(matrix.data.imag)

    @cached_property
    def parts(self) -> tuple[SDHamiltonian, ...]:
        """One Hamiltonian per part of a union; ``(self,)`` for a single system."""
        if self.system.n_graphs == 1:
            return (self,)
        ends = np.cumsum([0] + [part.n_sites for part in self.system.parts])
        return tuple(
            SDHamiltonian(part, self.hopping_matrix[a:b, a:b], self.couplings[a:b])
            for part, a, b in zip(self.system.parts, ends[:-1], ends[1:], strict=True)
        )

    def dense(self, spins: Tensor | ArrayLike) -> Tensor:
        """Matrix of H for given spins, on the spins' device.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (..., 2N, 2N) complex128 tensor, Hermitian
        """
        given = as_spins(spins, self.system.n_sites)
        spins64 = given.to(torch.float64)
        n_sites = self.system.n_sites
        template = self._dense_hopping.to(given.device)
        matrix = template.repeat(*given.shape[:-2], 1, 1)
        blocks = matrix.view(*given.shape[:-2], n_sites, 2, n_sites, 2)
        exchange = -torch.tensor(self.couplings).to(given.device).unsqueeze(-1) * spins64
        x, y, z = exchange.unbind(-1)
        sites = torch.arange(n_sites, device=given.device)
        blocks[..., sites, 0, sites, 0] += z
        blocks[..., sites, 1, sites, 1] -= z
        blocks[..., sites, 0, sites, 1] += torch.complex(x, -y)
        blocks[..., sites, 1, sites, 0] += torch.complex(x, y)
        return matrix

    @cached_property
    def _dense_hopping(self) -> Tensor:
        """Hopping part (2N, 2N), complex128."""
        return torch.from_numpy(np.kron(self.hopping_matrix.toarray(), np.eye(2)).astype(np.complex128))

    def specification(self) -> dict[str, Any]:
        """JSON-able description: hopping rule (a bare matrix by its hash), J and the system's fingerprint."""
        bare = {"class": "matrix", "digest": matrix_digest(self.hopping_matrix)}
        uniform = bool((self.couplings == self.couplings[0]).all())
        return {
            "class": type(self).__name__,
            "hopping": self.hopping.specification() if isinstance(self.hopping, HoppingRule) else bare,
            "J": float(self.couplings[0]) if uniform else self.couplings.tolist(),
            "system": self.system.fingerprint,
        }

    def __repr__(self) -> str:
        hopping = self.hopping if isinstance(self.hopping, HoppingRule) else "matrix"
        return f"SDHamiltonian({self.system}, hopping={hopping}, J={self.specification()['J']})"


def _site_couplings(J: float | ArrayLike, n_sites: int) -> FloatArray:
    values = np.array(J, dtype=np.float64)
    if values.shape not in ((), (n_sites,)):
        raise InvalidInput(f"J has shape {values.shape}; give one number or ({n_sites},), one per site")
    if not np.isfinite(values).all():
        raise InvalidInput("J contains values that are not finite")
    couplings = np.broadcast_to(values, (n_sites,)).copy()
    couplings.setflags(write=False)
    return couplings
