"""A simulation described in a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.dynamics.simulate import Run, resume, simulate
from gnnspin.electrons.equilibrium import SolverRecipe
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.force_fields.files import load
from gnnspin.observables import magnetization, neighbor_correlation, perturbed, reference_order
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import SystemConfig
from gnnspin.trajectories.observers import Observer
from gnnspin.trajectories.trajectory import Trajectory


class SourceConfig(Config):
    """What pushes the spins: a learned model, or a Hamiltonian with an exact solver."""

    model: str | None = Field(default=None, description="file of a learned force field")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where a learned force field runs")
    hamiltonian: HamiltonianRecipe | None = Field(default=None, description="the electrons of an exact solver")
    solver: SolverRecipe | None = Field(default=None, description="exact solver, with its temperature and ensemble")

    @model_validator(mode="after")
    def _one_source(self) -> SourceConfig:
        exact = self.hamiltonian is not None and self.solver is not None
        if (self.model is None) is not exact or (self.model and (self.hamiltonian or self.solver)):
            raise ValueError("give either model, or hamiltonian and solver")
        return self

    def build(self, system: SpinSystem) -> FieldSource:
        """The field source on `system`."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidInput("source.device=cuda, but torch finds no CUDA device here; set it to cpu")
        if self.model is not None:
            return load(self.model, system).to(self.device)
        assert self.hamiltonian is not None
        assert self.solver is not None
        return self.solver.build(device=self.device, hamiltonian=self.hamiltonian.build(system))


class InitialConfig(Config):
    """Initial spins."""

    kind: str = Field(default="random", description="random, or the name of an order such as 120-degree")
    amplitude: float = Field(default=0.0, ge=0, description="noise on an order")
    seed: int = Field(default=0, ge=0)
    replicas: int = Field(default=1, ge=1, description="independent copies, integrated together")

    def build(self, system: SpinSystem, dtype: torch.dtype) -> Tensor:
        """Spins (replicas, N, 3)."""
        if self.kind == "random":
            return random_spins(system.n_sites, replicas=(self.replicas,), seed=self.seed, dtype=dtype)
        order = reference_order(self.kind, system)
        copies = [perturbed(order, self.amplitude, seed=self.seed + k) for k in range(self.replicas)]
        return torch.stack(copies).to(dtype)


ObserverName = Literal["energy_per_site", "magnetization", "neighbor_correlation"]


class SimulationConfig(Config):
    """What `gnnspin simulate` takes."""

    system: SystemConfig
    source: SourceConfig
    initial: InitialConfig = InitialConfig()
    dt: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        description="time step in 1/(gamma t), or auto: as long as `accuracy` allows for the initial spins"
    )
    accuracy: float = Field(
        default=0.01, gt=0, description="for dt: auto, error in radians by the time the spins have turned by one radian"
    )
    n_steps: int = Field(gt=0)
    damping: float = Field(default=0.1, ge=0, description="dimensionless damping lambda")
    kT: float = Field(default=0.0, ge=0, description="temperature of the spins")
    integrator: str = Field(default="semi_implicit", description="name of the integrator")
    seed: int = Field(default=0, ge=0, description="seed of the thermal noise")
    observers: tuple[ObserverName, ...] = Field(default=("neighbor_correlation",), description="what to record")
    observe_every: int = Field(default=10, ge=1)
    save_every: int | None = Field(default=None, ge=1, description="steps between stored frames")
    dtype: Literal["float32", "float64"] = Field(default="float64", description="precision of the spins")

    def run(self, output: str | Path, *, continue_run: bool = False, progress: bool = True) -> Run:
        """Simulate into the trajectory file `output`, or continue the run there; errors as in `simulate` and `resume`.

        A continued run may have more steps than before, and nothing else may differ.
        """
        system = self.system.build()
        source = self.source.build(system)
        observers: dict[str, Observer] = {name: _observer(name, source) for name in self.observers}
        path = Path(output)
        if path.exists() and continue_run:
            steps = self._steps_left(path)
            return resume(path, source, n_steps=steps, observers=observers, progress=progress)
        if path.exists():
            raise StoreError(f"{path} exists; choose another output, or --resume to continue it")
        return simulate(
            source,
            self.initial.build(system, getattr(torch, self.dtype)),
            dt=self.dt,
            accuracy=self.accuracy,
            n_steps=self.n_steps,
            damping=self.damping,
            kT=self.kT,
            integrator=self.integrator,
            seed=self.seed,
            observers=observers,
            observe_every=self.observe_every,
            trajectory=path,
            save_every=self.save_every,
            progress=progress,
        )

    def _steps_left(self, path: Path) -> int:
        """Steps that are missing in a trajectory; InvalidInput if it is a run of other settings."""
        with Trajectory(path) as stored:
            saved = {**stored.settings, "damping": stored.damping, "kT": stored.kT, "dtype": stored.state.spins.dtype}
            step, replicas = stored.state.step, len(stored.state.spins)
        given = {name: getattr(self, name) for name in ("damping", "kT", "integrator", "seed", "observe_every")}
        given["dtype"] = getattr(torch, self.dtype)
        given |= {} if self.dt == "auto" else {"dt": self.dt}
        given |= {} if self.save_every is None else {"save_every": self.save_every}
        differing = [f"{name}={value} (stored {saved[name]})" for name, value in given.items() if saved[name] != value]
        if replicas != self.initial.replicas:
            differing.append(f"initial.replicas={self.initial.replicas} (stored {replicas})")
        if self.n_steps < step:
            differing.append(f"n_steps={self.n_steps} (it has done {step})")
        if differing:
            raise InvalidInput(f"{path} is a run with other settings: {', '.join(differing)}; only n_steps may grow")
        return self.n_steps - step


def _observer(name: ObserverName, source: FieldSource) -> Observer:
    system = source.system
    if name == "energy_per_site":
        return lambda state: source.energy(state.spins, state.time) / system.n_sites
    if name == "magnetization":
        return lambda state: magnetization(state.spins)
    return lambda state: neighbor_correlation(system, state.spins).mean(-1)
