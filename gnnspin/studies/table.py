"""The studies by name. A study's module, with all that it needs, is imported when the study itself is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from gnnspin.core.errors import InvalidInput

if TYPE_CHECKING:
    from gnnspin.studies.study import Study


@dataclass(frozen=True)
class StudyEntry:
    """Where a study is defined.

    Attributes
    ----------
    module : str
        Its module, with a `Study` in capitals for each of `sizes`.
    summary : str
        The system and the physics in one line.
    sizes : tuple of str
        How much work it can be.
    """

    module: str
    summary: str
    sizes: tuple[str, ...] = ("small", "paper")


TABLE = {
    "120-degree": StudyEntry(
        "gnnspin.studies.triangular_120", "triangular s-d model at half filling, J = 6: growth of the 120-degree order"
    ),
}


class Studies(Mapping[str, dict[str, "Study"]]):
    """Every study by name, each a dict of `Study` by size."""

    def __getitem__(self, name: str) -> dict[str, Study]:
        return _sizes(name)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


STUDIES = Studies()


def study(name: str, size: str) -> Study:
    """The study of this name and size.

    Raises
    ------
    InvalidInput
        If one of them is unknown.
    """
    if name not in TABLE:
        raise InvalidInput(f"unknown study {name!r}; known: {', '.join(TABLE)}")
    sizes = STUDIES[name]
    if size not in sizes:
        raise InvalidInput(f"unknown size {size!r} of {name}; known: {', '.join(sizes)}")
    return sizes[size]


@cache
def _sizes(name: str) -> dict[str, Study]:
    entry = TABLE[name]
    module = import_module(entry.module)
    return {size: getattr(module, size.upper()) for size in entry.sizes}
