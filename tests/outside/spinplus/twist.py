"""An observer: how far spins turn about z from every site to its nearest neighbours."""

from __future__ import annotations

import torch

import gnnspin as gs
from gnnspin.dynamics import register_observer
from gnnspin.trajectories.observers import Observer


@register_observer("spinplus_twist")
def twist(source: gs.core.FieldSource) -> Observer:
    """Root mean square of ``(S_i x S_j)_z`` over nearest neighbours."""
    i, j = torch.from_numpy(gs.classical.shell_bond_list(source.system).pairs).T

    def measure(state: gs.core.State) -> torch.Tensor:
        return torch.linalg.cross(state.spins[..., i, :], state.spins[..., j, :])[..., 2].square().mean(-1).sqrt()

    return measure
