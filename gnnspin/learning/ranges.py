"""Ranges of a Hamiltonian's parameters in a learning: the middle of them, the points of a round, what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.conditions import Ranges, parameter_path, with_parameters
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.labels.family import spread_points
from gnnspin.labels.plan import derived_seed

#: Parameters of the electrons that stand beside the Hamiltonian.
ENSEMBLE = ("kT", "mu", "filling")

#: Points at which each intended run is driven in a round after the first.
N_POINTS = 4

_HAMILTONIAN: TypeAdapter[Any] = TypeAdapter(HamiltonianRecipe)
_RANGES: TypeAdapter[dict[str, tuple[float, float]]] = TypeAdapter(Ranges)

#: Values that the ranges of some parameters must lie between, and why.
_MEANT: dict[str, tuple[float, float, str]] = {
    "J": (0.0, float("inf"), "without coupling there is no torque, and a negative one reverses all spins and no more"),
    "kT": (0.0, float("inf"), "the exact solver of all points needs a temperature"),
    "filling": (0.0, 1.0, "it is the share of the spin-orbitals that are occupied"),
}


def middle(ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The point in the middle of all ranges."""
    return {name: (low + high) / 2 for name, (low, high) in ranges.items()}


def points_of_round(ranges: Mapping[str, tuple[float, float]], seed: int, number: int) -> list[dict[str, float]]:
    """Points at which the intended runs of a round are driven.

    Those of the first round are the middle and the corners; later ones have `N_POINTS` each that follow one another in
    the low-discrepancy sequence of `gnnspin.labels.family.spread_points`, from a member on that the seed chooses: no
    two rounds have a point in common, and all rounds together fill the ranges evenly.
    """
    if number == 0:
        corners = itertools.product(*ranges.values())
        return [middle(ranges), *(dict(zip(ranges, corner, strict=True)) for corner in corners)]
    skip = derived_seed(seed, 8) % 2**16 + (number - 1) * N_POINTS
    return [dict(zip(ranges, each, strict=True)) for each in spread_points(tuple(ranges.values()), N_POINTS, skip)]


def nearest_to_the_middle(
    ranges: Mapping[str, tuple[float, float]], points: Sequence[dict[str, float]]
) -> dict[str, float]:
    """The one of some points whose parameters are nearest to the middle, in units of their ranges."""
    center = middle(ranges)

    def distance(point: Mapping[str, float]) -> float:
        return sum(((point[name] - center[name]) / (high - low)) ** 2 for name, (low, high) in ranges.items())

    return min(points, key=distance)


def at_the_middle(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a learning's configuration with the middle of every range of its `family` at its parameter's place.

    Values whose `family` or `hamiltonian` is none are returned as they are: their fields say what is wrong.

    Raises
    ------
    InvalidInput
        If there is no parameter of such a name, its range is outside of what is meant, or it has a number too.
    """
    try:
        ranges = _RANGES.validate_python(values["family"])
        hamiltonian = _HAMILTONIAN.validate_python(values["hamiltonian"])
    except (KeyError, ValidationError):
        return dict(values)
    ensemble = {name: values.get(name) for name in ENSEMBLE}
    given = {"hamiltonian": values["hamiltonian"], "solver": ensemble}
    known = {"hamiltonian": _HAMILTONIAN.dump_python(hamiltonian, mode="json"), "solver": dict.fromkeys(ENSEMBLE)}
    for name, (low, high) in ranges.items():
        path = _place_of(name, known)
        _require_meant(path[-1], low, high)
        _require_left_out(name, path, given, (low + high) / 2)
    record = with_parameters({**known, "solver": ensemble}, middle(ranges))
    return {**values, "hamiltonian": record["hamiltonian"], **record["solver"]}


def _place_of(name: str, known: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return parameter_path(name, known)
    except InvalidInput as error:
        raise InvalidInput(f"family: {error}") from error


def _require_meant(name: str, low: float, high: float) -> None:
    least, most, why = _MEANT.get(name, (-float("inf"), float("inf"), ""))
    if not least < low < high < most:
        bounds = f"above {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
        raise InvalidInput(f"family: range of {name} is [{low:g}, {high:g}]; give one {bounds}: {why}")


def _require_left_out(name: str, path: tuple[str, ...], given: Any, value: float) -> None:
    """InvalidInput where a parameter with a range has another number than its middle; members of lists need one."""
    for key in path:
        given = given.get(key) if isinstance(given, Mapping) else None
    if given is not None and given != value:
        raise InvalidInput(f"{name}={given} is given as a number and, in family, as a range; leave one of them out")
