"""Bonds and chiralities of edges and triplets."""

import pytest
import torch
from torch import Tensor

from gnnspin.core import random_rotation, random_spins
from gnnspin.core.errors import InvalidInput
from gnnspin.descriptors.invariants import edge_bonds, triplet_bonds, triplet_chiralities, triplet_sites
from gnnspin.graphs import GraphSpec
from gnnspin.systems import amorphous, square

FUNCTIONS = [edge_bonds, triplet_bonds, triplet_chiralities]
SYSTEM = amorphous(30, 3.4, 0.5, seed=0)
GRAPH = GraphSpec(1.5, triplets=True).graph(SYSTEM)
SPINS = random_spins(30, replicas=(2, 3), seed=1)


def test_definitions() -> None:
    """Each value from the spins at the sites it names, one by one."""
    spins = SPINS[1, 2]
    bonds, between, chirality = (function(GRAPH, SPINS)[1, 2] for function in FUNCTIONS)
    for e, (j, i) in enumerate(GRAPH.edge_index.T.tolist()):
        assert float(bonds[e]) == pytest.approx(float(spins[i] @ spins[j]), abs=1e-14)
    for t, (a, b) in enumerate(GRAPH.triplet_index.T.tolist()):
        (j, i), (k, same) = GRAPH.edge_index[:, a].tolist(), GRAPH.edge_index[:, b].tolist()
        assert i == same
        assert float(between[t]) == pytest.approx(float(spins[j] @ spins[k]), abs=1e-14)
        assert float(chirality[t]) == pytest.approx(float(torch.linalg.det(spins[[i, j, k]])), abs=1e-14)


def test_spin_rotation_and_time_reversal() -> None:
    for function, parity in zip(FUNCTIONS, (1, 1, -1), strict=True):
        value = function(GRAPH, SPINS)
        assert float(value.abs().mean()) > 0.1
        assert torch.allclose(function(GRAPH, SPINS @ random_rotation(2).T), value, atol=1e-12)
        assert torch.equal(function(GRAPH, -SPINS), parity * value)


def test_sum_over_unordered_pairs_depends_on_the_numbering() -> None:
    """The trap: reversing the order of both edges of every triplet inverts a weighted sum of chiralities."""
    swapped = GRAPH.clone()
    swapped.triplet_index = GRAPH.triplet_index.flip(0)
    chirality = triplet_chiralities(GRAPH, SPINS)
    assert torch.allclose(triplet_chiralities(swapped, SPINS), -chirality, atol=1e-14)
    assert torch.allclose(triplet_chiralities(swapped, SPINS) ** 2, chirality**2, atol=1e-14)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_chunks_change_nothing(function) -> None:
    """Values, gradients and gradients of gradients of a nonlinear function of the invariants."""

    def derivatives(chunk: int) -> list[Tensor]:
        spins = SPINS.clone().requires_grad_()
        value = function(GRAPH, spins, chunk=chunk)
        (first,) = torch.autograd.grad(value.pow(3).sum(), spins, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), spins)
        return [value, first, second]

    for a, b in zip(derivatives(37), derivatives(10**9), strict=True):
        assert float(a.detach().abs().mean()) > 0.1
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradient_is_the_finite_difference(function) -> None:
    spins = random_spins(30, seed=3)

    def weighted_sum(moving: Tensor) -> Tensor:
        values = function(GRAPH, torch.cat([moving, spins[2:]]), chunk=300)
        return (values * torch.linspace(1, 2, len(values), dtype=values.dtype)).sum()

    assert torch.autograd.gradcheck(weighted_sum, spins[:2].clone().requires_grad_())


def test_errors() -> None:
    graph = GraphSpec(1.0).graph(square(3, 3))
    with pytest.raises(InvalidInput, match="triplets=True"):
        triplet_sites(graph)
    with pytest.raises(InvalidInput, match="chunk=0"):
        edge_bonds(graph, random_spins(9, seed=0), chunk=0)
