"""Export trajectories for other programs: extended XYZ, VTK XML (ParaView) and OVF 2.0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.runs import replaced
from gnnspin.systems.extended_xyz import write_extended_xyz
from gnnspin.systems.structures import to_ase
from gnnspin.systems.system import SpinSystem
from gnnspin.trajectories.frames import Frames
from gnnspin.trajectories.ovf import write_ovf
from gnnspin.trajectories.trajectory import Trajectory
from gnnspin.trajectories.vtk import vtk_suffix, write_pvd, write_vtk

__all__ = ["EXPORTS", "export_trajectory", "write_extxyz", "write_ovf", "write_vtk"]


def export_trajectory(
    trajectory: Trajectory | str | Path,
    path: str | Path,
    *,
    format: str | None = None,
    replica: int = 0,
    part: int = 0,
    frames: slice | Sequence[int] = slice(None),
    binary: bool = True,
) -> list[Path]:
    """Write the stored frames of one replica in another format, one frame in memory at a time.

    Parameters
    ----------
    trajectory : Trajectory or path of one
    path : path
        ``run.xyz`` or ``run.extxyz``: all frames in one file. ``run.pvd`` (VTK): a collection ParaView opens with the
        times, beside files ``run_000000.vti``, ... ``run.ovf``: files ``run_000000.ovf``, ...
    format : str, optional
        "extxyz", "vtk" or "ovf"; default: by the suffix of `path`.
    replica : int
        Which replica, counted row-major over the leading dimensions of the spins.
    part : int
        Which system, when the trajectory is that of a union.
    frames : slice or sequence of int
        Which frames, e.g. ``slice(None, None, 10)`` or ``[0, -1]``.
    binary : bool
        Binary data in VTK and OVF files, or text.

    Returns
    -------
    list of Path
        The written files, for VTK with the collection first. Files of these names are overwritten.

    Raises
    ------
    InvalidInput
        If the format, replica, part or a frame does not exist, or `frames` chooses none.
    StoreError
        If the trajectory cannot be read.
    """
    path = Path(path)
    name = format or {".xyz": "extxyz", ".pvd": "vtk", ".vti": "vtk", ".vts": "vtk", ".vtu": "vtk"}.get(
        path.suffix, path.suffix[1:]
    )
    if name not in EXPORTS:
        raise InvalidInput(f"format {name!r} of {path.name} is unknown; known: {', '.join(sorted(EXPORTS))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = trajectory if isinstance(trajectory, Trajectory) else Trajectory(trajectory)
    try:
        return EXPORTS[name](path, Frames(opened, replica, part, frames), binary)
    finally:
        if opened is not trajectory:
            opened.close()


def write_extxyz(
    path: str | Path, system: SpinSystem, spins: ArrayLike, *, append: bool = False, **information: Any
) -> None:
    """Write spins (N, 3) as one frame of an extended XYZ file, through ase.

    Columns: species, positions, magnetic moments (``initial_magmoms``, which ase takes as an atom's moment), the same
    vectors as ``spin``, and the integer ``kind`` (the species of the site). Atoms are the elements of which the species
    are the atomic numbers, else the unknown element X. `information` (numbers or text) goes to the comment line, beside
    the lattice shape and the polar axis. Numbers have 17 digits and are read back exactly. OVITO and ase read the file,
    and so do `gnnspin.systems.read` and `read_spins`.

    Raises
    ------
    InvalidInput
        If ase is not installed, or the spins do not fit the system.
    """
    given = as_spins(spins, system.n_sites)
    try:
        atoms = to_ase(system, given)
    except ImportError as error:
        raise InvalidInput("extended XYZ files are written by ase; install it with: pip install ase") from error
    atoms.set_array("kind", system.species.copy())
    atoms.set_array("spin", atoms.get_initial_magnetic_moments())
    atoms.info.update(information)
    write_extended_xyz(path, atoms, append=append)


def _export_extxyz(path: Path, frames: Frames, binary: bool) -> list[Path]:
    with replaced(path) as new:
        for frame in frames:
            write_extxyz(new, frame.system, frame.spins, append=True, time=frame.time, step=frame.step)
    return [path]


def _export_vtk(path: Path, frames: Frames, binary: bool) -> list[Path]:
    files, times = [], []
    for number, frame in enumerate(frames):
        files.append(path.with_name(f"{path.stem}_{number:06d}{vtk_suffix(frame.system)}"))
        times.append(frame.time)
        write_vtk(files[-1], frame.system, frame.spins, binary=binary)
    collection = path.with_suffix(".pvd")
    write_pvd(collection, files, times)
    return [collection, *files]


def _export_ovf(path: Path, frames: Frames, binary: bool) -> list[Path]:
    files = []
    for number, frame in enumerate(frames):
        files.append(path.with_name(f"{path.stem}_{number:06d}.ovf"))
        write_ovf(files[-1], frame.system, frame.spins, binary=binary, time=frame.time, step=frame.step)
    return files


Export: TypeAlias = Callable[[Path, Frames, bool], list[Path]]

#: Name of each format and its writer.
EXPORTS: dict[str, Export] = {"extxyz": _export_extxyz, "vtk": _export_vtk, "ovf": _export_ovf}
