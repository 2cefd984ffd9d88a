"""Velocities of walls and skyrmions from their positions, with errors over replicas or blocks of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_at_least
from gnnspin.observables.growth import Estimate, inside_window
from gnnspin.observables.resampling import independent_points, residual_blocks
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.system import FloatArray, SpinSystem


@dataclass(frozen=True)
class Motion:
    """Mean motion in the plane.

    Attributes
    ----------
    velocity : (Estimate, Estimate)
        Along x and y.
    speed : Estimate
        Magnitude of the mean velocity.
    hall_angle : Estimate
        Angle in radians from the drive to the velocity, counter-clockwise positive.
    n_independent : int
        Number of replicas or, with one, of blocks of time.
    """

    velocity: tuple[Estimate, Estimate]
    speed: Estimate
    hall_angle: Estimate
    n_independent: int


def unwrapped(positions: Tensor | ArrayLike, period: float) -> FloatArray:
    """Positions (T, ...) along a periodic direction as a continuous path: no step is longer than half the period.

    Raises
    ------
    InvalidInput
        If the period is not positive.
    """
    if not (np.isfinite(period) and period > 0):
        raise InvalidInput(f"period={period} must be a positive length")
    values = np.asarray(positions, dtype=np.float64)
    steps = np.diff(values, axis=0)
    steps = steps - period * np.round(steps / period)
    return np.concatenate([values[:1], values[:1] + np.cumsum(steps, axis=0)])


def wall_velocity(
    times: Tensor | ArrayLike,
    positions: Tensor | ArrayLike,
    *,
    period: float | None = None,
    window: tuple[float, float] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Velocity of a wall, the slope of its position, with its standard error and 95 % interval.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t).
    positions : (T,) or (T, R)
        Of each replica, as the observable ``domain_wall`` gives them.
    period : float, optional
        Length of the system along a periodic direction of motion.
    window : (float, float), optional
        First and last time; default: all.
    n_bootstrap : int
        Bootstrap samples.
    seed : int
        The result is a function of the arguments.

    Returns
    -------
    Estimate
        Mean over replicas of each one's slope, with the error of a bootstrap over replicas; with one replica from
        blocks of residuals longer than their correlation, which knows nothing of how another run would differ.

    Raises
    ------
    InvalidInput
        If shapes differ, the window holds fewer than four times, or a position in it is not finite.
    """
    places = np.asarray(positions, dtype=np.float64)
    places = places[:, None] if places.ndim == 1 else places
    if places.ndim != 2:
        raise InvalidInput(f"positions have shape {places.shape}; expected (T,) or (T, R)")
    t, inside = _window(times, places, window)
    places = unwrapped(places[inside], period) if period is not None else places[inside]
    slopes, samples, number = _slopes(t, places[..., None], n_bootstrap, seed)
    return _estimate(slopes[0], samples[:, 0], number)


def skyrmion_motion(
    times: Tensor | ArrayLike,
    centers: Tensor | ArrayLike,
    direction: ArrayLike,
    *,
    system: SpinSystem | None = None,
    window: tuple[float, float] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Motion:
    """Velocity and Hall angle of a skyrmion from its centres, with errors.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t).
    centers : (T, 2) or (T, R, 2)
        Of each replica, as the observable ``skyrmion_center`` gives them.
    direction : (2,) or (3,)
        Direction of the drive, to which the Hall angle refers.
    system : SpinSystem, optional
        Whose periodic boundaries the centres cross; default: they cross none.
    window, n_bootstrap, seed
        As in `wall_velocity`.

    Raises
    ------
    InvalidInput
        If shapes differ, the direction is zero, the window holds fewer than four times, or a centre in it is not
        finite.
    """
    places = np.asarray(centers, dtype=np.float64)
    places = places[:, None] if places.ndim == 2 else places
    drive = np.asarray(direction, dtype=np.float64)[..., :2]
    if places.ndim != 3 or places.shape[2] != 2:
        raise InvalidInput(f"centers have shape {places.shape}; expected (T, 2) or (T, R, 2)")
    if drive.shape != (2,) or not np.isfinite(drive).all() or not drive.any():
        raise InvalidInput(f"direction={direction!r} must be a vector in the plane, not zero")
    t, inside = _window(times, places, window)
    places = places[inside]
    if system is not None:
        steps = np.concatenate([np.diff(places, axis=0), np.zeros((len(t) - 1, places.shape[1], 1))], -1)
        steps = shortest_images(system, steps)[..., :2]
        places = np.concatenate([places[:1], places[:1] + np.cumsum(steps, axis=0)])
    slopes, samples, number = _slopes(t, places, n_bootstrap, seed)
    along = np.stack([drive, [-drive[1], drive[0]]]) / np.linalg.norm(drive)
    mean, spread = along @ slopes, samples @ along.T
    angle = float(np.arctan2(mean[1], mean[0]))
    turned = (np.arctan2(spread[:, 1], spread[:, 0]) - angle + np.pi) % (2 * np.pi) - np.pi
    return Motion(
        velocity=(_estimate(slopes[0], samples[:, 0], number), _estimate(slopes[1], samples[:, 1], number)),
        speed=_estimate(float(np.linalg.norm(slopes)), np.linalg.norm(samples, axis=1), number),
        hall_angle=_estimate(angle, angle + turned, number),
        n_independent=number,
    )


def _window(times: Tensor | ArrayLike, places: FloatArray, window: tuple[float, float] | None) -> tuple:
    """Times inside a window and the mask (T,) of these; positions there must be finite."""
    t = np.asarray(times, dtype=np.float64)
    if t.ndim != 1 or len(t) != len(places):
        raise InvalidInput(f"times have shape {t.shape}, positions {places.shape}; expected (T,) and (T, ...)")
    inside = inside_window(t, window)
    if inside.sum() < 4:
        raise InvalidInput(f"window={window} holds {inside.sum()} times; a velocity needs four or more")
    wrong = inside & ~np.isfinite(places).reshape(len(t), -1).all(1)
    if wrong.any():
        raise InvalidInput(f"there is no position at time {t[wrong][0]:g}; give a window without it")
    return t[inside], inside


def _slopes(t: FloatArray, places: FloatArray, n_bootstrap: int, seed: int) -> tuple[FloatArray, FloatArray, int]:
    """Mean slopes (d,) of positions (T, R, d), bootstrap samples (B, d), and the number of independent parts."""
    n_bootstrap, seed = whole_at_least(n_bootstrap, 2, "n_bootstrap"), seed_number(seed)
    away = t - t.mean()
    functional = away / np.square(away).sum()
    slopes = np.einsum("t,trd->rd", functional, places)
    mean, number = slopes.mean(0), len(slopes)
    if number > 1:
        counts = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=n_bootstrap)
        return mean, counts @ slopes / number, number
    lines = places[:, 0].mean(0) + away[:, None] * mean
    residuals = (places[:, 0] - lines).T
    points = independent_points(residuals) if np.abs(residuals).max() > 0 else float(len(t))
    samples = []
    for component in residuals:  # the same blocks of all components
        drawn, number = residual_blocks(component, points, n_bootstrap, np.random.default_rng(seed))
        samples.append(drawn @ functional)
    return mean, mean + np.stack(samples, 1), number


def _estimate(value: float, samples: FloatArray, number: int) -> Estimate:
    # the spread of resampled means is that of the mean times sqrt((n - 1) / n)
    error = float(samples.std(ddof=1) * np.sqrt(number / (number - 1)))
    reach = float(stdtrit(number - 1, 0.975)) * error
    return Estimate(float(value), error, float(value - reach), float(value + reach))
