"""Reversal of a chirality domain: barriers by which domains of tetrahedral order shrink in one of the other chirality.

    python scripts/chirality_domain.py --output runs/chirality_domain --exact

Triangular lattice, J = 3, mu = -3.2, kT = 0.01 (the study `tetrahedral`). Round domains of several radii are relaxed
under a learned field; the local minima they end in are joined, from large to small to none, by geodesic elastic bands
with a climbing image. `--exact` solves ends and saddle points of these bands with poles of the Fermi function too.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

import gnnspin as gs
from gnnspin.plotting import style
from gnnspin.runs import replaced
from gnnspin.sampling import elastic_band, geodesic_path, minimize, minimum_modes, refine_saddle
from gnnspin.systems.distances import shortest_images

app = typer.Typer(help=__doc__)
Output = Annotated[Path, typer.Option(help="Folder of table and figure.")]


def domain(system: gs.systems.SpinSystem, radius: float) -> Tensor:
    """Spins (N, 3) of one chirality with a round domain of the other, its mirror image -S, about a site."""
    middle = system.positions[system.n_sites // 2 + system.lattice_shape[1] // 2]  # type: ignore[index]
    distance = np.linalg.norm(shortest_images(system, system.positions - middle), axis=1)
    order = gs.observables.reference_order("tetrahedral", system)
    return torch.where(torch.from_numpy(distance < radius)[:, None], -order, order)


def minima(source: Any, radii: list[float], tolerance: float) -> list[tuple[int, float, Tensor]]:
    """Different local minima as (triangles of the minority, energy, spins), the largest domain first."""
    found: dict[int, tuple[int, float, Tensor]] = {}
    for radius in [*radii, 0.0]:
        relaxed = minimize(source, domain(source.system, radius), tolerance=tolerance)
        triangles = int((gs.observables.scalar_chirality(source.system, relaxed.spins) < 0).sum())
        energy = float(source.energy(relaxed.spins))
        typer.echo(
            f"radius {radius:g}: {triangles} triangles, energy {energy:.5f}, converged {bool(relaxed.converged)}"
        )
        if bool(relaxed.converged) and (triangles not in found or energy < found[triangles][1]):
            found[triangles] = (triangles, energy, relaxed.spins)
    return [found[key] for key in sorted(found, reverse=True)]


@app.command()
def main(
    output: Output = Path("runs/chirality_domain"),
    edge: Annotated[int, typer.Option(help="Edge of the lattice in sites, even.")] = 24,
    model: Annotated[str, typer.Option(help="Force field with an energy.")] = "pretrained:tetrahedral_fast",
    radii: Annotated[str, typer.Option(help="Radii of the domains, with commas between them.")] = "1.5,2.5,3.5,5.5,6.5,8.5",
    images: Annotated[int, typer.Option(help="Images of a band, ends included.")] = 15,
    tolerance: Annotated[float, typer.Option(help="Largest residual torque.")] = 2e-4,
    exact: Annotated[bool, typer.Option(help="Solve ends and saddle points exactly.")] = False,
) -> None:
    """Barriers between domains of decreasing size."""
    system = gs.systems.triangular(edge, edge)
    source = gs.load(model, system).to(dtype=torch.float64)
    states = minima(source, [float(each) for each in radii.split(",")], 1e-5)
    rows, profiles = [], []
    for (large, _, start), (small, _, end) in pairwise(states):
        path = elastic_band(source, geodesic_path(start, end, images, noise=0.02), tolerance=tolerance)
        row: dict[str, Any] = {"from": large, "to": small, "converged": bool(path.converged)}
        row |= {"barrier": path.barrier, "reverse barrier": path.reverse_barrier}
        saddle = refine_saddle(source, path.saddle)
        row["negative eigenvalues"] = int((minimum_modes(source, saddle, 3).eigenvalues < 0).sum())
        if exact:
            row |= exact_barriers(system, torch.stack([path.spins[0], saddle, path.spins[-1]]))
        rows.append(row)
        profiles.append((path.distances, path.energies - states[-1][1], f"{large} to {small} triangles"))
        typer.echo("  ".join(f"{name}: {value}" for name, value in row.items()))
    output.mkdir(parents=True, exist_ok=True)
    with replaced(output / "barriers.csv") as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    drawn(profiles, output / "profiles.png")


def exact_barriers(system: gs.systems.SpinSystem, spins: Tensor) -> dict[str, float]:
    """Barriers of the same three states, and the residual torque at the saddle, for exact electrons."""
    electrons = gs.electrons.SDHamiltonian(system, J=3.0)
    solver = gs.electrons.PoleExpansion(electrons, kT=0.01, mu=-3.2, tolerance=1e-6)
    start, top, end = (float(each) for each in solver.energy(spins))
    torque = float(solver.torque(spins[1]).norm(dim=-1).max())
    return {"exact barrier": top - start, "exact reverse barrier": top - end, "exact torque at the saddle": torque}


def drawn(profiles: list[tuple[Any, Any, str]], path: Path) -> None:
    """Energies along the bands, relative to the state without a domain."""
    with style.figure(path, 4.2, 3.0) as (_, (axes,)):
        for color, (distance, energy, label) in zip(style.PALETTE, profiles, strict=False):
            axes.plot(np.asarray(distance), np.asarray(energy), "o-", ms=3, color=color, label=label)
        axes.set(xlabel="distance along the path (rad)", ylabel="energy above the single domain (t)")
        axes.legend()


if __name__ == "__main__":
    torch.set_num_threads(1)
    app()
