"""From the type of a constructor's argument to the type of the pydantic field that a configuration validates."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import torch
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from scipy import sparse
from torch import Tensor


def _numbers(value: Any) -> Any:
    """Nested tuples of finite numbers, or booleans; complex ones as ``{"real": ..., "imag": ...}``."""
    if isinstance(value, Mapping):
        _no_function(value)
        if set(value) == {"real", "imag"}:
            return _numbers(np.asarray(value["real"], dtype=float) + 1j * np.asarray(value["imag"], dtype=float))
        raise ValueError(f"{sorted(value)} is no array of numbers")
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_numbers(each) for each in value)
    if not isinstance(value, int | float | complex):
        raise ValueError(f"{value!r} is no number; give a number or a list of numbers")
    if not isinstance(value, bool) and not np.isfinite(value):
        raise ValueError(f"{value} must be finite")
    return value


def _is_complex(value: Any) -> bool:
    return any(map(_is_complex, value)) if isinstance(value, tuple) else isinstance(value, complex)


def _listed(value: Any) -> Any:
    if _is_complex(value) if isinstance(value, tuple) else np.iscomplexobj(value):
        array = np.asarray(value)
        return {"real": array.real.tolist(), "imag": array.imag.tolist()}
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


#: A number or a nested list of numbers, the form in which files and configurations hold an array.
Numbers = Annotated[
    Any,
    BeforeValidator(_numbers),
    PlainSerializer(_listed),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array"}]}),
]


#: Numbers of sites, or the name of a group of them such as ``left``.
Sites = Annotated[
    Any,
    BeforeValidator(lambda value: value if isinstance(value, str) else _numbers(value)),
    PlainSerializer(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]}),
]


def _fraction(value: Any) -> Any:
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{value!r} is no fraction; give a number, or one such as 5/12") from error
    return value


#: A number that may be written as a fraction, such as ``5/12``.
FractionalNumber = Annotated[float, BeforeValidator(_fraction)]


def sparse_entries(matrix: Any) -> dict[str, Any]:
    """Entries of a sparse matrix that are not zero, row by row: shape, row, column, value."""
    canonical = matrix.tocsr(copy=True)
    canonical.sum_duplicates()
    canonical.eliminate_zeros()
    entries = canonical.tocoo()
    row, column = entries.coords
    return {"shape": list(entries.shape), "row": row, "column": column, "value": entries.data}


def _sparse(value: Any) -> Any:
    if sparse.issparse(value):
        value = sparse_entries(value)
    if not isinstance(value, Mapping) or set(value) != {"shape", "row", "column", "value"}:
        raise ValueError(f"{type(value).__name__} is no sparse matrix; give shape, row, column and value")
    return {name: _numbers(each) for name, each in value.items()}


def as_sparse(entries: Any) -> Any:
    """Matrix of entries as `sparse_entries` gives them, or of a sparse matrix itself."""
    if sparse.issparse(entries):
        return entries
    place = (np.asarray(entries["row"], dtype=np.int64), np.asarray(entries["column"], dtype=np.int64))
    return sparse.coo_array((np.asarray(entries["value"]), place), shape=tuple(entries["shape"])).tocsr()


#: A sparse matrix by its entries.
SparseMatrix = Annotated[
    Any,
    BeforeValidator(_sparse),
    PlainSerializer(lambda entries: {name: _listed(each) for name, each in entries.items()}),
    WithJsonSchema({"type": "object"}),
]


def _dtype(value: Any) -> torch.dtype:
    found = value if isinstance(value, torch.dtype) else getattr(torch, str(value), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{value!r} is no precision; give float32 or float64")
    return found


#: A torch dtype by name.
DType = Annotated[
    Any,
    BeforeValidator(_dtype),
    PlainSerializer(lambda value: str(value).removeprefix("torch.")),
    WithJsonSchema({"type": "string"}),
]


def _no_function(value: Any) -> Any:
    if isinstance(value, Mapping) and "function" in value:
        raise ValueError(f"{value['function']} is a function, which no file can hold; give the object in Python")
    return value


def field_type(annotation: Any, recipe: Callable[[Any], Any], described: type) -> Any:
    """Pydantic type of an argument.

    Parameters
    ----------
    annotation : type
        Of the constructor's argument, resolved.
    recipe : callable
        From a class of described objects to the annotation of a field that holds its recipe.
    described : type
        Base class of described objects.

    Returns
    -------
    type
        Numbers for anything that an array may be given for, entries for a sparse matrix, a dtype by name, recipes for
        described objects, and what pydantic knows as it is.
    """

    def of(part: Any) -> Any:
        return field_type(part, recipe, described)

    if annotation is torch.dtype:
        return DType
    if isinstance(annotation, type) and issubclass(annotation, described):
        return Annotated[Any, recipe(annotation)]
    if _is_sparse(annotation):
        return SparseMatrix
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin is Literal or annotation in (Any, Path, str, bool, int, float):
        return annotation
    if origin in (Union, types.UnionType):
        return _union(inside, of, described)
    if _is_array(annotation):
        return Numbers
    if (origin is not None and origin in (Sequence, list, tuple)) or annotation in (Sequence, list, tuple):
        return _sequence(inside, of)
    if origin is Callable or annotation is Callable:
        return Annotated[Any, BeforeValidator(_no_function)]
    return annotation if _is_builtin(annotation) else Any


def _is_builtin(annotation: Any) -> bool:
    """Whether a type is one of Python's own, which pydantic knows."""
    return isinstance(annotation, type) and annotation.__module__ == "builtins"


def _union(members: Sequence[Any], of: Callable[[Any], Any], described: type) -> Any:
    optional = type(None) in members
    rest = [member for member in members if member is not type(None)]
    objects = [member for member in rest if isinstance(member, type) and issubclass(member, described)]
    if objects:  # a bare matrix that may be given in place of a rule is described as a rule
        rest = [member for member in rest if not _is_sparse(member)]
    kinds = [of(member) for member in rest if member in objects or not any(map(_is_array, rest))]
    if any(map(_is_array, rest)):
        kinds.append(Numbers)
    kinds = list(dict.fromkeys(kinds)) + ([None] if optional else [])
    return Union[tuple(kinds)]  # noqa: UP007


def _sequence(inside: Sequence[Any], of: Callable[[Any], Any]) -> Any:
    members = [member for member in inside if member is not Ellipsis]
    if len(members) == 1:
        return tuple[of(members[0]), ...]  # type: ignore[misc]
    return tuple[tuple(of(member) for member in members)] if members else tuple[Any, ...]  # type: ignore[misc]


def _is_array(annotation: Any) -> bool:
    """Whether an array may be given: numpy's types, `ArrayLike` among them, and tensors."""
    text = f"{getattr(annotation, '__module__', '')}.{annotation!r}"
    return annotation is Tensor or "numpy" in text or "collections.abc.Buffer" in text


def _is_sparse(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, sparse.sparray | sparse.spmatrix)
