"""A model of its own: polynomials of bonds, with weights that fall smoothly to zero at the cutoff."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import scatter

import gnnspin as gs
from gnnspin.core.config import Config
from gnnspin.descriptors.invariants import edge_bonds


class BondPolynomialHyperparameters(Config):
    """Hyperparameters of `BondPolynomial`."""

    degree: int = Field(default=2, ge=1, description="largest power of S_i . S_j")


@gs.models.register
class BondPolynomial(gs.models.SpinModel):
    """Site energies ``sum_j (1 - (r_ij / r_c)^2)^3 sum_k c_k (S_i . S_j)^k``."""

    name = "spinplus_bonds"
    Hyperparameters = BondPolynomialHyperparameters

    def __init__(self, spec: gs.graphs.GraphSpec, hyperparameters: BondPolynomialHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self.coefficients = nn.Parameter(torch.zeros(hyperparameters.degree))

    def prepare(self, system: gs.systems.SpinSystem) -> Geometry:
        return Geometry(self.spec.graph(system))

    def dimensionless_energies(self, data: Geometry, spins: Tensor) -> Tensor:
        bond = edge_bonds(data.graph, spins)
        weight = (1 - (data.graph.edge_distance.to(spins) / self.spec.cutoff) ** 2) ** 3
        powers = torch.stack([bond**k for k in range(1, len(self.coefficients) + 1)], dim=-1)
        energies = weight * (powers * self.coefficients).sum(-1)
        return scatter(energies, data.graph.edge_index[1], dim=1, dim_size=spins.shape[1])


class Geometry:
    """The graph of one system."""

    def __init__(self, graph: Data) -> None:
        self.graph = graph

    def to(self, device: Any, dtype: torch.dtype) -> Geometry:
        return Geometry(self.graph.clone().to(device))
