"""Independence of the caller's settings of torch: results are those of its ordinary modes, whatever mode is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def ordinary_modes() -> Iterator[None]:
    """Context in which torch records gradients on request and makes tensors on the CPU unless told otherwise.

    Outside it a caller may have switched on `torch.inference_mode`, under which no field can be differentiated, or
    chosen another default device, on which tables of indices would land by accident.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def independent_of_modes(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: the function runs in `ordinary_modes`, whatever its caller has switched on.

    Examples
    --------
    >>> @independent_of_modes
    ... def slope(x: Tensor) -> Tensor:
    ...     return torch.autograd.grad(x.square().sum(), x)[0]
    >>> x = torch.tensor([1.0, 3.0], requires_grad=True)
    >>> with torch.inference_mode():
    ...     slope(x)
    tensor([2., 6.])
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with ordinary_modes():
            return function(*args, **kwargs)

    return call


def make_independent_of_modes(cls: type[Any], *methods: str) -> None:
    """Apply `independent_of_modes` to those of the named methods that `cls` defines itself."""
    for name in methods:
        if name in cls.__dict__:
            setattr(cls, name, independent_of_modes(cls.__dict__[name]))


def outside_inference(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that can be differentiated if it was made under `torch.inference_mode`."""
    return tensor.clone() if tensor.is_inference() else tensor
