"""Moving arrays between devices and precisions: tensors, graphs, and dataclasses made of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

#: Key of a field's metadata that names the precision the field keeps.
_PRECISION = "precision"


def kept_in(dtype: torch.dtype) -> Mapping[str, torch.dtype]:
    """Metadata of a field of a `TensorContainer` whose floating-point arrays stay in `dtype` wherever it moves."""
    return {_PRECISION: dtype}


@dataclass(frozen=True)
class TensorContainer:
    """Base of frozen dataclasses of arrays: `to` moves all of them, at any depth.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Bonds(TensorContainer):
    ...     site: Tensor
    ...     length: Tensor
    >>> bonds = Bonds(torch.tensor([0, 1]), torch.ones(2, dtype=torch.float64)).to(dtype=torch.float32)
    >>> bonds.site.dtype, bonds.length.dtype
    (torch.int64, torch.float32)
    """

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Copy on `device` with floating-point arrays in `dtype`; see `move_arrays`. None leaves either as it is."""
        values = {
            field.name: move_arrays(getattr(self, field.name), device, field.metadata.get(_PRECISION, dtype))
            for field in fields(self)
        }
        return replace(self, **values)


def move_arrays(value: Any, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Any:
    """Copy of `value` with its arrays on `device`, floating-point ones in `dtype`; None leaves either as it is.

    Parameters
    ----------
    value : Any
        Complex tensors take the complex type of the same precision; integers and booleans keep theirs. Of a
        `torch_geometric.data.Data`, a tuple, a list or a dict each entry is moved. Any other object moves by its own
        ``to(device, dtype)``; one without stays as it is.
    device : device, optional
    dtype : floating-point dtype, optional
    """
    if isinstance(value, Tensor):
        precise = dtype.to_complex() if dtype is not None and value.is_complex() else dtype
        return value.to(device, precise if value.is_floating_point() or value.is_complex() else None)
    if isinstance(value, Data):
        return copy.copy(value).apply(lambda tensor: move_arrays(tensor, device, dtype))
    if isinstance(value, tuple | list):
        entries = [move_arrays(entry, device, dtype) for entry in value]
        return value._make(entries) if hasattr(value, "_make") else type(value)(entries)
    if isinstance(value, dict):
        return {key: move_arrays(entry, device, dtype) for key, entry in value.items()}
    return value.to(device, dtype) if callable(getattr(value, "to", None)) else value
