"""The torque of a run compared with the exact one while it goes on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import InvalidInput, UntrustedField
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.core.state import State
from gnnspin.datasets import Label, LabelStore
from gnnspin.dynamics.windows import SolvedWindow, TorqueErrors, source_on, torque_errors
from gnnspin.systems.lattice import is_ideal_lattice
from gnnspin.systems.window import Window, block, windows
from gnnspin.trajectories.observers import Observer, StopRun
from gnnspin.trajectories.schedule import Schedule

#: Names of what is recorded: error and exact torque by component, root mean square; NaN between checks.
ERROR, TORQUE = "monitor_error", "monitor_torque"

#: Buffers that are tried one after the other, in unit cells.
_BUFFERS = (2, 4, 6, 9, 14, 21, 32, 48, 72)

#: Part of the distance between two places by which the windows move from check to check: the golden section.
_SHIFT = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Monitor:
    """A comparison of a run's torque with the exact one, every so many steps, on one replica after the other.

    A lattice of more than `max_sites` sites is compared on windows: a block of it is solved as a lattice of its own,
    and what is nearer to its seam than `buffer` is left out. How much the seam still does is measured at the first
    check, on the spins of the run: the torques inside change by the truncation error when the buffer grows. Where
    `buffer` is left out it grows until that is at most `truncation` of the torque.

    Parameters
    ----------
    exact : FieldSource
        The exact solver on the system of the run; with windows, at fixed mu.
    every : int
        Steps between checks; a multiple of `observe_every` of the run.
    limit : float
        Relative torque error (root mean square of the error over that of the exact torque) beyond which a check warns.
    absolute : float
        Torque error per component that never counts, whatever it is relative to: near a minimum torques vanish.
    action : "warn" or "stop"
        What happens beyond the limit, besides the label; a stopped run can be resumed.
    max_sites : int
        Largest number of sites that is solved as a whole.
    window : int
        Edge in unit cells of what is compared, where the lattice is larger.
    buffer : int, optional
        Unit cells around a window that are solved with it; default: as many as `truncation` asks for.
    truncation : float
        Largest change of the torques inside by a wider buffer, relative to the torque.
    places : int
        Windows at each check; they move over the lattice from check to check.
    labels : path, optional
        Label store to which what was solved is appended, with its exact field and energy.
    keep : "flagged" or "all"
        Which checks leave labels: those beyond the limit, or all.

    Raises
    ------
    InvalidInput
        If a number is out of range.
    """

    exact: FieldSource
    every: int = 200
    limit: float = 0.5
    absolute: float = 0.0
    action: Literal["warn", "stop"] = "warn"
    max_sites: int = 2500
    window: int = 8
    buffer: int | None = None
    truncation: float = 0.1
    places: int = 1
    labels: Path | str | None = None
    keep: Literal["flagged", "all"] = "flagged"

    def __post_init__(self) -> None:
        check_monitor(vars(self))


def check_monitor(values: Mapping[str, Any]) -> None:
    """Raise InvalidInput unless the settings of a monitor are in range."""
    for name in ("every", "max_sites", "window", "places"):
        whole_at_least(values[name], 1, name)
    if values["buffer"] is not None:
        whole_at_least(values["buffer"], 1, "buffer")
    for name in ("limit", "truncation"):
        if not 0 < values[name] < math.inf:
            raise InvalidInput(f"{name}={values[name]} of a monitor must be positive: a share of the torque")
    if not values["absolute"] >= 0:
        raise InvalidInput(f"absolute={values['absolute']} of a monitor must not be negative: a torque per component")
    for name, choices in (("action", ("warn", "stop")), ("keep", ("flagged", "all"))):
        if values[name] not in choices:
            raise InvalidInput(f"{name}={values[name]!r} of a monitor; choose one of {', '.join(choices)}")


def monitored(
    monitor: FieldSource | Monitor | None,
    every: int,
    source: FieldSource,
    vacancies: ArrayLike | Tensor | None,
    schedule: Schedule,
    trajectory: str | Path | None,
) -> RunningMonitor | None:
    """The monitor of a run that begins, None without one.

    Raises
    ------
    InvalidInput
        If its settings are out of range or do not fit the run.
    """
    if monitor is None:
        return None
    given = monitor if isinstance(monitor, Monitor) else Monitor(monitor, every=every)
    if given.every % schedule.observe_every:
        raise InvalidInput(
            f"the monitor checks every {given.every} steps and the run observes every {schedule.observe_every}; give a "
            "multiple of the latter"
        )
    if vacancies is not None:
        given = replace(given, exact=Diluted(given.exact, vacancies))
    return RunningMonitor(given, source, "run" if trajectory is None else Path(trajectory).name)


@dataclass
class RunningMonitor:
    """A monitor at work in one run.

    Attributes
    ----------
    monitor : Monitor
        Its buffer is None until the first check has chosen it.
    source : FieldSource
        What drives the run.
    run : str
        Name by which its labels tell it from others.
    truncation_error : float or None
        Root mean square per component by which torques inside a window change with a wider buffer; zero where the whole
        system is solved, NaN where `max_sites` leaves no room for a wider buffer, None before the first check.
    """

    monitor: Monitor
    source: FieldSource
    run: str = "run"
    truncation_error: float | None = None
    _checked: tuple[int, TorqueErrors | None] = field(default=(-1, None), repr=False)

    def __post_init__(self) -> None:
        exact, system = self.monitor.exact, self.source.system
        if exact.system.fingerprint != system.fingerprint:
            raise InvalidInput(
                f"monitor is a source on {exact.system}, the source is on {system}; build both on one system"
            )
        if not self._whole and not is_ideal_lattice(system):
            raise InvalidInput(
                f"{system} has more than max_sites={self.monitor.max_sites} and is no lattice that windows can be cut "
                f"from; allow max_sites={system.n_sites}"
            )
        if not self._whole:
            source_on(exact, next(windows(system, 1, 1)).system)  # refused now rather than at the first check

    def stored(self) -> dict[str, Any]:
        """Settings, the exact source, and what was measured at the first check, JSON-able; `restored` reads them."""
        monitor = self.monitor
        values = {each.name: getattr(monitor, each.name) for each in fields(monitor) if each.name != "exact"}
        return {
            **values,
            "labels": None if monitor.labels is None else str(monitor.labels),
            "source": monitor.exact.specification(),
            "device": str(monitor.exact.device),
            "truncation_error": self.truncation_error,
        }

    @classmethod
    def restored(
        cls, stored: Mapping[str, Any], exact: FieldSource, source: FieldSource, trajectory: str | Path
    ) -> RunningMonitor:
        """The monitor of a run that goes on."""
        values = {name: value for name, value in stored.items() if name not in ("source", "device", "truncation_error")}
        return cls(Monitor(exact, **values), source, Path(trajectory).name, stored["truncation_error"])

    @property
    def _whole(self) -> bool:
        return self.source.system.n_sites <= self.monitor.max_sites

    def observers(self) -> dict[str, Observer]:
        """Observers of the error and of the exact torque."""
        return {ERROR: self._error, TORQUE: self._torque}

    def _error(self, state: State) -> float:
        found = self._found(state)
        return math.nan if found is None else found.torque_rmse

    def _torque(self, state: State) -> float:
        """Exact torque; last of the two, so that a stop loses neither."""
        found = self._found(state)
        if found is None:
            return math.nan
        reason = self._objection(state, found)
        if reason is not None:
            warnings.warn(reason, UntrustedField, stacklevel=2)
            if self.monitor.action == "stop":
                raise StopRun(reason, found.torque_rms)
        return found.torque_rms

    def _found(self, state: State) -> TorqueErrors | None:
        """Errors at a step that is due, computed once."""
        if state.step % self.monitor.every:
            return None
        if self._checked[0] != state.step:
            self._checked = (state.step, self._check(state))
        return self._checked[1]

    def _objection(self, state: State, found: TorqueErrors) -> str | None:
        if found.relative <= self.monitor.limit or found.torque_rmse <= self.monitor.absolute:
            return None
        return (
            f"step {state.step}: the torque is wrong by {found.torque_rmse:.3g} per component, {found.relative:.0%} of "
            f"the exact torque of {found.torque_rms:.3g} (limit {self.monitor.limit:.0%}); the model does not know "
            "these states: label and learn them, or run the exact source"
        )

    def _check(self, state: State) -> TorqueErrors:
        number = state.step // self.monitor.every
        replicas = state.spins.detach().reshape(-1, *state.spins.shape[-2:])
        replica = number % len(replicas)
        spins = normalize(replicas[replica].to("cpu", torch.float64))
        predicted = self.source.unchecked_field(spins, state.time)
        if self.truncation_error is None:
            self._measure_truncation(spins, state.time)
        solved = self._windows(number)
        found = torque_errors(spins, torch.linalg.cross(spins, predicted), solved, state.time)
        flagged = self._objection(state, found) is not None
        if self.monitor.labels is not None and (flagged or self.monitor.keep == "all"):
            origin = {"file": self.run, "step": state.step, "time": state.time, "replica": replica}
            self._label(solved, spins, {**origin, "flagged": flagged, "relative_error": found.relative})
        return found

    def _windows(self, number: int) -> list[SolvedWindow]:
        """Windows, or the whole, to be solved at check number `number`."""
        if self._whole:
            return self._solved(windows(self.source.system, None))
        monitor = self.monitor
        assert monitor.buffer is not None
        shift = number * _SHIFT % 1.0
        return self._solved(windows(self.source.system, monitor.window, monitor.buffer, monitor.places, shift))

    def _solved(self, parts: Iterable[Window]) -> list[SolvedWindow]:
        return [SolvedWindow.of(part, source_on(self.monitor.exact, part.system)) for part in parts]

    def _measure_truncation(self, spins: Tensor, time: float) -> None:
        """Choose the buffer, unless it is given, and measure what is left of the seam."""
        given = self.monitor.buffer
        if self._whole:
            self.truncation_error = 0.0
            return
        buffers = list(_BUFFERS) if given is None else [max(1, math.ceil(given / 1.5)), given]
        before = common = None
        self.truncation_error = math.nan
        for buffer in buffers:
            part = block(self.source.system, self.monitor.window, buffer, (0, 0, 0))
            if before is not None and given is None and part.system.n_sites > self.monitor.max_sites:
                break
            common = part.sites[part.inner] if common is None else common
            (solved,) = self._solved([part])
            torques = spins.new_zeros(spins.shape)
            torques[solved.sites] = solved.source.torque(spins[solved.sites], time)
            torques = torques[common]
            self.monitor = replace(self.monitor, buffer=buffer)
            if before is not None:
                self.truncation_error = float((torques - before).square().mean().sqrt())
                if self.truncation_error <= self.monitor.truncation * float(torques.square().mean().sqrt()):
                    return
            before = torques
        warnings.warn(
            f"windows of {self.monitor.window} cells with a buffer of {self.monitor.buffer}: their exact torques are "
            f"known to {self.truncation_error:.2g} per component, more than truncation={self.monitor.truncation:.0%} "
            "of the torque; allow a larger max_sites or buffer",
            UntrustedField,
            stacklevel=2,
        )

    def _label(self, solved: list[SolvedWindow], spins: Tensor, origin: dict[str, Any]) -> None:
        """Append what was solved, unless the store has it from before an interruption."""
        assert self.monitor.labels is not None
        path = Path(self.monitor.labels)
        exists = path.exists() or path.with_name(path.name + ".pending").exists()
        store = LabelStore(path) if exists else LabelStore.create(path, {"made_by": "monitor of a run"})
        known = [(each.get("file"), each.get("step"), each.get("place")) for each in store.provenances]
        for place, each in enumerate(solved):
            if (origin["file"], origin["step"], place) in known:
                continue
            own, exact = spins[each.sites], each.source
            energy, exact_field = exact.energy_and_field(own) if exact.has_energy else (None, exact.field(own))
            provenance = {**origin, "place": place, "sampler": {"kind": "monitor"}, "source": exact.specification()}
            number = None if energy is None else float(energy)
            store.append(Label(exact.system, own, exact_field, energy=number, provenance=provenance))
