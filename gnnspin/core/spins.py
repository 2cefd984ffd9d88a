"""Elementary operations on unit spins of shape ``(..., N, 3)``; leading dimensions are replicas."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_at_least

#: Largest accepted deviation of a spin's length from one.
UNIT_TOLERANCE = 1e-3


def as_spins(spins: Tensor | ArrayLike, n_sites: int | None = None) -> Tensor:
    """Return `spins` as a floating-point tensor after checking shape, finiteness and unit length.

    Parameters
    ----------
    spins : (..., N, 3) tensor or array
        Unit vectors; leading dimensions are replicas.
    n_sites : int, optional
        Number of sites N that is required.

    Raises
    ------
    InvalidInput
        If the shape is not ``(..., N, 3)``, a component is not a finite real number, or a spin's length differs from 1
        by more than `UNIT_TOLERANCE`. The message names the first offending site.
    """
    tensor = spins if isinstance(spins, Tensor) else _native(np.asarray(spins))
    if tensor.is_complex():
        raise InvalidInput("spins are complex; give the three real components of each, (..., n_sites, 3)")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64)
    if tensor.ndim < 2 or tensor.shape[-1] != 3:
        raise InvalidInput(f"spins have shape {tuple(tensor.shape)}; expected (..., n_sites, 3)")
    if n_sites is not None and tensor.shape[-2] != n_sites:
        raise InvalidInput(
            f"spins have shape {tuple(tensor.shape)}, that is {tensor.shape[-2]} sites; the system has {n_sites}"
        )
    with torch.no_grad():
        deviation = (tensor.square().sum(-1).sqrt() - 1).abs()
        wrong = ~(deviation <= UNIT_TOLERANCE)  # NaN compares false
        if bool(wrong.any()):
            index = [int(k) for k in wrong.nonzero()[0]]
            value = tensor[tuple(index)].tolist()
            raise InvalidInput(
                f"spin at index {index} is {value}, not a unit vector; normalise with gnnspin.core.normalize(spins)"
            )
    return tensor


def _native(array: np.ndarray) -> Tensor:
    """Tensor of an array of numbers in any byte order."""
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise InvalidInput(f"spins have the type {array.dtype}; give numbers (..., n_sites, 3)")
    return torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False), device="cpu")


def normalize(vectors: Tensor) -> Tensor:
    """Scale vectors ``(..., 3)`` to unit length."""
    return vectors / vectors.square().sum(-1, keepdim=True).sqrt()


def random_spins(
    n_sites: int, *, replicas: tuple[int, ...] = (), seed: int, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Independent spins uniform on the sphere, shape ``(*replicas, n_sites, 3)``, reproducible from `seed`.

    Raises
    ------
    InvalidInput
        If `n_sites` or `seed` is no whole number, or out of range.
    """
    generator = torch.Generator("cpu").manual_seed(seed_number(seed))
    n_sites = whole_at_least(n_sites, 0, "n_sites")
    draws = torch.randn(*replicas, n_sites, 3, generator=generator, dtype=torch.float64, device="cpu")
    return normalize(draws).to(dtype)


def project_tangent(vectors: Tensor, spins: Tensor) -> Tensor:
    """Remove from `vectors` the component along the unit `spins`; both ``(..., N, 3)``."""
    return vectors - (vectors * spins).sum(-1, keepdim=True) * spins


def torque(spins: Tensor, field: Tensor) -> Tensor:
    """Torque ``T_i = S_i x H_i``, shape ``(..., N, 3)``."""
    return torch.linalg.cross(spins, field)


def random_rotation(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Haar-random proper rotation matrix (3, 3); rotate spins by ``spins @ matrix.T``."""
    generator = torch.Generator("cpu").manual_seed(seed_number(seed))
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64, device="cpu"))
    q = q * torch.sign(torch.diagonal(r))
    return (q * torch.sign(torch.linalg.det(q))).to(dtype)


def rms_angle(first: Tensor | ArrayLike, second: Tensor | ArrayLike) -> float:
    """Root-mean-square angle in radians between two sets of unit vectors (..., 3), accurate for small angles too."""
    a, b = torch.broadcast_tensors(*(torch.as_tensor(each, dtype=torch.float64) for each in (first, second)))
    sine = torch.linalg.cross(a, b).norm(dim=-1)
    return float(torch.arctan2(sine, (a * b).sum(-1)).square().mean().sqrt())
