"""Every change of a description is found and named, unless its field says that it may change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gnnspin.core import StoreError
from gnnspin.core.config import Config
from gnnspin.runs import MAY_CHANGE, differences, require_same_run


class Solver(Config):
    """A nested description."""

    kT: float = 0.01
    threads: Annotated[int, MAY_CHANGE] = 1


class Exact(Config):
    """One of two kinds."""

    kind: Literal["exact"] = "exact"
    solver: Solver = Solver()


class Learned(Config):
    """The other kind."""

    kind: Literal["learned"] = "learned"
    path: str


class Walk(Config):
    """A run with every shape of value."""

    size: int = 3
    rate: float | None = None
    names: tuple[str, ...] = ("a", "b")
    source: Annotated[Exact | Learned, Field(discriminator="kind")] = Exact()
    parts: tuple[Exact, ...] = (Exact(), Exact())
    table: dict[str, float] = Field(default_factory=lambda: {"x": 1.0})
    device: Annotated[str, MAY_CHANGE] = "cpu"


#: Each changed value and the key under which it must be named.
CHANGES: dict[str, dict[str, Any]] = {
    "size": {"size": 4},
    "rate": {"rate": 0.5},
    "names": {"names": ["a"]},
    "source.solver.kT": {"source": {"kind": "exact", "solver": {"kT": 0.02}}},
    "source.path": {"source": {"kind": "learned", "path": "m"}},
    "parts.1.solver.kT": {"parts": [{}, {"solver": {"kT": 0.5}}]},
    "parts.2.kind": {"parts": [{}, {}, {}]},
    "table.x": {"table": {"x": 2.0}},
    "table.y": {"table": {"x": 1.0, "y": 1.0}},
}


@pytest.mark.parametrize("key", CHANGES)
def test_every_change_is_named_from_both_sides(key: str) -> None:
    changed, plain = Walk(**CHANGES[key]), Walk()
    assert key in differences(changed, plain.model_dump(mode="json"))
    new, old = differences(plain, changed.model_dump(mode="json"))[key]
    assert new != old
    assert differences(changed, changed.model_dump(mode="json")) == {}


@given(st.sets(st.sampled_from(sorted(Walk.model_fields))))
def test_what_an_older_version_did_not_know_has_its_default(unknown: set[str]) -> None:
    stored = Walk(device="cuda").model_dump(mode="json")
    assert differences(Walk(), {name: value for name, value in stored.items() if name not in unknown}) == {}


def test_what_may_change_is_not_compared_at_any_depth() -> None:
    other = Walk(device="cuda", source={"kind": "exact", "solver": {"threads": 8}})
    assert differences(other, Walk().model_dump(mode="json")) == {}


def test_a_description_that_is_valid_no_more_names_what_is_foreign() -> None:
    stored = {**Walk().model_dump(mode="json"), "device": "cuda", "gone": True}
    assert differences(Walk(), stored) == {"gone": ("absent", True)}
    assert "size" in differences(Walk(), {"size": "many"})
    assert differences(Walk(), {"source": {"kind": "martian"}})["source.kind"] == ("exact", "martian")


def test_the_error_names_keys_values_and_remedy() -> None:
    with pytest.raises(StoreError, match=r"run\.json is another walk: size=4 \(stored 3\); go on with the stored") as e:
        require_same_run(Walk(size=4), Walk().model_dump(mode="json"), where="run.json", kind="walk")
    assert "choose another output" in str(e.value)
