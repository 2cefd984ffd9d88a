"""The electronic ensemble: fixed chemical potential, filling or electron number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hamiltonian import SDHamiltonian


def part_constraints(
    hamiltonian: SDHamiltonian,
    *,
    mu: float | None,
    filling: float | None,
    n_electrons: float | Sequence[float] | None,
) -> list[dict[str, float]]:
    """What is fixed in every part of a system: ``{"mu": ...}`` or ``{"n_electrons": ...}``.

    Raises
    ------
    InvalidInput
        Unless exactly one of `mu`, `filling` and `n_electrons` is given and within range.
    """
    values = {"mu": mu, "filling": filling, "n_electrons": n_electrons}
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        raise InvalidInput(f"got {' and '.join(given) or 'none'} of mu, filling and n_electrons; give exactly one")
    parts = hamiltonian.parts
    if mu is not None:
        if not np.isfinite(mu):
            raise InvalidInput(f"mu={mu} must be finite; use filling=0 or filling=1 for empty or full levels")
        return [{"mu": float(mu)}] * len(parts)
    if filling is not None:
        if not 0 <= filling <= 1:
            raise InvalidInput(f"filling={filling} must lie between 0 and 1: electrons per spin-orbital")
        return [{"n_electrons": filling * part.n_spin_orbitals} for part in parts]
    numbers = np.atleast_1d(np.asarray(n_electrons, dtype=np.float64)).tolist()
    if len(numbers) != len(parts):
        raise InvalidInput(f"n_electrons={n_electrons} must be {len(parts)} numbers, one per part; or use filling")
    for number, part in zip(numbers, parts, strict=True):
        if not 0 <= number <= part.n_spin_orbitals:
            raise InvalidInput(f"n_electrons={number} must lie between 0 and D = {part.n_spin_orbitals}")
    return [{"n_electrons": number} for number in numbers]
