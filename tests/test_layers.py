"""A module imports only from its own layer or from those below."""

from __future__ import annotations

import ast
from pathlib import Path

import gnnspin

PACKAGE = Path(gnnspin.__file__).parent

#: From the bottom; names in one group may import each other.
LAYERS = [
    {"core"},
    {"runs"},
    {"systems"},
    {"graphs"},
    {"datasets"},
    {"observables"},
    {"classical"},
    {"electrons"},
    {"descriptors"},
    {"models"},
    {"force_fields"},
    {"trajectories"},
    {"dynamics"},
    {"sampling"},
    {"training", "labels"},
    {"plotting"},
    {"analysis"},
    {"learning"},
    {"studies"},
    {"testing"},
    {"cli", "information"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """Subpackages of gnnspin that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "gnnspin":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gnnspin.")}
    return found & RANK.keys()


def test_imports_point_downwards() -> None:
    upward = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in RANK:
            upward += [f"{path.name} imports {name}" for name in imported(path) if RANK[name] > RANK[own]]
    assert not upward


def test_every_subpackage_has_a_layer() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= RANK.keys()


def test_the_library_does_not_print() -> None:
    printing = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if path.name != "cli.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing
