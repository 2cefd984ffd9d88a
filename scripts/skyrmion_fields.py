"""Net charges of the triangular s-d model of skyrmion crystals, annealed from random spins in magnetic fields.

    python scripts/skyrmion_fields.py [--length 36] [--duration 3000] [--replicas 3] [--fields 0 0.0025 ...]

Under `pretrained:skyrmion_triangular_poles` and a Zeeman term; kT of the spins falls from 0.004 to 0. One thread.
"""

from __future__ import annotations

import argparse

import torch

import gnnspin as gs

#: Sites of a magnetic cell.
CELL = 48
FIELDS = (0.0, 0.0025, 0.0032, 0.0036, 0.004, 0.0045, 0.005, 0.0065, 0.008)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=36, help="sites along each side")
    parser.add_argument("--duration", type=float, default=3000.0)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--fields", type=float, nargs="+", default=FIELDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    system = gs.systems.triangular(given.length, given.length)
    model = gs.load("pretrained:skyrmion_triangular_poles", system)
    spins = gs.core.random_spins(system.n_sites, replicas=(given.replicas,), seed=41, dtype=torch.float64)
    kT = gs.dynamics.Ramp(0.004, 0.0, given.duration)
    steps = int(given.duration / 15.0)
    print("| magnetic field | net charge per magnetic cell | magnetization |\n|---|---|---|")
    for field in given.fields:
        source = model if field == 0 else model + gs.classical.Zeeman(system, B=[0.0, 0.0, field])
        end = gs.dynamics.simulate(
            source, spins, dt=15.0, n_steps=steps, damping=0.5, kT=kT, seed=41, progress=False
        ).spins
        charges = gs.observables.topological_charge(system, end).abs() * CELL / system.n_sites
        listed = ", ".join(f"{charge:.2f}" for charge in charges)
        print(f"| {field:g} | {listed} | {', '.join(f'{m:.2f}' for m in end.mean(1)[:, 2])} |", flush=True)


if __name__ == "__main__":
    main()
