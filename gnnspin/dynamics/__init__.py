"""Landau-Lifshitz-Gilbert dynamics: steps, thermal noise and the simulation loop."""

from gnnspin.core.moved import moved_names
from gnnspin.dynamics.adaptive import adaptive_step
from gnnspin.dynamics.integrators import INTEGRATORS, register_integrator
from gnnspin.dynamics.loop import Run
from gnnspin.dynamics.monitor import Monitor
from gnnspin.dynamics.multistep import extrapolated_midpoint_step
from gnnspin.dynamics.observers import register_observer
from gnnspin.dynamics.parameters import StepParameters, per_part
from gnnspin.dynamics.protocols import Anneal, Protocol, Quench, Ramp, Table
from gnnspin.dynamics.simulate import resume, simulate
from gnnspin.dynamics.spectrum import DynamicStructureFactor, Spectrum
from gnnspin.dynamics.steps import heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step
from gnnspin.dynamics.thermometry import energy_per_site, spin_temperature, temperature_terms, torque_residual
from gnnspin.dynamics.timestep import TimeStepWarning, suggest_timestep
from gnnspin.dynamics.units import PhysicalUnits, gilbert_form, rate_form, review_form

__all__ = [
    "INTEGRATORS",
    "Anneal",
    "DynamicStructureFactor",
    "Monitor",
    "PhysicalUnits",
    "Protocol",
    "Quench",
    "Ramp",
    "Run",
    "Spectrum",
    "StepParameters",
    "Table",
    "TimeStepWarning",
    "adaptive_step",
    "energy_per_site",
    "extrapolated_midpoint_step",
    "gilbert_form",
    "heun_step",
    "per_part",
    "rate_form",
    "register_integrator",
    "register_observer",
    "resume",
    "review_form",
    "rotation_step",
    "semi_implicit_step",
    "simulate",
    "spherical_midpoint_step",
    "spin_temperature",
    "suggest_timestep",
    "temperature_terms",
    "torque_residual",
]

__getattr__ = moved_names(
    __name__,
    {
        "Diluted": "gnnspin.core",
        "HeatBath": "gnnspin.sampling",
        "Langevin": "gnnspin.sampling",
        "Metropolis": "gnnspin.sampling",
        "Minimum": "gnnspin.sampling",
        "OBSERVERS": "gnnspin.dynamics.observers",
        "ParallelTempering": "gnnspin.sampling",
        "SampleRun": "gnnspin.sampling",
        "Sampler": "gnnspin.sampling",
        "SamplerState": "gnnspin.sampling",
        "SimulationError": "gnnspin.core",
        "State": "gnnspin.core",
        "StoredSource": "gnnspin.trajectories",
        "TemperingState": "gnnspin.sampling",
        "Trajectory": "gnnspin.trajectories",
        "export_trajectory": "gnnspin.trajectories",
        "minimize": "gnnspin.sampling",
        "rebuild_source": "gnnspin.trajectories",
        "register_rebuilder": "gnnspin.trajectories",
        "sample": "gnnspin.sampling",
        "write_extxyz": "gnnspin.trajectories",
        "write_ovf": "gnnspin.trajectories",
        "write_vtk": "gnnspin.trajectories",
    },
)
