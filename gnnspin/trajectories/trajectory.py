"""Trajectory files: HDF5, readable while they are written and after the writer was killed."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import StoreError
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.systems.system import SpinSystem, union
from gnnspin.trajectories.rebuild import StoredSource, rebuild_source

FORMAT = "gnnspin-trajectory"
FORMAT_VERSION = 2


class Trajectory:
    """Read a trajectory, also while it is being written or after its writer was killed.

    ``len(trajectory)`` frames; ``trajectory[k]`` is the (..., N, 3) array of spins of frame k; slices give
    (T, ..., N, 3). Every access sees what has been written since.

    Attributes
    ----------
    path : Path
    system : SpinSystem
    settings : dict
        Integrator, dt, gamma, seed, ...
    source : dict
        Specification of the field source.

    Raises
    ------
    StoreError
        If the file is missing, damaged, or not a trajectory of this package.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_trajectory(self.path)
        try:
            self.settings: dict[str, Any] = json.loads(self._file.attrs["settings"])
            self.source: dict[str, Any] = json.loads(self._file.attrs["source"])
            self.gnnspin_version = str(self._file.attrs["gnnspin_version"])
            self.system = read_system(self._file)
            len(self)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            self._file.close()
            raise StoreError(f"trajectory {self.path} is damaged: {error}") from error

    def __len__(self) -> int:
        return self._stored()[0]

    def __getitem__(self, index: int | slice) -> NDArray[Any]:
        length = len(self)
        if isinstance(index, slice):
            return self._dataset("spins")[slice(*index.indices(length))]
        if not -length <= index < length:
            raise IndexError(f"frame {index} of a trajectory of {length} frames")
        return self._dataset("spins")[index % length]

    @property
    def steps(self) -> NDArray[np.int64]:
        """Step of each frame (T,)."""
        return self._series("step", len(self))

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame (T,)."""
        return self._series("time", len(self))

    @property
    def observable_steps(self) -> NDArray[np.int64]:
        """Step of each observation (O,)."""
        return self._series("observables/step", self._stored()[1])

    @property
    def observable_times(self) -> NDArray[np.float64]:
        """Time of each observation (O,)."""
        return self._series("observables/time", self._stored()[1])

    @property
    def observables(self) -> dict[str, NDArray[Any]]:
        """What each observer returned, (O, ...)."""
        length = self._stored()[1]
        names = [name for name in self._file["observables"] if name not in ("step", "time")]
        return {name: self._series(f"observables/{name}", length) for name in names}

    @property
    def state(self) -> State:
        """The newest state, in full precision: the last one, or the last good one before an error."""
        return newest_checkpoint(self._file)[0]

    @property
    def damping(self) -> NDArray[np.float64]:
        """Damping lambda as stored: a number, or an array that broadcasts against (..., N)."""
        return self._file["parameters/damping"][()]

    @property
    def kT(self) -> NDArray[np.float64]:
        """Temperature as stored: a number, or an array that broadcasts against (..., N).

        That of the first step, if it depends on time; ``settings["kT"]`` then describes how.
        """
        return self._file["parameters/kT"][()]

    @property
    def pinned(self) -> NDArray[np.bool_] | None:
        """Spins that are held fixed, (N,) or (..., N), or None."""
        return self._file["parameters/pinned"][()] if "pinned" in self._file["parameters"] else None

    def rebuild_source(self) -> FieldSource:
        """The field source of the run, from its stored specification and weights.

        Raises
        ------
        InvalidInput
            If the file does not hold all of it, or what is rebuilt differs.
        """
        weights = {name: data[...].tobytes() for name, data in self._file.get("weights", {}).items()}
        return rebuild_source(StoredSource(self.source, self.system, weights, self.settings["source_device"]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Trajectory:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Trajectory({str(self.path)!r}, {len(self)} frames)"

    def _dataset(self, name: str) -> h5py.Dataset:
        dataset = self._file[name]
        dataset.refresh()
        return dataset

    def _series(self, name: str, length: int) -> NDArray[Any]:
        return self._dataset(name)[:length]

    def _stored(self) -> tuple[int, int]:
        """Frames and observations whose data had left the writer when the last checkpoint was recorded."""
        records = self._dataset("checkpoint/record")[...]
        return int(max(records[:, 1].max(), 0)), int(max(records[:, 2].max(), 0))


def open_trajectory(path: Path) -> h5py.File:
    """Open `path` for reading beside a writer; StoreError unless it is a trajectory this version can read."""
    if not path.is_file():
        raise StoreError(f"trajectory {path} does not exist")
    try:
        file = h5py.File(path, "r", libver="latest", swmr=_left_open(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path} is not a readable HDF5 file ({error})") from error
    found = (file.attrs.get("format"), file.attrs.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        file.close()
        if found[0] == FORMAT:
            raise StoreError(
                f"{path} has version {found[1]} of the trajectory format; this gnnspin reads {FORMAT_VERSION}"
            )
        raise StoreError(f"{path} is no trajectory ({found[0] or 'another HDF5 file'}); give one that simulate wrote")
    return file


def _left_open(path: Path) -> bool:
    """Whether a writer has the file open or died with it: the consistency flags of the HDF5 superblock, version 3.

    Only then is the file opened for reading beside a writer; a truncated file opened so would be retried for minutes.
    """
    with path.open("rb") as raw:
        head = raw.read(12)
    return len(head) == 12 and head[:8] == b"\x89HDF\r\n\x1a\n" and head[8] >= 3 and bool(head[11] & 0b101)


def read_system(file: h5py.File) -> SpinSystem:
    """The system stored in a trajectory."""
    group = file["system"]
    parts = [
        SpinSystem.from_arrays({name: data[...] for name, data in group[str(number)].items()})
        for number in range(len(group))
    ]
    return union(parts)


def checksum(spins: NDArray[Any]) -> int:
    """CRC-32 of the bytes of `spins`."""
    return zlib.crc32(spins.tobytes())


def newest_checkpoint(file: h5py.File) -> tuple[State, int, int]:
    """Newest intact state, with the numbers of frames and observations that belong to it.

    Raises
    ------
    StoreError
        If neither slot is intact.
    """
    records, slots = file["checkpoint/record"], file["checkpoint/spins"]
    records.refresh()
    slots.refresh()
    rows = records[...]
    for slot in np.lexsort(rows[:, 2::-1].T)[::-1]:
        step, frames, observations, expected, *bits = (int(value) for value in rows[slot])
        spins = slots[int(slot)]
        if step >= 0 and checksum(spins) == expected:
            moment, substep = np.array(bits, dtype=np.int64).view(np.float64).tolist()
            return State(torch.from_numpy(spins), moment, step, substep=substep), frames, observations
    raise StoreError(f"{file.filename} holds no intact checkpoint")
