"""The one protocol of the package: a field source gives energies and effective fields of unit spins.

Diagonalisation, classical Hamiltonians, learned models and sums of them are all field sources; dynamics, labels,
training and plots know nothing else about them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput, NoEnergyError
from gnnspin.core.spins import as_spins, torque


class Geometry(Protocol):
    """What the protocol needs to know of a system."""

    @property
    def n_sites(self) -> int: ...

    @property
    def n_graphs(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...


class FieldSource(ABC):
    """Anything that can push spins.

    A subclass sets `system`, `dtype`, `device` and implements `_evaluate`; it inherits the checks, the conversion of
    dtype and device, and the rules of the protocol:

    - spins are unit vectors ``(..., N, 3)``, leading dimensions are replicas and never mean anything else;
    - the effective field is the plain Euclidean gradient ``H_i = -dE/dS_i``, unprojected, returned in the spins' dtype
      and on their device;
    - energies are summed and returned in float64, shape ``(...)``, or ``(..., n_graphs)`` for a union of systems;
    - the field is a pure function of (spins, time), and nothing that is returned carries an autograd graph.

    Sources on the same system add: ``exchange + zeeman`` is a source.
    """

    system: Any
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")
    has_energy: bool = True

    @abstractmethod
    def _evaluate(
        self, spins: Tensor, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Energies ``(R, n_graphs)`` and fields ``(R, N, 3)`` of spins ``(R, N, 3)`` in the source's dtype and device.

        What was not asked for may be None.
        """

    @abstractmethod
    def specification(self) -> dict[str, Any]:
        """JSON-able description that identifies the source: class, parameters and the system's fingerprint."""

    def energy(self, spins: Tensor | ArrayLike, time: float | None = None) -> Tensor:
        """Potential energy whose gradient the field is, in units of the hopping.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        time : float, optional
            Time, for sources that depend on it.

        Returns
        -------
        (...) float64 tensor, or (..., n_graphs) for a union of systems

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        NoEnergyError
            If the source has no energy.
        """
        self._require_energy()
        return self._checked(spins, time, energy=True, field=False)[0]  # type: ignore[return-value]

    def field(self, spins: Tensor | ArrayLike, time: float | None = None) -> Tensor:
        """Effective field ``H_i = -dE/dS_i``, shape ``(..., N, 3)``; parameters and errors as in `energy`."""
        return self._checked(spins, time, energy=False, field=True)[1]  # type: ignore[return-value]

    def energy_and_field(self, spins: Tensor | ArrayLike, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Energy and field from one evaluation; see `energy` and `field`."""
        self._require_energy()
        return self._checked(spins, time, energy=True, field=True)  # type: ignore[return-value]

    def unchecked_field(self, spins: Tensor, time: float | None = None) -> Tensor:
        """`field` of spins that are known to be unit vectors of the right shape: the same result, without the check."""
        return self._converted(spins.detach(), time, energy=False, field=True)[1]  # type: ignore[return-value]

    def compile(self, **options: Any) -> Self:
        """Compile the evaluation with `torch.compile` (options are passed on), in place; returns itself.

        Where there is nothing to compile (most exact solvers) nothing changes. Results agree to rounding.
        """
        del options
        return self

    def torque(self, spins: Tensor | ArrayLike, time: float | None = None) -> Tensor:
        """Torque ``T_i = S_i x H_i``, shape ``(..., N, 3)``; the only part of the field that drives the motion."""
        checked = as_spins(spins, self.system.n_sites)
        return torque(checked, self.field(checked, time))

    def _require_energy(self) -> None:
        if not self.has_energy:
            raise NoEnergyError(
                f"{type(self).__name__} has no energy (its field is not a gradient); use field() or torque()"
            )

    def _checked(
        self, spins: Tensor | ArrayLike, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        return self._converted(as_spins(spins, self.system.n_sites).detach(), time, energy=energy, field=field)

    def _converted(
        self, given: Tensor, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Evaluate in the source's own dtype and device; results as promised for the given spins."""
        replicas = given.shape[:-2]
        own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
        energies, fields = self._evaluate(own, time, energy=energy, field=field)
        energies = energies if energy else None
        fields = fields if field else None
        if energies is not None:
            shape = replicas if self.system.n_graphs == 1 else (*replicas, self.system.n_graphs)
            energies = energies.detach().to(given.device, torch.float64).reshape(shape)
        if fields is not None:
            fields = fields.detach().to(given.device, given.dtype).reshape(given.shape)
        return energies, fields

    def __add__(self, other: FieldSource) -> SumSource:
        if not isinstance(other, FieldSource):
            return NotImplemented
        return SumSource([self, other])


class SumSource(FieldSource):
    """Sum of field sources on one system; energies and fields add.

    Raises
    ------
    InvalidInput
        If there are no terms or the terms live on different systems.
    """

    terms: tuple[FieldSource, ...]

    def __init__(self, terms: Sequence[FieldSource]) -> None:
        flat: list[FieldSource] = []
        for term in terms:
            flat.extend(term.terms if isinstance(term, SumSource) else [term])
        if not flat:
            raise InvalidInput("a sum of sources needs at least one term")
        fingerprints = {term.system.fingerprint for term in flat}
        if len(fingerprints) > 1:
            raise InvalidInput(
                f"sources on {len(fingerprints)} different systems cannot be added; build all terms on one system"
            )
        self.terms = tuple(flat)
        self.system = flat[0].system
        self.device = flat[0].device
        self.has_energy = all(term.has_energy for term in flat)

    def _evaluate(
        self, spins: Tensor, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        energies: Tensor | None = None
        fields: Tensor | None = None
        for term in self.terms:
            e, h = term._converted(spins, time, energy=energy, field=field)
            if e is not None:
                energies = e if energies is None else energies + e
            if h is not None:
                fields = h if fields is None else fields + h
        return energies, fields

    def compile(self, **options: Any) -> Self:
        """Compile all terms; see `FieldSource.compile`."""
        for term in self.terms:
            term.compile(**options)
        return self

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        return {"class": "SumSource", "terms": [term.specification() for term in self.terms]}
