"""Whole numbers as users write them: seeds, steps, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnspin.core.errors import InvalidInput


def whole_number(value: Any, name: str) -> int:
    """The integer that `value` is exactly: ``100000``, ``1e5`` and ``"1e5"`` alike.

    Raises
    ------
    InvalidInput
        If it is no number, not whole, or true or false; names it.

    Examples
    --------
    >>> whole_number(1e5, "n_steps"), whole_number("1e5", "n_steps")
    (100000, 100000)
    >>> whole_number(1.9, "seed")
    Traceback (most recent call last):
    ...
    gnnspin.core.errors.InvalidInput: seed=1.9 must be a whole number
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float | np.floating | str):
        try:
            return int(value) if isinstance(value, str) and value.strip().isdecimal() else _exact(float(value))
        except (ValueError, OverflowError):
            pass
    elif hasattr(value, "item") and np.ndim(value) == 0 and not isinstance(value, np.bool_):
        return whole_number(value.item(), name)
    raise InvalidInput(f"{name}={value!r} must be a whole number")


def whole_at_least(value: Any, smallest: int, name: str) -> int:
    """The whole number `value`, at least `smallest`.

    Raises
    ------
    InvalidInput
        If it is none or smaller; names it.
    """
    number = whole_number(value, name)
    if number < smallest:
        raise InvalidInput(f"{name}={value} must be at least {smallest}")
    return number


def seed_number(value: Any, name: str = "seed") -> int:
    """The seed of random numbers, in 0 .. 2^64 - 1.

    Raises
    ------
    InvalidInput
        If it is no whole number or out of range; names it.

    Examples
    --------
    >>> seed_number(1e5)
    100000
    """
    number = whole_number(value, name)
    if not 0 <= number < 2**64:
        raise InvalidInput(f"{name}={value} must lie in 0 .. 2^64 - 1")
    return number


def _exact(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)
