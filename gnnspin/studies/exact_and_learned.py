"""Exact against learned dynamics: means over replicas, and how far the trajectories come apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.core.spins import rms_angle
from gnnspin.observables.resampling import mean_and_error
from gnnspin.plotting import against_time, exact_against_learned, exact_against_learned_profile, style
from gnnspin.studies.study import Comparison
from gnnspin.systems.system import FloatArray
from gnnspin.trajectories import Trajectory


@dataclass(frozen=True)
class Difference:
    """Means of one observable at one time.

    Attributes
    ----------
    observable : str
    time : float
    exact, learned : float
        Means over replicas.
    exact_error, learned_error : float
        Standard errors of the means.
    paired_error : float
        Standard error of the mean difference of replicas that started alike and have the same noise.
    """

    observable: str
    time: float
    exact: float
    learned: float
    exact_error: float
    learned_error: float
    paired_error: float

    @property
    def deviation(self) -> float:
        """Difference in units of the joint standard error of independent means; 0 where they are equal."""
        difference, error = self.learned - self.exact, float(np.hypot(self.exact_error, self.learned_error))
        return 0.0 if difference == 0 else difference / error if error else float(np.copysign(np.inf, difference))


@dataclass(frozen=True)
class ProfileDifference:
    """Mean profiles, such as C(r), of one time: root mean squares over the distances.

    Attributes
    ----------
    observable : str
    time : float
    n_points : int
        Distances at which both have a value.
    signal : float
        Of the exact mean profile.
    difference : float
        Of learned less exact.
    error : float
        Joint standard error of independent means.
    paired_error : float
        Standard error of the mean difference of samples that started alike and have the same noise.
    chi_square : float
        Mean square of the difference in units of the joint error: about 1 or less for two equal processes.
    """

    observable: str
    time: float
    n_points: int
    signal: float
    difference: float
    error: float
    paired_error: float
    chi_square: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """Comparison of an exact and a learned run.

    Attributes
    ----------
    differences : list of Difference
        Of numbers: observables, or their components by label; times before a waiting time have none.
    profiles : list of ProfileDifference
        Of observables against distance.
    times, angles : (T,) arrays
        Times of the frames of both runs, and the root mean square angle between their spins, in radians.
    turned : (T,) array
        Root mean square angle by which the exact run's spins turned since the start, in radians.
    curves : dict
        Times (T,) and values (M, T) of the independent samples of each number, exact and learned.
    profile_curves : dict
        Distances (D,), times (T,), and values (T, M, D) of each profile, exact and learned.
    """

    differences: list[Difference]
    profiles: list[ProfileDifference]
    times: FloatArray
    angles: FloatArray
    turned: FloatArray
    curves: dict[str, tuple[FloatArray, FloatArray, FloatArray]]
    profile_curves: dict[str, tuple[FloatArray, FloatArray, FloatArray, FloatArray]]

    def draw(self, folder: Path, name: str) -> list[Path]:
        """Draw every observable of both runs, and the angle between them, into ``NAME_OBSERVABLE.png``."""
        written = []
        for label, (times, exact, learned) in self.curves.items():
            written.append(folder / (re.sub(r"[^\w.-]+", "_", f"{name}_{label}").strip("_") + ".png"))
            exact_against_learned(times, exact, learned, written[-1], ylabel=label.replace("_", " "))
        for label, (distances, times, exact, learned) in self.profile_curves.items():
            written.append(folder / f"{name}_{label}.png")
            few = slice(None, len(style.PALETTE))
            exact_against_learned_profile(
                distances, exact[few], learned[few], times[few], written[-1], ylabel=label.replace("_", " ")
            )
        written.append(folder / f"{name}_angle.png")
        angles = np.stack([self.angles, self.turned])
        labels = ("exact to learned", "exact to its start")
        against_time(self.times, angles, written[-1], labels=labels, ylabel="rms angle (rad)")
        return written


def agreement(
    comparison: Comparison,
    exact: TrajectoryAnalysis,
    learned: TrajectoryAnalysis,
    exact_run: Trajectory,
    learned_run: Trajectory,
) -> Agreement:
    """Compare two analysed runs of one system that started from the same spins.

    Parameters
    ----------
    comparison : Comparison
    exact, learned : TrajectoryAnalysis
        With the comparison's observables.
    exact_run, learned_run : Trajectory
        For the angles between their spins.
    """
    profiles = [name for name in comparison.observables if name in exact.abscissae]
    numbers = [
        _Number(label, exact.times, values, learned.times, learned.components(name)[label])
        for name in comparison.observables
        if name not in exact.abscissae
        for label, values in exact.components(name).items()
    ]
    shared = _shared_frames(exact_run.times, learned_run.times)
    angles = np.array([rms_angle(exact_run[j], learned_run[k]) for j, k in shared])
    turned = np.array([rms_angle(exact_run[j], exact_run[0]) for j, _ in shared])
    times = np.array([exact_run.times[j] for j, _ in shared])
    differences = [number.difference(time) for number in numbers for time in comparison.times]
    return Agreement(
        [each for each in differences if np.isfinite(each.exact)],
        [_profile_difference(name, time, exact, learned) for name in profiles for time in comparison.times],
        times,
        angles,
        turned,
        {number.label: number.curves() for number in numbers},
        {name: _profile_curves(name, comparison.times, exact, learned) for name in profiles},
    )


@dataclass(frozen=True, eq=False)
class _Number:
    """Values (T, M) of the independent samples of a number, exact and learned, at their times (T,)."""

    label: str
    exact_times: FloatArray
    exact: FloatArray
    learned_times: FloatArray
    learned: FloatArray

    def curves(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Common times, and values (M, T)."""
        rows, columns = zip(*_shared_frames(self.exact_times, self.learned_times), strict=True)
        return self.exact_times[list(rows)], self.exact[list(rows)].T, self.learned[list(columns)].T

    def difference(self, time: float) -> Difference:
        """Difference of the means at the frames nearest to a time."""
        j, k = (int(np.abs(each - time).argmin()) for each in (self.exact_times, self.learned_times))
        samples = (self.exact[j], self.learned[k], self.learned[k] - self.exact[j])
        (exact, error), (learned, learned_error), (_, paired) = (
            (float(each[0]) for each in mean_and_error(values[None])) for values in samples
        )
        return Difference(self.label, float(self.exact_times[j]), exact, learned, error, learned_error, paired)


def _nearest_frames(time: float, exact: TrajectoryAnalysis, learned: TrajectoryAnalysis) -> tuple[int, int]:
    j, k = (int(np.abs(each.times - time).argmin()) for each in (exact, learned))
    return j, k


def _profile_curves(
    name: str, times: Sequence[float], exact: TrajectoryAnalysis, learned: TrajectoryAnalysis
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rows, columns = (list(each) for each in zip(*(_nearest_frames(t, exact, learned) for t in times), strict=True))
    return (
        exact.abscissae[name],
        exact.times[rows],
        exact.independent(name)[rows],
        learned.independent(name)[columns],
    )


def _profile_difference(
    name: str, time: float, exact: TrajectoryAnalysis, learned: TrajectoryAnalysis
) -> ProfileDifference:
    j, k = _nearest_frames(time, exact, learned)
    mean = np.stack([exact.mean(name)[j], learned.mean(name)[k]])
    error = np.stack([exact.error(name)[j], learned.error(name)[k]])
    paired = mean_and_error((learned.independent(name)[k] - exact.independent(name)[j])[None])[1][0]
    there = np.isfinite(mean).all(0) & np.isfinite(error).all(0)
    difference, joint = (mean[1] - mean[0])[there], np.hypot(*error)[there]
    return ProfileDifference(
        name,
        float(exact.times[j]),
        int(there.sum()),
        _rms(mean[0][there]),
        _rms(difference),
        _rms(joint),
        _rms(paired[there]),
        _rms(difference / joint) ** 2,
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


def _shared_frames(first: FloatArray, second: FloatArray) -> list[tuple[int, int]]:
    """Numbers of frames at the same time, up to the rounding of sums of steps."""
    nearest = np.abs(first[:, None] - second[None]).argmin(1)
    gap = np.abs(first - second[nearest])
    return [(j, int(k)) for j, k in enumerate(nearest) if gap[j] <= 1e-6 * max(1.0, abs(first[j]))]
