"""Dzyaloshinskii-Moriya interaction."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import (
    checked_clusters,
    share_among_sites,
    shell_bond_list,
    shell_couplings,
    surface_normal,
)
from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem

RULES = ("interfacial", "bulk")


class DzyaloshinskiiMoriya(ClassicalTerm, kind="dzyaloshinskii_moriya"):
    """E = sum_bonds D_ij . (S_i x S_j), each bond once, D_ji = -D_ij; H_i = sum_j D_ij x S_j.

    With u the unit vector from i to j, D_ij is ``D n x u`` (interfacial, Neel walls), or ``D u`` (bulk, Bloch walls).
    At exchange J (as in `Heisenberg`) a chain prefers a turn by ``arctan(|D| / J)`` per bond about -D.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; shells are those of each part of a union.
    D : float or sequence of float, or (B, 3)
        Strength of the nearest neighbours or of every neighbour shell for a rule; one vector per bond with `bonds`.
    rule : "interfacial" or "bulk"
        How D_ij follows from the geometry; not used with `bonds`.
    normal : (3,), optional
        n of the interfacial rule; default the system's polar axis, else z.
    bonds : (B, 2), optional
        Explicit bonds (i, j), to which the vectors D belong.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If the rule is unknown, a shape does not fit or a value is not finite.
    """

    def __init__(
        self,
        system: SpinSystem,
        D: ArrayLike,
        rule: Literal["interfacial", "bulk"] = "interfacial",
        *,
        normal: ArrayLike | None = None,
        bonds: ArrayLike | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.rule, self.bonds, self.normal = rule, None, None
        if bonds is not None:
            pairs = checked_clusters(bonds, 2, system, "bonds")
            self.vectors = np.array(D, dtype=np.float64)
            self.bonds, self.D = pairs, self.vectors
        else:
            self.D, self.normal = shell_couplings(D, "D"), surface_normal(normal, system)
            found = shell_bond_list(system, n_shells=len(self.D))
            pairs = found.pairs
            self.vectors = self.D[found.shell, None] * _directions(found.vector, rule, self.normal)
        if self.vectors.shape != (len(pairs), 3) or not np.isfinite(self.vectors).all():
            raise InvalidInput(f"D has shape {self.vectors.shape}; give one finite vector per bond, ({len(pairs)}, 3)")
        self._pairs = self._tensor(pairs)
        self._vectors = self._tensor(self.vectors)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        vector_chirality = torch.linalg.cross(spins[:, self._pairs[:, 0]], spins[:, self._pairs[:, 1]])
        return share_among_sites((self._vectors * vector_chirality).sum(-1), self._pairs, self.system.n_sites)


def _directions(vector: FloatArray, rule: str, normal: FloatArray) -> FloatArray:
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    if rule == "interfacial":
        return np.cross(normal, unit)
    if rule == "bulk":
        return unit
    raise InvalidInput(f"rule={rule!r} is unknown; known: {', '.join(RULES)}, or give bonds= with their vectors D")
