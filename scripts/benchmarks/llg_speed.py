"""Speed of the dynamics: spin updates per second against a plain compiled loop, and where the time of a step goes.

    python scripts/benchmarks/llg_speed.py [--sizes 128 1024] [--dtypes float32 float64] [--seconds 2]

First table: nearest-neighbour Heisenberg model on L x L sites, semi-implicit step with noise. The plain loop is the
same step written for this model alone: rolled neighbours, (3, L, L) layout, one `torch.compile`d function, no guards,
no observers; with `torch.randn`, with the package's generator, and with that compiled as well. The contestants run in
turn, several rounds; rates and ratios are medians over the rounds, a ratio being taken within its round. With one
thread the clock is the processor time of this process, which other programs disturb little.

Second table: the shares of field, noise, step and output in `simulate` with a learned model on 64 x 64 sites.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import FieldSource, random_spins, thermal_noise
from gnnspin.dynamics import drive, loop

DT, DAMPING, KT = 0.05, 0.1, 0.1
REFERENCES = ("plain loop, our generator", "plain loop, our generator compiled")


def neighbors(s: Tensor) -> Tensor:
    """Sum over the four neighbours of spins (3, L, L)."""
    return torch.roll(s, 1, 1) + torch.roll(s, -1, 1) + torch.roll(s, 1, 2) + torch.roll(s, -1, 2)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Vector product of planes (3, L, L)."""
    return torch.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar product of planes (3, L, L)."""
    return (a * b).sum(0)


def rotation(s: Tensor, noise: Tensor) -> Tensor:
    """Rotation vector of one step."""
    field = neighbors(s)
    total = field + noise
    return DT * (total - dot(total, s) * s - DAMPING * cross(s, field))


def plain_step(s: Tensor, noise: Tensor) -> Tensor:
    """One semi-implicit step of spins (3, L, L)."""
    noise = noise * (2 * DAMPING * KT / DT) ** 0.5
    m = s + 0.5 * cross(s, rotation(s, noise))
    m = m * torch.rsqrt(dot(m, m))
    b = 0.5 * rotation(m, noise)
    end = 2 * (s + dot(b, s) * b + cross(s, b)) / (1 + dot(b, b)) - s
    return end * torch.rsqrt(dot(end, end))


def contestants(size: int, dtype: torch.dtype) -> dict[str, Callable[[int], None]]:
    """Functions that do n steps, by name."""
    n_sites = size * size
    spins = random_spins(n_sites, seed=0, dtype=dtype)
    system = gs.systems.square(size, size)
    source = gs.classical.Heisenberg(system, J=1.0, dtype=dtype)
    compiled_source = gs.classical.Heisenberg(system, J=1.0, dtype=dtype).compile()
    compiled_step = torch.compile(plain_step, dynamic=False)
    planes = spins.T.reshape(3, size, size).contiguous()

    def plain_loop(noise: Callable[[int], Tensor]) -> Callable[[int], None]:
        def steps(n: int) -> None:
            s = planes
            for number in range(n):
                s = compiled_step(s, noise(number))

        return steps

    def ours(field_source: FieldSource, **options: Any) -> Callable[[int], None]:
        def steps(n: int) -> None:
            gs.dynamics.simulate(
                field_source, spins, dt=DT, n_steps=n, damping=DAMPING, kT=KT, progress=False, **options
            )

        return steps

    def own_noise(number: int, compiled: bool = False) -> Tensor:
        noise = thermal_noise(0, (0,), number, n_sites, dtype, compiled=compiled)
        return noise.movedim(-1, 0).reshape(3, size, size)

    return {
        "plain loop, torch.randn": plain_loop(lambda _: torch.randn(3, size, size, dtype=dtype)),
        REFERENCES[0]: plain_loop(own_noise),
        REFERENCES[1]: plain_loop(lambda number: own_noise(number, compiled=True)),
        "simulate": ours(source),
        "simulate, compiled": ours(source, compiled=True),
        "simulate, compiled, source too": ours(compiled_source, compiled=True),
    }


def race(size: int, dtype: torch.dtype, seconds: float) -> None:
    """Print the rates of all contestants and their ratios to the plain loops with the same generator."""
    functions = contestants(size, dtype)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    steps = max(10, round(0.1 * 10e6 / size**2))
    rates: dict[str, list[float]] = {name: [] for name in functions}
    for steps_of in functions.values():
        steps_of(2)
    deadline = time.perf_counter() + seconds * len(functions)
    while len(rates[REFERENCES[0]]) < 5 or time.perf_counter() < deadline:
        for name, steps_of in functions.items():
            start = clock()
            steps_of(steps)
            rates[name].append(steps * size**2 / (clock() - start) / 1e6)
    rounds = len(rates[REFERENCES[0]])
    print(f"\n{size} x {size}, {str(dtype).removeprefix('torch.')}, {rounds} rounds: million spin updates per second,")
    print("ratio to the plain loop with our generator, and with our generator compiled")
    for name, rate in rates.items():
        ratios = [statistics.median(a / b for a, b in zip(rate, rates[other], strict=True)) for other in REFERENCES]
        print(f"  {name:38s} {statistics.median(rate):8.2f} {ratios[0]:8.2f} {ratios[1]:8.2f}")


@contextmanager
def timed(where: object, name: str, clock: dict[str, float], label: str) -> Iterator[None]:
    """Add the time spent in ``where.name`` to ``clock[label]``."""
    function = getattr(where, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            clock[label] = clock.get(label, 0.0) + time.perf_counter() - start

    with mock.patch.object(where, name, wrapper):
        yield


def shares(size: int, steps: int) -> None:
    """Print the shares of field, noise, step and output for a learned model."""
    system = gs.systems.square(size, size)
    spec = gs.graphs.GraphSpec.for_system(system, 3.0)
    force_field = gs.ForceField(gs.models.build("spin_cluster_expansion", spec), system)
    spins = random_spins(system.n_sites, seed=0, dtype=torch.float32)
    options: dict[str, Any] = {"dt": 1e-4, "damping": DAMPING, "kT": 1e-3, "progress": False}
    gs.dynamics.simulate(force_field, spins, n_steps=1, **options)
    clock: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        timed(force_field, "unchecked_field", clock, "field"),
        timed(drive, "thermal_noise", clock, "noise"),
        timed(loop, "_record", clock, "output"),
    ):
        start = time.perf_counter()
        gs.dynamics.simulate(
            force_field, spins, n_steps=steps, observers={"m": lambda state: state.spins.mean(-2)}, observe_every=10,
            trajectory=Path(folder) / "run.h5", save_every=10, **options,
        )  # fmt: skip
        total = time.perf_counter() - start
    clock["step and setup"] = total - sum(clock.values())
    print(f"\nspin_cluster_expansion on {size} x {size}: {1e3 * total / steps:.1f} ms per step, frames every 10 steps")
    for label, value in clock.items():
        print(f"  {label:28s} {100 * value / total:6.1f} %")


def main() -> None:
    """Parse the arguments and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 1024])
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64"])
    parser.add_argument("--seconds", type=float, default=2.0, help="per contestant")
    parser.add_argument("--model-steps", type=int, default=40, help="steps of the learned model")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for dtype in arguments.dtypes:
        for size in arguments.sizes:
            race(size, getattr(torch, dtype), arguments.seconds)
    shares(64, arguments.model_steps)


if __name__ == "__main__":
    main()
