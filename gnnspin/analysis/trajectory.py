"""Observables over a stored run: any of the registry, after the run, over replicas, with growth laws and memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.analysis.trajectory_result import TWO_TIMES, TrajectoryAnalysis, window_label
from gnnspin.core.config import Config
from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.spins import normalize
from gnnspin.core.state import State
from gnnspin.dynamics.observers import RunObserver
from gnnspin.observables.growth import Law, compare_growth_laws, inside_window
from gnnspin.observables.memory import two_time_correlation
from gnnspin.observables.observable import Measurement, NamedObservables, ProfileObservable, part_by_part
from gnnspin.observables.resampling import jackknife_values
from gnnspin.runs import MAY_CHANGE, Progress, interruptible, replaced, run_folder
from gnnspin.systems.system import FloatArray, SpinSystem
from gnnspin.trajectories.trajectory import Trajectory

#: Numbers of stored spins that are read at once.
_CHUNK_NUMBERS = 2**22

#: Folder of finished chunks, from which an interrupted analysis goes on.
_CHUNKS = "frames"


class GrowthConfig(Config):
    """Growth laws fitted to one observable over the replicas, see `gnnspin.observables.compare_growth_laws`."""

    laws: tuple[Law, ...] = Field(
        default=("power", "linear", "square_root", "logarithmic", "stretched_log"),
        min_length=1,
        description="laws to compare",
    )
    window: tuple[float, float] | None = Field(default=None, description="first and last time of the fits")
    windows: tuple[tuple[float, float], ...] = Field(
        default=(), description="first and last times of further fits, as early and late: each has laws of its own"
    )
    n_bootstrap: int = Field(default=1000, ge=2, description="bootstrap samples")
    seed: int = Field(default=0, ge=0, description="fixes the bootstrap")


class TrajectoryAnalysisConfig(Config):
    """Configuration of `gnnspin analyze trajectory`."""

    observables: Annotated[dict[str, Recipe], NamedObservables()] = Field(
        default=(),  # type: ignore[arg-type]
        description="names of observables, or mappings of a kind, parameters and a name; as in simulate",
    )
    waiting_times: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(), description="times t_w of the two-time correlations C(t, t_w); the nearest frame is taken"
    )
    averaged_first: tuple[str, ...] = Field(
        default=(),
        description="observables read off the mean profile of all replicas and parts, such as a length off the mean "
        "C(r), instead of off that of each: where the profile of one is mostly noise",
    )
    times: tuple[float, float] | None = Field(default=None, description="first and last time; default: all frames")
    every: int = Field(default=1, ge=1, description="take every n-th frame")
    growth: Annotated[dict[str, GrowthConfig], MAY_CHANGE] = Field(
        default={}, description="growth laws to fit, by the name of the observable"
    )
    figures: Annotated[bool, MAY_CHANGE] = Field(default=True, description="draw every observable against time")

    @model_validator(mode="after")
    def _something_known(self) -> TrajectoryAnalysisConfig:
        if not self.observables and not self.waiting_times:
            raise ValueError("give observables or waiting_times")
        if TWO_TIMES in self.observables:
            raise ValueError(f"the observable name {TWO_TIMES} is that of the correlations with waiting_times")
        for key, names in (("growth", self.growth), ("averaged_first", self.averaged_first)):
            for name in names:
                if name not in self.observables:
                    raise ValueError(f"{key}: {name!r} is none of the observables {list(self.observables)}")
        for name in self.averaged_first:
            if not issubclass(self.observables[name].described_class, ProfileObservable):
                raise ValueError(f"averaged_first: {name!r} is not read off a profile, as a correlation length is")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all values that an analysis has."""
        return (*self.observables, *([TWO_TIMES] if self.waiting_times else []))


class _Analysis(TrajectoryAnalysisConfig):
    """An analysis of one run, as its folder describes it."""

    run: str = Field(description="digest of the run's system, source, settings and first frame")


def analyze_trajectory(
    path: str | Path,
    config: TrajectoryAnalysisConfig | Mapping[str, Any] | Sequence[RunObserver],
    output: str | Path | None = None,
    *,
    resume: bool = False,
    progress: bool = True,
) -> TrajectoryAnalysis:
    """Measure observables on the frames of a stored run.

    Frames are read in chunks: memory does not grow with the run, beyond the values. Stored spins are measured in
    float64. A run that is being written, or that was continued, can be analysed again with `resume`: chunks that are
    done are not computed again.

    Parameters
    ----------
    path : path
        Trajectory file.
    config : TrajectoryAnalysisConfig, mapping of its keys, or list of observables
    output : path, optional
        Folder for finished chunks, see `resume`; `write_analysis` writes tables and figures. Default: none.
    resume : bool
        Go on in `output`.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InvalidInput
        If an observable does not fit the system, or no frame lies in the window. A growth law that the values do not
        allow to fit is no error: `TrajectoryAnalysis.unfitted` says why.
    StoreError
        If the run cannot be read, or `output` holds something else.
    KeyboardInterrupt
        On Ctrl-C, after the current chunk, which is kept.

    Examples
    --------
    >>> found = analyze_trajectory("run.h5", ["scalar_chirality"])  # doctest: +SKIP
    >>> found.mean("scalar_chirality"), found.error("scalar_chirality")  # doctest: +SKIP
    """
    settings = _settings(config)
    with Trajectory(path) as run:
        frames = _chosen_frames(run, settings)
        work = _Work(run, settings, frames)
        if output is None:
            pieces = [work.chunk(numbers) for numbers in work.chunks()]
        else:
            described = _Analysis(**dict(settings), run=_digest(run))
            with run_folder(Path(output) / "analysis.json", described, resume=resume, kind="analysis"):
                pieces = list(_stored_chunks(work, Path(output) / _CHUNKS, progress))
        values = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        found = work.result(values)
    for name, each in settings.growth.items():
        _fit_growth(found, name, each)
    return found


def _settings(config: Any) -> TrajectoryAnalysisConfig:
    if isinstance(config, TrajectoryAnalysisConfig):
        return config
    return TrajectoryAnalysisConfig.model_validate(
        config if isinstance(config, Mapping) else {"observables": NamedObservables.validated(config)}
    )


def _chosen_frames(run: Trajectory, config: TrajectoryAnalysisConfig) -> NDArray[np.int64]:
    """Numbers of the frames that are analysed."""
    numbers = np.arange(0, len(run), config.every)
    times = run.times[numbers]
    numbers = numbers[inside_window(times, config.times)]
    if not len(numbers):
        span = f"its frames have times {times[0]:g} to {times[-1]:g}" if len(times) else "it has no frames"
        raise InvalidInput(f"no frame of {run.path} lies in times={config.times}; {span}")
    return numbers


def _digest(run: Trajectory) -> str:
    """Hash of what makes a run the same one, however far it has come."""
    settings = {name: run.settings.get(name) for name in ("integrator", "dt", "gamma", "seed")}
    text = json.dumps([run.system.fingerprint, run.source, settings], sort_keys=True)
    return hashlib.sha256(text.encode() + np.ascontiguousarray(run[0]).tobytes()).hexdigest()[:32]


class _Work:
    """Measurements on chunks of frames."""

    def __init__(self, run: Trajectory, config: TrajectoryAnalysisConfig, frames: NDArray[np.int64]) -> None:
        self.run, self.frames = run, frames
        self._built = {name: recipe.build() for name, recipe in config.observables.items()}
        self._averaged_first = config.averaged_first
        source = run.rebuild_source() if any(each.needs_source for each in self._built.values()) else None
        self._measurements: dict[str, Measurement] = {
            name: each.observer(run.system, source) for name, each in self._built.items()
        }
        for name in config.averaged_first:
            self._measurements[name] = partial(_profile, self._built[name], run.system)
        times = run.times
        late = [time for time in config.waiting_times if not inside_window(times, (time, np.inf)).any()]
        if late:
            raise InvalidInput(f"waiting_times {late} lie behind the last frame of {run.path}, at time {times[-1]:g}")
        references = [int(np.abs(times - time).argmin()) for time in config.waiting_times]
        self.reference_times = tuple(float(times[number]) for number in references)
        self._references = [_spins(run[number]) for number in references]

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """Frame numbers of each chunk, the same ones however long the run is."""
        size = int(np.clip(_CHUNK_NUMBERS // self.run[self.frames[0]].size, 1, 256))
        return (self.frames[start : start + size] for start in range(0, len(self.frames), size))

    def chunk(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Values (F, ..., *shape) of some frames, by name."""
        every = int(numbers[1] - numbers[0]) if len(numbers) > 1 else 1
        spins = self.run[int(numbers[0]) : int(numbers[-1]) + 1 : every]
        steps, times = self.run.steps[numbers], self.run.times[numbers]
        rows = [
            self._row(State(_spins(frame), float(time), int(step)))
            for frame, time, step in zip(spins, times, steps, strict=True)
        ]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, state: State) -> dict[str, NDArray[Any]]:
        row = {name: _array(measure(state)) for name, measure in self._measurements.items()}
        if self._references:
            row[TWO_TIMES] = np.stack([self._memory(state, k) for k in range(len(self._references))], axis=-1)
        return row

    def _memory(self, state: State, number: int) -> NDArray[Any]:
        correlation = _array(_by_part(self.run.system, state.spins, self._references[number]))
        return correlation if state.time >= self.reference_times[number] else np.full_like(correlation, np.nan)

    def result(self, values: dict[str, NDArray[Any]]) -> TrajectoryAnalysis:
        """The analysis of all frames: profiles that are averaged first are read."""
        system, frames = self.run.system, self.frames
        parts = (system.n_graphs,) if system.n_graphs > 1 else ()
        abscissae = {name: each.abscissa(system) for name, each in self._built.items()}
        found = TrajectoryAnalysis(
            self.run.steps[frames],
            self.run.times[frames],
            values,
            (*self.run[frames[0]].shape[:-2], *parts),
            self.reference_times,
            abscissae={name: _array(each) for name, each in abscissae.items() if each is not None},
            n_parts=system.n_graphs,
        )
        for name in self._averaged_first:
            values[name] = jackknife_values(found.independent(name), partial(_read, self._built[name], system))
        return replace(found, averaged_first=self._averaged_first)


def _profile(observable: ProfileObservable, system: SpinSystem, state: State) -> Tensor:
    return part_by_part(observable.profile, system, state.spins)


def _read(observable: ProfileObservable, system: SpinSystem, profiles: FloatArray) -> FloatArray:
    return _array(observable.read(system, torch.from_numpy(profiles)))


def _by_part(system: SpinSystem, later: Tensor, waiting: Tensor) -> Tensor:
    """Two-time correlation (...), or (..., n_graphs) of a union."""
    if system.n_graphs == 1:
        return two_time_correlation(later, waiting)
    sizes = [part.n_sites for part in system.parts]
    pieces = zip(later.split(sizes, dim=-2), waiting.split(sizes, dim=-2), strict=True)
    return torch.stack([two_time_correlation(*pair) for pair in pieces], dim=-1)


def _spins(frame: NDArray[Any]) -> Tensor:
    return normalize(torch.from_numpy(np.asarray(frame, dtype=np.float64)))


def _array(value: Any) -> NDArray[Any]:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _stored_chunks(work: _Work, folder: Path, progress: bool) -> Iterator[dict[str, NDArray[Any]]]:
    """Values of all chunks; those that are not in the folder are measured and put there."""
    paths = {folder / f"{numbers[0]:08d}-{numbers[-1]:08d}.npz": numbers for numbers in work.chunks()}
    done = sum(path.exists() for path in paths)
    with interruptible() as stop, Progress("chunks of frames", len(paths), done=done, show=progress) as bar:
        for path, numbers in paths.items():
            if path.exists():
                yield _stored(path)
                continue
            piece = work.chunk(numbers)
            with replaced(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **piece)  # type: ignore[arg-type]
            for stale in set(folder.glob(f"{numbers[0]:08d}-*.npz")) - {path}:  # of the run when it was shorter
                stale.unlink()
            bar.advance()
            yield piece
            stop.raise_if_requested()


def _stored(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove it and resume") from error


def _fit_growth(found: TrajectoryAnalysis, name: str, config: GrowthConfig) -> None:
    """Add the growth laws of one observable, or why there are none: the values are worth keeping without them."""
    samples = found.independent(name)
    if samples.ndim != 2:
        raise InvalidInput(f"growth laws are fitted to one number per time; {name} has shape {samples.shape[2:]}")
    labels = [(name, config.window), *((window_label(name, window), window) for window in config.windows)]
    for label, window in labels:
        try:
            found.growth[label] = compare_growth_laws(
                found.times, samples.T, config.laws, window, n_bootstrap=config.n_bootstrap, seed=config.seed
            )
        except InvalidInput as error:
            found.unfitted[label] = str(error)
