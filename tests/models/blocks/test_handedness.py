"""Terms that mirrors reverse: against sums over triangles, and energies made of them learned exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import gradient_error
from torch import Tensor

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.models.blocks.bases import AngularBasis
from gnnspin.models.blocks.handedness import Handedness
from gnnspin.systems import SpinSystem

TRIANGULAR = gs.systems.triangular(5, 5)


def neighbours(system: SpinSystem, cutoff: float) -> tuple[Tensor, Tensor]:
    """Neighbour of every site in each direction (N, n), and the angle of the direction (n,), of a Bravais lattice."""
    graph = gs.graphs.radius_graph(system, cutoff)
    sender, center = graph.edge_index
    angle = torch.atan2(graph.edge_vector[:, 1], graph.edge_vector[:, 0])
    order = torch.argsort(center * 100 + angle + math.pi)
    n = len(sender) // system.n_sites
    return sender[order].reshape(-1, n), angle[order][:n]


def test_the_odd_pseudoscalar_is_the_chirality_of_triangles_in_one_orientation() -> None:
    r"""With one density it is a number times sum_jk sin(m (phi_k - phi_j)) S_i . S_j x S_k."""
    basis = AngularBasis(2, 2)
    torch.manual_seed(0)
    block = Handedness(1, basis, pairs=1, channels=0).double()
    spins = random_spins(25, seed=1)
    sites, angle = neighbours(TRIANGULAR, 1.1)
    around = spins[sites]  # (N, n, 3)
    directions = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    density = torch.einsum("nm,inx->xmi", basis(directions), around)[None, :, None]
    tensors = [torch.zeros(1, 1, size, 25, dtype=torch.float64) for size in (1, 2, 2)]
    odd = block.pseudoscalars(spins.T[None], density, tensors)[1][0]
    chirality = torch.einsum("ix,ijkx->ijk", spins, torch.linalg.cross(around[:, :, None], around[:, None]))
    for m in (1, 2):
        expected = (torch.sin(m * (angle[None] - angle[:, None])) * chirality).sum((1, 2))
        weight = block.triples[m - 1].first.weight * block.triples[m - 1].second.weight  # type: ignore[union-attr]
        assert torch.allclose(odd[m - 1], 2 * weight.item() * expected, atol=1e-12)
        assert float(expected.abs().max()) > 0.1


class Triangles(gs.core.FieldSource):
    """E = the sum of S_i . S_j x S_k over all elementary triangles of the triangular lattice, i, j, k anticlockwise."""

    def __init__(self, system: SpinSystem) -> None:
        self.system = system
        sites, angle = neighbours(system, 1.1)
        turn = torch.remainder(angle[None] - angle[:, None], 2 * math.pi)
        first, second = torch.nonzero((turn - math.pi / 3).abs() < 1e-6, as_tuple=True)
        own = torch.arange(system.n_sites)[:, None].expand(-1, len(first))
        self.corners = torch.stack([own, sites[:, first], sites[:, second]]).flatten(1)

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        i, j, k = (spins[:, corner] for corner in self.corners)
        return (i * torch.linalg.cross(j, k)).sum((-2, -1)) / 3


def labels(source: gs.core.FieldSource, path: Path, count: int, seed: int) -> gs.datasets.LabelStore:
    spins = random_spins(source.system.n_sites, replicas=(count,), seed=seed)
    energy, field = source.energy_and_field(spins)
    store = gs.datasets.LabelStore.create(path, {})
    for s, h, e in zip(spins, field, energy, strict=True):
        store.append(gs.datasets.Label(system=source.system, spins=s, field=h, energy=float(e)))
    return store


def test_triangles_are_a_gradient_with_the_symmetries_of_flux() -> None:
    source = Triangles(TRIANGULAR)
    assert gradient_error(source, random_spins(25, seed=0)) < 1e-6
    broken = {"time_reversal", "mirrors", "mirrors_with_spins"}
    assert gs.analysis.source_symmetries(source).broken == broken


@pytest.mark.parametrize(
    ("values", "exact"), [({"mirrors": False, "time_reversal": False}, True), ({"time_reversal": False}, False)]
)
def test_chirality_of_triangles_is_learned_exactly_or_not_at_all(
    tmp_path: Path, values: dict[str, Any], exact: bool
) -> None:
    """Least squares finds the coefficients; with mirrors not a hundredth of the torque is within reach."""
    source = Triangles(TRIANGULAR)
    train, held_out = (labels(source, tmp_path / f"{seed}.h5", 12, seed) for seed in (1, 2))
    model = gs.models.for_system("linear_cluster_expansion", TRIANGULAR, 1.1, **values)
    result = gs.training.fit(model, train, held_out, directory=tmp_path / "fit", progress=False)
    r2 = gs.training.evaluate(result.force_field.to(dtype=torch.float64), held_out).numbers()["torque_r2"]
    assert r2 == pytest.approx(1.0, abs=1e-6) if exact else r2 < 0.01


@pytest.mark.parametrize("name", ["spin_cluster_expansion", "linear_cluster_expansion"])
def test_mirror_images_need_directions(name: str) -> None:
    with pytest.raises(InvalidInput, match="max_degree"):
        gs.models.for_system(name, TRIANGULAR, 1.1, mirrors=False, max_degree=0)


def test_a_model_with_mirrors_has_the_parameters_it_always_had() -> None:
    """The flag at its default draws the same weights, with and without being named."""
    for name in ("spin_cluster_expansion", "oriented_cluster_expansion"):
        drawn = []
        for values in ({}, {"mirrors": True}):
            torch.manual_seed(0)
            drawn.append(gs.models.for_system(name, TRIANGULAR, 1.1, **values).state_dict())
        assert not [key for key in drawn[0] if "handed" in key]
        assert all(torch.equal(drawn[0][key], drawn[1][key]) for key in drawn[0])
