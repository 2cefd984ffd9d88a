"""Everything is reachable from ``import gnnspin as gs``."""

from __future__ import annotations

from pathlib import Path

import pytest

import gnnspin as gs

SUBPACKAGES = sorted(path.parent.name for path in Path(gs.__path__[0]).glob("*/__init__.py"))


@pytest.mark.parametrize("name", SUBPACKAGES)
def test_every_subpackage_is_an_attribute(name: str) -> None:
    assert name in gs.__all__
    assert getattr(gs, name).__name__ == f"gnnspin.{name}"


def test_names_of_the_top_level() -> None:
    for name in gs.__all__:
        assert getattr(gs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'SpinSystem'"):
        gs.SpinSystem  # type: ignore[attr-defined]  # noqa: B018
