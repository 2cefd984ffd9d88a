"""Memory that the field of a learned model takes: predicted from the shapes of its tensors, nothing is computed."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)
from torch.utils._python_dispatch import TorchDispatchMode

from gnnspin.core.errors import InvalidInput
from gnnspin.models.base import SpinModel

#: Part of the free memory that a field may take. The allocator of a CPU holds up to 1.65 times what the tensors do.
SHARE = 0.6
#: Bytes per site of a field above which no model goes: a smaller system needs no plan.
MOST_PER_SITE = 2**20


def field_bytes(model: SpinModel, data: Any, spins: tuple[int, int], dtype: torch.dtype, device: torch.device) -> int:
    """Largest number of bytes that the tensors of one field evaluation hold at the same time.

    The evaluation runs on fake tensors of torch, which have shapes and no memory; workspace inside single operations
    is not seen.

    Parameters
    ----------
    model : SpinModel
    data : what `model.prepare` gave
        Of the system, whatever its size.
    spins : two int
        Numbers of replicas and sites.
    dtype, device
        Of the evaluation.

    Raises
    ------
    InvalidInput
        If shapes inside the model depend on values, so that nothing can be predicted.
    """
    eager = getattr(torch.compiler, "set_stance", None)
    try:
        with (
            eager("force_eager") if eager else nullcontext(),
            FakeTensorMode(allow_non_fake_inputs=True),
            _LiveBytes() as live,
        ):
            model.energies_and_fields(data, torch.empty(*spins, 3, dtype=dtype, device=device))
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException) as error:
        raise InvalidInput(f"the memory of {model.name} cannot be predicted: {error}") from error
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Bytes of all tensors that were made and are still held, and the largest number so far."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._held: set[int] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self._hold(tensor)
        self.peak = max(self.peak, self._now)
        return result

    def _hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._held:
            self._held.add(key)
            self._now += size
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._held.discard(key)
        self._now -= size


def _tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, list | tuple):
        for each in result:
            yield from _tensors(each)


def memory_at_hand(device: torch.device) -> int:
    """Bytes that are free on a device, or that this machine can still give (Linux), less a reserve; see `SHARE`."""
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            available = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return int(SHARE * available)


def too_large(source: Any, needed: float, at_hand: float, replicas: int, n_sites: int, reason: Exception) -> str:
    """Message of a field that cannot fit: what it takes, what there is, and how much would fit."""
    share = max(at_hand, 0) / needed
    fitting = f"about {int(share * n_sites)} sites" + (f", or {int(share * replicas)} replicas" if replicas > 1 else "")
    return (
        f"a field of {source.model.name} on {n_sites} sites, {replicas} replicas at a time, takes {needed / 1e9:.3g} "
        f"GB and {at_hand / 1e9:.3g} GB are at hand, enough for {fitting}; it cannot run in (smaller) tiles: {reason}"
    )
