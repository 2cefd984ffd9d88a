"""Trajectory files, their reader and writer, sources rebuilt from them, and exports for other programs."""

from gnnspin.trajectories.export import export_trajectory, write_extxyz, write_ovf, write_vtk
from gnnspin.trajectories.rebuild import StoredSource, rebuild_source, register_rebuilder
from gnnspin.trajectories.trajectory import Trajectory

__all__ = [
    "StoredSource",
    "Trajectory",
    "export_trajectory",
    "rebuild_source",
    "register_rebuilder",
    "write_extxyz",
    "write_ovf",
    "write_vtk",
]
