"""Motion of a texture in several runs against a parameter: velocities, Hall angles, and what Thiele's equation says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.classical.zhang_li import ZhangLi
from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.observables import skyrmion_motion, skyrmion_radius, thiele_velocity, wall_velocity
from gnnspin.observables.growth import Estimate, inside_window
from gnnspin.plotting import against_parameter, style
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.system import FloatArray, SpinSystem
from gnnspin.trajectories import Trajectory

#: Frames of a run from which Thiele's velocity and the radius are averaged.
_TEXTURES = 6
#: Fewest frames of which a velocity is told.
_FEWEST = 4


class MotionConfig(Config):
    """Velocity of a wall or a skyrmion in several runs, against a parameter by which the runs differ."""

    observable: str = Field(
        default="domain_wall",
        description="name of an observable of the analyses of all these runs: a position, or the centre of a skyrmion",
    )
    parameter: str = Field(description="name of the parameter, for tables and figures", examples=["voltage"])
    curves: dict[str, dict[str, float]] = Field(
        min_length=1, description="runs of each curve, with the value that the parameter has in them"
    )
    window: tuple[float, float] | None = Field(default=None, description="first and last time; null: all")
    between: tuple[float, float] | None = Field(
        default=None,
        description="range of positions: a run counts until the first of its replicas leaves it; null: to the end",
    )
    reference: str | None = Field(
        default=None,
        description="curve with which the others are compared at equal parameters, replica by replica; null: none",
    )

    def runs(self) -> list[str]:
        """Names of all runs."""
        return [run for curve in self.curves.values() for run in curve]


@dataclass(frozen=True)
class Thiele:
    """Motion that Thiele's equation gives for the texture of a run, with its own dissipation tensor.

    Attributes
    ----------
    speed : float
    hall_angle : float
        Radians, from the drift of the electrons to the velocity.
    radius : float
        Radius of the texture, mean over the same frames.
    """

    speed: float
    hall_angle: float
    radius: float


@dataclass(frozen=True, eq=False)
class Movement:
    """How the texture of one run moved.

    Attributes
    ----------
    curve, run : str
    parameter : float
    velocity : Estimate
        Slope of the position of a wall; the speed of a skyrmion.
    hall_angle : Estimate or None
        Of a skyrmion, in radians from the drive, or from x where no current is known.
    travel : float
        Mean distance that was covered in the window.
    times : (T,) array
        Of all frames.
    positions : (T, R) or (T, R, 2) array
        Positions of all frames, unwrapped.
    window : (float, float)
        First and last time of the frames that were used.
    thiele : Thiele or None
        Where the run's source holds a Zhang-Li torque.
    difference : Estimate or None
        Mean difference to the velocity of the reference, of replicas that started alike and have the same noise.
    reference : float
        Velocity of the reference over the same window; NaN without one.
    """

    curve: str
    run: str
    parameter: float
    velocity: Estimate
    hall_angle: Estimate | None
    travel: float
    times: FloatArray
    positions: FloatArray
    window: tuple[float, float]
    thiele: Thiele | None = None
    difference: Estimate | None = None
    reference: float = float("nan")


def movements(
    config: MotionConfig, analyses: Mapping[str, TrajectoryAnalysis], opened: Callable[[str], Trajectory]
) -> list[Movement]:
    """Motions of all runs of all curves.

    Parameters
    ----------
    config : MotionConfig
    analyses : mapping
        Analyses by the names of runs, with the observable.
    opened : callable
        From the name of a run to its trajectory.

    Raises
    ------
    InvalidInput
        If an observable is no position, or a run has fewer than four frames in the window.
    """
    found = []
    for curve, runs in config.curves.items():
        for run, parameter in sorted(runs.items(), key=lambda item: item[1]):
            with opened(run) as trajectory:
                found.append(_movement(config, curve, run, parameter, analyses[run], trajectory))
    if config.reference is None:
        return found
    known = {each.parameter: each for each in found if each.curve == config.reference}
    return [_compared(each, known.get(each.parameter)) if each.curve != config.reference else each for each in found]


def _movement(
    config: MotionConfig, curve: str, run: str, parameter: float, analysis: TrajectoryAnalysis, trajectory: Trajectory
) -> Movement:
    values, times = analysis.samples(config.observable), analysis.times
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 2):
        raise InvalidInput(f"{config.observable} of {run} has shape {values.shape[2:]}; a motion needs a position")
    window = _used(config, run, times, values)
    inside = inside_window(times, window)
    if values.ndim == 2:
        velocity = wall_velocity(times, values, window=window)
        travel = float(np.abs(values[inside][-1] - values[inside][0]).mean())
        return Movement(curve, run, parameter, velocity, None, travel, times, values, window)
    drive, thiele = _thiele(trajectory, window)
    motion = skyrmion_motion(times, values, drive, system=trajectory.system, window=window)
    places = _unwrapped(trajectory.system, values)
    travel = float(np.linalg.norm(places[inside][-1] - places[inside][0], axis=-1).mean())
    return Movement(curve, run, parameter, motion.speed, motion.hall_angle, travel, times, places, window, thiele)


def _used(config: MotionConfig, run: str, times: FloatArray, values: FloatArray) -> tuple[float, float]:
    """First and last time of the frames that count."""
    chosen = np.flatnonzero(inside_window(times, config.window))
    if config.between is not None:
        low, high = config.between
        flat = values.reshape(len(values), -1)
        out = np.flatnonzero((flat.min(1)[chosen] < low) | (flat.max(1)[chosen] > high))
        chosen = chosen[: out[0]] if len(out) else chosen
    if len(chosen) < _FEWEST:
        raise InvalidInput(
            f"motion of {run}: window={config.window} and between={config.between} hold {len(chosen)} frames; a "
            "velocity needs four or more"
        )
    return float(times[chosen[0]]), float(times[chosen[-1]])


def _compared(each: Movement, reference: Movement | None) -> Movement:
    """The motion with its difference to the reference over their common window."""
    if reference is None or each.positions.shape != reference.positions.shape or each.positions.ndim != 2:
        return each
    window = (max(each.window[0], reference.window[0]), min(each.window[1], reference.window[1]))
    if not np.array_equal(each.times, reference.times) or inside_window(each.times, window).sum() < _FEWEST:
        return each
    difference = wall_velocity(each.times, each.positions - reference.positions, window=window)
    velocity = wall_velocity(each.times, reference.positions, window=window).value
    return Movement(**{**vars(each), "difference": difference, "reference": velocity})


def _unwrapped(system: SpinSystem, centers: FloatArray) -> FloatArray:
    """Centres (T, R, 2) as continuous paths across the periodic boundaries."""
    steps = np.diff(centers, axis=0)
    steps = shortest_images(system, np.concatenate([steps, np.zeros((*steps.shape[:-1], 1))], -1))[..., :2]
    return np.concatenate([centers[:1], centers[:1] + np.cumsum(steps, axis=0)])


def _thiele(run: Trajectory, window: tuple[float, float]) -> tuple[FloatArray, Thiele | None]:
    """Direction of the drift, and the motion that Thiele's equation gives for textures of the window."""
    torque = next((each for each in _parts(run.rebuild_source()) if isinstance(each, ZhangLi)), None)
    if torque is None or torque.u.ndim != 1 or torque.waveform is not None or np.size(run.damping) != 1:
        return np.array([1.0, 0.0]), None
    alpha, gamma = float(np.squeeze(run.damping)), float(run.settings["gamma"])
    drift = torque.u[:2] * gamma * (1 + alpha**2)  # of the Gilbert form with gamma = 1
    numbers = np.flatnonzero(inside_window(run.times, window))
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, _TEXTURES).round().astype(int))]
    frames = np.stack([run[int(number)] for number in chosen]).astype(np.float64)
    spins = normalize(torch.from_numpy(frames))
    velocity = thiele_velocity(run.system, spins, drift, alpha=alpha, beta=torque.beta).numpy().reshape(-1, 2).mean(0)
    along, across = drift @ velocity, drift[0] * velocity[1] - drift[1] * velocity[0]
    radius = float(skyrmion_radius(run.system, spins).mean())
    return drift, Thiele(float(np.linalg.norm(velocity)), float(np.arctan2(across, along)), radius)


def _parts(source: FieldSource) -> list[FieldSource]:
    """The source itself, or the terms of a sum."""
    return [each for each in source.inside() if isinstance(each, FieldSource)]


def draw_motion(config: MotionConfig, found: list[Movement], folder: Path, name: str) -> list[Path]:
    """Draw velocities against the parameter, Hall angles where there are any, and the paths; returns the files.

    Dashed lines are those of Thiele's equation.
    """
    quantities = {"velocity": _velocity}
    if all(each.hall_angle is not None for each in found):
        quantities["hall_angle"] = _hall_angle
    written = []
    for quantity, read in quantities.items():
        curves: dict[str, list[tuple[float, float, float]]] = {curve: [] for curve in config.curves}
        lines: dict[str, list[tuple[float, float]]] = {}
        for each in found:
            value, error, theory = read(each)
            curves[each.curve].append((each.parameter, value, error))
            if theory is not None:
                lines.setdefault(each.curve, []).append((each.parameter, theory))
        written.append(folder / f"{name}_{quantity}.png")
        label = "Hall angle (degrees)" if quantity == "hall_angle" else "velocity"
        against_parameter(curves, written[-1], lines=lines, xlabel=config.parameter, ylabel=label)
    written.append(folder / f"{name}_paths.png")
    _draw_paths(found, written[-1])
    return written


def _velocity(each: Movement) -> tuple[float, float, float | None]:
    return each.velocity.value, each.velocity.error, None if each.thiele is None else each.thiele.speed


def _hall_angle(each: Movement) -> tuple[float, float, float | None]:
    assert each.hall_angle is not None
    theory = None if each.thiele is None else float(np.degrees(each.thiele.hall_angle))
    return float(np.degrees(each.hall_angle.value)), float(np.degrees(each.hall_angle.error)), theory


def _draw_paths(found: list[Movement], path: Path) -> None:
    """Positions against time, or paths in the plane from their starts, one colour per run."""
    plane = found[0].positions.ndim == 3
    with style.figure(path, 4.6, 3.4) as (_, (axes,)):
        for k, each in enumerate(found):
            color = style.PALETTE[k % len(style.PALETTE)]
            line = ("-", "--", ":", "-.")[k // len(style.PALETTE) % 4]
            places = each.positions - each.positions[:1] if plane else each.positions
            for replica in range(places.shape[1]):
                own = places[:, replica]
                x, y = own.T if plane else (each.times, own)
                axes.plot(x, y, line, color=color, lw=0.9, label=each.run.replace("_", " ") if replica == 0 else None)
        if plane:
            axes.set(xlabel="x - x(0)", ylabel="y - y(0)", aspect="equal")
        else:
            axes.set(xlabel=r"time, $1/(\gamma t)$", ylabel="position")
        axes.legend(fontsize=6, ncols=2)
