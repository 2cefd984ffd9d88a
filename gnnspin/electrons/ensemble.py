"""The electronic ensemble: temperature, and fixed chemical potential, filling or electron number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import FractionalNumber
from gnnspin.electrons.hamiltonian import SDHamiltonian


class FixedBy(TypedDict, total=False):
    """Constraint on the electrons: chemical potential, filling or electron number; exactly one is given.

    Parameters
    ----------
    mu : float, optional
        Chemical potential in units of the hopping.
    filling : float, optional
        Electrons per spin-orbital, 0 to 1, in every part of a union; a configuration may write ``5/12``.
    n_electrons : float or one per part of a union, optional
        Electron number, 0 to the number of spin-orbitals; need not be an integer.
    """

    mu: float | None
    filling: FractionalNumber | None
    n_electrons: float | Sequence[float] | None


@dataclass(frozen=True)
class Ensemble:
    """Temperature of the electrons and what is held fixed.

    Parameters
    ----------
    kT : float
        Temperature in units of the hopping, >= 0.
    mu, filling, n_electrons
        Exactly one, see `FixedBy`.

    Raises
    ------
    InvalidInput
        If a number is out of range, or not exactly one of `mu`, `filling` and `n_electrons` is given.
    """

    kT: float
    mu: float | None = None
    filling: float | None = None
    n_electrons: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.kT) or self.kT < 0:
            raise InvalidInput(f"kT={self.kT} must be zero or a positive temperature in units of the hopping")
        if len(self.fixed) != 1:
            named = " and ".join(self.fixed) or "none"
            raise InvalidInput(f"got {named} of mu, filling and n_electrons; give exactly one")
        if self.mu is not None and not np.isfinite(self.mu):
            raise InvalidInput(f"mu={self.mu} must be finite; use filling=0 or filling=1 for empty or full levels")
        if self.filling is not None and not 0 <= self.filling <= 1:
            raise InvalidInput(f"filling={self.filling} must lie between 0 and 1: electrons per spin-orbital")

    @classmethod
    def of(cls, kT: float, fixed: FixedBy) -> Ensemble:
        """The ensemble of a solver's arguments; errors as of the class."""
        unknown = sorted(fixed.keys() - FixedBy.__annotations__.keys())
        if unknown:
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
        mu, filling, number = fixed.get("mu"), fixed.get("filling"), fixed.get("n_electrons")
        return cls(
            float(kT),
            None if mu is None else float(mu),
            None if filling is None else float(filling),
            None if number is None else _numbers(number),
        )

    @property
    def fixed(self) -> dict[str, float | tuple[float, ...]]:
        """Value of the given constraint, by its name: ``mu``, ``filling`` or ``n_electrons``."""
        values = {"mu": self.mu, "filling": self.filling, "n_electrons": self.n_electrons}
        return {name: value for name, value in values.items() if value is not None}

    def constraints(self, hamiltonian: SDHamiltonian) -> list[dict[str, float]]:
        """Constraint on each part of a system: ``{"mu": ...}`` or ``{"n_electrons": ...}``.

        Raises
        ------
        InvalidInput
            If there are not as many electron numbers as parts, or one is out of range.
        """
        parts = hamiltonian.parts
        if self.mu is not None:
            return [{"mu": self.mu}] * len(parts)
        if self.filling is not None:
            return [{"n_electrons": self.filling * part.n_spin_orbitals} for part in parts]
        numbers = np.atleast_1d(np.asarray(self.n_electrons, dtype=np.float64)).tolist()
        if len(numbers) != len(parts):
            given = self.n_electrons
            raise InvalidInput(f"n_electrons={given} must be {len(parts)} numbers, one per part; or use filling")
        for number, part in zip(numbers, parts, strict=True):
            if not 0 <= number <= part.n_spin_orbitals:
                raise InvalidInput(f"n_electrons={number} must lie between 0 and D = {part.n_spin_orbitals}")
        return [{"n_electrons": number} for number in numbers]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in {"kT": self.kT, **self.fixed}.items())


def _numbers(value: float | Sequence[float]) -> float | tuple[float, ...]:
    array = np.asarray(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else tuple(array.ravel().tolist())
