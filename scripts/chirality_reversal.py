"""Reversal of the handedness of tetrahedral order: paths, barriers and domain walls, exact and learned.

    python scripts/chirality_reversal.py --length 16 --picture reversal.png
    python scripts/chirality_reversal.py --length 24 --walls

Triangular s-d model, J = 3, mu = -3.2, electrons at kT = 0.01, on a torus; `pretrained:tetrahedral_poles`. The path
runs from one handedness to its nearest mirror image, in which every spin turns by 70.5 degrees through the coplanar
state. Where that state is a minimum the path is cut there: its second half is the mirror image of the first. One
thread; 16x16 takes five minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.observables import reference_order, scalar_chirality, site_average
from gnnspin.plotting import lattice_map, style
from gnnspin.sampling import (
    MinimumEnergyPath,
    elastic_band,
    geodesic_path,
    minimize,
    minimum_modes,
    refine_saddle,
)
from gnnspin.systems import SpinSystem

#: Takes one handedness to the other.
MIRROR = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
#: Chirality of a triangle in perfect order, and the part of it that counts as a domain.
PERFECT, DOMAIN = 4 / 3**1.5, 0.9
#: Eigenvalues below minus this are unstable.
UNSTABLE = 2e-4
#: Images that are drawn, in parts of the path.
SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0)
LOOKS = {"exact": (style.BLUE, "-", "o"), "learned": (style.RED, "--", "s")}


@dataclass(frozen=True, eq=False)
class Reversal:
    """Path from one handedness to the other, or to the coplanar state if `cut`, with its saddle and modes there."""

    path: MinimumEnergyPath
    cut: bool
    saddle: Tensor
    eigenvalues: Tensor
    seconds: float


def main() -> None:
    """Print tables and draw the paths."""
    given = arguments()
    torch.set_num_threads(1)
    system = gs.systems.triangular(given.length, given.length)
    sources = {name: build(system, name, given.tolerance) for name in given.sources}
    if given.walls:
        walls(sources, given.modes)
        droplets(sources)
        return
    minima = coplanar_states(sources, given.modes)
    found = {name: reversal(source, name, name in minima, given) for name, source in sources.items()}
    barriers(sources, found)
    if given.picture is not None:
        draw(system, {name: unfolded(each) for name, each in found.items()}, given.picture)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=16, help="sites along each side, even")
    parser.add_argument("--sources", nargs="+", choices=sorted(LOOKS), default=["exact", "learned"])
    parser.add_argument("--images", type=int, default=15)
    parser.add_argument("--noise", type=float, default=0.02, help="disturbance of the first path, radians")
    parser.add_argument("--torque", type=float, default=1e-4, help="largest residual torque of the band")
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of the exact solver")
    parser.add_argument("--modes", type=int, default=10, help="lowest modes to count the unstable ones in; 0: none")
    parser.add_argument("--walls", action="store_true", help="stripes and droplets instead of a path")
    parser.add_argument("--picture", type=Path, help="file for the picture of the paths")
    return parser.parse_args()


def build(system: SpinSystem, name: str, tolerance: float) -> FieldSource:
    """Exact electrons, or the learned field in double precision."""
    if name == "learned":
        return gs.load("pretrained:tetrahedral_poles", system).to(dtype=torch.float64)
    electrons = gs.electrons.SDHamiltonian(system, J=3.0)
    return gs.electrons.PoleExpansion(electrons, kT=0.01, mu=-3.2, tolerance=tolerance)


def order(system: SpinSystem) -> Tensor:
    """Perfect order of positive chirality, (N, 3)."""
    return torch.as_tensor(reference_order("tetrahedral", system), dtype=torch.float64)


def coplanar(system: SpinSystem) -> Tensor:
    """Half-way between the order and its mirror image: four sublattices at right angles in a plane, (N, 3)."""
    return normalize(order(system) * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


def lowest(source: FieldSource, spins: Tensor, n_modes: int) -> Tensor:
    """Lowest eigenvalues of the Hessian, none if `n_modes` is 0."""
    return minimum_modes(source, spins, n_modes).eigenvalues if n_modes else torch.empty(0)


def counted(values: Tensor) -> str:
    """Number of unstable modes, and the lowest eigenvalue."""
    return f"{int((values < -UNSTABLE).sum())} ({float(values[0]):.4f})" if len(values) else "not counted"


def coplanar_states(sources: Mapping[str, FieldSource], n_modes: int) -> set[str]:
    """Print the energy of the coplanar state above the order and its unstable modes; names for which it has none."""
    minima = set()
    print("| coplanar state | energy | per site | unstable modes (lowest eigenvalue) |\n|---|---|---|---|")
    for name, source in sources.items():
        state = coplanar(source.system)
        height = float(source.energy(state) - source.energy(order(source.system)))
        values = lowest(source, state, n_modes)
        print(f"| {name} | {height:.4f} | {height / source.system.n_sites:.5f} | {counted(values)} |", flush=True)
        if len(values) and float(values[0]) > -UNSTABLE:
            minima.add(name)
    return minima


def reversal(source: FieldSource, name: str, cut: bool, given: argparse.Namespace) -> Reversal:
    """Find the path of least energy to the other handedness, or to the coplanar state if `cut`."""
    began = time.perf_counter()
    start = order(source.system)
    end = coplanar(source.system) if cut else start * MIRROR
    print(f"{name}: path to the {'coplanar state, a minimum' if cut else 'mirror image'} ...", flush=True)
    path = elastic_band(
        source,
        geodesic_path(start, end, given.images, noise=given.noise),
        tolerance=given.torque,
        max_iterations=given.iterations,
    )
    saddle = path.spins[int(path.energies.argmax())]
    if path.converged and given.modes:
        saddle = refined(source, saddle)
    return Reversal(path, cut, saddle, lowest(source, saddle, given.modes), time.perf_counter() - began)


def refined(source: FieldSource, saddle: Tensor) -> Tensor:
    """The saddle to a torque of 1e-6, or as it is where Newton's method does not get there."""
    try:
        return refine_saddle(source, saddle, tolerance=1e-6, max_iterations=5)
    except gs.core.errors.ConvergenceError:
        return saddle


def barriers(sources: Mapping[str, FieldSource], found: Mapping[str, Reversal]) -> None:
    """Print what the paths have, and how the learned one compares."""
    print(
        "| path | barrier | back | saddle at | chirality there, of perfect | unstable modes (lowest eigenvalue) "
        "| residual torque | iterations | seconds |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name, each in found.items():
        path, system = each.path, sources[name].system
        at = float(path.distances[int(path.energies.argmax())] / path.distances[-1]) * (0.5 if each.cut else 1.0)
        chirality = float(scalar_chirality(system, each.saddle).mean()) / PERFECT
        print(
            f"| {name} | {path.barrier:.4f} | {path.reverse_barrier:.4f} | {at:.3f} | {chirality:.3f} "
            f"| {counted(each.eigenvalues)} | {float(path.torques.max()):.1e} | {path.iterations} "
            f"| {each.seconds:.0f} |"
        )
    if len(found) == len(LOOKS):
        exact, learned = found["exact"].path, found["learned"].path
        inside = exact.spins[1:-1]
        right, guess = (sources[name].torque(inside) for name in ("exact", "learned"))
        error, size = ((each.square().mean().sqrt()) for each in (guess - right, right))
        heights = [sources["learned"].energy(exact.spins[k]) for k in (0, int(exact.energies.argmax()))]
        print(f"relative error of the learned barrier: {learned.barrier / exact.barrier - 1:+.2%}")
        print(f"learned height of the exact saddle:    {float(heights[1] - heights[0]) / exact.barrier - 1:+.2%}")
        print(f"torque error along the exact path:     {error:.5f} of {size:.5f} ({error / size:.1%})")


def unfolded(each: Reversal) -> MinimumEnergyPath:
    """The whole path: one that was cut at the coplanar state goes on as its own mirror image."""
    path = each.path
    if not each.cut:
        return path
    back = (path.spins[:-1] * MIRROR).flip(0)
    return replace(
        path,
        spins=torch.cat([path.spins, back]),
        energies=torch.cat([path.energies, path.energies[:-1].flip(0)]),
        distances=torch.cat([path.distances, 2 * path.distances[-1] - path.distances[:-1].flip(0)]),
        slopes=torch.cat([path.slopes, -path.slopes[:-1].flip(0)]),
        torques=torch.cat([path.torques, path.torques[:-1].flip(0)]),
    )


def reflections() -> list[Tensor]:
    """Matrices (3, 3) that take the order to one of the other handedness.

    The inversion, the three reflections that turn every spin by 70.5 degrees, and the six that exchange two corners.
    """
    corners = order(gs.systems.triangular(2, 2))
    normals = [*torch.eye(3, dtype=torch.float64), *(a - b for a, b in combinations(corners, 2))]
    units = [normalize(normal) for normal in normals]
    identity = torch.eye(3, dtype=torch.float64)
    return [-identity, *(identity - 2 * torch.outer(unit, unit) for unit in units)]


def domains(system: SpinSystem, inside: Tensor, seed: int) -> Tensor:
    """The order with each of its mirror images where `inside` (N,) holds, disturbed a little, (10, N, 3)."""
    generator = torch.Generator().manual_seed(seed)
    whole = order(system)
    states = torch.stack([torch.where(inside[:, None], whole @ each, whole) for each in reflections()])
    return normalize(states + 0.02 * torch.randn(states.shape, generator=generator, dtype=torch.float64))


def walls(sources: Mapping[str, FieldSource], n_modes: int) -> None:
    """Print the energies of extrema with two straight walls along the first lattice vector."""
    print("| stripes | energy | per length of wall | unstable modes | starts that end there |\n|---|---|---|---|---|")
    for name, source in sources.items():
        system = source.system
        length = system.lattice_shape[1] if system.lattice_shape else 1
        row = torch.arange(system.n_sites) % length
        starts = torch.cat([domains(system, row < width, width) for width in (length // 2 - 1, length // 2)])
        found = minimize(source, starts, tolerance=1e-5, max_iterations=400)
        heights = found.energy - source.energy(order(system))
        chirality = scalar_chirality(system, found.spins)
        both = (chirality.amin(-1) < -DOMAIN * PERFECT) & (chirality.amax(-1) > DOMAIN * PERFECT) & found.converged
        height, spins = heights[both], found.spins[both]
        while len(height):
            first = int(height.argmin())
            same, least = height - height[first] < 1e-3, float(height[first])
            modes = counted(lowest(source, spins[first], n_modes))
            print(f"| {name} | {least:.4f} | {least / (2 * length):.4f} | {modes} | {int(same.sum())} |", flush=True)
            height, spins = height[~same], spins[~same]


def droplets(sources: Mapping[str, FieldSource]) -> None:
    """Print how many discs of the other handedness shrink to nothing."""
    print("| droplets | radius | that vanish, of 10 | energies of the others |\n|---|---|---|---|")
    for name, source in sources.items():
        system = source.system
        length = system.lattice_shape[0] if system.lattice_shape else 1
        places = torch.tensor(system.positions)
        distance = (places - places.mean(0)).norm(dim=-1)
        for radius in (length / 5, length / 4, length / 3):
            found = minimize(source, domains(system, distance < radius, 3), tolerance=1e-4, max_iterations=400)
            heights = found.energy - source.energy(order(system))
            stay = ", ".join(f"{each:.3f}" for each in heights[heights > 1e-3])
            print(f"| {name} | {radius:.1f} | {int((heights < 1e-3).sum())} | {stay or '-'} |", flush=True)


def draw(system: SpinSystem, paths: Mapping[str, MinimumEnergyPath], file: Path) -> None:
    """Energies along the paths, and maps of the chirality of the first of them beneath."""
    first = next(iter(paths.values()))
    shown = [round(part * (len(first.spins) - 1)) for part in SHOWN]
    with style.figure(file, 7.2, 4.6) as (drawing, [axes]):
        grid = drawing.add_gridspec(2, len(shown), height_ratios=(1.5, 1.0))
        axes.set_subplotspec(grid[0, :])
        for name, path in paths.items():
            color, dashes, marker = LOOKS[name]
            at, energies = path.profile()
            axes.plot(at / at[-1], energies - energies[0], color=color, linestyle=dashes, label=name)
            place = path.distances / path.distances[-1]
            axes.plot(place, path.energies - path.energies[0], color=color, linestyle="", marker=marker, markersize=4)
        axes.set(xlabel="part of the way", ylabel="energy above the order ($t$)", xlim=(-0.02, 1.02))
        axes.legend(loc="upper right")
        places = (first.distances / first.distances[-1])[shown]
        lattice_map(
            system,
            site_average(system, scalar_chirality(system, first.spins[shown])),
            titles=[f"{float(place):.2f}" for place in places],
            label="scalar chirality",
            limits=(-PERFECT, PERFECT),
            ax=[drawing.add_subplot(grid[1, k]) for k in range(len(shown))],
        )


if __name__ == "__main__":
    main()
