"""Numbers in configurations are what the user wrote."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pydantic
import pytest
import yaml
from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import whole_number
from gnnspin.core.yaml_loader import Loader


class Example(Config):
    n_steps: int = Field(default=1, gt=0)
    seed: int | None = None
    shape: tuple[int, ...] = ()
    pbc: bool | tuple[bool, ...] = True
    size: Literal["auto"] | int = "auto"
    kT: float = 0.0


@pytest.mark.parametrize("value", [100_000, 1e5, "1e5", "100000", np.int64(100_000), np.float32(1e5)])
def test_whole_numbers_in_any_notation(value: object) -> None:
    assert whole_number(value, "n_steps") == 100_000
    assert Example.model_validate({"n_steps": value}).n_steps == 100_000


@pytest.mark.parametrize("value", [1.9, True, "1.9", "yes", None, float("inf"), float("nan"), [1, 2]])
def test_what_is_no_whole_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInput, match="n_steps="):
        whole_number(value, "n_steps")
    with pytest.raises(pydantic.ValidationError, match="n_steps"):
        Example.model_validate({"n_steps": value})


def test_kinds_of_fields_keep_their_meaning() -> None:
    made = Example.model_validate({"seed": 1e2, "shape": [1e1, 3], "pbc": [True, False], "size": 4.0, "kT": 1})
    assert (made.seed, made.shape, made.pbc, made.size) == (100, (10, 3), (True, False), 4)
    assert Example.model_validate({"size": "auto", "pbc": False}).pbc is False
    for wrong in ({"seed": True}, {"shape": [True]}, {"kT": True}, {"shape": [1.5]}):
        with pytest.raises(pydantic.ValidationError):
            Example.model_validate(wrong)


def test_yaml_has_decimal_numbers_alone() -> None:
    assert yaml.load("{a: 1e5, b: -1.5E-3, c: 12, d: 1_000, e: 0}", Loader) == {
        "a": 1e5, "b": -1.5e-3, "c": 12, "d": 1000, "e": 0
    }  # fmt: skip
    for text in ("a: 010", "a: 1:30", "a: 0x10"):
        with pytest.raises(yaml.YAMLError, match="no decimal number"):
            yaml.load(text, Loader)
    with pytest.raises(yaml.YAMLError, match="given twice"):
        yaml.load("{a: 1, a: 2}", Loader)
