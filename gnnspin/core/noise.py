"""Counter-based normal noise: every number is a pure function of (seed, replica, step, site).

The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11, doi:10.1145/2063384.2063405), followed by the
Box-Muller transform. A replica's noise is therefore bitwise the same alone, in a batch, on any split of the sites and
after a restart. On another kind of device, or compiled, the integers are identical and the normals agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_ROUNDS = 10

#: Sites per pass on a CPU, per thread: the working arrays stay in the second-level cache.
_CPU_CHUNK = 32768
#: Sites per pass on a GPU, and compiled: only the memory sets a limit.
_LARGE_CHUNK = 1 << 22
#: Working arrays are padded to a multiple of this, so that no element falls into the scalar remainder of a vector loop,
#: whose logarithms and cosines may round differently.
_ALIGNMENT = 64


def philox4x32(first: Tensor, second: Tensor, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Philox4x32-10 on 32-bit words held in int64, in place.

    One round maps words ``c0, c1, c2, c3`` to ``hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)`` and
    advances the key by the Weyl constants. The rows of the multiplied pair change places every round, which saves
    exchanging them; unmasked upper halves are dropped before they matter.

    Parameters
    ----------
    first : (2, n) int64
        Words c0 and c2 of the counter, each in ``0 .. 2^32 - 1``; overwritten.
    second : (2, n) int64
        Words c1 and c3; overwritten.
    key : two int
        32-bit words of the key.

    Returns
    -------
    first, second : (2, n) int64
        Words (0, 2) and (1, 3) of the random numbers.
    """
    rows, spare = first.unbind(0), torch.empty_like(first)
    carried, product = (second, second.unbind(0)), (spare, spare.unbind(0))
    for multipliers, round_key in _rounds(key, first.device):
        torch.mul(first, multipliers, out=product[0])
        torch.bitwise_right_shift(product[0], 32, out=first)
        rows[0].bitwise_xor_(carried[1][1])
        rows[1].bitwise_xor_(carried[1][0])
        first.bitwise_xor_(round_key).bitwise_and_(_MASK)
        carried, product = product, carried
    return first, carried[0].bitwise_and_(_MASK)


@lru_cache(maxsize=64)
def _rounds(key: tuple[int, int], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Multipliers and key (2, 1) of each round, in the row order of that round."""
    pairs = [[(k + number * w) & _MASK for k, w in zip(key, _WEYL, strict=True)] for number in range(_ROUNDS)]
    ordered = [pair[::-1] if number % 2 == 0 else pair for number, pair in enumerate(pairs)]
    multipliers = (_MULTIPLIERS, _MULTIPLIERS[::-1])
    even, odd, *keys = torch.tensor([*multipliers, *ordered], device=device)[..., None].unbind(0)
    return [(odd if number % 2 else even, round_key) for number, round_key in enumerate(keys)]


def thermal_noise(
    seed: int,
    replicas: Sequence[int],
    step: int,
    n_sites: int,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    *,
    first_site: int = 0,
    part_sizes: Sequence[int] | None = None,
    compiled: bool = False,
) -> Tensor:
    """Independent standard normals of one time step.

    Parameters
    ----------
    seed : int
        Key of the generator, 0 .. 2^64 - 1.
    replicas : sequence of R integers
        Identities of the replicas, each 0 .. 2^32 - 1.
    step : int
        Number of the time step, 0 .. 2^63 - 1.
    n_sites : int
        Number N of sites.
    dtype : torch.dtype
        float64 or float32: the transform is done in it, from the same 32-bit integers; the two agree to float32
        rounding, and no number exceeds 6.8 in size.
    device : torch.device or str
    first_site : int
        Index of the first of the N sites, for a part of a system.
    part_sizes : sequence of P integers, optional
        Sizes of the parts of a union, N in all. Every part then counts as a replica with sites of its own: `replicas`
        holds R * P identities, row-major, and a part's noise is the same alone and in any union.
    compiled : bool
        Compute with `torch.compile` (needs a C++ compiler): several times faster, all laws as without it; the normals
        agree with those computed without it to rounding.

    Returns
    -------
    (R, N, 3) tensor
        Stored with the three components outermost.

    Raises
    ------
    InvalidInput
        If an integer is out of range.
    """
    _check_counter(seed, replicas, step, n_sites, first_site)
    device = torch.device(device)
    identities = tuple(replicas), n_sites, first_site, part_sizes and tuple(part_sizes), device
    sites, ids = _identities(*identities)
    if compiled and 0 < len(ids) * n_sites <= _LARGE_CHUNK:
        normals = _compiled_normals()(*_all_flat(*identities), _words(seed, step, device), dtype)
        return normals[:, : len(ids) * n_sites].view(3, len(ids), n_sites).movedim(0, -1)
    noise = torch.empty(3, len(ids), n_sites, dtype=dtype, device=device)
    chunk = _LARGE_CHUNK if compiled or device.type != "cpu" else _CPU_CHUNK * torch.get_num_threads()
    for rows, columns in _blocks(len(ids), n_sites, chunk):
        block = noise[:, rows, columns]
        given = sites[columns], ids[rows, columns] if ids.shape[1] > 1 else ids[rows]
        if compiled:
            normals = _compiled_normals()(*_flat_identities(*given), _words(seed, step, device), dtype)
            block.copy_(normals[:, : block[0].numel()].view(block.shape))
        else:
            uniforms = _uniforms(*philox4x32(*_counters(*given, step), (seed & _MASK, seed >> 32)), dtype)
            _box_muller(*uniforms, out=block.view(3, -1))
    return noise.movedim(0, -1)


@lru_cache(maxsize=8)
def _identities(
    replicas: tuple[int, ...], n_sites: int, first_site: int, part_sizes: tuple[int, ...] | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Site numbers (N,) and replica numbers, (R, 1) or (R, N) for the parts of a union."""
    ids = torch.tensor(replicas, dtype=torch.int64, device=device)
    if part_sizes is None:
        return torch.arange(first_site, first_site + n_sites, device=device), ids[:, None]
    if first_site or sum(part_sizes) != n_sites or len(replicas) % max(1, len(part_sizes)):
        raise InvalidInput(
            f"part_sizes={part_sizes} must add up to n_sites={n_sites}, with first_site=0 and one replica number per "
            f"replica and part; got {len(replicas)}"
        )
    sites = torch.cat([torch.arange(size, device=device) for size in part_sizes])
    sizes = torch.tensor(part_sizes, device=device)
    return sites, ids.reshape(-1, len(part_sizes)).repeat_interleave(sizes, dim=1)


def _counters(sites: Tensor, ids: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Counter words (0, 2) and (1, 3) of sites (C,) and replicas (R, 1) or (R, C), padded."""
    c0, c1 = _flat_identities(sites, ids)
    first, second = torch.empty(2, 2, len(c0), dtype=torch.int64, device=sites.device)
    first[0], first[1], second[0], second[1] = c0, step & _MASK, c1, step >> 32
    return first, second


def _flat_identities(sites: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Site and replica of every number, flat and padded, from sites (C,) and replicas (R, 1) or (R, C)."""
    n = len(ids) * len(sites)
    flat = sites.new_zeros(2, -(-n // _ALIGNMENT) * _ALIGNMENT)
    flat[0, :n].view(len(ids), -1).copy_(sites)
    flat[1, :n].view(len(ids), -1).copy_(ids)
    return flat[0], flat[1]


@lru_cache(maxsize=8)
def _all_flat(*identities: Any) -> tuple[Tensor, Tensor]:
    """`_flat_identities` of everything that `_identities` tells, kept for the next step."""
    return _flat_identities(*_identities(*identities))


def _words(seed: int, step: int, device: torch.device) -> tuple[Tensor, ...]:
    """Low and high halves of step and seed; filled in on the device, which a copy would make the host wait for."""
    halves = (step & _MASK, step >> 32, seed & _MASK, seed >> 32)
    return tuple(torch.full((), half, dtype=torch.int64, device=device) for half in halves)


@lru_cache(maxsize=1)
def _compiled_normals() -> Callable[..., Tensor]:
    return torch.compile(_fused_normals, dynamic=True)


def _fused_normals(c0: Tensor, c1: Tensor, words: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """`philox4x32`, `_uniforms` and `_box_muller` without in-place operations: one loop when compiled.

    `words` are those of `_words`.
    """
    c2, c3, key0, key1 = words
    for number in range(_ROUNDS):
        low, high = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        round0, round1 = (key0 + number * _WEYL[0]) & _MASK, (key1 + number * _WEYL[1]) & _MASK
        c0, c2 = ((high >> 32) ^ c1 ^ round0) & _MASK, ((low >> 32) ^ c3 ^ round1) & _MASK
        c1, c3 = high & _MASK, low & _MASK
    radii, angles = zip(*(_uniforms(*pair, dtype) for pair in ((c0, c1), (c2, c3))), strict=True)
    first, second = (torch.sqrt(-2.0 * torch.log(uniform)) for uniform in radii)
    return torch.stack([first * torch.cos(angles[0]), first * torch.sin(angles[0]), second * torch.cos(angles[1])])


def _uniforms(first: Tensor, second: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Words as uniform numbers in (0, 1) and as angles in [0, 2 pi)."""
    return (first.to(dtype) + 0.5) * 2.0**-32, second.to(dtype) * (2 * math.pi * 2.0**-32)


def _check_counter(seed: int, replicas: Sequence[int], step: int, n_sites: int, first_site: int) -> None:
    if not 0 <= seed < 2**64:
        raise InvalidInput(f"seed={seed} must lie in 0 .. 2^64 - 1")
    if not 0 <= step < 2**63:
        raise InvalidInput(f"step={step} must lie in 0 .. 2^63 - 1")
    if len(replicas) and not (min(replicas) >= 0 and max(replicas) <= _MASK):
        raise InvalidInput(f"replicas must lie in 0 .. 2^32 - 1, got {min(replicas)} .. {max(replicas)}")
    if n_sites < 0 or first_site < 0 or first_site + n_sites > _MASK + 1:
        raise InvalidInput(f"sites {first_site} .. {first_site + n_sites - 1} must lie in 0 .. 2^32 - 1")


def _blocks(n_replicas: int, n_sites: int, chunk: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of replicas and sites with at most `chunk` numbers each."""
    rows = max(1, chunk // max(1, n_sites))
    for row in range(0, n_replicas, rows):
        for column in range(0, n_sites, chunk):
            yield slice(row, min(row + rows, n_replicas)), slice(column, min(column + chunk, n_sites))


def _box_muller(uniform: Tensor, angle: Tensor, *, out: Tensor) -> None:
    """Fill `out` (3, n) from (2, >= n): radii ``sqrt(-2 ln u)``, cosines and sine of the angles; overwrites both."""
    n = out.shape[1]
    radius = uniform.log_().mul_(-2.0).sqrt_()[:, :n]
    torch.mul(radius[0], torch.sin(angle[0])[:n], out=out[1])
    torch.mul(radius, angle.cos_()[:, :n], out=out[::2])
