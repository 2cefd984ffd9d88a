"""Points in the space of a Hamiltonian's parameters, at which labels of a whole family are made."""

from __future__ import annotations

from pydantic import Field, model_validator

from gnnspin.core.config import Config
from gnnspin.datasets.conditions import Ranges


class FamilyConfig(Config):
    """A family of Hamiltonians: parameters by name, and the points at which every sampler is run.

    Names are those of the sections `hamiltonian` and `solver`, such as ``J``, ``filling``, ``mu``, ``kT``, ``voltage``
    or ``hopping.t``; the values that stand there are exchanged for those of the points.
    """

    ranges: Ranges = Field(
        default_factory=dict,
        description="range [low, high] of each parameter, over which `count` points are spread evenly",
        examples=[{"J": [1.0, 6.0], "filling": [0.1, 0.5]}],
    )
    count: int = Field(default=0, ge=0, description="number of points in `ranges`")
    skip: int = Field(
        default=0,
        ge=0,
        description="points of the sequence to leave out first: another number of points, never made twice, for tests",
    )
    points: tuple[dict[str, float], ...] = Field(
        default=(), description="points of one's own, each a value for every parameter; come before those of `ranges`"
    )

    @model_validator(mode="after")
    def _meaningful(self) -> FamilyConfig:
        if bool(self.ranges) != (self.count > 0):
            raise ValueError(f"count={self.count} with {len(self.ranges)} ranges; give both, or neither and points")
        if not self.ranges and not self.points:
            raise ValueError("a family without points; give ranges with a count, or points")
        names = set(self.ranges) or set(self.points[0])
        for point in self.points:
            if set(point) != names:
                raise ValueError(f"point {point} does not have the parameters {', '.join(sorted(names))}")
        return self

    def all_points(self) -> tuple[dict[str, float], ...]:
        """Parameter values of every point: `points`, then `count` members of a low-discrepancy sequence in `ranges`."""
        spread = spread_points(tuple(self.ranges.values()), self.count, self.skip)
        return (*self.points, *(dict(zip(self.ranges, point, strict=True)) for point in spread))


def spread_points(ranges: tuple[tuple[float, float], ...], count: int, skip: int = 0) -> list[tuple[float, ...]]:
    r"""Points in a box of parameters that fill it evenly, whatever their number.

    The additive recurrence :math:`x_k = (1/2 + k\,\alpha) \bmod 1` with :math:`\alpha_p = g^{-p}`, g the positive root
    of :math:`g^{P+1} = g + 1` (M. Roberts, The Unreasonable Effectiveness of Quasirandom Sequences, 2018); the golden
    ratio in one dimension. Values are rounded to six digits.

    Parameters
    ----------
    ranges : tuple of P (low, high)
    count, skip : int
        Members ``skip + 1 .. skip + count`` of the sequence.
    """
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (len(ranges) + 1))
    found = []
    for k in range(skip + 1, skip + count + 1):
        shares = [(0.5 + k * root ** -(p + 1)) % 1.0 for p in range(len(ranges))]
        found.append(
            tuple(float(f"{low + (high - low) * x:.6g}") for (low, high), x in zip(ranges, shares, strict=True))
        )
    return found
