"""Registries, and names that moved."""

from __future__ import annotations

import math
import sys
import types

import pytest

from gnnspin.core import registry as module
from gnnspin.core.errors import InvalidInput
from gnnspin.core.moved import moved_names
from gnnspin.core.registry import Registry


class Entry:
    """An entry point of another installed package."""

    def __init__(self, name: str, value: object) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        return self.value() if isinstance(self.value, types.FunctionType) else self.value


def test_a_name_belongs_to_one_object() -> None:
    shapes = Registry("shape", "gnnspin.nothing")
    assert shapes.registered("round")(float) is float
    assert shapes.register("round", float) is float
    with pytest.raises(InvalidInput, match="shape name 'round' belongs to"):
        shapes.register("round", int)
    with pytest.raises(InvalidInput, match="needs a name"):
        shapes.register("", int)
    with pytest.raises(InvalidInput, match="shape 'square' is unknown; known: round"):
        shapes["square"]
    assert list(shapes) == ["round"]
    assert "round" in shapes
    assert "square" not in shapes


def test_other_packages_add_objects_or_modules_that_register(monkeypatch) -> None:
    shapes = Registry("shape", "gnnspin.shapes")
    outside = types.ModuleType("outside")

    def load() -> object:
        shapes.register("flat", int)
        return outside

    monkeypatch.setattr(module, "entry_points", lambda **_: [Entry("round", float), Entry("outside", load)])
    assert shapes["flat"] is int
    assert shapes.names() == ("flat", "round")


def test_a_package_that_cannot_be_loaded_is_named_every_time(monkeypatch) -> None:
    shapes = Registry("shape", "gnnspin.shapes")

    def load() -> object:
        raise ImportError("no module named far")

    monkeypatch.setattr(module, "entry_points", lambda **_: [Entry("outside", load)])
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"shape 'outside' of another package .* no module named far"):
            shapes["flat"]


def test_moved_names_are_found_with_a_warning(monkeypatch) -> None:
    package = types.ModuleType("old_home")
    package.__getattr__ = moved_names("old_home", {"sqrt": "math"})  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "old_home", package)
    with pytest.warns(DeprecationWarning, match=r"old_home.sqrt has moved to math.sqrt"):
        assert package.sqrt is math.sqrt
    with pytest.raises(AttributeError, match="no attribute 'cube'"):
        package.cube  # noqa: B018
