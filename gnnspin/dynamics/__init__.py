"""Landau-Lifshitz-Gilbert dynamics: steps, thermal noise, the simulation loop and trajectory files."""

from gnnspin.dynamics.adaptive import adaptive_step
from gnnspin.dynamics.export import export_trajectory, write_extxyz, write_ovf, write_vtk
from gnnspin.dynamics.loop import Run
from gnnspin.dynamics.minimize import Minimum, minimize
from gnnspin.dynamics.protocols import Anneal, Protocol, Quench, Ramp, Table
from gnnspin.dynamics.rebuild import StoredSource, rebuild_source, register_rebuilder
from gnnspin.dynamics.sampler import Sampler, SamplerState, SampleRun, sample
from gnnspin.dynamics.sampling import HeatBath, Langevin, Metropolis
from gnnspin.dynamics.simulate import INTEGRATORS, resume, simulate
from gnnspin.dynamics.spectrum import DynamicStructureFactor, Spectrum
from gnnspin.dynamics.state import SimulationError, State, StepParameters, per_part
from gnnspin.dynamics.steps import heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step
from gnnspin.dynamics.tempering import ParallelTempering, TemperingState
from gnnspin.dynamics.thermometry import energy_per_site, spin_temperature, temperature_terms, torque_residual
from gnnspin.dynamics.timestep import TimeStepWarning, suggest_timestep
from gnnspin.dynamics.trajectory import Trajectory
from gnnspin.dynamics.units import PhysicalUnits, gilbert_form, rate_form, review_form
from gnnspin.dynamics.vacancies import Diluted

__all__ = [
    "INTEGRATORS",
    "Anneal",
    "Diluted",
    "DynamicStructureFactor",
    "HeatBath",
    "Langevin",
    "Metropolis",
    "Minimum",
    "ParallelTempering",
    "PhysicalUnits",
    "Protocol",
    "Quench",
    "Ramp",
    "Run",
    "SampleRun",
    "Sampler",
    "SamplerState",
    "SimulationError",
    "Spectrum",
    "State",
    "StepParameters",
    "StoredSource",
    "Table",
    "TemperingState",
    "TimeStepWarning",
    "Trajectory",
    "adaptive_step",
    "energy_per_site",
    "export_trajectory",
    "gilbert_form",
    "heun_step",
    "minimize",
    "per_part",
    "rate_form",
    "rebuild_source",
    "register_rebuilder",
    "resume",
    "review_form",
    "rotation_step",
    "sample",
    "semi_implicit_step",
    "simulate",
    "spherical_midpoint_step",
    "spin_temperature",
    "suggest_timestep",
    "temperature_terms",
    "torque_residual",
    "write_extxyz",
    "write_ovf",
    "write_vtk",
]
