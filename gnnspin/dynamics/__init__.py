"""Landau-Lifshitz-Gilbert dynamics: steps, thermal noise, the simulation loop and trajectory files."""

from gnnspin.dynamics.adaptive import adaptive_step
from gnnspin.dynamics.loop import Run
from gnnspin.dynamics.protocols import Anneal, Protocol, Quench, Ramp, Table
from gnnspin.dynamics.rebuild import StoredSource, rebuild_source, register_rebuilder
from gnnspin.dynamics.simulate import INTEGRATORS, resume, simulate
from gnnspin.dynamics.state import SimulationError, State, StepParameters, per_part
from gnnspin.dynamics.steps import heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step
from gnnspin.dynamics.timestep import TimeStepWarning, suggest_timestep
from gnnspin.dynamics.trajectory import Trajectory
from gnnspin.dynamics.units import PhysicalUnits, gilbert_form, rate_form, review_form
from gnnspin.dynamics.vacancies import Diluted

__all__ = [
    "INTEGRATORS",
    "Anneal",
    "Diluted",
    "PhysicalUnits",
    "Protocol",
    "Quench",
    "Ramp",
    "Run",
    "SimulationError",
    "State",
    "StepParameters",
    "StoredSource",
    "Table",
    "TimeStepWarning",
    "Trajectory",
    "adaptive_step",
    "gilbert_form",
    "heun_step",
    "per_part",
    "rate_form",
    "rebuild_source",
    "register_rebuilder",
    "resume",
    "review_form",
    "rotation_step",
    "semi_implicit_step",
    "simulate",
    "spherical_midpoint_step",
    "suggest_timestep",
]
