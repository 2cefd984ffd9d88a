"""Chosen frames of one replica of one system of a trajectory, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import SpinSystem
from gnnspin.trajectories.trajectory import Trajectory


@dataclass(frozen=True)
class Frame:
    """One configuration: spins (N, 3) of one system at one moment."""

    system: SpinSystem
    spins: NDArray[np.float64]
    time: float
    step: int


class Frames:
    """Frames of one replica and part; nothing is read until a frame is asked for.

    Parameters
    ----------
    trajectory : Trajectory
    replica : int
        Which replica, counted row-major over the leading dimensions of the spins.
    part : int
        Which system, when the trajectory is that of a union.
    frames : slice or sequence of int
        Which frames, e.g. ``slice(None, None, 10)`` or ``[0, -1]``.

    Raises
    ------
    InvalidInput
        If the replica, the part or a frame does not exist, or `frames` chooses none.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        replica: int = 0,
        part: int = 0,
        frames: slice | Sequence[int] = slice(None),
    ) -> None:
        parts = trajectory.system.parts
        if not 0 <= part < len(parts):
            raise InvalidInput(f"part={part} does not exist; the trajectory has {len(parts)} system(s)")
        self._times, self._steps = trajectory.times, trajectory.steps
        self._numbers = _numbers(len(self._times), frames)
        first = trajectory[0]
        self._n_replicas = first.size // (3 * first.shape[-2])
        if not 0 <= replica < self._n_replicas:
            raise InvalidInput(f"replica={replica} does not exist; the trajectory has {self._n_replicas}")
        offset = sum(each.n_sites for each in parts[:part])
        self._sites = slice(offset, offset + parts[part].n_sites)
        self._trajectory, self._replica, self.system = trajectory, replica, parts[part]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Frame:
        return self._read(self._numbers[index])

    def __iter__(self) -> Iterator[Frame]:
        return map(self._read, self._numbers)

    def _read(self, number: int) -> Frame:
        spins = self._trajectory[number].reshape(self._n_replicas, -1, 3)[self._replica, self._sites]
        return Frame(self.system, spins.astype(np.float64), float(self._times[number]), int(self._steps[number]))


def _numbers(length: int, frames: slice | Sequence[int]) -> Sequence[int]:
    every = range(length)
    try:
        numbers = every[frames] if isinstance(frames, slice) else [every[k] for k in frames]
    except IndexError as error:
        raise InvalidInput(f"frames={frames}: the trajectory has {length} frames") from error
    if len(numbers) == 0:
        raise InvalidInput(f"frames={frames} chooses none of the {length} frames; there is nothing to write")
    return numbers
