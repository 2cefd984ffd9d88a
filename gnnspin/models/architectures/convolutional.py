"""Convolutional network of spin components on a lattice: the published baseline without spin-rotation symmetry."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.bases import AngularBasis
from gnnspin.models.blocks.density import LatticeStencil, NeighborDensity, NeighborGeometry
from gnnspin.models.blocks.fixed_number import Membership
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.models.blocks.unit_cell import UnitCell
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import no_neighbor
from gnnspin.systems.lattice import cell_neighbors


class ConvolutionalHyperparameters(Config):
    """Hyperparameters of `Convolutional`."""

    layers: int = Field(default=3, ge=1, description="convolutions")
    channels: int = Field(default=24, ge=1, description="channels per site")
    hidden: int = Field(default=48, ge=1, description="width of the site network that reads the energy")
    time_reversal: bool = Field(default=True, description="mean of the energies of S and -S: exactly even")
    unit_cell: UnitCell | None = Field(default=None, description="the lattice; filled in from the training system")


@register
class Convolutional(SpinModel):
    """Convolutions of spin components with one free weight per neighbour, in the manner of image processing.

    Each layer is a convolution over all neighbours within the cutoff plus a site's own features, standardised,
    followed by a smooth activation and a residual connection; a site network reads the site energy. Sites of a unit
    cell have kernels of their own. The published network (Cheng et al., Phys. Rev. Research 5, 033188, 2023,
    doi:10.1103/PhysRevResearch.5.033188) gives the torques directly; this one gives site energies, so that its field is
    a gradient, and runs in dynamics as every other model does.

    Invariant under translations and, with ``time_reversal``, spin inversion: nothing else. Neither spin rotations nor
    the point group are symmetries of the network; it learns them from data as far as it can. Train it on
    `gnnspin.datasets.augmentation.spin_rotated` labels.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : ConvolutionalHyperparameters

    Raises
    ------
    InvalidInput
        If the unit cell is missing, or there is no neighbour within the cutoff.
    """

    name = "convolutional"
    Hyperparameters = ConvolutionalHyperparameters
    hyperparameters: ConvolutionalHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: ConvolutionalHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        if h.unit_cell is None:
            raise InvalidInput(
                "convolutional needs unit_cell; build it with gs.models.for_system(name, system, cutoff)"
            )
        cells, self._center, self._neighbor, _ = cell_neighbors(h.unit_cell.system(), spec.cutoff)
        if len(cells) == 0:
            raise no_neighbor(h.unit_cell.system(), spec.cutoff)
        self._cells = cells
        widths = [3] + [h.channels] * h.layers
        self.convolutions = nn.ModuleList(
            NeighborDensity(inputs, outputs, len(cells), AngularBasis(2, 0), len(cells))
            for inputs, outputs in pairwise(widths)
        )
        self.own = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))
        self.standardizations = nn.ModuleList(Standardization(h.channels) for _ in range(h.layers))
        self.readout = site_network([h.channels, h.hidden, 1])

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters: the unit cell of `system`."""
        return {"unit_cell": UnitCell.of(system), **values}

    @property
    def symmetries(self) -> frozenset[str]:
        return super().symmetries - {"spin_rotation", "point_group", "mirrors", "space_rotation"}

    @property
    def receptive_radius(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff

    def prepare(self, system: SpinSystem) -> NeighborGeometry:
        """Freeze the geometry of `system`, as `SpinModel.prepare` does.

        Raises
        ------
        InvalidInput
            If `system` has another unit cell, or is shorter than the kernel reaches.
        """
        assert self.hyperparameters.unit_cell is not None
        self.hyperparameters.unit_cell.check(system)
        reach = np.abs(self._cells).max(axis=0)
        shape = system.lattice_shape or (1, 1, 1)
        if (reach > np.array(shape)).any():
            raise InvalidInput(f"the kernel reaches {reach.tolist()} cells, more than lattice_shape={shape} has")
        n_basis = system.n_basis
        kernel = torch.zeros(*(2 * reach + 1), n_basis, n_basis, len(self._cells), 1, dtype=torch.float64)
        kernel[(*(self._cells + reach).T, self._center, self._neighbor, np.arange(len(self._cells)))] = 1
        stencil = LatticeStencil(
            shape=shape,
            reach=(int(reach[0]), int(reach[1]), int(reach[2])),
            periodic=system.pbc,
            kernel=kernel.permute(5, 6, 3, 4, 0, 1, 2).contiguous(),
        )
        return NeighborGeometry(
            site_kind=torch.zeros(system.n_sites, dtype=torch.int64),
            membership=Membership.of(system),
            stencil=stencil,
            table=None,
            build_table=_no_table,
        )

    def dimensionless_energies(self, data: NeighborGeometry, spins: Tensor, *, calibrate: bool = False) -> Tensor:
        if not self.hyperparameters.time_reversal:
            return self._network(data, spins, calibrate=calibrate)
        both = self._network(data, torch.cat([spins, -spins]), calibrate=calibrate)
        return both.unflatten(0, (2, -1)).mean(0)

    def _network(self, data: NeighborGeometry, spins: Tensor, *, calibrate: bool) -> Tensor:
        features = spins
        for convolution, own, standardization in zip(self.convolutions, self.own, self.standardizations, strict=True):
            arrived = convolution(features.transpose(1, 2), data)[:, :, 0].transpose(1, 2) + own(features)
            changed = nn.functional.silu(standardization(arrived, calibrate=calibrate))
            features = changed if features is spins else features + changed
        return self.readout(features)[..., 0]

    @torch.no_grad()
    def calibrate(self, data: NeighborGeometry, spins: Tensor) -> None:
        """Measure mean and spread of every layer's channels on spins (R, N, 3)."""
        self.dimensionless_energies(data, spins, calibrate=True)


def _no_table() -> Any:
    raise InvalidInput("a convolution has no path of general graphs")
