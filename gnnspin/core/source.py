"""The one protocol of the package: a field source gives energies and effective fields of unit spins.

Diagonalisation, classical Hamiltonians, learned models and sums of them are all field sources; dynamics, labels,
training and plots know nothing else about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Protocol, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.described import Described
from gnnspin.core.errors import InvalidInput, NoEnergyError
from gnnspin.core.modes import make_independent_of_modes, ordinary_modes, outside_inference
from gnnspin.core.spins import as_spins, torque


class Geometry(Protocol):
    """Number of sites, number of graphs and fingerprint of a system: all that a field source needs to know of it."""

    @property
    def n_sites(self) -> int:
        """Number of spins, N."""
        ...

    @property
    def n_graphs(self) -> int:
        """Number of disjoint parts, each with an energy of its own."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash by which equal systems are recognised."""
        ...


class FieldSource(Described, family="source", group="gnnspin.sources"):
    """Anything that can push spins.

    A subclass sets `system` and writes one method: `energies`, whose gradient is then the field, or `fields`, for a
    field that has no energy. It writes both where the field has a closed form, and `energies_and_fields` where one
    evaluation gives both. `dtype` and `device` are its own. It inherits the checks, the conversions of dtype and
    device, and the rules of the protocol:

    - spins are unit vectors ``(..., N, 3)``, leading dimensions are replicas and never mean anything else;
    - the effective field is the plain Euclidean gradient ``H_i = -dE/dS_i``, unprojected, returned in the spins' dtype
      and on their device;
    - energies are summed and returned in float64, shape ``(...)``, or ``(..., n_graphs)`` for a union of systems;
    - the field is a pure function of (spins, time), and nothing that is returned carries an autograd graph.

    A class with a `kind` can be named in configurations and restored from files, see `gnnspin.core.described`. Sources
    on the same system add: ``exchange + zeeman`` is a source.

    Examples
    --------
    A spin-transfer torque ``S x (p x S)``, whose field ``p x S`` is no gradient:

    >>> class SpinTransfer(FieldSource, kind="example_spin_transfer"):
    ...     def __init__(self, system, p=(0.0, 0.0, 1.0)):
    ...         self.system, self.p = system, torch.tensor(p, dtype=torch.float64)
    ...
    ...     def fields(self, spins, time=None):
    ...         return torch.linalg.cross(self.p.expand_as(spins), spins)
    >>> from gnnspin.systems import chain
    >>> source = SpinTransfer(chain(2))
    >>> source.torque([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    >>> source.has_energy, source.specification()
    (False, {'kind': 'example_spin_transfer', 'p': [0.0, 0.0, 1.0]})
    """

    system: Any
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")
    #: Whether the field is the gradient of an energy; true for every class that writes `energies`.
    has_energy: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "has_energy" not in vars(cls):
            cls.has_energy = cls.energies is not FieldSource.energies
        make_independent_of_modes(cls, "__init__")

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Potential energies of checked spins; what an author writes, and `energy` calls.

        Parameters
        ----------
        spins : (R, N, 3)
            Unit spins of R replicas, in the source's dtype and on its device.
        time : float, optional
            Time, for sources that depend on it.

        Returns
        -------
        (R,) tensor, or (R, n_graphs) for a union of systems
            Differentiable with respect to the spins unless `fields` is written too.

        Raises
        ------
        NoEnergyError
            If the source has no energy.
        """
        raise NoEnergyError(self._no_energy())

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Effective fields (R, N, 3) of checked spins; what an author writes, and `field` calls.

        Parameters as in `energies`. Default: ``H_i = -dE/dS_i`` of `energies` by automatic differentiation. The caller
        has switched gradients off: a method that needs them uses ``torch.enable_grad()``.

        Raises
        ------
        InvalidInput
            If the class writes neither `energies` nor `fields`.
        """
        if type(self).energies is FieldSource.energies:
            raise InvalidInput(f"{type(self).__name__} writes neither energies(spins, time) nor fields(spins, time)")
        with torch.enable_grad():
            variable = spins.detach().requires_grad_()
            return -torch.autograd.grad(self.energies(variable, time).sum(), variable)[0]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Energies and fields of checked spins; to be written where one evaluation gives both.

        Parameters and errors as in `energies` and `fields`, which it calls by default.
        """
        return self.energies(spins, time), self.fields(spins, time)

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
        return self.unchecked(spins, time, energy=False)[1]  # type: ignore[return-value]

    def unchecked(
        self, spins: Tensor, time: float | None = None, *, energy: bool = True, field: bool = True
    ) -> tuple[Tensor | None, Tensor | None]:
        """Energy and field, None where not asked for, of vectors (..., N, 3) that need not be unit vectors.

        For sources that are made of others; results as `energy` and `field` promise.
        """
        with ordinary_modes(), torch.no_grad():
            given = outside_inference(spins.detach())
            own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
            energies: Tensor | None = None
            fields: Tensor | None = None
            if energy and field:
                energies, fields = self.energies_and_fields(own, time)
            elif energy:
                energies = self.energies(own, time)
            elif field:
                fields = self.fields(own, time)
            return self._returned_energy(energies, given), self._returned_field(fields, given)

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'system', '')})"

    def _require_energy(self) -> None:
        if not self.has_energy:
            raise NoEnergyError(self._no_energy())

    def _no_energy(self) -> str:
        return f"{type(self).__name__} has no energy (its field is not a gradient); use field() or torque()"

    def _checked(
        self, spins: Tensor | ArrayLike, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        return self.unchecked(as_spins(spins, self.system.n_sites), time, energy=energy, field=field)

    def _returned_energy(self, energies: Tensor | None, given: Tensor) -> Tensor | None:
        if energies is None:
            return None
        replicas, parts = given.shape[:-2], self.system.n_graphs
        if energies.numel() != replicas.numel() * parts:
            raise InvalidInput(
                f"{type(self).__name__}.energies returned shape {tuple(energies.shape)} for {replicas.numel()} "
                f"replicas of {parts} systems; one energy for each is needed"
            )
        return energies.detach().to(given.device, torch.float64).reshape(replicas if parts == 1 else (*replicas, parts))

    def _returned_field(self, fields: Tensor | None, given: Tensor) -> Tensor | None:
        if fields is None:
            return None
        if fields.numel() != given.numel():
            raise InvalidInput(
                f"{type(self).__name__}.fields returned shape {tuple(fields.shape)} for spins {tuple(given.shape)}; "
                "one vector per spin is needed"
            )
        return fields.detach().to(given.device, given.dtype).reshape(given.shape)

    def __add__(self, other: FieldSource) -> SumSource:
        if not isinstance(other, FieldSource):
            return NotImplemented
        return SumSource([self, other])


class SumSource(FieldSource, kind="sum"):
    """Sum of field sources on one system; energies and fields add.

    Parameters
    ----------
    terms : sequence of FieldSource
        The terms; those of a sum inside it are taken one by one. Each computes in its own precision.

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

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms))

    def _no_energy(self) -> str:
        without = ", ".join(type(term).__name__ for term in self.terms if not term.has_energy)
        return f"the sum has no energy, since the field of {without} is not a gradient; use field() or torque()"

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Sum of the terms' energies; see `FieldSource.energies`."""
        return self._total(spins, time, energy=True)[0]

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Sum of the terms' fields; see `FieldSource.fields`."""
        return self._total(spins, time, field=True)[1]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both sums, with one evaluation of each term."""
        return self._total(spins, time, energy=True, field=True)

    def _total(self, spins: Tensor, time: float | None, *, energy: bool = False, field: bool = False) -> Any:
        results = [term.unchecked(spins, time, energy=energy, field=field) for term in self.terms]
        return tuple(None if parts[0] is None else reduce(torch.add, parts) for parts in zip(*results, strict=True))

    def compile(self, **options: Any) -> Self:
        """Compile all terms; see `FieldSource.compile`."""
        for term in self.terms:
            term.compile(**options)
        return self
