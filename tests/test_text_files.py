"""Text is UTF-8 whatever the locale says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gnnspin.cli import read_config
from gnnspin.core import StoreError
from gnnspin.dynamics.job import SimulationConfig

ROOT = Path(__file__).parents[1]


def _text_without_encoding(path: Path) -> list[int]:
    """Lines on which a file is read or written as text in the encoding of the locale."""
    lines = []
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        modes = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        method = isinstance(call.func, ast.Attribute)
        text = (method and name in ("read_text", "write_text")) or (
            name == "open" and any(m in ("r", "w", "a", "x") for m in modes)
        )
        if text and not any(keyword.arg == "encoding" for keyword in call.keywords):
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize("folder", ["gnnspin", "scripts"])
def test_every_text_file_is_opened_as_utf8(folder: str) -> None:
    found = {str(path): _text_without_encoding(path) for path in (ROOT / folder).rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_yaml_is_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "quench.yaml"
    text = "# Abkühlung\nsystem: {kind: square, shape: [4, 4]}\nsource: {model: Eisenähnlich.safetensors}\n"
    path.write_text(text + "dt: 0.1\nn_steps: 3\n", encoding="utf-8")
    assert "Eisenähnlich" in str(read_config(path, SimulationConfig))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    with pytest.raises(StoreError, match=r"quench\.yaml cannot be read as YAML"):
        read_config(path, SimulationConfig)
