"""Vector algebra on component-first tensors ``(3, ..., N)``: every operation runs over contiguous planes.

The functions take `Components` as well: the same planes kept apart, which is what a compiler fuses into one loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Components:
    """Vectors as three separate planes (..., N).

    Compiled arithmetic on a tensor of planes computes all three components three times over; on separate planes it is
    one loop over the sites.
    """

    x: Tensor
    y: Tensor
    z: Tensor

    def unbind(self, dimension: int) -> tuple[Tensor, Tensor, Tensor]:
        """The three planes; `dimension` is 0, as for the tensor."""
        return self.x, self.y, self.z

    def __add__(self, other: Components) -> Components:
        return Components(self.x + other.x, self.y + other.y, self.z + other.z)


#: Vectors in either form.
Vectors = TypeVar("Vectors", Tensor, Components)


def components(vectors: Tensor) -> Tensor:
    """Component-first copy (or view, if the memory is laid out so) ``(3, ..., N)`` of vectors ``(..., N, 3)``."""
    planes = vectors.movedim(-1, 0)
    # stacking three strided planes is several times faster than Tensor.contiguous()
    return planes if planes.is_contiguous() else torch.stack(planes.unbind(0))


def vectors(planes: Tensor) -> Tensor:
    """View ``(..., N, 3)`` of component-first planes ``(3, ..., N)``."""
    return planes.movedim(0, -1)


def dot(a: Vectors, b: Vectors) -> Tensor:
    """Scalar product, shape ``(..., N)``."""
    (ax, ay, az), (bx, by, bz) = a.unbind(0), b.unbind(0)
    if isinstance(a, Components):
        return ax * bx + ay * by + az * bz
    return torch.addcmul(torch.addcmul(ax * bx, ay, by), az, bz)


def cross(a: Vectors, b: Vectors) -> Vectors:
    """Vector product ``a x b``."""
    (ax, ay, az), (bx, by, bz) = a.unbind(0), b.unbind(0)
    if isinstance(a, Components):
        return Components(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    product = torch.empty_like(a)
    px, py, pz = product.unbind(0)
    torch.mul(ay, bz, out=px).addcmul_(az, by, value=-1)
    torch.mul(az, bx, out=py).addcmul_(ax, bz, value=-1)
    torch.mul(ax, by, out=pz).addcmul_(ay, bx, value=-1)
    return product


def scaled(a: Vectors, factor: float | Tensor) -> Vectors:
    """``factor a``; `factor` is a number or one per vector."""
    if isinstance(a, Components):
        return Components(a.x * factor, a.y * factor, a.z * factor)
    return a * factor


def plus(a: Vectors, factor: float | Tensor, b: Vectors) -> Vectors:
    """``a + factor b`` in one pass; `factor` is a number or one per vector."""
    if isinstance(a, Components):
        return a + scaled(b, factor)
    return torch.addcmul(a, factor, b) if isinstance(factor, Tensor) else torch.add(a, b, alpha=factor)


def normalized(a: Vectors) -> Vectors:
    """Vectors scaled to unit length."""
    return scaled(a, dot(a, a).rsqrt_())


def tangent(a: Vectors, spins: Vectors) -> Vectors:
    """The part of `a` perpendicular to the unit `spins`."""
    return plus(a, -dot(a, spins), spins)


def implicit_midpoint(spins: Vectors, half_angle: Vectors) -> Vectors:
    """Midpoint ``M = (S + X) / 2`` of the solution X of ``X = S + 2 M x b``: ``[S + (b.S) b + S x b] / (1 + b^2)``."""
    b = half_angle
    return scaled(spins + plus(cross(spins, b), dot(b, spins), b), (1 + dot(b, b)).reciprocal())


def cayley(spins: Vectors, half_angle: Vectors) -> Vectors:
    """Solution X of ``X = S + (S + X) x b``, times ``(1 + b^2) / 2``: ``(1 - b^2) S / 2 + (b.S) b + S x b``.

    X is S rotated about b by ``-2 arctan |b|`` (the Cayley transform), so that lengths are kept.
    """
    b = half_angle
    return plus(plus(cross(spins, b), dot(b, spins), b), 0.5 - 0.5 * dot(b, b), spins)


def rodrigues(spins: Vectors, angle: Vectors) -> Vectors:
    """Rotation of `spins` by ``-|a|`` about a: the exact solution of ``dS/dt = S x a`` after unit time."""
    squared = dot(angle, angle)
    size = squared.sqrt()
    sine = torch.sinc(size / torch.pi)  # sin|a| / |a|
    half = torch.sinc(size / (2 * torch.pi))  # (1 - cos|a|) / |a|^2 = half^2 / 2
    along = dot(angle, spins) * (0.5 * half.square())
    return plus(plus(scaled(spins, torch.cos(size)), sine, cross(spins, angle)), along, angle)


def as_components(value: Any) -> Any:
    """`Components` of planes ``(3, n)``; anything else as it is."""
    return Components(*value.unbind(0)) if isinstance(value, Tensor) and value.ndim == 2 else value
