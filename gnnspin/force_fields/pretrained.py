"""Trained models that come with the package: weights, and a card that says what each is good for."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gnnspin.core.errors import InvalidInput

PREFIX = "pretrained:"


def pretrained_folder() -> Path:
    """Folder of the weights and cards."""
    return Path(str(files("gnnspin.force_fields") / "weights"))


def pretrained() -> tuple[str, ...]:
    """Names of the models that come with the package; ``gnnspin.load("pretrained:NAME", system)`` loads one."""
    return tuple(sorted(path.stem for path in pretrained_folder().glob("*.safetensors")))


def pretrained_path(name: str) -> Path:
    """File of a pretrained model.

    Raises
    ------
    InvalidInput
        If there is no model of that name.
    """
    name = name.removeprefix(PREFIX)
    if name not in pretrained():
        raise InvalidInput(f"no pretrained model {name!r}; there are {', '.join(pretrained())}")
    return pretrained_folder() / f"{name}.safetensors"


def model_card(name: str) -> str:
    """Card of a pretrained model in Markdown: data, errors, range of validity, and the command that reproduces it.

    Raises
    ------
    InvalidInput
        If there is no model of that name.
    """
    return pretrained_path(name).with_suffix(".md").read_text(encoding="utf-8")
