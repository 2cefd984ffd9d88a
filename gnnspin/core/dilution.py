"""Vacancies: sites without a moment, under any field source."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource


class Diluted(FieldSource):
    """A source whose spins are zero at some sites: a missing moment acts on nothing and feels nothing.

    The terms of a classical Hamiltonian with a vacant site vanish. A learned model is evaluated outside what it was
    trained on. Electrons still visit a site without a moment: an s-d Hamiltonian says so itself, with J = 0 there.

    Parameters
    ----------
    source : FieldSource
    vacant : (N,) bool
        True where there is no moment.

    Raises
    ------
    InvalidInput
        If `vacant` has another shape or type, or the source is electronic.
    """

    def __init__(self, source: FieldSource, vacant: ArrayLike | Tensor) -> None:
        mask = np.asarray(vacant.cpu() if isinstance(vacant, Tensor) else vacant)
        if mask.shape != (source.system.n_sites,) or mask.dtype != np.bool_:
            raise InvalidInput(
                f"vacancies are {mask.dtype} of shape {mask.shape}; give ({source.system.n_sites},) booleans"
            )
        if any(hasattr(term, "hamiltonian") for term in getattr(source, "terms", [source])):
            raise InvalidInput(
                "an electronic source takes its vacancies from its Hamiltonian: SDHamiltonian(system, J=...) with one "
                "J per site and J=0 at the vacant sites; pin their spins with pinned="
            )
        self.source = source
        self.vacant = mask
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

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        vacant = np.flatnonzero(self.vacant).tolist()
        return {"class": type(self).__name__, "source": self.source.specification(), "vacant": vacant}
