"""Time and memory of a field on a large lattice: whole, and in windows of several sizes.

    python scripts/benchmarks/tiling_cost.py pretrained:triangular_120 --length 1024 --windows 64 128 256

Each row is a process of its own, with one thread: processor time per site of the lattice, and by how much its largest
resident memory grew.
"""

from __future__ import annotations

import argparse

import torch

import gnnspin as gs
from gnnspin.training.cost import field_cost


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="pretrained:triangular_120")
    parser.add_argument("--lattice", default="triangular", choices=["triangular", "square"])
    parser.add_argument("--length", type=int, default=1024, help="sites along each side")
    parser.add_argument("--windows", type=int, nargs="*", default=[64, 128, 256], help="sites along a window's side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    system = getattr(gs.systems, arguments.lattice)(arguments.length, arguments.length)
    print(f"{arguments.model} on {system}, torch {torch.__version__}, one thread")
    print(f"{'window':>10s} {'µs per site':>12s} {'MB':>8s}")
    for side in (None, *arguments.windows):
        cost = field_cost(arguments.model, system, max_sites=None if side is None else side**2)
        name = "whole" if side is None else f"{side}x{side}"
        print(f"{name:>10s} {cost.microseconds_per_site:12.1f} {cost.megabytes:8.0f}", flush=True)


if __name__ == "__main__":
    main()
