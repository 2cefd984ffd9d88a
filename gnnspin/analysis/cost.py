"""Cost of a field evaluation: time and memory per site."""

from __future__ import annotations

import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.force_fields.files import load
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import cell_indices, cell_number, is_lattice

#: Sites on which costs are measured by default: those of 48 x 48 cells, the size the documentation names.
TIMED_SITES = 2304


@dataclass(frozen=True)
class FieldCost:
    """Cost of one field evaluation of a force field.

    Attributes
    ----------
    microseconds_per_site : float
        Processor time of all threads, median over repetitions, for one replica; wall time on an idle machine with one
        thread, and hardly different on a busy one.
    megabytes : float
        Growth of the largest resident memory of a fresh process from before the geometry is prepared.
    n_sites, n_threads : int
    """

    microseconds_per_site: float
    megabytes: float
    n_sites: int
    n_threads: int


def field_cost(
    path: str | Path,
    system: SpinSystem,
    *,
    seconds: float = 5.0,
    compiled: bool = False,
    native: bool | None = None,
    max_sites: int | None = None,
) -> FieldCost:
    """Measure the field evaluation of a saved model on `system` in a process of its own.

    Parameters
    ----------
    path : path
        Model file.
    system : SpinSystem
    seconds : float
        Time to spend on repetitions, at least three.
    compiled : bool
        Compile the model first; the time this takes is not counted.
    native : bool, optional
        True: by native code; False: by the model in torch; default: what `ForceField` chooses.
    max_sites : int, optional
        Evaluate in windows of at most this many sites, see `ForceField.tile`.

    Returns
    -------
    FieldCost
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        threads = torch.get_num_threads()
        return pool.submit(_measure, str(path), system, seconds, threads, compiled, native, max_sites).result()


def source_cost(source: FieldSource, spins: Tensor, *, seconds: float = 1.0) -> float:
    """Processor time of a field of any source per site in microseconds, the least of at least three in this process.

    Parameters
    ----------
    source : FieldSource
    spins : (..., N, 3)
        A first field, which may build plans and code, is not counted.
    seconds : float
        Time to spend on repetitions.
    """
    durations: list[float] = []
    source.field(spins)
    while len(durations) < 3 or sum(durations) < seconds:
        start = time.process_time()
        source.field(spins)
        durations.append(time.process_time() - start)
    return 1e6 * min(durations) / source.system.n_sites


def product_rate(size: int = 1024) -> float:
    """Rate of a float32 matrix product, in 10^9 floating-point operations per second of processor time."""
    matrix = torch.ones(size, size)
    durations = []
    for _ in range(6):
        start = time.process_time()
        matrix @ matrix
        durations.append(time.process_time() - start)
    return 2e-9 * size**3 / min(durations)


def enlarged(system: SpinSystem, n_sites: int = TIMED_SITES) -> SpinSystem:
    """A system of at least `n_sites` sites made of copies of `system` side by side along its periodic directions.

    A direction gets one copy more wherever the whole is shortest. Lattices stay lattices. A system without a periodic
    direction, or as large already, is returned as it is.
    """
    lengths = np.where(system.pbc, np.linalg.norm(system.cell, axis=1), np.inf)
    copies = np.ones(3, dtype=np.int64)
    while any(system.pbc) and system.n_sites * copies.prod() < n_sites:
        copies[np.argmin(lengths * copies)] += 1
    if copies.prod() == 1:
        return system
    shape = np.array(system.lattice_shape if is_lattice(system) else (1, 1, 1))
    n_basis = system.n_sites // int(shape.prod())
    cells = cell_indices(shape * copies)
    positions = (cells @ (system.cell / shape[:, None]))[:, None] + system.positions[:n_basis]
    species = system.species.reshape(-1, n_basis)[cell_number(cells, shape)]
    return SpinSystem(
        positions.reshape(-1, 3),
        system.cell * copies[:, None],
        system.pbc,
        species.ravel(),
        lattice_shape=(shape * copies).tolist() if is_lattice(system) else None,
        polar_axis=system.polar_axis,
    )


def _measure(
    path: str,
    system: SpinSystem,
    seconds: float,
    n_threads: int,
    compiled: bool,
    native: bool | None,
    max_sites: int | None,
) -> FieldCost:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    torch.set_num_threads(n_threads)
    before = _peak_megabytes()
    force_field = load(path, system)
    if max_sites is not None:
        force_field = force_field.tile(max_sites)
    if native is not None:
        force_field.native(native)
    if compiled:
        force_field.compile()
    spins = random_spins(system.n_sites, seed=0).to(force_field.dtype)
    for _ in range(2 if compiled else 1):
        force_field.field(spins)
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < seconds:
        start = time.process_time()
        force_field.field(spins)
        durations.append(time.process_time() - start)
    median = sorted(durations)[len(durations) // 2]
    return FieldCost(1e6 * median / system.n_sites, _peak_megabytes() - before, system.n_sites, n_threads)


def _peak_megabytes() -> float:
    """Largest resident memory of this process; on Linux not that of the process it was started from."""
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
