"""Configurations read from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.yaml_loader import Loader

C = TypeVar("C", bound=Config)


def read_config(path: Path, kind: type[C]) -> C:
    """Read and validate a YAML file.

    Raises
    ------
    StoreError
        If the file is missing or not YAML.
    InvalidInput
        If a key is unknown or a value is out of range; names the key.
    """
    try:
        values: Any = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if values is None:
        raise InvalidInput(f"{path} is empty; `gnnspin info` documents the keys")
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as error:
        raise InvalidInput(f"{path}: {one_line(error)}") from error


def one_line(error: pydantic.ValidationError) -> str:
    """All problems of a validation error in one line."""
    problems = []
    found = error.errors()
    places = {problem["loc"] for problem in found}
    for problem in found:
        if problem["type"] == "too_short" and any(
            place[: len(problem["loc"])] == problem["loc"] != place for place in places
        ):
            continue  # its members are wrong, not too few
        keys = [str(part) for part in problem["loc"] if "[" not in str(part)]  # not the branches of a union
        place = ".".join(keys) or "top level"
        message = (
            "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        )
        problems.append(f"{place}: {message}")
    return "; ".join(problems)
