"""Public names that moved: found at their old place with a warning, until the version that drops them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

#: The version in which old places end.
GONE_IN = "0.3"


def moved_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Module ``__getattr__`` of `package` that finds each moved name at its new home, with a DeprecationWarning.

    Parameters
    ----------
    package : str
        Name of the package that the names have left.
    homes : mapping of str to str
        Package that each name is in now.

    Raises
    ------
    AttributeError
        From the returned function, for any other name.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warnings.warn(
            f"{package}.{name} has moved to {homes[name]}.{name}; the old name ends with version {GONE_IN}",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(homes[name]), name)

    return find
