"""Vector algebra on component-first tensors ``(3, ..., N)``: every operation runs over contiguous planes."""

from __future__ import annotations

import torch
from torch import Tensor


def components(vectors: Tensor) -> Tensor:
    """Component-first copy (or view, if the memory is laid out so) ``(3, ..., N)`` of vectors ``(..., N, 3)``."""
    planes = vectors.movedim(-1, 0)
    # stacking three strided planes is several times faster than Tensor.contiguous()
    return planes if planes.is_contiguous() else torch.stack(planes.unbind(0))


def vectors(planes: Tensor) -> Tensor:
    """View ``(..., N, 3)`` of component-first planes ``(3, ..., N)``."""
    return planes.movedim(0, -1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar product, shape ``(..., N)``."""
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Vector product ``a x b``."""
    (ax, ay, az), (bx, by, bz) = a.unbind(0), b.unbind(0)
    product = torch.empty_like(a)
    px, py, pz = product.unbind(0)
    torch.mul(ay, bz, out=px).addcmul_(az, by, value=-1)
    torch.mul(az, bx, out=py).addcmul_(ax, bz, value=-1)
    torch.mul(ax, by, out=pz).addcmul_(ay, bx, value=-1)
    return product


def normalized(a: Tensor) -> Tensor:
    """Vectors scaled to unit length."""
    return a * dot(a, a).rsqrt_()


def tangent(a: Tensor, spins: Tensor) -> Tensor:
    """The part of `a` perpendicular to the unit `spins`."""
    return a - dot(a, spins) * spins


def implicit_midpoint(spins: Tensor, half_angle: Tensor) -> Tensor:
    """Midpoint ``M = (S + X) / 2`` of the solution X of ``X = S + 2 M x b``.

    ``M = [S + (b.S) b + S x b] / (1 + b^2)``; ``X = 2 M - S`` is S rotated about b by ``-2 arctan |b|`` (the Cayley
    transform), so that lengths are kept.
    """
    b = half_angle
    midpoint = cross(spins, b).addcmul_(dot(b, spins).expand_as(b), b).add_(spins)
    return midpoint.div_(dot(b, b).add_(1))


def rodrigues(spins: Tensor, angle: Tensor) -> Tensor:
    """Rotation of `spins` by ``-|a|`` about a: the exact solution of ``dS/dt = S x a`` after unit time."""
    squared = dot(angle, angle)
    size = squared.sqrt()
    sine = torch.sinc(size / torch.pi)  # sin|a| / |a|
    half = torch.sinc(size / (2 * torch.pi))  # (1 - cos|a|) / |a|^2 = half^2 / 2
    along = dot(angle, spins) * (0.5 * half.square())
    return torch.cos(size) * spins + sine * cross(spins, angle) + along * angle
