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
from gnnspin.trajectories.damaged import allocated_bytes, open_damaged, whole_rows
from gnnspin.trajectories.rebuild import StoredSource, rebuild_source

FORMAT = "gnnspin-trajectory"
FORMAT_VERSION = 2

#: Largest deviation of |S|^2 from 1 in a stored frame; float32 frames have 1e-7.
_UNIT_TOLERANCE = 1e-3


class Trajectory:
    """Read a trajectory, also while it is being written or after its writer was killed.

    ``len(trajectory)`` frames; ``trajectory[k]`` is the (..., N, 3) array of spins of frame k; slices give
    (T, ..., N, 3), those with a negative step the frames in reverse. Every access sees what has been written since.

    Parameters
    ----------
    path : path
    damaged : bool
        Open a file that was cut short, too: it then has the frames and observations before the cut.

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
        If the file is missing, damaged, or not a trajectory of this package; if frames that are read are not unit
        spins. The message names the last whole frame.
    """

    def __init__(self, path: str | Path, *, damaged: bool = False) -> None:
        self.path = Path(path)
        self._whole: tuple[int, int] | None = None
        if damaged:
            self._file, self._whole = open_damaged_trajectory(self.path)
        else:
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
            numbers = range(length)[index]
            forward = numbers if numbers.step > 0 else numbers[::-1]
            frames = self._dataset("spins")[forward.start : max(forward.start, forward.stop) : forward.step]
            frames = frames[:: 1 if numbers.step > 0 else -1]
        else:
            if not -length <= index < length:
                raise IndexError(f"frame {index} of a trajectory of {length} frames")
            numbers = range(length)[index : index + 1 or None]
            frames = self._dataset("spins")[numbers[0]][None]
        self._check(frames, numbers)
        return frames if isinstance(index, slice) else frames[0]

    def _check(self, frames: NDArray[Any], numbers: range) -> None:
        """Raise StoreError unless all spins of `frames` are unit vectors, as those of a frame that was written are."""
        unit = np.abs(np.einsum("t...c,t...c->t...", frames, frames) - 1) < _UNIT_TOLERANCE
        whole = unit.all(axis=tuple(range(1, unit.ndim)))
        broken = [number for number, good in zip(numbers, whole, strict=True) if not good]
        if broken:
            first = min(broken)
            raise StoreError(
                f"frame {first} of trajectory {self.path} is damaged: its spins are no unit vectors, the file may be "
                f"an incomplete copy; {last_whole(first)}"
            )

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
        """Observables by name: the values of each observer, (O, ...)."""
        length = self._stored()[1]
        names = [name for name in self._file["observables"] if name not in ("step", "time")]
        return {name: self._series(f"observables/{name}", length) for name in names}

    @property
    def state(self) -> State:
        """The newest state, in full precision: the last one, or the last good one before an error."""
        return newest_checkpoint(self._file)[0]

    @property
    def notes(self) -> dict[str, Any]:
        """Notes that the run was started with, see `gnnspin.dynamics.simulate`."""
        return dict(self.settings.get("notes", {}))

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
    def moments(self) -> NDArray[np.float64]:
        """Magnetic moments as stored: a number, (N,) or (..., N); 1 in files of versions that knew none."""
        group = self._file["parameters"]
        return group["moments"][()] if "moments" in group else np.array(1.0)

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
        return self._rebuilt(self.source, self.settings["source_device"])

    def rebuild_correction(self) -> FieldSource | None:
        """The source of the run's corrections, see `gnnspin.dynamics.simulate`, or None; errors as `rebuild_source`."""
        return self.rebuild_second("correction")

    def rebuild_second(self, name: str) -> FieldSource | None:
        """The source of the run's "correction" or "monitor", or None; errors as `rebuild_source`."""
        stored = self.settings.get(name)
        return None if stored is None else self._rebuilt(stored["source"], stored["device"])

    def _rebuilt(self, specification: dict[str, Any], device: str) -> FieldSource:
        weights = {name: data[...].tobytes() for name, data in self._file.get("weights", {}).items()}
        return rebuild_source(StoredSource(specification, self.system, weights, device))

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
        recorded = recorded_rows(self._dataset("checkpoint/record"))
        return recorded if self._whole is None else self._whole


def recorded_rows(record: h5py.Dataset) -> tuple[int, int]:
    """Frames and observations that the checkpoints of a file count."""
    records = record[...]
    return int(max(records[:, 1].max(), 0)), int(max(records[:, 2].max(), 0))


def last_whole(frame: int) -> str:
    """Message that names the last whole frame, where `frame` is the first damaged one."""
    return f"the last whole frame is {frame - 1}" if frame else "no frame before it is whole"


def open_damaged_trajectory(path: Path) -> tuple[h5py.File, tuple[int, int]]:
    """Open a trajectory of which the end may be missing, with the numbers of its whole frames and observations.

    Raises
    ------
    StoreError
        If the file is no trajectory, or too little is left of it to read a frame.
    """
    if not path.is_file():
        raise StoreError(f"trajectory {path} does not exist")
    size = path.stat().st_size
    try:
        file = open_damaged(path)
        frames, observations = recorded_rows(file["checkpoint/record"])
        series = [file[f"observables/{name}"] for name in file["observables"]]
        frames = min(whole_rows(file[name], frames, size) for name in ("spins", "step", "time"))
        observations = min(whole_rows(dataset, observations, size) for dataset in series)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise StoreError(f"nothing can be read from trajectory {path} ({error})") from error
    return _recognised(file, path), (frames, observations)


def open_trajectory(path: Path) -> h5py.File:
    """Open `path` for reading beside a writer; StoreError unless it is a trajectory this version can read."""
    if not path.is_file():
        raise StoreError(f"trajectory {path} does not exist")
    allocated = allocated_bytes(path)
    size = path.stat().st_size
    if allocated is not None and size < allocated:
        raise StoreError(f"trajectory {path} is cut short: it has {size} of {allocated} bytes; {_what_is_left(path)}")
    try:
        file = h5py.File(path, "r", libver="latest", swmr=_left_open(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path} is not a readable HDF5 file ({error})") from error
    return _recognised(file, path)


def _what_is_left(path: Path) -> str:
    try:
        file, (frames, _) = open_damaged_trajectory(path)
    except StoreError:
        return "nothing in it can be read"
    file.close()
    if not frames:
        return "no frame in it is whole"
    return f"{last_whole(frames)}; Trajectory(path, damaged=True) reads the frames up to it"


def _recognised(file: h5py.File, path: Path) -> h5py.File:
    """`file`, if it is a trajectory of the version that is read here; else it is closed, and StoreError."""
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


def checksum(*arrays: NDArray[Any]) -> int:
    """CRC-32 of the bytes of `arrays`, one after the other."""
    found = 0
    for array in arrays:
        found = zlib.crc32(array.tobytes(), found)
    return found


def newest_checkpoint(file: h5py.File) -> tuple[State, int, int]:
    """Newest intact state, with the numbers of frames and observations that belong to it.

    Raises
    ------
    StoreError
        If neither slot is intact.
    """
    records, slots = file["checkpoint/record"], file["checkpoint/spins"]
    remembered: dict[str, h5py.Dataset] = dict(file["checkpoint"].get("memory", {}))
    for dataset in (records, slots, *remembered.values()):
        dataset.refresh()
    rows = records[...]
    for slot in np.lexsort(rows[:, 2::-1].T)[::-1]:
        step, frames, observations, expected, *bits = (int(value) for value in rows[slot])
        spins = slots[int(slot)]
        memory = {name: remembered[name][int(slot)] for name in sorted(remembered)}
        if step >= 0 and checksum(spins, *memory.values()) == expected:
            moment, substep = np.array(bits, dtype=np.int64).view(np.float64).tolist()
            tensors = {name: torch.from_numpy(values) for name, values in memory.items()}
            return State(torch.from_numpy(spins), moment, step, substep=substep, memory=tensors), frames, observations
    raise StoreError(f"{file.filename} holds no intact checkpoint")
