"""Everything there is to check and to measure on a GPU, in one command of less than six minutes.

    python scripts/benchmarks/gpu.py OUTPUT_FOLDER
    python scripts/benchmarks/gpu.py OUTPUT_FOLDER --device cpu --quick     # tries the script itself, in a minute

Checks: torques of the shipped models, of exact solvers and of every integrator's spins against those of the CPU.
Figures: time and memory of fields, poles and steps against the number of sites; 10,000 steps of `tetrahedral_fast` on
50x50 and 500 steps with noise of `tetrahedral` on 96x96; the largest lattice that fits; the fraction of the roofline:
the time that the products or the memory traffic of a field would take at the rates of a large matrix product and of a
copy measured on this device, over the time it takes. Traffic counts every operation's inputs and outputs once; what is
fused or stays in caches can do better than that.

The folder then holds ``gpu.json`` and ``gpu.png``. Parts that no longer fit into the time are left out and named.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import gnnspin as gs
from gnnspin.core import FieldSource, InvalidInput
from gnnspin.dynamics.integrators import INTEGRATORS

LATTICES = {
    "tetrahedral": gs.systems.triangular,
    "tetrahedral_fast": gs.systems.triangular,
    "triangular_120": gs.systems.triangular,
    "skyrmion_triangular": gs.systems.triangular,
    "double_exchange_square": gs.systems.square,
    "kondo_square_random": gs.systems.square,
}


@dataclass
class Bench:
    """Device, time that is left, and results by name."""

    device: torch.device
    quick: bool
    seconds: float
    started: float = field(default_factory=time.perf_counter)
    results: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str, work: Callable[[Bench], Any]) -> None:
        """Do one part unless the time is over; an error is noted and does not stop the others."""
        used = time.perf_counter() - self.started
        if used > self.seconds:
            self.results[name] = {"left out": f"after {used:.0f} s"}
        else:
            try:
                self.results[name] = work(self)
            except (RuntimeError, InvalidInput) as error:
                self.results[name] = {"error": str(error)[:500]}
        typer.echo(f"[{time.perf_counter() - self.started:5.0f} s] {name}: {json.dumps(self.results[name])}")

    def over(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() - self.started > self.seconds

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def clock(self, work: Callable[[], Any], least: float = 0.3) -> float:
        """Seconds per call after one call to warm up."""
        work()
        self.wait()
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < (0.02 if self.quick else least):
            work()
            self.wait()
            calls += 1
        return (time.perf_counter() - start) / calls

    def peak(self, work: Callable[[], Any]) -> int | None:
        """Bytes that a call allocates at most; None on a CPU."""
        if self.device.type != "cuda":
            return None
        self.wait()
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        work()
        self.wait()
        return int(torch.cuda.max_memory_allocated(self.device) - before)


def spins_on(bench: Bench, system: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random spins of a system on the device."""
    return gs.core.random_spins(system.n_sites, seed=0).to(bench.device, dtype)


def model(bench: Bench, name: str, length: int, **options: Any) -> gs.ForceField:
    """A shipped model on length x length cells, on the device."""
    loaded = gs.load(f"pretrained:{name}", system=LATTICES[name](length, length))
    return loaded.to(bench.device, **options)


def electrons(length: int, device: Any, tolerance: float = 1e-2, kind: str = "poles") -> FieldSource:
    """A solver of the model that `tetrahedral` was trained on."""
    h = gs.electrons.SDHamiltonian(gs.systems.triangular(length, length), J=3.0)
    if kind == "diagonalization":
        return gs.electrons.ExactDiagonalization(h, kT=0.01, mu=-3.2, device=device)
    if kind == "polynomials":
        return gs.electrons.KernelPolynomial(h, kT=0.1, mu=-3.2, n_moments=200, device=device)
    if kind == "filling":
        return gs.electrons.PoleExpansion(h, kT=0.01, filling=0.26, tolerance=tolerance, device=device)
    return gs.electrons.PoleExpansion(h, kT=0.01, mu=-3.2, tolerance=tolerance, device=device)


def deviation(here: Tensor, there: Tensor) -> float:
    """Largest difference over the root mean square."""
    return float((there.cpu() - here).abs().max() / here.square().mean().sqrt())


def check_models(bench: Bench) -> dict[str, float]:
    """Torques of every model in double precision."""
    found = {}
    for name, lattice in LATTICES.items():
        spins = gs.core.random_spins(lattice(12, 12).n_sites, seed=1)
        source = gs.load(f"pretrained:{name}", system=lattice(12, 12)).to(dtype=torch.float64)
        here = source.torque(spins)
        found[name] = deviation(here, source.to(bench.device).torque(spins.to(bench.device)))
    return found


def check_solvers(bench: Bench) -> dict[str, float]:
    """Torques of the exact solvers."""
    found, spins = {}, gs.core.random_spins(64, seed=1)
    for kind in ("diagonalization", "poles", "filling", "polynomials"):
        here = electrons(8, "cpu", 1e-8, kind).torque(spins)
        there = electrons(8, bench.device, 1e-8, kind).torque(spins.to(bench.device))
        found[kind] = deviation(here, there)
    return found


def check_steps(bench: Bench) -> dict[str, float]:
    """Spins after ten steps with noise (the adaptive step without)."""
    found, system = {}, gs.systems.triangular(12, 12)
    spins = gs.core.random_spins(144, replicas=(2,), seed=1)
    for name in INTEGRATORS:
        ends = [
            gs.dynamics.simulate(
                gs.classical.Heisenberg(system, 1.0, device=device), spins.to(device), dt=0.05, n_steps=10,
                damping=0.1, kT=0.0 if name == "adaptive" else 0.1, integrator=name, progress=False,
            ).spins
            for device in ("cpu", bench.device)
        ]  # fmt: skip
        found[name] = deviation(ends[0], ends[1])
    return found


def rates(bench: Bench) -> dict[str, float]:
    """Operations per second of a float32 matrix product, bytes per second of a copy."""
    n = 512 if bench.quick else 8192
    a, b = (torch.randn(n, n, device=bench.device) for _ in range(2))
    product = bench.clock(lambda: a @ b)
    source = torch.empty((1 << 22) if bench.quick else (1 << 28), device=bench.device)
    target = torch.empty_like(source)
    copy = bench.clock(lambda: target.copy_(source))
    return {"product": 2 * n**3 / product, "copy": 2 * source.nbytes / copy}


class _Work(TorchDispatchMode):
    """Operations of products and convolutions; bytes of the inputs and outputs of all operations that are no views."""

    products = 0
    bytes = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if (count := flop_registry.get(operation.overloadpacket)) is not None:
            self.products += count(*args, **(kwargs or {}), out_val=result)
        if not operation.is_view:
            given = [*args, *(result if isinstance(result, tuple | list) else [result])]
            self.bytes += sum(each.nbytes for each in given if isinstance(each, Tensor))
        return result


def roofline(bench: Bench) -> dict[str, dict[str, float]]:
    """Fraction of the roofline that each model reaches."""
    found, rate = {}, bench.results["rates"]
    for name in ("tetrahedral", "tetrahedral_fast", "triangular_120"):
        source = model(bench, name, 16 if bench.quick else 256)
        spins = spins_on(bench, source.system)
        with _Work() as work:
            source.unchecked_field(spins)
        seconds = bench.clock(lambda source=source, spins=spins: source.unchecked_field(spins))  # type: ignore[misc]
        products, moved = work.products / rate["product"], work.bytes / rate["copy"]
        found[name] = {
            "operations per site": work.products / source.system.n_sites,
            "bytes per site": work.bytes / source.system.n_sites,
            "us per site": 1e6 * seconds / source.system.n_sites,
            "fraction": max(products, moved) / seconds,
        }
    return found


def fields_by_size(bench: Bench) -> dict[str, list[dict[str, Any]]]:
    """Seconds and bytes of a field against the number of sites, for three models."""
    lengths = (8,) if bench.quick else (32, 64, 128, 256, 512)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("tetrahedral", "tetrahedral_fast", "triangular_120"):
        for length in lengths:
            if bench.over():
                break
            source = model(bench, name, length)
            spins = spins_on(bench, source.system)
            row = {"sites": source.system.n_sites, "seconds": bench.clock(lambda: source.unchecked_field(spins))}  # noqa: B023
            row["bytes"] = bench.peak(lambda: source.unchecked_field(spins))  # noqa: B023
            row["predicted bytes"] = source.memory()
            found.setdefault(name, []).append(row)
    return found


def poles_by_size(bench: Bench) -> list[dict[str, Any]]:
    """Seconds and bytes of a pole expansion's field at tolerance 1e-2."""
    found = []
    for length in (8,) if bench.quick else (24, 48, 96, 128):
        if bench.over():
            break
        source = electrons(length, bench.device)
        spins = spins_on(bench, source.system, torch.float64)
        row = {"sites": source.system.n_sites, "seconds": bench.clock(lambda: source.unchecked_field(spins))}  # noqa: B023
        row["bytes"] = bench.peak(lambda: source.unchecked_field(spins))  # noqa: B023
        found.append(row)
    return found


def steps_by_size(bench: Bench) -> list[dict[str, Any]]:
    """Seconds per semi-implicit step with noise of a Heisenberg model."""
    found = []
    for length in (16, 32) if bench.quick else (64, 256, 1024, 2048):
        if bench.over():
            break
        source = gs.classical.Heisenberg(
            gs.systems.square(length, length), 1.0, dtype=torch.float32, device=bench.device
        )
        steps = 10 if bench.quick else 100
        found.append({"sites": length**2, "seconds": run(bench, source, steps, kT=0.1) / steps})
    return found


def run(bench: Bench, source: FieldSource, n_steps: int, dt: float = 0.05, **options: Any) -> float:
    """Seconds of a run, after a short one."""
    spins = spins_on(bench, source.system)
    for steps in (2, n_steps):
        bench.wait()
        start = time.perf_counter()
        gs.dynamics.simulate(source, spins, dt=dt, n_steps=steps, damping=0.1, progress=False, **options)
        bench.wait()
    return time.perf_counter() - start


def two_runs(bench: Bench) -> dict[str, float]:
    """Seconds of 10,000 steps of tetrahedral_fast on 50x50, and of 500 steps with noise of tetrahedral on 96x96."""
    many, few = (5, 2) if bench.quick else (10_000, 500)
    edges = (12, 12) if bench.quick else (50, 96)
    return {
        f"{many} steps, {edges[0]}x{edges[0]}, tetrahedral_fast": run(
            bench, model(bench, "tetrahedral_fast", edges[0]), many, 1.0
        ),
        f"{few} steps, {edges[1]}x{edges[1]}, tetrahedral, kT = 0.01": run(
            bench, model(bench, "tetrahedral", edges[1]), few, 1.0, kT=0.01
        ),
    }


def largest(bench: Bench) -> dict[str, Any]:
    """The largest lattice whose field fits whole by the prediction, evaluated."""
    small = model(bench, "tetrahedral_fast", 64)
    per_site = small.memory() / small.system.n_sites
    free = 0.85 * torch.cuda.mem_get_info(bench.device)[0] if bench.device.type == "cuda" else 16e6
    length = 8 * int((free / per_site) ** 0.5 / 8)
    source = model(bench, "tetrahedral_fast", length)
    spins = spins_on(bench, source.system)
    start = time.perf_counter()
    peak = bench.peak(lambda: source.unchecked_field(spins))
    found = {"length": length, "sites": length**2, "predicted bytes": source.memory(), "bytes": peak}
    return found | {"seconds": time.perf_counter() - start}


def draw(results: dict[str, Any], path: Path) -> None:
    """Time and memory per site against the number of sites."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    speed, memory = figure.subplots(1, 2)
    fields, poles = results.get("fields", {}), results.get("poles", [])
    series = {name: rows for name, rows in fields.items() if isinstance(rows, list)}
    series |= {"poles, 1e-2": poles} if isinstance(poles, list) else {}
    for name, rows in series.items():
        speed.loglog([r["sites"] for r in rows], [1e6 * r["seconds"] / r["sites"] for r in rows], "o-", label=name)
        known = [r for r in rows if r.get("bytes")]
        memory.loglog([r["sites"] for r in known], [r["bytes"] / r["sites"] / 1e3 for r in known], "o-", label=name)
    speed.set(xlabel="sites", ylabel="time per site and field (us)")
    memory.set(xlabel="sites", ylabel="memory per site (kB)")
    speed.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main(
    output: Annotated[Path, typer.Argument(help="Folder of gpu.json and gpu.png; made if need be.")],
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script.")] = "cuda",
    quick: Annotated[bool, typer.Option(help="Small systems and short clocks.")] = False,
    minutes: Annotated[float, typer.Option(help="No part begins after this.")] = 4.5,
) -> None:
    """Check and measure; write JSON and figures."""
    if device != "cpu" and not torch.cuda.is_available():
        typer.echo("No GPU was found: torch sees no CUDA device. Nothing was checked or measured.", err=True)
        raise typer.Exit(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    output.mkdir(parents=True, exist_ok=True)
    bench = Bench(torch.device(device), quick, 60 * minutes)
    name = torch.cuda.get_device_name() if device != "cpu" else "CPU"
    bench.results["device"] = {"name": name, "torch": torch.__version__, "gnnspin": gs.__version__}
    typer.echo(f"{name}, torch {torch.__version__}")
    parts: dict[str, Callable[[Bench], Any]] = {
        "models against the CPU": check_models,
        "solvers against the CPU": check_solvers,
        "steps against the CPU": check_steps,
        "rates": rates,
        "two runs": two_runs,
        "roofline": roofline,
        "fields": fields_by_size,
        "poles": poles_by_size,
        "steps": steps_by_size,
        "largest lattice": largest,
    }
    for label, work in parts.items():
        bench.part(label, work)
        (output / "gpu.json").write_text(json.dumps(bench.results, indent=1), encoding="utf-8")
    draw(bench.results, output / "gpu.png")


if __name__ == "__main__":
    typer.run(main)
