"""Error bars with coverage: quantiles of errors in units of a score, from labels that a model has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from gnnspin.core.errors import InvalidInput

#: Probabilities whose quantiles are kept.
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)

#: Spins below which quantiles mean little.
FEWEST_SPINS = 200


@dataclass(frozen=True)
class Calibration:
    r"""Radii within which torque errors lie with given probabilities, in units of a score such as a spread.

    Split conformal prediction (Vovk, Gammerman, Shafer, doi:10.1007/b106715) with the score
    :math:`|\Delta T_i|/\sigma_i`: for spins drawn like those calibrated on, the error exceeds
    ``factor(level) * sigma`` with probability 1 - level, whatever the score is. Elsewhere that is a hope, to be tested.

    Attributes
    ----------
    levels, factors : tuples of float
        Probabilities and radii in units of the score.
    rms : float
        Root mean square of ``|dT_i| / sigma_i``: turns the score into a standard deviation of the torque.
    rank_correlation : float
        Spearman correlation of score and error over the spins calibrated on.
    n_snapshots, n_spins : int
        What it was calibrated on.
    """

    levels: tuple[float, ...]
    factors: tuple[float, ...]
    rms: float
    rank_correlation: float
    n_snapshots: int
    n_spins: int

    @classmethod
    def of(cls, errors: Sequence[NDArray[np.float64]], scores: Sequence[NDArray[np.float64]]) -> Calibration:
        """Calibrated on errors ``|dT_i|`` and scores (N,) of several snapshots.

        Raises
        ------
        InvalidInput
            If there are too few spins, or a score is not positive.
        """
        require_enough(sum(each.size for each in errors))
        snapshots = len(errors)
        flat, scale = np.concatenate([np.ravel(e) for e in errors]), np.concatenate([np.ravel(s) for s in scores])
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise InvalidInput("a score is zero or not finite; members of a committee must differ")
        ratio = np.sort(flat / scale)
        ranks = [min(len(ratio), math.ceil(level * (len(ratio) + 1))) - 1 for level in LEVELS]
        return cls(
            levels=LEVELS,
            factors=tuple(float(ratio[k]) for k in ranks),
            rms=float(np.sqrt(np.mean(ratio**2))),
            rank_correlation=rank_correlation(scale, flat),
            n_snapshots=snapshots,
            n_spins=len(flat),
        )

    def factor(self, level: float) -> float:
        """Radius in units of the score at a probability; interpolated between the stored ones.

        Raises
        ------
        InvalidInput
            If the probability is outside the stored ones.
        """
        if not self.levels[0] <= level <= self.levels[-1]:
            raise InvalidInput(f"level={level} must be between {self.levels[0]} and {self.levels[-1]}")
        return float(np.interp(level, self.levels, self.factors))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Inverse of `to_dict`."""
        return cls(**{**values, "levels": tuple(values["levels"]), "factors": tuple(values["factors"])})


def require_enough(n_spins: int) -> None:
    """Raise InvalidInput where there are too few spins for quantiles."""
    if n_spins < FEWEST_SPINS:
        raise InvalidInput(f"{n_spins} spins are too few for error bars; give labels of {FEWEST_SPINS} or more")


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman correlation of two arrays of one length; 0 where one does not vary."""
    a, b = rankdata(np.ravel(first)), rankdata(np.ravel(second))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
