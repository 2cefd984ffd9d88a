"""Time per site and memory of learned fields on large systems against small ones, on a CPU.

    python scripts/benchmarks/size_scaling.py [--gigabytes 4] [--rounds 3]
    python scripts/benchmarks/size_scaling.py tetrahedral_fast triangular_120 --whole

Lattices of 64x64 and 1024x1024 sites, packings of 10^3 and 10^5 sites. The large field runs in windows where it would
not fit into the given memory. The clock is the processor time of this process. Small and large fields are evaluated in
turn; of each the fastest round counts. Memory is the peak of the process during the large field less what it held
before; "whole" is what the field would take in one piece, "predicted" what it takes as it runs; both hold for
the model in torch. Native code takes less: with --whole the large system runs in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer

import gnnspin as gs
from gnnspin.systems import SpinSystem


def packing(n_sites: int) -> SpinSystem:
    """A packing as dense as that of the spin glass: 100 sites in a cube of edge 5."""
    return gs.systems.amorphous(n_sites=n_sites, box=5.0 * (n_sites / 100) ** (1 / 3), min_distance=0.5, seed=0)


SYSTEMS: dict[str, tuple[Callable[..., SpinSystem], tuple[int, ...], tuple[int, ...]]] = {
    "tetrahedral_fast": (gs.systems.triangular, (64, 64), (1024, 1024)),
    "triangular_120": (gs.systems.triangular, (64, 64), (1024, 1024)),
    "amorphous_sd": (packing, (1_000,), (100_000,)),
}


def resident(key: str) -> int:
    """Bytes of memory of this process: ``VmRSS`` now, ``VmHWM`` the peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])


def seconds_per_site(source: gs.ForceField, spins: torch.Tensor) -> float:
    """Processor time of one field evaluation over the number of sites."""
    start = time.process_time()
    source.field(spins)
    return (time.process_time() - start) / len(spins)


def measure(name: str, gigabytes: float, rounds: int, *, in_one_piece: bool = False) -> None:
    """Print one line of the table."""
    make, small, large = SYSTEMS[name]
    systems = [make(*small), make(*large)]
    sources = [gs.load(f"pretrained:{name}", system=system) for system in systems]
    spins = [gs.core.random_spins(system.n_sites, seed=0, dtype=torch.float32) for system in systems]
    whole = sources[1].memory()
    if not in_one_piece:
        sources[1].fit(gigabytes * 1e9)
    predicted, before = sources[1].memory(), resident("VmRSS")
    repeats = max(1, round(0.02 * systems[1].n_sites / systems[0].n_sites))
    fastest = [float("inf"), float("inf")]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    for _ in range(rounds):
        fastest[0] = min([fastest[0], *(seconds_per_site(sources[0], spins[0]) for _ in range(repeats))])
        fastest[1] = min(fastest[1], seconds_per_site(sources[1], spins[1]))
    windows, measured = sources[1].specification()["max_sites"], resident("VmHWM") - before
    typer.echo(
        f"{name:18s} {1e6 * fastest[0]:8.2f} {1e6 * fastest[1]:8.2f} us per site, ratio {fastest[1] / fastest[0]:.2f}; "
        f"whole {whole / 1e9:.2f} GB, predicted {predicted / 1e9:.2f}, measured {measured / 1e9:.2f}, "
        f"windows of {windows or 'all'} sites"
    )


def main(
    models: Annotated[list[str] | None, typer.Argument(help="Of the models in SYSTEMS; default: all.")] = None,
    gigabytes: Annotated[float, typer.Option(help="Memory that a field may take.")] = 4.0,
    rounds: Annotated[int, typer.Option(help="Rounds; the fastest counts.")] = 3,
    whole: Annotated[bool, typer.Option("--whole", help="The large system in one piece.")] = False,
) -> None:
    """Print microseconds per site of the small and the large system, their ratio, and memory."""
    for name in models or list(SYSTEMS):
        measure(name, gigabytes, rounds, in_one_piece=whole)


if __name__ == "__main__":
    typer.run(main)
