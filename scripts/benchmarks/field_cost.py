"""Time and memory of a field: by native code, by the model in torch, compiled, and in windows of several sizes.

    python scripts/benchmarks/field_cost.py pretrained:tetrahedral pretrained:tetrahedral_fast --length 48 --compiled
    python scripts/benchmarks/field_cost.py pretrained:triangular_120 --length 1024 --windows 64 128 256
    python scripts/benchmarks/field_cost.py pretrained:amorphous_sd --lattice amorphous --length 40 --compiled

Each row is a process of its own, with one thread: processor time per site, and by how much its largest resident
memory grew. Costs on other machines scale roughly by the rate of the matrix product.
"""

from __future__ import annotations

import argparse

import torch

import gnnspin as gs
from gnnspin.analysis.cost import field_cost, product_rate


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model files, or pretrained:NAME")
    parser.add_argument("--lattice", default="triangular", choices=["triangular", "square", "amorphous"])
    parser.add_argument("--length", type=int, default=48, help="sites along each side; its square if amorphous")
    parser.add_argument("--windows", type=int, nargs="*", default=[], help="sites along a window's side")
    parser.add_argument("--compiled", action="store_true", help="also through torch.compile")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    system = _system(arguments.lattice, arguments.length)
    print(
        f"{system}, torch {torch.__version__}, one thread; {product_rate():.0f} GFLOP/s in a float32 product of 1024^3"
    )
    print(f"{'µs per site':>12s} {'MB':>8s}  model")
    for model in arguments.models:
        rows = [(", as it is", field_cost(model, system)), (", in torch", field_cost(model, system, native=False))]
        if arguments.compiled:
            rows.append((", compiled", field_cost(model, system, compiled=True)))
        rows += [(f", {n}x{n} windows", field_cost(model, system, max_sites=n * n)) for n in arguments.windows]
        for how, cost in rows:
            print(f"{cost.microseconds_per_site:12.1f} {cost.megabytes:8.0f}  {model}{how}", flush=True)


def _system(lattice: str, length: int) -> gs.systems.SpinSystem:
    if lattice != "amorphous":
        build = gs.systems.square if lattice == "square" else gs.systems.triangular
        return build(length, length)
    n_sites = length * length
    return gs.systems.amorphous(n_sites, box=(n_sites / 0.8) ** (1 / 3), min_distance=0.5, seed=0)


if __name__ == "__main__":
    main()
