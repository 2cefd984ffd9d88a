"""Learn a Rashba s-d model with spins locked to space, and compare the Dzyaloshinskii-Moriya energy of its spirals.

    python scripts/rashba_dmi.py --output runs/rashba

Labels come from exact diagonalisation of nearest-neighbour plus Rashba hopping on a small square lattice with a polar
axis: random spins, and spirals with thermal noise, random planes and random pitch. Clean spirals in the xz plane are
never trained on: on them the energies E(q) and E(-q) differ by the Dzyaloshinskii-Moriya interaction alone, and a
model without spin-orbit coupling gives zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

import gnnspin as gs
from gnnspin.core import normalize, random_rotation, random_spins
from gnnspin.core.source import FieldSource
from gnnspin.datasets import LabelStore, holdout
from gnnspin.datasets.labels import Label
from gnnspin.electrons.hopping.rashba import RashbaHopping
from gnnspin.systems import SpinSystem
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig


def polar_square(length: int) -> SpinSystem:
    """Periodic square lattice with polar axis z."""
    plain = gs.systems.square(length, length)
    return SpinSystem.from_arrays({**plain.arrays(), "polar_axis": np.array([0.0, 0.0, 1.0])})


def spiral(system: SpinSystem, turns: tuple[int, int]) -> torch.Tensor:
    """Spins (N, 3) in the xz plane that turn `turns` times along the lattice vectors."""
    fractional = torch.from_numpy(system.positions @ np.linalg.inv(system.cell))[:, :2]
    angle = 2 * torch.pi * fractional @ torch.tensor(turns, dtype=torch.float64)
    return torch.stack([angle.sin(), 0 * angle, angle.cos()], dim=-1)


def snapshot(system: SpinSystem, seed: int) -> torch.Tensor:
    """Random spins (even seeds) or a noisy spiral of random plane and pitch (odd seeds)."""
    noise = random_spins(system.n_sites, seed=seed)
    if seed % 2 == 0:
        return noise
    rng = np.random.default_rng(seed)
    reach = system.lattice_shape[0] // 2 if system.lattice_shape else 1
    turns = int(rng.integers(-reach, reach + 1)), int(rng.integers(-reach, reach + 1))
    return normalize(spiral(system, turns) @ random_rotation(seed).T + rng.uniform(0.2, 1.0) * noise)


def dmi_energies(source: FieldSource) -> list[tuple[int, float]]:
    """Energy per site E(q) - E(-q) of spirals along x with 1, 2, ... turns."""
    system, turns = source.system, range(1, source.system.lattice_shape[0] // 2)
    pairs = [[float(source.energy(spiral(system, (sign * n, 0)))) for sign in (1, -1)] for n in turns]
    return [(n, (right - left) / system.n_sites) for n, (right, left) in zip(turns, pairs, strict=True)]


def c4v_violation(source: gs.ForceField) -> float:
    """Largest change of the field when space and spins are turned or mirrored together, over the eight operations."""
    length, spins = source.system.lattice_shape[0], random_spins(source.system.n_sites, seed=0)
    field, worst = source.field(spins), 0.0
    for quarter in range(4):
        for mirror in (np.eye(3), np.diag([1.0, -1.0, 1.0])):
            c, s = np.round(np.cos(quarter * np.pi / 2)), np.round(np.sin(quarter * np.pi / 2))
            matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ mirror
            cells = np.round(source.system.positions @ matrix.T).astype(int) % length
            image = torch.from_numpy(cells[:, 0] * length + cells[:, 1])
            axial = torch.from_numpy(np.linalg.det(matrix) * matrix)
            moved = torch.empty_like(spins).index_copy(0, image, spins @ axial.T)
            worst = max(worst, float((source.field(moved)[image] - field @ axial.T).abs().max()))
    return worst


def main(
    output: Annotated[Path, typer.Option(help="Folder for labels, model and log.")] = Path("runs/rashba"),
    length: Annotated[int, typer.Option(help="Sites along each side.")] = 8,
    rashba: Annotated[float, typer.Option(help="Rashba hopping in units of the hopping.")] = 0.3,
    coupling: Annotated[float, typer.Option(help="Coupling J of spins and electrons.")] = 2.0,
    temperature: Annotated[float, typer.Option(help="Electronic temperature.")] = 0.1,
    mu: Annotated[float, typer.Option(help="Chemical potential.")] = -1.5,
    snapshots: Annotated[int, typer.Option(help="Number of labels.")] = 200,
    epochs: Annotated[int, typer.Option(help="Passes over the labels.")] = 40,
    cutoff: Annotated[float, typer.Option(help="Radius of the graph.")] = 2.0,
) -> None:
    """Make labels, train, and print symmetry violation and Dzyaloshinskii-Moriya energies."""
    system = polar_square(length)
    hopping = gs.electrons.NearestNeighborHopping(1.0) + RashbaHopping(rashba)
    electrons = gs.electrons.SDHamiltonian(system, hopping=hopping, J=coupling)
    exact = gs.electrons.ExactDiagonalization(electrons, kT=temperature, mu=mu)
    output.mkdir(parents=True, exist_ok=True)
    labels = LabelStore.create(output / "labels.h5")
    for seed in range(snapshots):
        spins = snapshot(system, seed)
        energy, field = exact.energy_and_field(spins)
        labels.append(Label(system, spins, field, energy=float(energy)))
    train, validation = holdout(labels, 0.1, seed=0)
    model = ModelConfig(name="equivariant_tensor_network", cutoff=cutoff, hyperparameters={"coupling": "locked"}).build(
        system
    )
    config = TrainingConfig(
        energy_weight=1.0, max_epochs=epochs, optimizer="adamw", learning_rate=5e-3, batch_size=10, ema=None
    )
    result = gs.training.fit(model, train, validation, config, directory=output / "training")
    gs.save(result.force_field, output / "model.safetensors")
    learned = gs.ForceField(result.force_field.model, system, dtype=torch.float64)
    typer.echo(f"{model.n_parameters} parameters, {result.seconds:.0f} s\n{gs.training.evaluate(learned, validation)}")
    typer.echo(f"joint C4v violation of the field (float64): {c4v_violation(learned):.1e}")
    typer.echo("turns  E(q)-E(-q) per site: exact   learned")
    for (n, reference), (_, value) in zip(dmi_energies(exact), dmi_energies(learned), strict=True):
        typer.echo(f"{n:5d}  {reference:+.5f}  {value:+.5f}")


if __name__ == "__main__":
    typer.run(main)
