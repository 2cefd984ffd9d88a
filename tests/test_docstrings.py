"""Docstrings: none opens with "What", none only refers to another, and every public name has one."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gnnspin

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "gnnspin").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])
STUB = re.compile(r"See `[\w.]+`")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def subpackages() -> list[ModuleType]:
    """The package and its subpackages that list their public names."""
    found = pkgutil.walk_packages(gnnspin.__path__, "gnnspin.")
    modules = [gnnspin, *(importlib.import_module(entry.name) for entry in found if entry.ispkg)]
    return [module for module in modules if hasattr(module, "__all__")]


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties of a class and of its bases in the package, without the private ones."""
    for name in dir(owner):
        home = next((base for base in owner.__mro__ if name in vars(base)), None)
        if home is None or name.startswith("_") or not home.__module__.startswith("gnnspin"):
            continue
        member = inspect.getattr_static(owner, name)
        if isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member):
            yield name, member if isinstance(member, property) else getattr(owner, name)


@pytest.mark.parametrize("opening", ["What ", "See `"])
def test_openings(opening: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in FILES
        for line, text in docstrings(path)
        if text.startswith(opening) and (opening == "What " or STUB.match(text))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", subpackages(), ids=lambda module: module.__name__)
def test_public_names_are_documented(module: ModuleType) -> None:
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            missing.append(name)
        if inspect.isclass(value):
            members = public_members(value)
            missing += [f"{name}.{member}" for member, function in members if not inspect.getdoc(function)]
    assert not missing, f"{module.__name__}: {missing}"
