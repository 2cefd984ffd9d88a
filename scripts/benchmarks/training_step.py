"""Cost of a step of a training by native code and in torch, in microseconds per site, and how well gradients agree.

    python scripts/benchmarks/training_step.py
    python scripts/benchmarks/training_step.py pretrained:tetrahedral_fast pretrained:double_exchange_square --length 30

Without models: four of the ladder that `gnnspin learn` climbs. A step is energies, fields, and the gradient of a loss
of torques, of one lattice, without the optimiser; processor time of one thread. Gradients are compared with second
derivatives by torch in double precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.analysis.cost import product_rate
from gnnspin.models.base import SpinModel

LADDER = {
    "spin_cluster_expansion, 4 channels": (
        "spin_cluster_expansion",
        2.0,
        {"layers": 2, "channels": 4, "scalars": 4, "max_degree": 2, "hidden": 32},
    ),
    "spin_cluster_expansion, 8 channels": (
        "spin_cluster_expansion",
        3.0,
        {"layers": 2, "channels": 8, "scalars": 8, "max_degree": 3, "hidden": 48},
    ),
    "oriented_cluster_expansion, 6 filters": (
        "oriented_cluster_expansion",
        2.0,
        {"layers": 2, "filters": 6, "channels": 3, "scalars": 3, "factors": 8, "hidden": 16},
    ),
    "oriented_cluster_expansion, 12 filters": (
        "oriented_cluster_expansion",
        2.0,
        {"layers": 3, "filters": 12, "channels": 6, "scalars": 6, "factors": 16, "hidden": 32},
    ),
}


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="model files, or pretrained:NAME")
    parser.add_argument("--lattice", default="triangular", choices=["triangular", "square"])
    parser.add_argument("--length", type=int, default=24, help="sites along each side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    build = gs.systems.square if arguments.lattice == "square" else gs.systems.triangular
    system = build(arguments.length, arguments.length)
    print(f"{system}, one thread; {product_rate():.0f} GFLOP/s in a float32 product of 1024^3; µs per site")
    print(f"{'field':>8s} {'step':>8s} {'field':>8s} {'step':>8s} {'step':>8s}  difference of the gradients")
    print(f"{'native':>8s} {'native':>8s} {'torch':>8s} {'torch':>8s} {'ratio':>8s}  native, torch (float32)")
    for name, model in _models(arguments.models, system):
        print(_row(model, system), f" {name}", flush=True)


def _models(names: Sequence[str], system: gs.systems.SpinSystem) -> Iterator[tuple[str, SpinModel]]:
    for name in names:
        yield name, gs.load(name, system).model
    for name, (architecture, cutoff, hyperparameters) in {} if names else LADDER.items():
        torch.manual_seed(0)
        model = gs.models.for_system(architecture, system, cutoff, **hyperparameters)
        spins = gs.core.random_spins(system.n_sites, seed=1)[None].float()
        model.calibrate(gs.core.move_arrays(model.prepare(system), dtype=torch.float32), spins)
        yield name, model


def _row(model: SpinModel, system: gs.systems.SpinSystem) -> str:
    model.requires_grad_(True).float()
    spins = gs.core.random_spins(system.n_sites, seed=0)[None]
    data = gs.core.move_arrays(model.prepare(system), dtype=torch.float32)
    native = model.native(system, torch.float32)
    assert native is not None, f"there is no native code of {model.name} on {system}"
    usual = model.energies_and_fields(data, spins.float())[1]
    noise = torch.randn(usual.shape, generator=torch.Generator().manual_seed(0))
    wanted = usual + 0.2 * float(usual.std()) * noise
    parameters = list(model.parameters())

    def gradients(found: Tensor, spins: Tensor) -> list[Tensor | None]:
        loss = gs.core.spins.torque(spins, found - wanted.to(found)).square().sum()
        return list(torch.autograd.grad(loss, parameters, allow_unused=True))

    def in_torch() -> list[Tensor | None]:
        return gradients(model.energies_and_fields(data, spins.float(), create_graph=True)[1], spins.float())

    def by_kernel() -> list[Tensor | None]:
        return gradients(native.trainable(spins.float())[1], spins.float())

    times = [
        _seconds(work) * 1e6 / system.n_sites
        for work in (
            lambda: native(spins.float(), field=True),
            by_kernel,
            lambda: model.energies_and_fields(data, spins.float()),
            in_torch,
        )
    ]
    single = by_kernel(), in_torch()
    model.double()
    data = gs.core.move_arrays(model.prepare(system), dtype=torch.float64)
    exact = gradients(model.energies_and_fields(data, spins.double(), create_graph=True)[1], spins.double())
    costs = " ".join(f"{value:8.1f}" for value in (*times, times[3] / times[1]))
    return f"{costs}  {_difference(single[0], exact):.1e} {_difference(single[1], exact):.1e}"


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of five."""
    work()
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _difference(found: Sequence[Tensor | None], exact: Sequence[Tensor | None]) -> float:
    """Root-mean-square difference over the size of the exact gradient."""
    pairs = [(a, b) for a, b in zip(found, exact, strict=True) if a is not None and b is not None]
    size = sum(float(b.square().sum()) for _, b in pairs)
    return (sum(float((a - b).square().sum()) for a, b in pairs) / size) ** 0.5


if __name__ == "__main__":
    main()
