"""Cost per site of the papers' force fields: descriptor and network, forward and backward apart; peak memory.

    python scripts/benchmarks/behler_parrinello_cost.py [--descriptor '{"kind": "magnetic_acsf", "preset": "paper"}']
        [--hidden glass] [--system amorphous | square | triangular | honeycomb | simple_cubic]
        [--sizes 1000 100000] [--cutoff 2.5] [--dtype float32] [--repeats 3]

Amorphous packings have 0.8 sites per unit volume and a minimum distance of 0.5 (the spin glass's). Times are
processor time of one thread, the best of the repeats, so that a busy machine disturbs little; the network sees
at most 16,384 sites at a time. The peak is the largest resident memory; sizes ascend, and what the process held
before the system was prepared stands beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.models.architectures.behler_parrinello import SITES_AT_ONCE, BehlerParrinello
from gnnspin.systems import SpinSystem

COLUMNS = ("prepare", "features", "backward", "network", "backward", "field")


def system_of(kind: str, n_sites: int) -> SpinSystem:
    """A periodic system of about `n_sites` sites."""
    if kind == "amorphous":
        return gs.systems.amorphous(n_sites, (n_sites / 0.8) ** (1 / 3), 0.5, seed=0)
    if kind == "simple_cubic":
        length = round(n_sites ** (1 / 3))
        return gs.systems.simple_cubic(length, length, length)
    length = round(n_sites**0.5)
    return getattr(gs.systems, kind)(length, length)


def resident() -> float:
    """Largest memory this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def seconds(model: BehlerParrinello, data: object, spins: torch.Tensor) -> tuple[float, ...]:
    """Features, their backward pass, network, its backward pass, and the whole field: processor time of each."""
    marks = []

    def mark() -> None:
        marks.append(time.process_time())

    moving = spins.clone().requires_grad_()
    mark()
    features = model.descriptor(data, moving)
    mark()
    torch.autograd.grad(features, moving, torch.ones_like(features))
    mark()
    forward = backward = 0.0
    for part in features.detach().flatten(0, 1).split(SITES_AT_ONCE):
        variable = part.clone().requires_grad_()
        start = time.process_time()
        energies = model.network(model.standardization(variable)).sum()
        middle = time.process_time()
        torch.autograd.grad(energies, variable)
        forward, backward = forward + middle - start, backward + time.process_time() - middle
    del features, moving
    start = time.process_time()
    model.energies_and_fields(data, spins)
    return marks[1] - marks[0], marks[2] - marks[1], forward, backward, time.process_time() - start


def measure(n_sites: int, arguments: argparse.Namespace) -> None:
    """Print one row."""
    system = system_of(arguments.system, n_sites)
    dtype = getattr(torch, arguments.dtype)
    spec = gs.graphs.GraphSpec.for_system(system, arguments.cutoff)
    held = resident()
    start = time.process_time()
    values = {"descriptor": arguments.descriptor, "hidden": arguments.hidden, "activation": "relu"}
    model = gs.models.build("behler_parrinello", spec, **BehlerParrinello.for_system(system, values)).to(dtype)
    assert isinstance(model, BehlerParrinello)
    data = model.prepare(system).to("cpu", dtype)
    preparation = time.process_time() - start
    spins = random_spins(system.n_sites, replicas=(1,), seed=0, dtype=dtype)
    times = preparation, *map(min, zip(*(seconds(model, data, spins) for _ in range(arguments.repeats)), strict=True))
    cells = " ".join(f"{1e6 * t / system.n_sites:9.1f}" for t in times)
    n_features = model.descriptor.n_features
    print(f"{system.n_sites:9d} {n_features:9d} {cells} {resident():8.2f} ({held:.2f})", flush=True)


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--descriptor", type=json.loads, default={"kind": "magnetic_acsf", "preset": "paper"})
    parser.add_argument("--hidden", default="glass", choices=["tetrahedral", "glass", "double_exchange"])
    parser.add_argument(
        "--system", default="amorphous", choices=["amorphous", "square", "triangular", "honeycomb", "simple_cubic"]
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--cutoff", type=float, default=2.5)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.descriptor}, network {arguments.hidden}\n{arguments.system}, cutoff {arguments.cutoff}", end="")
    print(f", {arguments.dtype}, torch {torch.__version__}; microseconds per site on one thread")
    print(f"{'sites':>9s} {'features':>9s} {' '.join(f'{name:>9s}' for name in COLUMNS)}  peak GB (before)")
    for n_sites in sorted(arguments.sizes):
        measure(n_sites, arguments)


if __name__ == "__main__":
    main()
