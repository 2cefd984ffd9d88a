"""Kernels of a lattice: a free weight for every displacement of a neighbour, in every orientation or direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.radius import MATCH_TOLERANCE, radius_graph
from gnnspin.models.blocks.density import LatticeStencil, convolve
from gnnspin.models.blocks.padded_rows import Neighborhood
from gnnspin.models.blocks.unit_cell import UnitCell
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import no_neighbor
from gnnspin.systems.lattice import cell_neighbors, is_lattice
from gnnspin.systems.symmetry import CrystalSymmetry
from gnnspin.systems.system import FloatArray


class Orientations:
    """The orientations of a lattice: the rotations and reflections of its space group, without the translations.

    With `bond` those that turn this vector alike count as one: what is left are the directions of the equivalent bonds,
    each with the operations that leave it where it is, its stabilizer. Features of a direction are the same seen from
    all of these (quotient representations: Cohen, Geiger, Weiler, NeurIPS 2019, arXiv:1811.02017).

    Parameters
    ----------
    cell : UnitCell
    mirrors : bool
        False keeps proper rotations alone.
    bond : (3,) or None
        A displacement between sites.
    drive : (3,) or None
        A direction of space that operations must keep, as of a current; with `bond` it takes the place of the bond.
        Drives that the lattice turns into each other have the same weights, which are turned along.

    Attributes
    ----------
    matrices : (G, 3, 3)
        Orthogonal, Cartesian; with `bond` one for each direction.
    stabilizer : (K, 3, 3)
        Operations that leave the bond where it is; without `bond` the identity.
    quotient : (G, G) int64
        Number of ``matrices[g].T @ matrices[h]`` among those that differ, with the stabilizer on both sides.
    """

    def __init__(
        self,
        cell: UnitCell,
        *,
        mirrors: bool = True,
        bond: FloatArray | None = None,
        drive: tuple[float, float, float] | None = None,
    ) -> None:
        found = CrystalSymmetry.of(cell.vectors, cell.basis, cell.extended).rotations
        found = found if mirrors else found[np.linalg.det(found) > 0]
        group: FloatArray = found[_first_of_each(found.reshape(-1, 9))]
        kept = group
        if drive is not None:
            turned = group @ drive
            reference = turned[_first_of_each(turned)[-1]]  # one for all drives that the lattice turns into each other
            kept, bond = group[_equal(group @ reference, np.array(drive))], None if bond is None else reference
        images = kept.reshape(-1, 9) if bond is None else kept @ bond
        self.matrices: FloatArray = kept[_first_of_each(images)]
        self.stabilizer: FloatArray = np.eye(3)[None] if bond is None else group[_equal(group @ bond, bond)]
        sides = self.stabilizer
        products = np.einsum("aij,gkj,hkl,blm->abghim", sides, self.matrices, self.matrices, sides, optimize=True)
        number = cKDTree(group.reshape(-1, 9)).query(products.reshape(*products.shape[:4], 9))[1].min((0, 1))
        self.quotient = torch.from_numpy(np.unique(number, return_inverse=True)[1].reshape(number.shape))

    def classes(self, displacements: FloatArray) -> Tensor:
        """Class (D,) int64 of every displacement (D, 3): the stabilizer turns those of one class into each other."""
        turned = np.einsum("hij,dj->hdi", self.stabilizer, displacements)
        first = displacement_indices(displacements, turned, "turned lattice").numpy().min(axis=0)
        return torch.from_numpy(np.unique(first, return_inverse=True)[1])


def _equal(images: FloatArray, vector: FloatArray) -> np.ndarray:
    """Which of the images (G, 3) are the vector (3,)."""
    return np.linalg.norm(images - vector, axis=1) < MATCH_TOLERANCE * np.linalg.norm(vector)


def _first_of_each(rows: FloatArray) -> np.ndarray:
    """Position of the first of each of the different rows."""
    return np.unique(np.round(rows, 6) + 0.0, axis=0, return_index=True)[1]


@dataclass(frozen=True)
class KernelGeometry(TensorContainer):
    """Places of the neighbours of every site: a stencil or a table of slots.

    Attributes
    ----------
    stencil : LatticeStencil or None
        On a lattice that is no smaller than the kernel.
    slots : (N, D) int64 or None
        Site at each displacement; N where there is none. On every other graph.
    """

    stencil: LatticeStencil | None
    slots: Tensor | None


class LatticeKernel(nn.Module):
    r"""Messages :math:`A_i^c(g) = \sum_{c'}\sum_j W_{cc'}(g^{-1} r_{ij})\, x_j^{c'}(g)` in every orientation g.

    Displacements that the stabilizer of the orientations turns into each other have one weight.

    An operation of the lattice that takes site i to site j and orientation g to h takes :math:`A_i(g)` to
    :math:`A_j(h)`, whatever the weights (Cohen and Welling, ICML 2016, arXiv:1602.07576).

    Parameters
    ----------
    in_channels, out_channels : int
    cell : UnitCell
    orientations : Orientations
    cutoff : float
        Displacements up to this length.

    Raises
    ------
    InvalidInput
        If the lattice has no neighbours within the cutoff.
    """

    images: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, cell: UnitCell, orientations: Orientations, cutoff: float
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.displacements = unique_displacements(cell, cutoff)
        turned = np.einsum("gji,dj->gdi", orientations.matrices, self.displacements)
        classes = orientations.classes(self.displacements)
        images = classes[displacement_indices(self.displacements, turned, "turned lattice")]
        self.register_buffer("images", images, persistent=False)  # (G, D): number of the weight
        scale = 1 / math.sqrt(in_channels * min(len(self.displacements), 12))
        self.weight = nn.Parameter(scale * torch.randn(out_channels, in_channels, int(classes.max()) + 1))

    def prepare(self, system: SpinSystem, *, stencil: bool = True) -> KernelGeometry:
        """Geometry of `system`; without `stencil` always as slots, the path of general graphs.

        Raises
        ------
        InvalidInput
            If a neighbour sits where the lattice has none.
        """
        found = _stencil(system, self.cutoff, self.displacements) if stencil and is_lattice(system) else None
        return KernelGeometry(found, _slots(system, self.cutoff, self.displacements) if found is None else None)

    def neighborhood(self, system: SpinSystem) -> Neighborhood:
        """Place of the neighbour at each displacement, for every site of the unit cell of a lattice."""
        cells, center, neighbor, vectors = cell_neighbors(system, self.cutoff)
        index = displacement_indices(self.displacements, vectors, repr(system)).numpy()
        return Neighborhood.of(cells, center, neighbor, index, len(self.displacements))

    def forward(self, features: Tensor, geometry: KernelGeometry) -> Tensor:
        """Messages (B, G, C_out, N) of features (B, G, C_in, N), or (B, 1, C_in, N) equal in all orientations."""
        n_orientations = len(self.images)
        if geometry.stencil is not None:
            weight = self.weight[:, :, self.images].permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]
            return convolve(features.flatten(1, 2), geometry.stencil, weight)[:, :, 0].unflatten(
                1, (n_orientations, -1)
            )
        assert geometry.slots is not None
        padded = nn.functional.pad(features, (0, 1))
        arrived = padded[..., geometry.slots.flatten()].unflatten(-1, geometry.slots.shape)
        arrived = arrived.expand(-1, n_orientations, -1, -1, -1)
        return torch.einsum("ocgd,bgcnd->bgon", self.weight[:, :, self.images], arrived)


class OrientationMixing(nn.Module):
    r"""Mixtures :math:`\sum_{c'}\sum_h K_{cc'}(g^{-1} h)\, x^{c'}(h)` of the orientations of one site.

    Parameters
    ----------
    channels : int
    orientations : Orientations
    """

    quotient: Tensor

    def __init__(self, channels: int, orientations: Orientations) -> None:
        super().__init__()
        count, kinds = len(orientations.matrices), int(orientations.quotient.max()) + 1
        self.weight = nn.Parameter(torch.randn(channels, channels, kinds) / math.sqrt(channels * count))
        self.register_buffer("quotient", orientations.quotient, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Mixtures (B, G, C, N) of features (B, G, C, N)."""
        return (self.matrix() @ features.flatten(1, 2)).reshape(features.shape)

    def matrix(self) -> Tensor:
        """Matrix (G C, G C) that mixes orientations and channels."""
        return self.weight[:, :, self.quotient].permute(2, 0, 3, 1).flatten(2, 3).flatten(0, 1)


def unique_displacements(cell: UnitCell, cutoff: float) -> FloatArray:
    """Displacements (D, 3) of all neighbours of all sites of a unit cell, each once, short ones first."""
    vectors = cell_neighbors(cell.system(), cutoff)[3]
    if len(vectors) == 0:
        raise no_neighbor(cell.system(), cutoff)
    rounded = np.round(vectors / np.linalg.norm(vectors, axis=1).min(), 6) + 0.0
    distance = np.round(np.linalg.norm(rounded, axis=1), 5)
    _, kept = np.unique(np.column_stack([distance, rounded]), axis=0, return_index=True)
    return vectors[kept]


def displacement_indices(displacements: FloatArray, vectors: FloatArray, where: str) -> Tensor:
    """Index (...) of each of the vectors (..., 3) among the displacements."""
    distance, index = cKDTree(displacements).query(vectors)
    if np.max(distance, initial=0.0) > MATCH_TOLERANCE * np.linalg.norm(displacements[0]):
        away = vectors.reshape(-1, 3)[int(np.argmax(distance))].tolist()
        raise InvalidInput(
            f"{where}: a neighbour at {away} is at none of the displacements of the lattice the model was made for"
        )
    return torch.from_numpy(index)


def _stencil(system: SpinSystem, cutoff: float, displacements: FloatArray) -> LatticeStencil | None:
    """Number of the displacement that each entry of a dense kernel holds; None if the lattice is too small to pad."""
    cells, center, neighbor, vectors = cell_neighbors(system, cutoff)
    reach = np.abs(cells).max(axis=0, initial=0)
    if (reach > np.array(system.lattice_shape)).any():
        return None
    index = displacement_indices(displacements, vectors, repr(system))
    kernel = torch.zeros(*(2 * reach + 1), system.n_basis, system.n_basis, len(displacements), 1, dtype=torch.float64)
    kernel[(*(cells + reach).T, center, neighbor, index)] = 1
    return LatticeStencil(
        shape=system.lattice_shape,  # type: ignore[arg-type]
        reach=(int(reach[0]), int(reach[1]), int(reach[2])),
        periodic=system.pbc,
        kernel=kernel.permute(5, 6, 3, 4, 0, 1, 2).contiguous(),
    )


def _slots(system: SpinSystem, cutoff: float, displacements: FloatArray) -> Tensor:
    """Site (N, D) at each displacement of every site, N where there is none."""
    graph = radius_graph(system, cutoff)
    sender, center = graph.edge_index
    slots = torch.full((system.n_sites, len(displacements)), system.n_sites)
    slots[center, displacement_indices(displacements, graph.edge_vector.numpy(), repr(system))] = sender
    return slots
