"""The oriented cluster expansion by its native kernel: weights unfolded, folded and laid out once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gnnspin.models.blocks.lattice_kernels import LatticeKernel, OrientationMixing
from gnnspin.models.blocks.oriented_layer import OrientedLayer
from gnnspin.models.blocks.padded_rows import Neighborhood
from gnnspin.models.native.layered import (
    NativeLayer,
    NativeLayered,
    site_network_weights,
    structure,
    with_transposed,
)
from gnnspin.systems import SpinSystem


class NativeOriented(NativeLayered):
    """`OrientedClusterExpansion` by its native kernel, see `NativeLayered`."""

    source = "oriented"
    Structure = structure(
        "orientations kinds in_vectors in_scalars filters factors terms channels scalars hidden invariants outputs "
        "site_outputs displacements is_first time_reversal emits gradient_size",
        "neighbors reverse kernel kernel_back own own_back mixing mixing_back scalar_kernel scalar_kernel_back "
        "scalar_mixing scalar_mixing_back factor_mixing factor_mixing_back vector_mixing vector_mixing_back "
        "first first_bias first_back second second_bias second_back third third_bias third_back "
        "vectors mixed_vectors scalars_in mixed_scalars d_vectors d_scalars d_messages d_scalar_messages "
        "d_mixed_scalars sites d_spins activations gradients gradient_totals "
        "g_kernel g_own g_mixing g_scalar_kernel g_scalar_mixing g_factor_mixing g_vector_mixing "
        "g_first g_second g_third",
    )

    def _neighborhoods(self, model: Any, system: SpinSystem) -> Sequence[Neighborhood]:
        return [layer.kernel.neighborhood(system) for layer in model.layers[:2]]

    def _read(self, model: Any, system: SpinSystem) -> Sequence[NativeLayer]:
        return [_read(layer) for layer in model.layers]


def _read(layer: OrientedLayer) -> NativeLayer:
    """Sizes and weights of a layer, these in every orientation."""
    size, first = layer.size, layer.mixing is None
    filters, vectors, _ = layer.kernel.weight.shape
    scalars = layer.scalar_kernel.weight.shape[0] if layer.scalar_kernel is not None else 0
    orientations, displacements = layer.kernel.images.shape
    sizes = {
        "orientations": orientations,
        "kinds": layer.factors.shape[1] - filters,
        "in_vectors": vectors,
        "in_scalars": scalars,
        "filters": filters,
        "factors": size.factors,
        "terms": layer.terms,
        "channels": size.channels,
        "scalars": size.scalars if layer.emits else 0,
        "hidden": size.hidden,
        "invariants": len(layer.linear_energy),
        "outputs": sum(layer.outputs),
        "site_outputs": layer.outputs[0],
        "displacements": displacements,
        "is_first": first,
        "time_reversal": layer.time_reversal,
        "emits": layer.emits,
    }
    matrices: dict[str, Tensor] = {"factor_mixing": layer.factors}
    if layer.emits:
        matrices["vector_mixing"] = layer.vector_mixing
    if layer.mixing is not None and layer.own_weight is not None:
        matrices |= {"own": layer.own_weight, "mixing": _with_identity(layer.mixing)}
    if layer.scalar_mixing is not None:
        matrices["scalar_mixing"] = _with_identity(layer.scalar_mixing)
    weights = with_transposed(matrices) | site_network_weights(
        layer.network, layer.standardization, layer.linear_energy
    )
    weights |= _in_all_orientations("kernel", layer.kernel, first=first)
    if layer.scalar_kernel is not None:
        weights |= _in_all_orientations("scalar_kernel", layer.scalar_kernel, first=False)
    handed = 3 * vectors * (1 if first else orientations)
    arrays = {
        "vectors": handed,
        "d_vectors": handed,
        "mixed_vectors": 0 if first else handed,
        "d_messages": 3 * (displacements * vectors if first else orientations * filters),
        "sites": layer.outputs[0],
        "d_spins": 3,
    }
    for name in ("scalars_in", "mixed_scalars", "d_scalars", "d_scalar_messages", "d_mixed_scalars"):
        arrays[name] = orientations * scalars
    return NativeLayer(sizes, weights, arrays)


def _with_identity(mixing: OrientationMixing) -> Tensor:
    """Matrix (G C, G C) of x + K x."""
    matrix = mixing.matrix().double()
    return matrix + torch.eye(len(matrix), dtype=matrix.dtype)


def _in_all_orientations(name: str, kernel: LatticeKernel, *, first: bool) -> dict[str, Tensor]:
    """Weights (G, C_out, D C_in) of messages, and (G, C_in, D C_out) of adjoints; of the first (D C_in, G C_out)."""
    weight = kernel.weight[:, :, kernel.images].permute(2, 0, 3, 1)  # (G, C_out, D, C_in)
    back = weight.permute(2, 3, 0, 1).flatten(2).flatten(0, 1) if first else weight.permute(0, 3, 2, 1).flatten(2)
    return {name: weight.flatten(2), f"{name}_back": back}
