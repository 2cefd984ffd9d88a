"""A simulation described in a configuration file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.options import options_of
from gnnspin.core.parameter_types import Numbers
from gnnspin.core.plain import plain
from gnnspin.dynamics.initial import InitialConfig
from gnnspin.dynamics.integrators import INTEGRATORS
from gnnspin.dynamics.monitor import Monitor, check_monitor
from gnnspin.dynamics.observers import named_observables
from gnnspin.dynamics.parameters import StepParameters
from gnnspin.dynamics.simulate import Run, resume, simulate
from gnnspin.dynamics.source_config import SourceConfig
from gnnspin.observables.observable import NamedObservables
from gnnspin.runs.identity import MAY_CHANGE, require_same_run
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import SystemConfig
from gnnspin.trajectories.trajectory import Trajectory

#: Arguments of `simulate` that a configuration gives by other keys, or not at all.
_OTHERWISE = (
    "source",
    "correction",
    "monitor",
    "monitor_every",
    "spins",
    "observers",
    "trajectory",
    "notes",
    "progress",
)

_Options: Any = options_of(simulate, "SimulationOptions", without=_OTHERWISE)

#: Those of them that are parameters of the equation of motion.
_STEP_OPTIONS = [field.name for field in fields(StepParameters) if field.name in _Options.model_fields]

#: Name of the configuration among the notes of a trajectory.
_NOTE = "simulation"

#: Name of the hashes of the files that it names.
_CONTENT = "initial_content"


_MonitorOptions: Any = options_of(Monitor, "MonitorOptions", without=("exact",))


class MonitorConfig(_MonitorOptions):
    """Comparison of a run's torque with the exact one while it goes on."""

    source: SourceConfig = Field(description="exact source: a hamiltonian and its solver, or a kind of source")

    @model_validator(mode="after")
    def _numbers_in_range(self) -> MonitorConfig:
        check_monitor(vars(self))
        return self

    def build(self, system: SpinSystem) -> Monitor:
        """The monitor on a system; errors as from `SourceConfig.build`."""
        options = {name: getattr(self, name) for name in _MonitorOptions.model_fields}
        return Monitor(self.source.build(system), **options)


class SimulationConfig(_Options):
    """Configuration of `gnnspin simulate`: a system, a source, initial spins, and every option of `simulate`."""

    system: SystemConfig
    source: SourceConfig
    initial: InitialConfig = InitialConfig()
    correction: SourceConfig | None = Field(
        default=None, description="a more accurate source, by which the field is corrected every correct_every steps"
    )
    monitor: MonitorConfig | None = Field(
        default=None, description="an exact source with which the torque is compared now and then, and what follows"
    )
    n_steps: Annotated[int, Field(gt=0, description="number of steps"), MAY_CHANGE]
    damping: Numbers = Field(default=0.1, description="dimensionless damping lambda; per replica or site as a list")
    observers: Annotated[dict[str, Recipe], NamedObservables()] = Field(
        default=("neighbor_correlation",),  # type: ignore[arg-type]
        description="what to record: names of observables, or mappings of a kind, parameters and a name",
    )
    observe_every: int = Field(default=10, ge=1, description="steps between observations")
    dtype: Literal["float32", "float64"] = Field(default="float64", description="precision of the spins")

    @model_validator(mode="after")
    def _numbers_in_range(self) -> SimulationConfig:
        INTEGRATORS[self.integrator]
        options = {name: getattr(self, name) for name in _STEP_OPTIONS}
        StepParameters(**options | {"dt": 1.0 if self.dt == "auto" else self.dt}).check()
        for name in ("damping",) if isinstance(self.kT, Recipe) else ("damping", "kT"):
            if np.min(getattr(self, name)) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        return self

    def run(self, output: str | Path, *, continue_run: bool = False, progress: bool = True) -> Run:
        """Simulate into the trajectory file `output`, or continue the run there.

        A continued run may have more steps than before, and nothing else may differ.

        Raises
        ------
        InvalidInput
            If the run to be continued started from other spins or was begun with more steps; and as from `simulate`.
        StoreError
            If the file exists and is not to be continued, or holds another run; names the keys.
        """
        path = Path(output)
        if path.exists() and not continue_run:
            raise StoreError(f"{path} exists; choose another output, or --resume to continue it")
        system = self.system.build()
        source = self.source.build(system)
        correction = None if self.correction is None else self.correction.build(system)
        monitor = None if self.monitor is None else self.monitor.build(system)
        observers = named_observables(self.observers, source)
        spins = self.initial.build(system, getattr(torch, self.dtype))
        if path.exists():
            steps = self._steps_left(path, spins)
            others: Any = {"correction": correction, "monitor": monitor}
            return resume(path, source, n_steps=steps, observers=observers, progress=progress, **others)
        options = {name: getattr(self, name) for name in _Options.model_fields}
        options |= {"correction": correction, "monitor": monitor}
        options["kT"] = self.kT.build() if isinstance(self.kT, Recipe) else self.kT
        notes = {_NOTE: self.model_dump(mode="json"), _CONTENT: self.initial.content()}
        return simulate(source, spins, **options, observers=observers, trajectory=path, notes=notes, progress=progress)

    def _steps_left(self, path: Path, spins: Tensor) -> int:
        """Steps that are missing in a trajectory; an error that names the keys if it is another run."""
        with Trajectory(path) as stored:
            note = stored.notes.get(_NOTE)
            if note is None:
                self._require_settings_of(stored)
            else:
                require_same_run(self, note, where=path, kind="simulation")
                _require_content(self.initial, stored)
            _require_start(stored, spins)
            step = stored.state.step
            begun = max(step, int(stored.settings["last_step"]), int((note or {}).get("n_steps", 0)))
        if self.n_steps < begun:
            raise InvalidInput(
                f"n_steps={self.n_steps} is less than the {begun} steps that {path} was begun with (done: {step}); "
                f"n_steps may only grow: give {begun} or more"
            )
        return self.n_steps - step

    def _require_settings_of(self, stored: Trajectory) -> None:
        """For trajectories without a configuration among their notes: compare with the settings of the run."""
        saved = {**stored.settings, "damping": stored.damping, "kT": stored.kT, "moments": stored.moments}
        names = [name for name in _Options.model_fields if name in stored.settings and name != "kT"]
        names = [name for name in names if getattr(self, name) not in (None, "auto")]
        differing = [name for name in names if saved[name] != plain(getattr(self, name))]
        numbers = ["damping", "moments"] if isinstance(self.kT, Recipe) else ["damping", "moments", "kT"]
        differing += [name for name in numbers if not np.array_equal(np.squeeze(saved[name]), getattr(self, name))]
        if stored.state.spins.dtype != getattr(torch, self.dtype):
            saved["dtype"] = stored.state.spins.dtype
            differing.append("dtype")
        if differing:
            listed = ", ".join(f"{name}={getattr(self, name)} (stored {saved[name]})" for name in differing)
            raise InvalidInput(f"{stored.path} is a run with other settings: {listed}; only n_steps may grow")


def _require_content(initial: InitialConfig, stored: Trajectory) -> None:
    """Raise StoreError unless the files of the initial spins hold what they held; older versions noted no content."""
    for key, digest in stored.notes.get(_CONTENT, {}).items():
        if initial.content().get(key, digest) != digest:
            raise StoreError(
                f"{stored.path} is another simulation: the file initial.{key}={getattr(initial, key)} is not what it "
                "was when the run was begun; restore it, or choose another output"
            )


def _require_start(stored: Trajectory, spins: Tensor) -> None:
    """Raise InvalidInput unless the stored run started from these spins."""
    shape = tuple(stored.state.spins.shape)
    if shape not in (tuple(spins.shape), (1, *spins.shape)):
        raise InvalidInput(
            f"initial.replicas, initial.file or system: spins of shape {tuple(spins.shape)}; {stored.path} has {shape}"
        )
    if len(stored) and stored.steps[0] == 0:
        error = float(np.abs(stored[0].reshape(spins.shape) - spins.cpu().numpy()).max())
        if error > 1e-6:
            raise InvalidInput(
                f"initial: the spins differ by up to {error:.1g} from those that {stored.path} started from; give the "
                "same initial.kind, file, amplitude and seed, or choose another output"
            )
