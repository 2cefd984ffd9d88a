"""SchNet's interaction blocks, those of torch_geometric, on invariants of the spins."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.models.schnet import InteractionBlock

from gnnspin.models.architectures.pyg import InvariantHyperparameters, InvariantNetwork
from gnnspin.models.blocks.standardization import site_network
from gnnspin.models.registry import register


class SchNetHyperparameters(InvariantHyperparameters):
    """Hyperparameters of `SchNet`."""

    channels: int = Field(default=32, ge=1, description="features per site and filters")


@register
class SchNet(InvariantNetwork):
    r"""Continuous-filter convolutions :math:`h_i \mathrel{+}= \sum_j W(r_{ij}, b_{ij}) \odot h_j`.

    The filters W read the distance and the bond of an edge, the first features are the invariants of a node. Schuett
    et al., J. Chem. Phys. 148, 241722 (2018), doi:10.1063/1.5019779.
    """

    name = "schnet"
    Hyperparameters = SchNetHyperparameters
    hyperparameters: SchNetHyperparameters

    def network(self, node_channels: int, edge_channels: int) -> nn.Module:
        h = self.hyperparameters
        # on the shells of a lattice nothing has to vanish at the cutoff
        cutoff = self.spec.cutoff if self.spec.shells is None else float("inf")
        blocks = [InteractionBlock(h.channels, edge_channels, h.channels, cutoff) for _ in range(h.layers)]
        return Interactions(site_network([node_channels, h.channels, h.channels]), blocks, h.channels)


class Interactions(nn.Module):
    """Embedding, interaction blocks and readout."""

    def __init__(self, embedding: nn.Module, blocks: list[InteractionBlock], channels: int) -> None:
        super().__init__()
        self.embedding, self.blocks = embedding, nn.ModuleList(blocks)
        self.readout = site_network([channels, channels, 1])

    def forward(self, data: Data) -> Tensor:
        """One number per node."""
        features = self.embedding(data.x)
        for block in self.blocks:
            features = features + block(features, data.edge_index, data.edge_weight, data.edge_attr)
        return self.readout(features)
