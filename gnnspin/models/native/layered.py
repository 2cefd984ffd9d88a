"""Common part of the native kernels of both cluster expansions: layers in structures, arrays, one call per field."""

from __future__ import annotations

import ctypes
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gnnspin.core.native_library import NativeLibrary, NoCompiler, lanes, registers
from gnnspin.models.blocks.fixed_number import with_potential
from gnnspin.models.blocks.layered_expansion import LayeredExpansion
from gnnspin.models.blocks.padded_rows import Neighborhood, PaddedRows
from gnnspin.models.blocks.standardization import Standardization
from gnnspin.models.native.differentiable import trainable
from gnnspin.systems import SpinSystem


def structure(numbers: str, pointers: str) -> type[ctypes.Structure]:
    """Structure of integers and of pointers with the given names, as a kernel declares it."""
    fields: list[tuple[str, Any]] = [(name, ctypes.c_int64) for name in numbers.split()]
    fields += [(name, ctypes.c_void_p) for name in pointers.split()]
    return type("LayerStructure", (ctypes.Structure,), {"_fields_": fields})


@dataclass(frozen=True)
class NativeLayer:
    """One layer as a kernel reads it.

    Attributes
    ----------
    sizes : dict
        Integers of the structure.
    weights : dict
        Matrices, in any precision.
    arrays : dict
        Number of features in the array under each name.
    tables : dict
        Arrays of integers.
    """

    sizes: dict[str, int]
    weights: dict[str, Tensor]
    arrays: dict[str, int]
    tables: dict[str, Tensor] = field(default_factory=dict)


class NativeLayered(ABC):
    """Site energies and fields of a layered expansion on one lattice, by a kernel in C++.

    The kernel passes over blocks of sites and computes everything but the messages without leaving the first cache.
    Derivatives are written out: they recompute the inside of a block. Results do not depend on the number of threads.

    Parameters
    ----------
    model : LayeredExpansion
        Its weights are copied; `update` copies them again.
    system : SpinSystem
        A lattice that is no smaller than the reach of one message.
    dtype : torch.dtype
        float32 or float64.

    Raises
    ------
    NoCompiler
        If the kernel cannot be built, see `NativeLibrary`.
    """

    source: ClassVar[str]
    Structure: ClassVar[type[ctypes.Structure]]

    def __init__(self, model: Any, system: SpinSystem, dtype: torch.dtype) -> None:
        assert isinstance(model, LayeredExpansion)
        data, kinds = model.prepare(system), model.hyperparameters.n_kinds
        self.model, self._system = model, system
        self._membership = data.membership
        around = self._neighborhoods(model, system)
        axis = PaddedRows.best_axis(system)
        length = system.lattice_shape[axis]  # type: ignore[index]
        self._library = NativeLibrary(Path(__file__).with_name(f"{self.source}.cpp"), dtype, registers(length, dtype))
        if self._library.layer_bytes() != ctypes.sizeof(self.Structure):
            raise NoCompiler("gnnspin's native code on disk is not that of the running program; start it again")
        halo = max(int(abs(found.cells[..., axis]).max()) for found in around)
        self._rows = PaddedRows(system, halo, self._library.block_length, axis)
        tables = [
            {"neighbors": self._rows.table(found), "reverse": self._rows.table(found.reversed())} for found in around
        ]
        self._kinds, self._spins = self._rows.array(kinds, dtype), self._rows.array(3, dtype)
        self._rows.write(nn.functional.one_hot(data.site_kind, kinds).T.to(dtype), self._kinds)
        self._d_sites = self._rows.array(1 + model.hyperparameters.fixed_number, dtype)
        self._arrays: list[dict[str, Tensor]] = []
        self._kept: list[Tensor] = []
        self._weights: list[dict[str, Tensor]] = []
        self._layers = (self.Structure * len(model.layers))()
        self._one_at_a_time = threading.Lock()
        for k, layer in enumerate(self._read(model, system)):
            arrays = {name: self._rows.array(count, dtype) for name, count in layer.arrays.items()}
            weights = {name: torch.empty(weight.shape, dtype=dtype) for name, weight in layer.weights.items()}
            self._arrays.append(arrays)
            self._weights.append(weights)
            for name, number in layer.sizes.items():
                setattr(self._layers[k], name, int(number))
            for name, array in {**weights, **arrays, **layer.tables, **tables[min(k, len(tables) - 1)]}.items():
                setattr(self._layers[k], name, array.data_ptr())
                self._kept.append(array)
        self.update()

    @abstractmethod
    def _neighborhoods(self, model: Any, system: SpinSystem) -> Sequence[Neighborhood]:
        """Neighbours of the first layer, and of all others if they differ."""

    @abstractmethod
    def _read(self, model: Any, system: SpinSystem) -> Sequence[NativeLayer]:
        """All layers; the first has an array ``vectors`` for the spins of each kind, and ``d_vectors`` like it."""

    def update(self, parameters: Mapping[str, Tensor] | None = None) -> list[dict[str, Tensor]]:
        """Copy the weights of the model anew; they are returned, by layer and name, as functions of its parameters.

        Parameters
        ----------
        parameters : mapping of str to Tensor, optional
            Parameters and buffers of the model, by name, that stand for its own.
        """
        given = {f"model.{name}": tensor for name, tensor in (parameters or {}).items()}
        layers, scale, shift = torch.func.functional_call(_Reader(self.model, self._system, self._read), given, ())
        self._scale, self._shift = scale, shift
        weights = [layer.weights for layer in layers]
        with torch.no_grad():
            for mine, theirs in zip(self._weights, weights, strict=True):
                for name, weight in theirs.items():
                    mine[name].copy_(weight)
        return weights

    def __call__(self, spins: Tensor, *, field: bool) -> tuple[Tensor, Tensor | None]:
        """Site energies (R, N) and, if asked for, fields (R, N, 3) of spins (R, N, 3)."""
        with self._one_at_a_time:
            parts = [self._one(replica, field=field) for replica in spins]
        energies = torch.stack([energy for energy, _ in parts])
        return energies, torch.stack([part for _, part in parts if part is not None]) if field else None

    def with_hidden_units(self, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Site energies (R, N), fields (R, N, 3) and the last hidden units (R, N, P) of all layers."""
        with self._one_at_a_time:
            return self._with_hidden_units(spins)

    def _with_hidden_units(self, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = [self._rows.array(int(layer.hidden), self._spins.dtype) for layer in self._layers]
        for layer, array in zip(self._layers, kept, strict=True):
            layer.activations = array.data_ptr()
        energies, fields, hidden = [], [], []
        try:
            for replica in spins:
                energy, field = self._one(replica, field=True)
                assert field is not None
                energies.append(energy)
                fields.append(field)
                hidden.append(torch.cat([self._rows.read(array) for array in kept]).T)
        finally:
            for layer in self._layers:
                layer.activations = None
        return torch.stack(energies), torch.stack(fields), torch.stack(hidden)

    def trainable(self, spins: Tensor, parameters: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Site energies (R, N) and fields (R, N, 3) as functions of the model's parameters, or of others by name.

        See `gnnspin.models.native.differentiable`.
        """
        return trainable(self, spins, dict(self.model.named_parameters()) if parameters is None else parameters)

    def weight_gradients(self, spins: Tensor, weights: Tensor) -> list[dict[str, Tensor]]:
        """Gradients of weighted site energies with respect to the weights of each layer, by name.

        Parameters
        ----------
        spins : (R, N, 3)
        weights : (R, N)
            What the site energies are multiplied with before they are added up.
        """
        with self._one_at_a_time:
            sums = [
                GradientSums(layer, matrices, torch.get_num_threads())
                for layer, matrices in zip(self._layers, self._weights, strict=True)
            ]
            try:
                for replica, weight in zip(spins, weights, strict=True):
                    self._one(replica, field=True, weights=weight)
                return [each.read() for each in sums]
            finally:
                for each in sums:
                    each.release()

    def _one(self, spins: Tensor, *, field: bool, weights: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Site energies and fields of one replica, the fields those of the sum of energies times `weights` (N,)."""
        self._rows.write(spins.T, self._spins)
        kinds, first = self._kinds[:, :, None], self._arrays[0]
        torch.mul(kinds, self._spins[:, None], out=first["vectors"].unflatten(1, (-1, 3)))
        with_charges = self._d_sites.shape[1] > 1
        if with_charges or not field:  # the charges of all sites come before the adjoints of any
            self._run(0, back=False)
            sites = self._sites()
        if field:
            if with_charges:
                self._rows.write(self._scale * self._adjoints(sites, weights), self._d_sites)
            elif weights is not None:
                self._rows.write(self._scale * weights[None], self._d_sites)
            else:
                self._d_sites.fill_(self._scale)
            self._run(len(self._layers) if with_charges else 0, back=True)
            sites = self._sites()
        energies = self._scale * with_potential(sites[None], self._membership)[0] + self._shift
        if not field:
            return energies, None
        gradient = (first["d_vectors"].unflatten(1, (-1, 3)) * kinds).sum(1)
        for arrays in self._arrays:
            gradient += arrays["d_spins"]
        return energies, -self._rows.read(gradient).T

    def _adjoints(self, sites: Tensor, weights: Tensor | None) -> Tensor:
        """Derivatives (C, N) of the sum of the site energies, times `weights` if given, by the site outputs."""
        with torch.enable_grad():
            given = sites.detach().requires_grad_(True)
            energies = with_potential(given[None], self._membership)[0]
            return torch.autograd.grad(energies, given, torch.ones_like(energies) if weights is None else weights)[0]

    def _run(self, start: int, *, back: bool) -> None:
        pointers = (ctypes.c_void_p(array.data_ptr()) for array in (self._spins, self._kinds, self._d_sites))
        numbers = (ctypes.c_int64(number) for number in (start, back, torch.get_num_threads()))
        function = getattr(self._library, self.source)
        function(
            ctypes.byref(self._rows.structure), self._layers, ctypes.c_int64(len(self._layers)), *pointers, *numbers
        )

    def _sites(self) -> Tensor:
        """Site outputs (C, N), summed over the layers."""
        return self._rows.read(torch.stack([arrays["sites"] for arrays in self._arrays]).sum(0))


class _Reader(nn.Module):
    """Reads the weights of a model as a module, so that others may stand for its own."""

    def __init__(self, model: LayeredExpansion, system: SpinSystem, read: Callable[..., Sequence[NativeLayer]]) -> None:
        super().__init__()
        self.model = model
        self._system, self._read = system, read

    def forward(self) -> tuple[Sequence[NativeLayer], float, float]:
        """Layers, scale and shift of the energies."""
        return self._read(self.model, self._system), float(self.model.energy_scale), float(self.model.energy_shift)


class GradientSums:
    """Room for the gradients of the weights of one layer, for every thread its own; the kernel adds to it.

    Parameters
    ----------
    layer : ctypes.Structure
        Its pointers ``g_NAME`` are set to the gradients of the matrices NAME.
    weights : dict
        Matrices (..., outputs, n), and biases (outputs,) under their name and ``_bias``.
    threads : int
    """

    def __init__(self, layer: Any, weights: dict[str, Tensor], threads: int) -> None:
        self._layer = layer
        names = {name[2:] for name, _ in layer._fields_ if name.startswith("g_")}
        self._weights = {name: weight for name, weight in weights.items() if name in names}
        self._biased = {name for name in self._weights if f"{name}_bias" in weights}
        dtype = next(iter(weights.values())).dtype
        shapes = {name: self._shape(name, lanes(dtype)) for name in self._weights}
        sizes = [math.prod(shape) for shape in shapes.values()]
        self._sums = torch.zeros(threads, sum(sizes), dtype=dtype)
        self._totals = torch.zeros(threads, sum(sizes), dtype=torch.float64)
        for name, part in zip(shapes, self._sums.split(sizes, dim=1), strict=True):
            setattr(layer, f"g_{name}", part.data_ptr())
        parts = self._totals.split(sizes, dim=1)
        self._parts = {name: part.unflatten(1, shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        layer.gradients, layer.gradient_totals = self._sums.data_ptr(), self._totals.data_ptr()
        layer.gradient_size = self._sums.shape[1]

    def _shape(self, name: str, count: int) -> tuple[int, ...]:
        """Shape of a gradient: transposed, a row more for the bias, rows padded to registers of `count` numbers."""
        *several, outputs, n = self._weights[name].shape
        return *several, n + (name in self._biased), -(-outputs // count) * count

    def read(self) -> dict[str, Tensor]:
        """Gradients of all threads together, in the shapes of the weights, in float64."""
        found: dict[str, Tensor] = {}
        for name, weight in self._weights.items():
            outputs, n = weight.shape[-2:]
            total = self._parts[name].sum(0)
            found[name] = total[..., :n, :outputs].transpose(-1, -2)
            if name in self._biased:
                found[f"{name}_bias"] = total[n, :outputs]
        return found

    def release(self) -> None:
        """Ask the kernel for no more gradients."""
        self._layer.gradient_size = 0


def site_network_weights(network: nn.Module, standardization: Standardization, linear: Tensor) -> dict[str, Tensor]:
    """Matrices of a site network, the standardisation and the linear energy in its first layer, in float64."""
    first, second, third = (part for part in network.modules() if isinstance(part, nn.Linear))
    weight = torch.cat([first.weight, linear[None]]).double() * standardization.inverse_spread.double()
    bias = pad(first.bias.double(), (0, 1)) - weight @ standardization.mean.double()
    biases = {"first_bias": bias, "second_bias": second.bias, "third_bias": third.bias}
    return biases | with_transposed({"first": weight, "second": second.weight, "third": third.weight})


def with_transposed(matrices: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices (..., n, m), and under their name and ``_back`` their transposes."""
    return matrices | {f"{name}_back": matrix.transpose(-1, -2) for name, matrix in matrices.items()}
