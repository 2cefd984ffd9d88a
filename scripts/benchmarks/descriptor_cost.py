"""Cost per site of a descriptor: preparation, features, and features with their gradient; peak memory.

    python scripts/benchmarks/descriptor_cost.py [--descriptor '{"kind": "magnetic_acsf", "preset": "paper"}']
        [--system amorphous | square | triangular | honeycomb | simple_cubic]
        [--sizes 1000 100000] [--cutoff 2.5] [--dtype float32] [--repeats 3]

Amorphous packings have 0.8 sites per unit volume and a minimum distance of 0.5 (the spin glass's). Times are
processor time of one thread, the best of the repeats, so that a busy machine disturbs little. The peak is the process's
largest resident memory; sizes ascend, and what the process held before the system was prepared stands beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

import gnnspin as gs
from gnnspin import descriptors
from gnnspin.core import random_spins
from gnnspin.systems import SpinSystem


def descriptor_config(values: dict[str, Any], system: SpinSystem) -> Any:
    """The configuration among the package's descriptors whose `kind` is the given one, for the lattice of `system`."""
    configurations = [getattr(descriptors, name) for name in dir(descriptors) if name.endswith("Config")]
    known = {each.model_fields["kind"].default: each for each in configurations}
    if values.get("kind") not in known:
        raise SystemExit(f"kind must be one of {sorted(known)}")
    configuration = known[values["kind"]]
    return getattr(configuration, "for_system", lambda _, **given: configuration(**given))(system, **values)


def system_of(kind: str, n_sites: int) -> SpinSystem:
    """A periodic system of about `n_sites` sites."""
    if kind == "amorphous":
        return gs.systems.amorphous(n_sites, (n_sites / 0.8) ** (1 / 3), 0.5, seed=0)
    if kind == "simple_cubic":
        length = round(n_sites ** (1 / 3))
        return gs.systems.simple_cubic(length, length, length)
    length = round(n_sites**0.5)
    return getattr(gs.systems, kind)(length, length)


def best(function: Callable[[], object], repeats: int) -> float:
    """Least processor time of some calls, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def resident() -> float:
    """Largest memory this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(n_sites: int, arguments: argparse.Namespace) -> None:
    """Print one row."""
    system = system_of(arguments.system, n_sites)
    config = descriptor_config(arguments.descriptor, system)
    dtype = getattr(torch, arguments.dtype)
    spec = gs.graphs.GraphSpec.for_system(system, arguments.cutoff)
    held = resident()
    start = time.process_time()
    descriptor = config.build(spec)
    data = descriptor.prepare(system).to("cpu", dtype)
    preparation = time.process_time() - start
    descriptor = descriptor.to(dtype)
    spins = random_spins(system.n_sites, replicas=(1,), seed=0, dtype=dtype)

    def forward() -> None:
        with torch.no_grad():
            descriptor(data, spins)

    def both() -> None:
        moving = spins.clone().requires_grad_()
        torch.autograd.grad(descriptor(data, moving).square().sum(), moving)

    times = preparation, best(forward, arguments.repeats), best(both, arguments.repeats)
    cells = " ".join(f"{1e6 * t / system.n_sites:12.1f}" for t in times)
    print(f"{system.n_sites:9d} {descriptor.n_features:9d} {cells} {resident():8.2f} ({held:.2f})", flush=True)


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--descriptor", type=json.loads, default={"kind": "magnetic_acsf", "preset": "paper"})
    parser.add_argument(
        "--system", default="amorphous", choices=["amorphous", "square", "triangular", "honeycomb", "simple_cubic"]
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--cutoff", type=float, default=2.5)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.descriptor}\n{arguments.system}, cutoff {arguments.cutoff}, {arguments.dtype}", end="")
    print(f", torch {torch.__version__}; microseconds per site on one thread")
    columns = " ".join(f"{name:>12s}" for name in ("prepare", "features", "and gradient"))
    print(f"{'sites':>9s} {'features':>9s} {columns}  peak GB (before)")
    for n_sites in sorted(arguments.sizes):
        measure(n_sites, arguments)


if __name__ == "__main__":
    main()
