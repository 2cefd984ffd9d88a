"""Constant arrays on devices: each device that asks for one gets one copy, once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Placed:
    """A constant array, such as a table of sites, for evaluations on any device.

    A copy to a device in every evaluation would make the host wait for the device every time.

    Parameters
    ----------
    values : array or tensor
        Never changed after this.

    Examples
    --------
    >>> table = Placed(np.array([2, 0, 1]))
    >>> table.on("cpu") is table.on(torch.device("cpu"))
    True
    """

    def __init__(self, values: NDArray[Any] | Tensor) -> None:
        self._values = torch.from_numpy(np.array(values)) if isinstance(values, np.ndarray) else values
        self._copies: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device | str) -> Tensor:
        """The array as a tensor on `device`."""
        device = torch.device(device)
        if device not in self._copies:
            self._copies[device] = self._values.to(device)
        return self._copies[device]

    def __deepcopy__(self, memo: Any) -> Placed:
        return Placed(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return Placed, (self._values,)
