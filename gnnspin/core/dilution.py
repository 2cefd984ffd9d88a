"""Vacancies: sites without a moment, under any field source."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource


def site_mask(sites: ArrayLike | Tensor, n_sites: int, name: str) -> NDArray[np.bool_]:
    """Mask (N,) of sites, given as one or as site numbers.

    Raises
    ------
    InvalidInput
        If it is neither (N,) booleans nor a list of numbers of existing sites, each once.
    """
    given = np.asarray(sites.cpu() if isinstance(sites, Tensor) else sites)
    if given.dtype == np.bool_ and given.shape == (n_sites,):
        return given
    numbers = given.size == 0 or np.issubdtype(given.dtype, np.integer)
    if given.ndim != 1 or not numbers or (given.size and not 0 <= given.min() <= given.max() < n_sites):
        raise InvalidInput(
            f"{name} is {given.dtype} of shape {given.shape}; give ({n_sites},) booleans, or site numbers in "
            f"0 .. {n_sites - 1}"
        )
    if len(np.unique(given)) < given.size:
        raise InvalidInput(f"{name} holds site numbers twice; give each once, or ({n_sites},) booleans")
    mask = np.zeros(n_sites, dtype=np.bool_)
    mask[given.astype(np.int64)] = True
    return mask


class Diluted(FieldSource, kind="diluted"):
    """A source whose spins are zero at some sites: a missing moment acts on nothing and feels nothing.

    The terms of a classical Hamiltonian with a vacant site vanish. A learned model is evaluated outside what it was
    trained on. Electrons still visit a site without a moment: an s-d Hamiltonian says so itself, with J = 0 there.

    Parameters
    ----------
    source : FieldSource
        What acts on the moments that are there.
    vacant : (N,) bool, or sequence of int
        True where there is no moment; or the numbers of these sites.

    Raises
    ------
    InvalidInput
        If `vacant` has another shape or type, a site does not exist, or the source is electronic.
    """

    def __init__(self, source: FieldSource, vacant: ArrayLike | Tensor) -> None:
        mask = site_mask(vacant, source.system.n_sites, "vacant")
        if any(hasattr(term, "hamiltonian") for term in getattr(source, "terms", [source])):
            raise InvalidInput(
                "an electronic source takes its vacancies from its Hamiltonian: SDHamiltonian(system, J=...) with one "
                "J per site and J=0 at the vacant sites; pin their spins with pinned="
            )
        self.source = source
        self.vacant = mask
        self._vacant = np.flatnonzero(mask)
        self.system = source.system
        self.dtype = source.dtype
        self.device = source.device
        self.has_energy = source.has_energy
        self._occupied = torch.from_numpy(~mask).to(self.device, self.dtype)[:, None]

    def compile(self, **options: Any) -> Self:
        """Compile the source; see `FieldSource.compile`."""
        self.source.compile(**options)
        return self

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        return self.source.energies(spins * self._occupied, time)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        return self.source.fields(spins * self._occupied, time) * self._occupied

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        energies, fields = self.source.energies_and_fields(spins * self._occupied, time)
        return energies, fields * self._occupied
