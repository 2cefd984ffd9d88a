"""A run as its trajectory file describes it: what is written at its start, and what `resume` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.dynamics.correction import CorrectedStep
from gnnspin.dynamics.monitor import Monitor, RunningMonitor
from gnnspin.dynamics.parameters import PER_SITE, StepParameters
from gnnspin.dynamics.protocols import TemperatureFunction, describe_temperature, protocol_from, same_temperature
from gnnspin.dynamics.steps import Step
from gnnspin.force_fields.fitting import tile_alike
from gnnspin.trajectories.observers import ObservableLog
from gnnspin.trajectories.rebuild import require_same_source, require_same_system, written_out
from gnnspin.trajectories.schedule import Schedule
from gnnspin.trajectories.trajectory import Trajectory
from gnnspin.trajectories.writer import TrajectoryWriter


def new_writer(
    path: str | Path,
    source: FieldSource,
    state: State,
    log: ObservableLog,
    schedule: Schedule,
    parameters: StepParameters,
    integrator: str,
    step: Step,
    notes: Mapping[str, Any],
    save_dtype: str,
    watch: RunningMonitor | None = None,
) -> TrajectoryWriter:
    """The trajectory file of a run that begins; errors as from `TrajectoryWriter.create`."""
    settings = {**_settings(source, state, parameters, schedule, integrator), "notes": dict(notes)}
    others: list[FieldSource] = []
    if isinstance(step, CorrectedStep):
        others = [step.correction]
        description = {"source": step.correction.specification(), "device": str(step.correction.device)}
        settings["correction"] = {"every": step.every, **description}
    if watch is not None:
        others.append(watch.monitor.exact)
        settings["monitor"] = watch.stored()
    values = _values_of_sites(state, parameters)
    return TrajectoryWriter.create(
        path, source, state, log, settings=settings, parameters=values, save_dtype=save_dtype, others=others
    )


def _settings(
    source: FieldSource, state: State, parameters: StepParameters, schedule: Schedule, integrator: str
) -> dict[str, Any]:
    """Settings of a run as a trajectory file holds them, in JSON; `restored_parameters` reads them."""
    return {
        **parameters.stored(),
        "kT": describe_temperature(parameters.kT) if callable(parameters.kT) else None,
        "integrator": integrator,
        "last_step": schedule.last_step,
        "observe_every": schedule.observe_every,
        "save_every": schedule.save_every,
        "device": str(state.spins.device),
        "source_device": str(source.device),
    }


def _values_of_sites(state: State, parameters: StepParameters) -> dict[str, Any]:
    """Settings that may differ from site to site."""
    kT = parameters.temperature(state.time, state.spins)
    values = {"damping": parameters.damping, "kT": kT, "moments": parameters.moments}
    return values if parameters.pinned is None else {**values, "pinned": parameters.pinned}


def given_source(source: FieldSource, stored: Trajectory, specification: Mapping[str, Any]) -> FieldSource:
    """The user's source, diluted as the stored one was."""
    described = written_out(specification)
    if described.get("kind") == Diluted.kind and not isinstance(source, Diluted):
        source = Diluted(source, described["vacant"])
    require_same_system(source.system, stored.system)
    tile_alike(source, described)
    require_same_source(source, specification)
    return source


def restored_state(stored: Trajectory) -> State:
    """The newest state, on the device of the run and laid out as the steps do."""
    state, device = stored.state, stored.settings["device"]
    memory = {name: _laid_out(values, device) for name, values in state.memory.items()}
    return replace(state, spins=_laid_out(state.spins, device), memory=memory)


def _laid_out(values: Tensor, device: str) -> Tensor:
    """Vectors in memory as the steps keep them: sums over them are then the same to the last bit."""
    return vectors(components(values.to(device)))


def restored_parameters(stored: Trajectory, kT: TemperatureFunction | None) -> StepParameters:
    """Parameters of a stored run; `kT` where the file holds no more than the name of a function."""
    settings = stored.settings
    sizes = tuple(part.n_sites for part in stored.system.parts)
    names = {field.name for field in fields(StepParameters)} - set(PER_SITE)
    values = {name: value for name, value in settings.items() if name in names}
    return StepParameters(
        **values | {"replicas": None if settings["replicas"] is None else tuple(settings["replicas"])},
        damping=_restored(stored.damping, settings["device"]),
        kT=_restored_temperature(stored, kT),
        moments=_restored(stored.moments, settings["device"]),
        part_sizes=sizes if len(sizes) > 1 else None,
        pinned=None if stored.pinned is None else torch.from_numpy(stored.pinned).to(settings["device"]),
    )


def _restored_temperature(stored: Trajectory, kT: TemperatureFunction | None) -> float | Tensor | TemperatureFunction:
    described = stored.settings["kT"]
    if kT is None:
        return _restored(stored.kT, stored.settings["device"]) if described is None else protocol_from(described)
    if described is None or not same_temperature(kT, described):
        raise InvalidInput(f"kT is {describe_temperature(kT)}, the stored run has {described or stored.kT.tolist()}")
    return kT


def _restored(value: NDArray[Any], device: str) -> float | Tensor:
    return float(value) if value.ndim == 0 else torch.from_numpy(value).to(device)


def restored_step(step: Step, correction: FieldSource | None, stored: Trajectory) -> Step:
    """The step of a stored run, with its corrections if it had any."""
    described = stored.settings.get("correction")
    found = _second_source(correction, described, stored, "correction")
    return step if found is None or described is None else CorrectedStep(step, found, described["every"])


def restored_monitor(
    monitor: FieldSource | Monitor | None, source: FieldSource, stored: Trajectory
) -> RunningMonitor | None:
    """The monitor of a stored run, if it had one; the exact source of `monitor` where it cannot be rebuilt."""
    given = monitor.exact if isinstance(monitor, Monitor) else monitor
    described = stored.settings.get("monitor")
    exact = _second_source(given, described, stored, "monitor")
    if exact is None or described is None:
        return None
    return RunningMonitor.restored(described, exact, source, stored.path)


def _second_source(
    given: FieldSource | None, described: Mapping[str, Any] | None, stored: Trajectory, name: str
) -> FieldSource | None:
    """A source of the run besides the one that drives it, given or rebuilt; None if the run has none."""
    if described is None:
        if given is not None:
            raise InvalidInput(f"{stored.path} is a run without a {name}; leave {name} out")
        return None
    return stored.rebuild_second(name) if given is None else given_source(given, stored, described["source"])
