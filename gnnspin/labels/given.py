"""Spin configurations of one's own, as `generate` reads them from a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.runs import replaced

#: Accepted deviation of the length of a given spin from one.
_LENGTH = 1e-3


@dataclass(frozen=True)
class GivenSpins:
    """Configurations of one system.

    Attributes
    ----------
    spins : (M, N, 3) float64
        Unit spins.
    times : (M,) float64 or None
        When they were visited, in 1/(gamma t).
    """

    spins: NDArray[np.float64]
    times: NDArray[np.float64] | None

    def write(self, path: Path) -> None:
        """Write a file that `given_spins` reads, whole or not at all."""
        arrays = {"spins": self.spins} if self.times is None else {"spins": self.spins, "times": self.times}
        with replaced(path) as new, new.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def given_spins(path: Path, n_sites: int) -> GivenSpins:
    """Spins of a file, normalised, with their times where it holds them.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or holds anything else than unit spins of so many sites and as many times.
    """
    status = path.stat()
    return _read(path, n_sites, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, n_sites: int, changed: int, size: int) -> GivenSpins:
    del changed, size
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            spins, times = content, None
        else:
            with content:
                if "spins" not in content.files:
                    raise InvalidInput(f"{path} holds {', '.join(content.files)}; an array named spins is needed")
                spins, times = content["spins"], content["times"] if "times" in content.files else None
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} cannot be read as spins: {error}") from error
    if spins.ndim != 3 or spins.shape[1:] != (n_sites, 3) or len(spins) == 0:
        raise InvalidInput(f"{path} holds spins of shape {spins.shape}; give (M, {n_sites}, 3)")
    lengths = np.linalg.norm(spins.astype(np.float64), axis=-1)
    if not np.all(np.abs(lengths - 1) < _LENGTH):
        raise InvalidInput(f"{path} holds spins of length {lengths.min():.3g} to {lengths.max():.3g}; give unit spins")
    if times is not None and (times.shape != spins.shape[:1] or not np.isfinite(times).all()):
        raise InvalidInput(f"{path} holds times of shape {times.shape}; give one finite number for each configuration")
    return GivenSpins(spins / lengths[..., None], None if times is None else times.astype(np.float64))
