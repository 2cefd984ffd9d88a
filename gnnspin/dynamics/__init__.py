"""Landau-Lifshitz-Gilbert dynamics: steps, thermal noise, the simulation loop and trajectory files."""

from gnnspin.dynamics.loop import Run
from gnnspin.dynamics.simulate import INTEGRATORS, resume, simulate
from gnnspin.dynamics.state import SimulationError, State, StepParameters
from gnnspin.dynamics.steps import heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step
from gnnspin.dynamics.trajectory import Trajectory

__all__ = [
    "INTEGRATORS",
    "Run",
    "SimulationError",
    "State",
    "StepParameters",
    "Trajectory",
    "heun_step",
    "resume",
    "rotation_step",
    "semi_implicit_step",
    "simulate",
    "spherical_midpoint_step",
]
