"""Docstrings: none opens with "What", none only refers to another; public classes, functions and methods have one."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pytest

import gnnspin

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "gnnspin").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])
MEMBERS = (property, classmethod, staticmethod, cached_property)
STUB = re.compile(r"See `[\w.]+`")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


@pytest.mark.parametrize("opening", ["What ", "See `"])
def test_openings(opening: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in FILES
        for line, text in docstrings(path)
        if text.startswith(opening) and (opening == "What " or STUB.match(text))
    ]
    assert not wrong, "\n".join(wrong)


def modules() -> Iterator[ModuleType]:
    """Every module of the package."""
    yield gnnspin
    for entry in pkgutil.walk_packages(gnnspin.__path__, "gnnspin."):
        if not entry.name.endswith("__main__"):
            yield importlib.import_module(entry.name)


def described_in_the_package(owner: type, name: str) -> bool:
    """Whether a class or a base of it in the package has a docstring for a member."""
    homes = [base for base in owner.__mro__ if base.__module__.startswith("gnnspin") and name in vars(base)]
    members = (inspect.getattr_static(home, name) for home in homes)
    return any(getattr(member, "__func__", member).__doc__ for member in members)


def written_in_the_package(member: object) -> bool:
    """Whether a function's code is in a file of the package: PyTorch Geometric adds generated ones to its modules."""
    return inspect.isfunction(member) and Path(member.__code__.co_filename).is_relative_to(
        Path(gnnspin.__file__).parent
    )


def test_public_classes_and_functions_are_documented() -> None:
    missing = []
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                missing.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert not missing, "\n".join(missing)


def test_public_methods_are_documented_or_inherit_it_from_a_class_of_the_package() -> None:
    missing = [
        f"{module.__name__}.{owner.__name__}.{name}"
        for module in modules()
        for owner in vars(module).values()
        if inspect.isclass(owner) and owner.__module__ == module.__name__ and not owner.__name__.startswith("_")
        for name, member in vars(owner).items()
        if not name.startswith("_")
        and (isinstance(member, MEMBERS) or written_in_the_package(member))
        and not described_in_the_package(owner, name)
    ]
    assert not missing, "\n".join(missing)
