"""Values of observables over a run's frames: means and errors over independent samples, growth laws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.growth import GrowthComparison
from gnnspin.observables.resampling import mean_and_error
from gnnspin.systems.system import FloatArray

#: Name of the correlations with the waiting times among the values.
TWO_TIMES = "two_time_correlation"


def window_label(name: str, window: tuple[float, float]) -> str:
    """Name of the growth laws of an observable that were fitted to one more window of times."""
    return f"{name}, times {window[0]:g} to {window[1]:g}"


@dataclass(frozen=True, eq=False)
class TrajectoryAnalysis:
    """Observables of a run's frames.

    Attributes
    ----------
    steps, times : (T,) arrays
        Of the frames.
    values : dict of arrays ``(T, ..., *shape)``
        By name; ``...`` are the replicas and, of a union, its parts. ``two_time_correlation`` has one value per waiting
        time, NaN before it. Of an observable that is averaged first the jackknife values (T, M), see `independent`.
    sample_shape : tuple of int
        The dimensions ``...``.
    waiting_times : tuple of float
        Times of the frames that the two-time correlations refer to.
    growth : dict of str to GrowthComparison
        By the name of the observable; of further windows by the name and their times, see `window_label`.
    unfitted : dict of str to str
        Why a growth law could not be fitted, by the name of the observable.
    abscissae : dict of (n,) arrays
        Distances that belong to profiles ``(T, ..., n)``, by the name of the observable.
    averaged_first : tuple of str
        Observables that were read off the mean profile.
    n_parts : int
        Number of parts of the system, the last of the dimensions ``...`` where it is a union.
    """

    steps: NDArray[np.int64]
    times: FloatArray
    values: dict[str, NDArray[Any]]
    sample_shape: tuple[int, ...]
    waiting_times: tuple[float, ...] = ()
    growth: dict[str, GrowthComparison] = field(default_factory=dict)
    unfitted: dict[str, str] = field(default_factory=dict)
    abscissae: dict[str, FloatArray] = field(default_factory=dict)
    averaged_first: tuple[str, ...] = ()
    n_parts: int = 1

    def samples(self, name: str) -> NDArray[Any]:
        """Values ``(T, R, *shape)`` of the R replicas and parts; R = 1 where an observable does not tell them apart.

        Raises
        ------
        InvalidInput
            If the name is unknown.
        """
        if name not in self.values:
            raise InvalidInput(f"{name!r} was not measured; known: {', '.join(self.values)}")
        values = self.values[name]
        depth = 1 + len(self.sample_shape)
        if name in self.averaged_first:
            return values
        if values.shape[1:depth] != self.sample_shape:
            return values[:, None]
        return values.reshape(len(values), int(np.prod(self.sample_shape)), *values.shape[depth:])

    def independent(self, name: str) -> NDArray[Any]:
        """Values ``(T, M, *shape)`` of the M independent samples: the replicas or, of a union, its parts.

        Replicas of one packing share its disorder; each part of a union counts once, as the mean of its replicas.
        Of an observable that is averaged first, one jackknife value per independent sample, whose mean is what is read
        off the mean profile.
        """
        values, depth = self.values.get(name), len(self.sample_shape)
        if values is None or self.n_parts == 1 or name in self.averaged_first:
            return self.samples(name)
        if values.shape[1 : depth + 1] != self.sample_shape:
            return self.samples(name)
        return np.asarray(values.mean(tuple(range(1, depth))))

    def components(self, name: str) -> dict[str, NDArray[Any]]:
        """Values (T, M) of the `independent` samples of each component, by a label such as ``magnetization[2]``."""
        values = self.independent(name)
        shape = values.shape[2:]
        if name == TWO_TIMES:
            labels = [f"{name}[t_w={time:g}]" for time in self.waiting_times]
        else:
            labels = [name + "".join(f"[{k}]" for k in index) for index in np.ndindex(shape)]
        flat = values.reshape(*values.shape[:2], -1)
        return {label: flat[..., k] for k, label in enumerate(labels)}

    def mean(self, name: str) -> NDArray[Any]:
        """Mean over replicas and parts ``(T, *shape)``, those without a value left out."""
        return mean_and_error(self.independent(name))[0]

    def error(self, name: str) -> FloatArray:
        """Standard error of the mean ``(T, *shape)``, from the spread of `independent` samples; NaN with one."""
        return mean_and_error(self.independent(name))[1]

    def __str__(self) -> str:
        lines = [f"{len(self.times)} frames, times {self.times[0]:g} to {self.times[-1]:g}"]
        for name in self.values:
            mean, error = self.mean(name)[-1], self.error(name)[-1]
            n = self.independent(name).shape[1]
            known = (
                f"{mean:.6g} +- {error:.2g} at the end, {n} independent samples"
                if mean.ndim == 0
                else f"shape {mean.shape}"
            )
            lines.append(f"{name}: {known}")
        for name, comparison in self.growth.items():
            lines += [f"growth of {name}:", *(f"  {line}" for line in str(comparison).splitlines())]
        lines += [f"growth of {name} not fitted: {reason}" for name, reason in self.unfitted.items()]
        return "\n".join(lines)
