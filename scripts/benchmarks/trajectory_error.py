"""Error of a trajectory against processor time: exact fields, learned ones, and learned ones corrected by exact ones.

    python scripts/benchmarks/trajectory_error.py [--size 24] [--seed 21]

Quench of the triangular lattice, J = 3, mu = -3.2, kT = 0.01, two replicas: the exact run to time 40 makes the start.
From there 40 units of time without noise; the error is the root-mean-square angle to the exact run, extrapolated from
dt = 1 and 0.5 of the semi-implicit step. Poles at tolerance 1e-2, one thread.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor

import gnnspin as gs

DURATION = 40.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--seed", type=int, default=21)
    given = parser.parse_args()
    torch.set_num_threads(1)
    system = gs.systems.triangular(given.size, given.size)
    hamiltonian = gs.electrons.SDHamiltonian(system, J=3.0)
    exact = gs.electrons.PoleExpansion(hamiltonian, kT=0.01, mu=-3.2, tolerance=1e-2)
    fast, poles = (gs.load(f"pretrained:tetrahedral_{name}", system) for name in ("fast", "poles"))
    random = gs.core.random_spins(system.n_sites, replicas=(2,), seed=given.seed)
    options: dict[str, Any] = {"damping": 0.1, "progress": False}
    start = gs.dynamics.simulate(exact, random, dt=2.0, n_steps=20, kT=0.01, seed=given.seed, **options).spins

    def moved(source: gs.core.FieldSource, dt: float, **more: Any) -> tuple[Tensor, float]:
        begin = time.process_time()
        run = gs.dynamics.simulate(source, start, dt=dt, n_steps=round(DURATION / dt), **options, **more)
        return run.spins, time.process_time() - begin

    fine, coarse = (moved(exact, dt)[0] for dt in (0.5, 1.0))
    reference = gs.core.normalize(fine + (fine - coarse) / 3)

    def angle(spins: Tensor) -> float:
        return float((spins - reference).square().sum(-1).mean().sqrt())

    print(f"the spins turn by {angle(start):.2f} rad\n\n| run | dt | angle | time |\n|---|---|---|---|")
    one = {"integrator": "extrapolated_midpoint"}
    rows: list[tuple[str, gs.core.FieldSource, float, dict[str, Any]]] = [
        *[("exact, semi_implicit", exact, dt, {}) for dt in (2.0, 4.0, 5.0)],
        *[("exact, extrapolated_midpoint", exact, dt, one) for dt in (2.0, 4.0, 5.0)],
        ("tetrahedral_fast, semi_implicit", fast, 1.0, {}),
        *[("tetrahedral_poles, extrapolated_midpoint", poles, dt, one) for dt in (2.0, 4.0)],
        *[
            (f"{name}, corrected every {every}, extrapolated_midpoint", source, dt, {**one, "correct_every": every})
            for name, source, dt, every in (
                ("tetrahedral_fast", fast, 1.0, 5),
                ("tetrahedral_fast", fast, 1.0, 8),
                ("tetrahedral_fast", fast, 2.5, 2),
                ("tetrahedral_poles", poles, 2.0, 5),
                ("tetrahedral_poles", poles, 4.0, 3),
            )
        ],
    ]
    for name, source, dt, more in rows:
        correction = {"correction": exact} if "correct_every" in more else {}
        spins, seconds = moved(source, dt, **more, **correction)
        print(f"| {name} | {dt:g} | {angle(spins):.4f} | {seconds:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
