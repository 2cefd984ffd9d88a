"""Exact against learned dynamics: means over replicas, and how far the trajectories come apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.plotting import against_time, exact_against_learned
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
        """Difference in units of the joint standard error of independent means."""
        return (self.learned - self.exact) / float(np.hypot(self.exact_error, self.learned_error))


@dataclass(frozen=True, eq=False)
class Agreement:
    """Comparison of an exact and a learned run.

    Attributes
    ----------
    differences : list of Difference
    times, angles : (T,) arrays
        Times of the frames of both runs, and the root mean square angle between their spins, in radians.
    turned : (T,) array
        Root mean square angle by which the exact run's spins turned since the start, in radians.
    curves : dict
        Times (T,) and values (R, T) of the replicas of each observable, exact and learned.
    """

    differences: list[Difference]
    times: FloatArray
    angles: FloatArray
    turned: FloatArray
    curves: dict[str, tuple[FloatArray, FloatArray, FloatArray]]

    def draw(self, folder: Path, name: str) -> list[Path]:
        """Draw every observable of both runs, and the angle between them, into ``NAME_OBSERVABLE.png``."""
        written = []
        for label, (times, exact, learned) in self.curves.items():
            written.append(folder / f"{name}_{label}.png")
            exact_against_learned(times, exact, learned, written[-1], ylabel=label.replace("_", " "))
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
    differences = [
        _difference(name, time, exact, learned) for name in comparison.observables for time in comparison.times
    ]
    shared = _shared_frames(exact_run.times, learned_run.times)
    angles = np.array([_angle(exact_run[j], learned_run[k]) for j, k in shared])
    turned = np.array([_angle(exact_run[j], exact_run[0]) for j, _ in shared])
    times = np.array([exact_run.times[j] for j, _ in shared])
    frames = _shared_frames(exact.times, learned.times)
    rows, columns = ([pair[side] for pair in frames] for side in (0, 1))
    curves = {
        name: (
            exact.times[rows],
            exact.samples(name)[rows].T,
            learned.samples(name)[columns].T,
        )
        for name in comparison.observables
    }
    return Agreement(differences, times, angles, turned, curves)


def _difference(name: str, time: float, exact: TrajectoryAnalysis, learned: TrajectoryAnalysis) -> Difference:
    j, k = (int(np.abs(each.times - time).argmin()) for each in (exact, learned))
    samples = learned.samples(name)[k] - exact.samples(name)[j]
    paired = float(samples.std(ddof=1) / np.sqrt(len(samples))) if len(samples) > 1 else float("nan")
    means = float(exact.mean(name)[j]), float(learned.mean(name)[k])
    return Difference(
        name, float(exact.times[j]), *means, float(exact.error(name)[j]), float(learned.error(name)[k]), paired
    )


def _shared_frames(first: FloatArray, second: FloatArray) -> list[tuple[int, int]]:
    """Numbers of frames at the same time, up to the rounding of sums of steps."""
    nearest = np.abs(first[:, None] - second[None]).argmin(1)
    gap = np.abs(first - second[nearest])
    return [(j, int(k)) for j, k in enumerate(nearest) if gap[j] <= 1e-6 * max(1.0, abs(first[j]))]


def _angle(first: FloatArray, second: FloatArray) -> float:
    """Root mean square angle between two sets of unit vectors."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    return float(np.sqrt(np.mean(np.arctan2(sine, (first * second).sum(-1)) ** 2)))
