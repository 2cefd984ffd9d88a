"""Write trajectory files: frames, observations and checkpoints, each flushed before the next is begun."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.core.version import __version__
from gnnspin.force_fields.force_field import model_weights
from gnnspin.runs import Ownership, replaced
from gnnspin.runs.files import leftovers
from gnnspin.trajectories.observers import ObservableLog
from gnnspin.trajectories.schedule import Schedule
from gnnspin.trajectories.trajectory import FORMAT, FORMAT_VERSION, checksum, newest_checkpoint, open_trajectory

#: Seconds after which a checkpoint is written even if no frame is due.
CHECKPOINT_INTERVAL = 60.0

_CHUNK_BYTES = 1 << 13
_CHUNK_NUMBERS = 1 << 18
_COMPRESS_BYTES = 1 << 12
_COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def refuse_existing(path: str | Path) -> None:
    """Raise StoreError if `path` exists or its folder does not."""
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; choose another trajectory file, remove it, or continue it with resume()")
    if not path.parent.is_dir():
        raise StoreError(f"folder {path.parent} of the trajectory does not exist")


class TrajectoryWriter:
    """Appends frames, observations and checkpoints to a new trajectory file (single writer, many readers).

    Layout, with T frames and O observations::

        spins (T, ..., N, 3)   step (T,)   time (T,)
        observables/step (O,)  observables/time (O,)  observables/<name> (O, ...)
        checkpoint/spins (2, ..., N, 3)   checkpoint/record (2, 6)   checkpoint/memory/<name> (2, ..., N, 3)
        parameters/damping  parameters/kT  parameters/moments  parameters/pinned
        system/<part>/<array>  weights/<digest>
        attributes: format, format_version, gnnspin_version, source (JSON), settings (JSON)

    The two checkpoint slots hold the newest states in full precision and are written in turn; a record is
    (step, frames, observations, CRC-32 of the spins and of what the steps remember, bits of the time, bits of the next
    substep), so that a torn slot is recognised.
    """

    def __init__(
        self, path: Path, file: h5py.File, ownership: Ownership, frames: int = 0, observations: int = 0
    ) -> None:
        self.path = path
        self._ownership = ownership
        self._file = file
        self._frames = frames
        self._last_frame_step = int(file["step"][frames - 1]) if frames else -1
        self._observations = observations
        self._checkpoints = 0
        self._last_write = time.monotonic()

    @classmethod
    def create(
        cls,
        path: str | Path,
        source: FieldSource,
        state: State,
        log: ObservableLog,
        *,
        settings: dict[str, Any],
        parameters: dict[str, Any],
        save_dtype: str = "float32",
        others: Sequence[FieldSource] = (),
    ) -> TrajectoryWriter:
        """Create the file and store the first state, frame and observation.

        The file appears under its name only when it is complete enough to be read.

        Parameters
        ----------
        path : path
        source : FieldSource
        state : State
        log : ObservableLog
            With the observation of the first state.
        settings : dict
            JSON-able settings of the run: integrator, dt, seed, ...
        parameters : dict of numbers, tensors or arrays
            Values per site or replica, stored as arrays.
        save_dtype : str
            Precision of stored frames.
        others : sequence of FieldSource
            Sources besides the first that the settings describe; the weights of their models are stored too.

        Raises
        ------
        InvalidInput
            If `save_dtype` is neither float32 nor float64.
        StoreError
            If the file exists or cannot be written.
        """
        if save_dtype not in ("float32", "float64"):
            raise InvalidInput(f"save_dtype={save_dtype!r} must be 'float32' or 'float64'")
        refuse_existing(path)
        path = Path(path)
        with _owning(path, "write") as ownership, replaced(path) as new:
            file = h5py.File(new, "w", libver="latest")
            _write_header(file, [source, *others], settings, parameters)
            _create_datasets(file, state, log, save_dtype)
            file.swmr_mode = True
            writer = cls(path, file, ownership)
            writer.write(state, log, frame=False)
        return writer

    @classmethod
    def reopen(cls, path: str | Path, state: State, log: ObservableLog, schedule: Schedule) -> TrajectoryWriter:
        """Continue a file, whether it was closed or its writer was killed, from its newest checkpoint.

        What is stored up to the checkpoint is copied to a new file, which then replaces the old one: the file is
        readable at every moment. `state` and `log` are what was read from it.

        Raises
        ------
        StoreError
            If the file cannot be read or written, or another process is writing it.
        """
        path = Path(path)
        with _owning(path, "continue") as ownership, replaced(path) as new:
            for left in set(leftovers(path.parent, path.name)) - {new}:
                left.unlink(missing_ok=True)
            with open_trajectory(path) as old:
                _, frames, observations = newest_checkpoint(old)
                file = h5py.File(new, "w", libver="latest")
                _copy_until(old, file, frames, observations)
            settings = json.loads(file.attrs["settings"]) | {"last_step": schedule.last_step}
            file.attrs["settings"] = json.dumps(settings)
            file.swmr_mode = True
            writer = cls(path, file, ownership, frames, observations)
            writer.write(state, log, frame=False)
        return writer

    def overdue(self) -> bool:
        """Whether the last checkpoint is older than `CHECKPOINT_INTERVAL`."""
        return time.monotonic() - self._last_write > CHECKPOINT_INTERVAL

    def write(self, state: State, log: ObservableLog, *, frame: bool) -> None:
        """Append new observations and, if asked, a frame; then checkpoint. Everything has left the process after it."""
        try:
            self._append_observations(log)
            if frame and state.step > self._last_frame_step:
                self._append_frame(state)
            self._checkpoint(state)
        except OSError as error:
            raise StoreError(f"cannot write trajectory {self.path}: {error}") from error
        self._last_write = time.monotonic()

    def close(self, state: State, log: ObservableLog) -> None:
        """Store what is not stored yet and close the file."""
        try:
            self.write(state, log, frame=False)
        finally:
            self._file.close()
            self._ownership.release()

    def _append_frame(self, state: State) -> None:
        row = self._frames
        _put(self._file["spins"], row, _numpy(state.spins)[None])
        _put(self._file["time"], row, [state.time])
        _put(self._file["step"], row, [state.step])
        self._frames, self._last_frame_step = row + 1, state.step

    def _append_observations(self, log: ObservableLog) -> None:
        row = self._observations
        if row == len(log):
            return
        group = self._file["observables"]
        for name, values in log.stacked(row).items():
            _put(group[name], row, values)
        _put(group["time"], row, log.times[row:])
        _put(group["step"], row, log.steps[row:])
        self._observations = len(log)

    def _checkpoint(self, state: State) -> None:
        slot = self._checkpoints % 2
        spins = _numpy(state.spins)
        memory = {name: _numpy(state.memory[name]) for name in sorted(self._file["checkpoint"].get("memory", ()))}
        self._file["checkpoint/spins"][slot] = spins
        for name, values in memory.items():
            self._file[f"checkpoint/memory/{name}"][slot] = values
        self._file.flush()
        self._file["checkpoint/record"][slot] = [
            state.step, self._frames, self._observations, checksum(spins, *memory.values()),
            _bits(state.time), _bits(state.substep),
        ]  # fmt: skip
        self._file.flush()
        self._checkpoints += 1


@contextmanager
def _owning(path: Path, action: str) -> Iterator[Ownership]:
    """The right to write a trajectory, which outlasts the block unless that raises.

    Raises
    ------
    StoreError
        If another process or thread writes it, or in place of an OSError of the block.
    """
    ownership = Ownership(path, "trajectory")
    try:
        yield ownership
    except BaseException as error:
        ownership.release()
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise StoreError(f"cannot {action} trajectory {path}: {error}") from error
        raise


def _copy_until(old: h5py.File, new: h5py.File, frames: int, observations: int) -> None:
    """Copy everything, then cut the series to the given lengths and void the checkpoints."""
    for name in old:
        old.copy(name, new)
    for name, value in old.attrs.items():
        new.attrs[name] = value
    for name in ("spins", "step", "time"):
        new[name].resize(frames, axis=0)
    for name in new["observables"]:
        new["observables"][name].resize(observations, axis=0)
    new["checkpoint/record"][...] = -1


def _numpy(spins: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(spins.detach().cpu().numpy())


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


def _put(dataset: h5py.Dataset, row: int, values: Any) -> None:
    """Write `values` at `row` and beyond, growing the dataset."""
    dataset.resize(row + len(values), axis=0)
    dataset[row:] = values


def _write_header(
    file: h5py.File, sources: Sequence[FieldSource], settings: dict[str, Any], parameters: dict[str, Any]
) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["gnnspin_version"] = __version__
    file.attrs["source"] = json.dumps(sources[0].specification())
    file.attrs["settings"] = json.dumps(settings)
    for name, value in parameters.items():
        file[f"parameters/{name}"] = value.cpu().numpy() if isinstance(value, Tensor) else value
    weights = {digest: content for source in sources for digest, content in model_weights(source).items()}
    for digest, content in weights.items():
        file[f"weights/{digest}"] = np.frombuffer(content, dtype=np.uint8)
    for number, part in enumerate(sources[0].system.parts):
        for name, array in part.arrays().items():
            file[f"system/{number}/{name}"] = array


def _create_datasets(file: h5py.File, state: State, log: ObservableLog, save_dtype: str) -> None:
    shape = tuple(state.spins.shape)
    _growing(file, "spins", shape, np.dtype(save_dtype))
    _growing(file, "step", (), np.dtype(np.int64))
    _growing(file, "time", (), np.dtype(np.float64))
    _growing(file, "observables/step", (), np.dtype(np.int64))
    _growing(file, "observables/time", (), np.dtype(np.float64))
    for name, rows in log.rows.items():
        _growing(file, f"observables/{name}", rows[0].shape, rows[0].dtype)
    file.create_dataset("checkpoint/spins", (2, *shape), _numpy(state.spins[..., :0, :]).dtype)
    for name, values in state.memory.items():
        file.create_dataset(f"checkpoint/memory/{name}", (2, *shape), _numpy(values[..., :0, :]).dtype)
    file.create_dataset("checkpoint/record", data=np.full((2, 6), -1))


def _growing(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Dataset ``(0, *shape)`` that grows along its first axis.

    Large rows are compressed, one chunk or more per row, each written once. Small rows share plain chunks: a
    compressed chunk that is rewritten for every row would leave its old copies in the file.
    """
    size = math.prod(shape) * dtype.itemsize
    if size >= _COMPRESS_BYTES:
        chunks, options = (1, *_row_chunk(shape)), _COMPRESSION
    else:
        chunks, options = (max(1, _CHUNK_BYTES // max(1, size)), *(max(1, n) for n in shape)), {}
    file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunks, **options)


def _row_chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Split a large row along its leading axes into chunks of at most `_CHUNK_NUMBERS` numbers."""
    chunk = list(shape)
    for axis in range(len(chunk)):
        rest = math.prod(chunk[axis + 1 :])
        chunk[axis] = max(1, min(chunk[axis], _CHUNK_NUMBERS // max(1, rest)))
    return tuple(chunk)
