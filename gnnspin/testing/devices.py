"""A GPU that need not be there: what would run on a device, what would mix devices, and where the host would wait.

Tensors on the simulated device hold their values on the host and say that they are on ``cuda``. Every operation runs,
so that results can be compared with those of the CPU, and follows the rules of a real device: tensors of different
devices do not mix, numpy cannot read them, and whatever makes the host wait for the device is recorded with its line.
Fake tensors of torch follow the same rules but hold no values, which a search for a chemical potential or a step of
adaptive length needs, and take no gradients on ``cuda`` where torch is built without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

#: What torch sees: a device without memory, which needs no driver and on which gradients can be taken.
_STAND_IN = torch.device("meta")
_DEVICE = torch.device("cuda", 0)
_HOST = torch.device("cpu")

#: Operations whose result, or the length of it, the host waits for.
_WAITING = frozenset(
    (
        *("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "nonzero_numpy", "masked_select"),
        *("_unique2", "unique_dim", "unique_consecutive", "bincount", "_linalg_check_errors"),
        *("_linalg_eigh", "linalg_eig", "linalg_eigvals", "_linalg_svd", "linalg_lstsq"),
    )
)
#: Operations that take tensors of the host beside those of the device.
_MIXING = frozenset(("_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"))


@dataclass(frozen=True)
class Synchronization:
    """One place where the host waits for the device.

    Attributes
    ----------
    operation : str
        Operation of torch; a copy says where it goes.
    line : str
        File, line and function of the code that asks for it.
    """

    operation: str
    line: str

    def __str__(self) -> str:
        return f"{self.operation} at {self.line}"


class SimulatedGPU:
    """Context in which the device ``cuda`` exists, computed on the host and following the rules of a device.

    Inside it ``tensor.to("cuda")``, ``torch.zeros(3, device="cuda")`` and arguments ``device="cuda"`` give tensors that
    cannot be mixed with those of the host; a mixture raises RuntimeError as on a real device. Values are those of the
    CPU bit for bit. Meant for tests of sources, models, steps and observers of moderate size; compiled code does not
    run in it.

    Examples
    --------
    >>> import gnnspin as gs
    >>> source = gs.classical.Heisenberg(gs.systems.chain(4), 1.0)
    >>> spins = gs.core.random_spins(4, seed=0)
    >>> with SimulatedGPU() as gpu:
    ...     source = gs.classical.Heisenberg(gs.systems.chain(4), 1.0, device="cuda")
    ...     spins = spins.to("cuda")
    ...     with gpu.synchronizations() as found:
    ...         field = source.unchecked_field(spins)
    >>> str(field.device), found
    ('cuda:0', [])

    On a real device ``torch.cuda.set_sync_debug_mode("warn")`` tells the same.
    """

    def __init__(self) -> None:
        self._records: list[list[Synchronization]] = []
        self._stack = ExitStack()

    def __enter__(self) -> SimulatedGPU:
        renamed = _Renamed()
        self._stack.enter_context(renamed)
        self._stack.enter_context(_renamed_in_gradients(renamed))
        self._stack.enter_context(_Dispatched(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    @contextmanager
    def synchronizations(self) -> Iterator[list[Synchronization]]:
        """Context that fills the list it gives with every synchronization inside it."""
        found: list[Synchronization] = []
        self._records.append(found)
        try:
            yield found
        finally:
            self._records = [each for each in self._records if each is not found]

    def run(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Result of an operation of torch on tensors of the host and of the device."""
        leaves = list(_tensors((*args, *kwargs.values())))
        remote = [each for each in leaves if isinstance(each, _Remote)]
        name = operation._schema.name.removeprefix("aten::")
        self._refuse_mixture(name, leaves, remote)
        if any(each.is_meta for each in leaves):
            raise RuntimeError(f"{name}: a tensor without values, which torch made out of sight, at {_calling_line()}")
        asked = kwargs.get("device")
        on_device = bool(remote) if asked is None else torch.device(asked).type != "cpu"
        if name == "copy_":
            on_device = isinstance(args[0], _Remote)
        self._note(name, args, kwargs, leaves, remote, on_device)
        if name in ("copy_", "index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"):
            on_device = isinstance(args[0], _Remote)
        result = operation(*_values(args), **{name: _values(value) for name, value in kwargs.items()})
        if not on_device:
            return result
        known = {id(each.held): each for each in remote}
        return _placed(result, known, operation)

    def _refuse_mixture(self, name: str, leaves: list[Tensor], remote: list[_Remote]) -> None:
        host = [each for each in leaves if not isinstance(each, _Remote) and each.ndim > 0]
        if remote and host and name not in _MIXING:
            raise RuntimeError(
                f"{name}: expected all tensors to be on the same device, got {_DEVICE} and cpu of shape "
                f"{tuple(host[0].shape)}, at {_calling_line()}"
            )

    def _note(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        leaves: list[Tensor],
        remote: list[_Remote],
        on_device: bool,
    ) -> None:
        """Record the operation if the host waits for the device in it."""
        if not self._records:
            return
        what = None
        if name in ("_to_copy", "copy_"):
            blocking = not (kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
            given = args[1] if name == "copy_" else args[0]
            if blocking and isinstance(given, _Remote) is not on_device and (given.ndim or not on_device):
                what = "copy to the device" if on_device else "copy to the host"
        elif remote and (name in _WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None)):
            what = name
        elif remote and name in _MIXING:
            indices = list(_tensors(args[1]))
            if any(each.dtype in (torch.bool, torch.uint8) for each in indices):
                what = f"{name} with a mask"
            elif any(not isinstance(each, _Remote) for each in indices):
                what = f"{name} with indices of the host"
        if what is not None:
            found = Synchronization(what, _calling_line())
            for each in self._records:
                each.append(found)


class _Remote(Tensor):
    """Tensor on the simulated device, with its values on the host."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _Remote:
        return Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            dtype=held.dtype,
            device=_STAND_IN,
            **_memory_layout(held),
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return _DEVICE

    is_cuda = True
    is_meta = False

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"{self.held!r} on {_DEVICE}"

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.detach().clone().requires_grad_(self.requires_grad)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{operation} on a tensor of a simulated GPU, outside its context")


class _Renamed(TorchFunctionMode):
    """Functions that name the device ``cuda`` are given the stand-in instead."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.device:
            return function(*args, **kwargs)
        if function in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor):
            device = _renamed(kwargs.pop("device", None))
            made = function(*args, **kwargs)
            return made if device is None else made.to(device)
        if function in _READERS and isinstance(args[0], _Remote):
            return getattr(args[0].to("cpu"), function.__name__)()
        if function in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _index(args[1]), *args[2:])
        return function(*map(_renamed, args), **{name: _renamed(value) for name, value in kwargs.items()})


@contextmanager
def _renamed_in_gradients(mode: _Renamed) -> Iterator[None]:
    """Functions that gradients call see the device too: torch leaves the mode while it runs `torch.autograd.grad`."""
    run: Callable[..., Any] = torch.autograd._engine_run_backward

    def running(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return run(*args, **kwargs)

    torch.autograd._engine_run_backward = running
    try:
        yield
    finally:
        torch.autograd._engine_run_backward = run


_READERS = (Tensor.tolist,)


class _Dispatched(TorchDispatchMode):
    def __init__(self, gpu: SimulatedGPU) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._gpu.run(operation, args, kwargs or {})


def _memory_layout(values: Tensor) -> dict[str, Any]:
    """Strides and offset; a sparse tensor has none."""
    if values.layout != torch.strided:
        return {}
    return {"strides": values.stride(), "storage_offset": values.storage_offset()}


def _index(given: Any) -> Any:
    """An index whose lists and arrays are tensors of the host."""
    if isinstance(given, tuple):
        return tuple(map(_index, given))
    return torch.as_tensor(given) if isinstance(given, list | np.ndarray) else given


def _renamed(value: Any) -> Any:
    if isinstance(value, torch.device):
        return _STAND_IN if value.type == _DEVICE.type else value
    return _STAND_IN if isinstance(value, str) and value.split(":")[0] == _DEVICE.type else value


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    """Tensors among arguments of an operation, lists of them included."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _values(value: Any) -> Any:
    if isinstance(value, _Remote):
        return value.held
    if isinstance(value, list | tuple):
        return [_values(each) for each in value]
    return _HOST if isinstance(value, torch.device) else value


def _placed(value: Any, known: dict[int, _Remote], operation: Any) -> Any:
    """A result on the device: the tensor that was given, where the operation works in place."""
    if isinstance(value, list | tuple):
        return type(value)(_placed(each, known, operation) for each in value)
    if not isinstance(value, Tensor):
        return value
    if (given := known.get(id(value))) is not None:
        if given.shape != value.shape or _memory_layout(given) != _memory_layout(value):
            raise RuntimeError(f"{operation} changes a shape in place, which the simulated GPU does not follow")
        return given
    return _Remote(value.resolve_conj().resolve_neg() if value.layout == torch.strided else value)


def _calling_line() -> str:
    """Innermost line outside torch and this file."""
    own = {Path(torch.__file__).parent, Path(__file__)}
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if not own & {path, *path.parents} and not frame.f_code.co_filename.startswith("<"):
            short = "/".join(path.parts[-3:])
            return f"{short}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return "unknown"
