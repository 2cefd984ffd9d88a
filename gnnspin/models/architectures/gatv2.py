"""Graph attention (GATv2), that of torch_geometric, on invariants of the spins."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATv2Conv
from torch_geometric.utils import softmax

from gnnspin.models.architectures.pyg import InvariantHyperparameters, InvariantNetwork
from gnnspin.models.blocks.standardization import site_network
from gnnspin.models.registry import register


class GATv2Hyperparameters(InvariantHyperparameters):
    """Hyperparameters of `GATv2`."""

    channels: int = Field(default=8, ge=1, description="features per site and head")
    heads: int = Field(default=4, ge=1, description="heads of attention")


@register
class GATv2(InvariantNetwork):
    """Attention over the neighbours, with the invariants of nodes and edges in its scores.

    Two changes keep fields continuous: scores pass through SiLU, not a leaky ReLU, and the weight of a neighbour falls
    to zero at the cutoff. Brody, Alon and Yahav, How attentive are graph attention networks?, arXiv:2105.14491.
    """

    name = "gatv2"
    Hyperparameters = GATv2Hyperparameters
    hyperparameters: GATv2Hyperparameters

    def network(self, node_channels: int, edge_channels: int) -> nn.Module:
        h = self.hyperparameters
        width = h.channels * h.heads
        layers = [
            SmoothAttention(width, h.channels, heads=h.heads, edge_dim=edge_channels, add_self_loops=False)
            for _ in range(h.layers)
        ]
        return AttentionStack(site_network([node_channels, width, width]), layers, width)


class SmoothAttention(GATv2Conv):
    """A GATv2 layer whose last edge attribute is a factor that falls to zero at the cutoff."""

    def edge_update(
        self, x_j: Tensor, x_i: Tensor, edge_attr: Tensor, index: Tensor, ptr: Tensor | None, dim_size: int | None
    ) -> Tensor:
        """Weight (E, heads) of every message."""
        cut, edge_attr = edge_attr[:, -1:], edge_attr[:, :-1]
        scores = x_i + x_j + self.lin_edge(edge_attr).view(-1, self.heads, self.out_channels)
        scores = (nn.functional.silu(scores) * self.att).sum(-1)
        return cut * softmax(scores + torch.log(cut.clamp_min(torch.finfo(cut.dtype).tiny)), index, ptr, dim_size)


class AttentionStack(nn.Module):
    """Embedding, attention layers and readout."""

    def __init__(self, embedding: nn.Module, layers: list[SmoothAttention], width: int) -> None:
        super().__init__()
        self.embedding, self.layers = embedding, nn.ModuleList(layers)
        self.readout = site_network([width, width, 1])

    def forward(self, data: Data) -> Tensor:
        """One number per node."""
        features = self.embedding(data.x)
        edges = torch.cat([data.edge_attr, data.edge_cut[:, None]], dim=-1)
        for layer in self.layers:
            features = features + nn.functional.silu(layer(features, data.edge_index, edges))
        return self.readout(features)
