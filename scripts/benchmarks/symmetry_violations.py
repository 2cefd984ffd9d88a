"""Largest change of a torque under symmetry operations: against the rms torque, the hopping, and the rms field.

    python scripts/benchmarks/symmetry_violations.py pretrained:tetrahedral --lattice triangular --length 24

Random spins, float32. The rounding is that of the field, which may be many times larger than the torque.
"""

from __future__ import annotations

import argparse

import torch

import gnnspin as gs
from gnnspin.analysis.symmetries import symmetry_violations
from gnnspin.core import random_spins, torque


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model files, or pretrained:NAME")
    parser.add_argument("--lattice", default="triangular", choices=["triangular", "square", "amorphous"])
    parser.add_argument("--length", type=int, default=24, help="sites along each side; amorphous has 100 in all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    system = (
        gs.systems.amorphous(100, box=5.0, min_distance=0.5, seed=0)
        if arguments.lattice == "amorphous"
        else getattr(gs.systems, arguments.lattice)(arguments.length, arguments.length)
    )
    spins = random_spins(system.n_sites, seed=0)
    print(f"{system}\n{'torque':>10s} {'hopping':>10s} {'field':>10s}  model")
    for name in arguments.models:
        source = gs.load(name, system)
        field = source.field(spins)
        sizes = [float(values.square().mean().sqrt()) for values in (torque(spins, field), field)]
        kept = {key: value for key, value in symmetry_violations(source).items() if key in source.model.symmetries}
        largest = max(kept.values()) * sizes[0]
        print(f"{largest / sizes[0]:10.1e} {largest:10.1e} {largest / sizes[1]:10.1e}  {name}", flush=True)


if __name__ == "__main__":
    main()
