"""Described objects: parameters, recipes and descriptions follow from the constructor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, TypedDict, Unpack

import numpy as np
import pytest
from pydantic import Field, ValidationError
from scipy import sparse

import gnnspin as gs
from gnnspin.core.config import Config
from gnnspin.core.described import Described, Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import FractionalNumber, as_sparse
from gnnspin.core.plain import as_stored, require_same


class Shape(Described, family="shape", group="gnnspin.test_shapes", default_kind="disc"):
    """A figure."""


class Keywords(TypedDict, total=False):
    filling: Annotated[FractionalNumber, Field(le=1)] | None
    tint: complex | None


class Disc(Shape, kind="disc"):
    """A disc.

    Parameters
    ----------
    radius : float
        Distance from the centre to the rim.
    **keywords
        See `Keywords`.
    """

    def __init__(self, radius: float = 1.0, **keywords: Unpack[Keywords]) -> None:
        self.radius, self.filling, self.tint = float(radius), keywords.get("filling"), keywords.get("tint")

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        if recipe.arguments()["radius"] <= 0:
            raise InvalidInput("radius must be positive")


class Group(Shape, kind="group"):
    def __init__(self, shapes: Sequence[Shape], weights: np.ndarray | float = 1.0, first: Shape = Disc()) -> None:  # noqa: B008
        self.shapes, self._weights, self.first = tuple(shapes), np.asarray(weights), first


class Placed(Shape, kind="placed"):
    def __init__(self, system: str, matrix: sparse.sparray, *, within: Shape) -> None:
        self.system, self.matrix, self.within = system, as_sparse(matrix), within


class Special(Disc, kind="special"):
    pass


def test_a_description_builds_what_it_describes() -> None:
    matrix = sparse.csr_array(np.array([[0, 1 + 2j], [0, 0]]))
    group = Group([Disc(2.0, filling=0.5), Special()], [1.5, 2.5])
    placed = Placed("here", matrix, within=group)
    described = as_stored(placed.specification())
    again = Shape.from_specification(described, system="there")
    assert again.specification() == placed.specification()
    assert again.system == "there"
    assert (again.matrix != matrix).nnz == 0
    assert isinstance(again.within.shapes[1], Special)


def test_complex_numbers_survive_a_file_and_compare() -> None:
    stored = as_stored({"kind": "group", "shapes": [], "weights": {"real": [1.0], "imag": [2.0]}})
    recipe = Shape.recipe(stored)
    assert recipe == Shape.recipe(as_stored(recipe.build().specification()))
    assert recipe.build()._weights.tolist() == [1 + 2j]


def test_a_recipe_names_the_wrong_value_before_anything_is_built() -> None:
    for given, named in [
        ({"kind": "square"}, "square"),
        ({"radius": -1}, "radius must be positive"),
        ({"diameter": 2}, "diameter"),
        ({"filling": 1.5}, "filling"),
        ({"kind": "group", "shapes": [{"kind": "disc", "radius": "wide"}]}, "radius"),
    ]:
        with pytest.raises(InvalidInput, match=named):
            Shape.recipe(given)
    with pytest.raises(InvalidInput, match="disc is no Special"):
        Special.recipe({"kind": "disc"})


def test_fields_of_configurations_hold_recipes() -> None:
    class Picture(Config):
        shape: Annotated[Recipe, RecipeOf(Shape)] = Shape.recipe(radius=3)
        other: Annotated[Recipe, RecipeOf(Placed, without=("matrix",))] | None = None

    picture = Picture.model_validate({"shape": {"filling": "5/12"}, "other": {"within": {"radius": 2}}})
    assert picture.shape.build().filling == 5 / 12
    assert picture == Picture.model_validate_json(picture.model_dump_json())
    assert (
        Picture().model_dump(exclude_defaults=True) == Picture(shape=Disc(3.0)).model_dump(exclude_defaults=True) == {}
    )
    assert json.loads(picture.model_dump_json())["shape"] == {
        "kind": "disc",
        "radius": 1.0,
        "filling": 5 / 12,
        "tint": None,
    }
    assert picture.other is not None
    built = picture.other.build("here", matrix=sparse.eye_array(2))
    assert built.within.radius == 2
    with pytest.raises(ValidationError, match="5/0"):
        Picture.model_validate({"shape": {"filling": "5/0"}})


def test_differences_are_named() -> None:
    require_same(Disc(2.0).specification(), as_stored(Disc(2.0).specification()), "shape")
    with pytest.raises(InvalidInput, match=r"radius \(2.0, stored 3.0\)"):
        require_same(Disc(2.0).specification(), Disc(3.0).specification(), "shape")


def test_keywords_are_parameters_with_their_texts() -> None:
    fields = Disc.parameters().model_fields
    assert list(fields) == ["kind", "radius", "filling", "tint"]
    assert fields["radius"].description == "Distance from the centre to the rim."
    assert Disc.parameters() is Disc.parameters(())


def test_numbers_of_unequal_rows_are_written_as_they_are() -> None:
    """Widths of contacts of different sizes, and complex amplitudes among real ones."""
    ribbon = gs.systems.square(3, 2, pbc=(False, True))
    driven = gs.electrons.DrivenSteadyState(
        gs.electrons.SDHamiltonian(ribbon, J=1.0), ("left", "all"), gamma=(1.0, 0.1), voltage=(0.2, 0.0)
    )
    recipe = type(driven).recipe(driven.specification())
    assert recipe.model_dump(mode="json")["gamma"] == [[1.0, 1.0], [0.1] * 6]
