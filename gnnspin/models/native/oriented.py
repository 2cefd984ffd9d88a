"""The oriented cluster expansion by its native kernel: weights unfolded, folded and laid out once."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gnnspin.models.blocks.fixed_number import with_potential
from gnnspin.models.blocks.lattice_kernels import LatticeKernel, OrientationMixing
from gnnspin.models.blocks.oriented_layer import OrientedLayer
from gnnspin.models.blocks.padded_rows import PaddedRows
from gnnspin.models.native.library import NativeLibrary, registers
from gnnspin.systems import SpinSystem

if TYPE_CHECKING:
    from gnnspin.models.architectures.oriented_cluster_expansion import OrientedClusterExpansion


def _names(text: str) -> list[str]:
    return text.split()


_NUMBERS = _names(
    "orientations kinds in_vectors in_scalars filters factors terms channels scalars hidden invariants outputs "
    "site_outputs displacements is_first time_reversal emits"
)
_TABLES = _names("neighbors reverse")
_WEIGHTS = _names(
    "kernel kernel_back own own_back mixing mixing_back scalar_kernel scalar_kernel_back scalar_mixing "
    "scalar_mixing_back factor_mixing factor_mixing_back vector_mixing vector_mixing_back first first_bias "
    "first_back second second_bias second_back third third_bias third_back"
)
_ARRAYS = _names(
    "vectors mixed_vectors scalars_in mixed_scalars d_vectors d_scalars d_messages d_scalar_messages "
    "d_mixed_scalars sites d_spins"
)


class LayerStructure(ctypes.Structure):
    """``struct Layer`` of the native kernel."""

    _fields_ = [(name, ctypes.c_int64) for name in _NUMBERS] + [
        (name, ctypes.c_void_p) for name in (*_TABLES, *_WEIGHTS, *_ARRAYS)
    ]


class NativeOriented:
    """Site energies and fields of an `OrientedClusterExpansion` on one lattice, by a kernel in C++.

    The kernel passes over blocks of sites, and over the orientations of each, with everything but the vectors handed
    from layer to layer in the first cache. Derivatives are written out: they recompute the inside of a block. Results
    do not depend on the number of threads.

    Parameters
    ----------
    model : OrientedClusterExpansion
        Its weights are copied.
    system : SpinSystem
        A lattice that is no smaller than the model's kernels.
    dtype : torch.dtype

    Raises
    ------
    NoCompiler
        If the kernel cannot be built, see `NativeLibrary`.
    """

    def __init__(self, model: OrientedClusterExpansion, system: SpinSystem, dtype: torch.dtype) -> None:
        self._data = model.prepare(system)
        self._scale, self._shift = float(model.energy_scale), float(model.energy_shift)
        layers = [layer for layer in model.layers if isinstance(layer, OrientedLayer)]
        axis = PaddedRows.best_axis(system)
        around = [layer.kernel.neighborhood(system) for layer in layers[:2]]
        length = system.lattice_shape[axis]  # type: ignore[index]
        self._library = NativeLibrary("oriented.cpp", dtype, registers(length, dtype))
        halo = max(int(abs(found.cells[..., axis]).max()) for found in around)
        self._rows = PaddedRows(system, halo, self._library.block_length, axis)
        self._tables = [(self._rows.table(found), self._rows.table(found.reversed())) for found in around]
        self._kinds = self._array(model.hyperparameters.n_kinds, dtype)
        one_hot = nn.functional.one_hot(self._data.site_kind, model.hyperparameters.n_kinds).T.to(dtype)
        self._rows.padded(one_hot, self._kinds)
        self._spins, self._own = self._array(3, dtype), self._array(3 * len(self._kinds), dtype)
        self._d_sites = self._array(1 + model.hyperparameters.fixed_number, dtype)
        self._kept: list[Tensor] = []
        self._arrays: list[dict[str, Tensor]] = []
        self._layers = (LayerStructure * len(layers))()
        for k, layer in enumerate(layers):
            self._fill(self._layers[k], _unfolded(layer), self._tables[min(k, 1)], dtype, first=k == 0)

    def __call__(self, spins: Tensor, *, field: bool) -> tuple[Tensor, Tensor | None]:
        """Site energies (R, N) and, if asked for, fields (R, N, 3) of spins (R, N, 3)."""
        parts = [self._one(replica, field=field) for replica in spins]
        energies = torch.stack([energy for energy, _ in parts])
        return energies, torch.stack([part for _, part in parts if part is not None]) if field else None

    def _one(self, spins: Tensor, *, field: bool) -> tuple[Tensor, Tensor | None]:
        self._rows.padded(spins.T, self._spins)
        torch.mul(self._kinds[:, None], self._spins, out=self._own.view(len(self._kinds), 3, -1))
        outputs = len(self._d_sites)
        if not field or outputs > 1:  # charges of all sites come before the adjoints of any
            self._run(0, back=False)
        else:
            self._d_sites.fill_(self._scale)
        sites = self._sites() if not field or outputs > 1 else None
        if field and sites is not None:
            with torch.enable_grad():
                given = sites.detach().requires_grad_(True)
                (adjoint,) = torch.autograd.grad(with_potential(given[None], self._data.membership).sum(), given)
            self._rows.padded(self._scale * adjoint, self._d_sites)
        if field:
            self._run(0 if outputs == 1 else len(self._layers), back=True)
            sites = self._sites() if sites is None else sites
        assert sites is not None
        energies = self._scale * with_potential(sites[None], self._data.membership)[0] + self._shift
        if not field:
            return energies, None
        gradient = sum(arrays["d_spins"] for arrays in self._arrays)
        gradient = gradient + (self._arrays[0]["d_vectors"].view(len(self._kinds), 3, -1) * self._kinds[:, None]).sum(0)
        return energies, -gradient[:, self._rows.of_site].T

    def _run(self, start: int, *, back: bool) -> None:
        threads = ctypes.c_int64(torch.get_num_threads())
        pointers = (ctypes.c_void_p(array.data_ptr()) for array in (self._spins, self._kinds, self._d_sites))
        self._library.oriented(
            ctypes.byref(self._rows.structure),
            self._layers,
            ctypes.c_int64(len(self._layers)),
            *pointers,
            ctypes.c_int64(start),
            ctypes.c_int64(back),
            threads,
        )

    def _sites(self) -> Tensor:
        """Site outputs (C, N), summed over the layers."""
        total = sum(arrays["sites"] for arrays in self._arrays)
        assert isinstance(total, Tensor)
        return total[:, self._rows.of_site]

    def _array(self, channels: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(channels, self._rows.positions, dtype=dtype)

    def _fill(
        self,
        target: LayerStructure,
        layer: UnfoldedLayer,
        tables: tuple[Tensor, Tensor],
        dtype: torch.dtype,
        *,
        first: bool,
    ) -> None:
        """Sizes, weights and arrays of one layer."""
        for name, number in layer.sizes.items():
            setattr(target, name, int(number))
        g, c, q = target.orientations, target.in_vectors, target.in_scalars
        sizes = {
            "mixed_vectors": g * c * 3 * (not first),
            "mixed_scalars": g * q,
            "d_vectors": c * 3 * (1 if first else g),
            "d_scalars": g * q,
            "d_messages": 3 * (target.displacements * c if first else g * target.filters),
            "d_scalar_messages": g * q,
            "d_mixed_scalars": g * q,
            "sites": target.site_outputs,
            "d_spins": 3,
        }
        arrays = {name: self._array(size, dtype) for name, size in sizes.items()}
        arrays["vectors"] = self._own if first else self._array(g * c * 3, dtype)
        arrays["scalars_in"] = self._array(g * q, dtype)
        weights = {name: weight.detach().to(dtype).contiguous() for name, weight in layer.weights.items()}
        for name, array in {**weights, **arrays, "neighbors": tables[0], "reverse": tables[1]}.items():
            setattr(target, name, array.data_ptr())
            self._kept.append(array)
        self._arrays.append(arrays)


@dataclass(frozen=True)
class UnfoldedLayer:
    """Sizes and weights of a layer as the kernel reads them."""

    sizes: dict[str, int]
    weights: dict[str, Tensor]


def _unfolded(layer: OrientedLayer) -> UnfoldedLayer:
    """Weights in every orientation, with the standardisation in the site network's first layer, all in float64."""
    size, kernel = layer.size, layer.kernel
    scalars = layer.scalar_kernel.weight.shape[0] if layer.scalar_kernel is not None else 0
    filters, vectors, displacements = kernel.weight.shape
    first, second, third = (part for part in layer.network if isinstance(part, nn.Linear))
    inverse = layer.standardization.inverse_spread.double()
    weight = torch.cat([first.weight, layer.linear_energy[None]]).double() * inverse
    kinds = layer.factors.shape[1] - filters
    sizes = {
        "orientations": len(kernel.images),
        "kinds": kinds,
        "in_vectors": vectors,
        "in_scalars": scalars,
        "filters": filters,
        "factors": size.factors,
        "terms": layer.terms,
        "channels": size.channels,
        "scalars": size.scalars if layer.emits else 0,
        "hidden": size.hidden,
        "invariants": weight.shape[1],
        "outputs": sum(layer.outputs),
        "site_outputs": layer.outputs[0],
        "displacements": displacements,
        "is_first": layer.mixing is None,
        "time_reversal": layer.time_reversal,
        "emits": layer.emits,
    }
    weights = {
        "first_bias": pad(first.bias.double(), (0, 1)) - weight @ layer.standardization.mean.double(),
        "second_bias": second.bias,
        "third_bias": third.bias,
    }
    square = {
        "first": weight,
        "second": second.weight,
        "third": third.weight,
        "factor_mixing": layer.factors,
    }
    if layer.emits:
        square["vector_mixing"] = layer.vector_mixing
    if layer.mixing is not None and layer.own_weight is not None:
        square |= {"own": layer.own_weight, "mixing": _with_identity(layer.mixing)}
    if layer.scalar_mixing is not None:
        square["scalar_mixing"] = _with_identity(layer.scalar_mixing)
    for name, matrix in square.items():
        weights |= {name: matrix, f"{name}_back": matrix.T}
    kernels = {"kernel": kernel} | ({} if layer.scalar_kernel is None else {"scalar_kernel": layer.scalar_kernel})
    for name, block in kernels.items():
        weights |= _in_all_orientations(name, block, first=layer.mixing is None)
    return UnfoldedLayer(sizes, weights)


def _with_identity(mixing: OrientationMixing) -> Tensor:
    """Matrix (G C, G C) of x + K x."""
    matrix = mixing.matrix().double()
    return matrix + torch.eye(len(matrix), dtype=matrix.dtype)


def _in_all_orientations(name: str, kernel: LatticeKernel, *, first: bool) -> dict[str, Tensor]:
    """Weights (G, C_out, D C_in) of messages, and (G, C_in, D C_out) of adjoints; of the first (D C_in, G C_out)."""
    weight = kernel.weight[:, :, kernel.images].permute(2, 0, 3, 1)  # (G, C_out, D, C_in)
    back = weight.permute(2, 3, 0, 1).flatten(2).flatten(0, 1) if first else weight.permute(0, 3, 2, 1).flatten(2)
    return {name: weight.flatten(2), f"{name}_back": back}
