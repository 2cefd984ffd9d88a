"""The spin cluster expansion on lattices by its native kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gnnspin.models.blocks.cluster_layer import ChannelPairs, ClusterLayer
from gnnspin.models.blocks.density import NeighborDensity
from gnnspin.models.blocks.lattice_kernels import displacement_indices, unique_displacements
from gnnspin.models.blocks.padded_rows import Neighborhood
from gnnspin.models.blocks.unit_cell import UnitCell
from gnnspin.models.native.layered import (
    NativeLayer,
    NativeLayered,
    site_network_weights,
    structure,
    with_transposed,
)
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import cell_neighbors


class NativeCluster(NativeLayered):
    """`SpinClusterExpansion` with mirrors, on lattices, by its native kernel, see `NativeLayered`."""

    source = "cluster"
    Structure = structure(
        "kinds in_vectors in_scalars densities components degrees pairs mixed_pairs channels scalars gates "
        "hidden invariants outputs site_outputs displacements is_first time_reversal emits gradient_size",
        "neighbors reverse parts kernel kernel_back scalar_kernel scalar_kernel_back tensor_mixing tensor_mixing_back "
        "vector_first vector_first_back vector_second vector_second_back "
        "tensor_first tensor_first_back tensor_second tensor_second_back "
        "density_mixing density_mixing_back gate_mixing gate_mixing_back "
        "first first_bias first_back second second_bias second_back third third_bias third_back "
        "vectors scalars_in d_vectors d_scalars d_sent d_scalars_sent d_own d_own_scalars sites d_spins activations "
        "gradients gradient_totals "
        "g_kernel g_scalar_kernel g_tensor_mixing g_vector_first g_vector_second g_tensor_first g_tensor_second "
        "g_density_mixing g_gate_mixing g_first g_second g_third",
    )

    def _neighborhoods(self, model: Any, system: SpinSystem) -> Sequence[Neighborhood]:
        displacements = unique_displacements(UnitCell.of(system), model.spec.cutoff)
        self._basis = _basis(model, torch.from_numpy(displacements))
        cells, center, neighbor, vectors = cell_neighbors(system, model.spec.cutoff)
        index = displacement_indices(displacements, vectors, repr(system)).numpy()
        return [Neighborhood.of(cells, center, neighbor, index, len(displacements))]

    def _read(self, model: Any, system: SpinSystem) -> Sequence[NativeLayer]:
        return [_layer(layer, self._basis, first=k == 0) for k, layer in enumerate(model.layers)]


def _basis(model: Any, vectors: Tensor) -> Tensor:
    """Radial times angular functions (D, radial, M) at displacements (D, 3)."""
    distance = vectors.norm(dim=1)
    return model.radial(distance, model.spec.match(vectors, distance))[:, :, None] * model.angular(vectors)[:, None]


def _layer(layer: ClusterLayer, basis: Tensor, *, first: bool) -> NativeLayer:
    """Sizes and weights of one layer; `basis` (D, radial, M) at the displacements."""
    size, densities, vectors, scalars = layer.size, layer.densities, layer.in_vectors, layer.in_scalars
    displacements, components = len(basis), basis.shape[2]
    mixed_pairs = hasattr(layer.vector_pairs[0], "first")
    sizes = {
        "kinds": vectors if first else 1,
        "in_vectors": vectors,
        "in_scalars": scalars,
        "densities": densities,
        "components": components,
        "degrees": len(layer.degrees),
        "pairs": _pairs(layer.vector_pairs[0]).size,
        "mixed_pairs": mixed_pairs,
        "channels": size.channels if layer.emits else 0,
        "scalars": size.scalars,
        "gates": layer.gates_per_channel,
        "hidden": size.hidden,
        "invariants": len(layer.linear_energy),
        "outputs": layer.n_outputs,
        "site_outputs": layer.site_outputs,
        "displacements": displacements,
        "is_first": first,
        "time_reversal": layer.time_reversal,
        "emits": layer.emits,
    }
    matrices = {
        "kernel": _kernel(layer.vector_density, basis),
        "tensor_mixing": torch.stack(list(layer.tensor_mixing)),
    }
    if scalars:
        matrices["scalar_kernel"] = _kernel(layer.scalar_density, basis)
    if layer.emits:
        matrices["density_mixing"] = layer.density_mixing
        matrices["gate_mixing"] = torch.stack(list(layer.gate_mixing))
    if mixed_pairs:
        for name, modules in (("vector", layer.vector_pairs), ("tensor", layer.tensor_pairs)):
            if len(modules):
                matrices[f"{name}_first"] = torch.stack([_pairs(module).first for module in modules])
                matrices[f"{name}_second"] = torch.stack([_pairs(module).second for module in modules])
    weights = with_transposed(matrices) | site_network_weights(
        layer.network, layer.standardization, layer.linear_energy
    )
    arrays = {
        "vectors": 3 * vectors,
        "d_vectors": 3 * vectors,
        "d_sent": 3 * vectors * displacements,
        "d_own": 3 * vectors,
        "scalars_in": scalars,
        "d_scalars": scalars,
        "d_scalars_sent": scalars * displacements,
        "d_own_scalars": scalars,
        "sites": layer.site_outputs,
        "d_spins": 3,
    }
    return NativeLayer(
        sizes, weights, arrays, {"parts": torch.tensor([part.start for part in layer.degrees] + [components])}
    )


def _kernel(density: NeighborDensity, basis: Tensor) -> Tensor:
    """Weights (C_out M, D C_in) of densities, in float64."""
    weight = density.weight[:, :, density.degree].double()  # (C_out, C_in, M, radial)
    return torch.einsum("ocmk,dkm->omdc", weight, basis).flatten(2).flatten(0, 1)


def _pairs(module: torch.nn.Module) -> ChannelPairs:
    assert isinstance(module, ChannelPairs)
    return module
