"""One registry of observables: described, the same alone and in a batch, and on the parts of a union."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
import gnnspin.dynamics  # registers the observables of a source
from gnnspin.core import InvalidInput, random_spins
from gnnspin.core.config import Config
from gnnspin.core.described import Recipe
from gnnspin.core.plain import as_stored
from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.error_bars import WithErrorBars
from gnnspin.observables import Observable
from gnnspin.observables.observable import NamedObservables

TRIANGULAR = gs.systems.triangular(6, 6)
#: Parameters other than the defaults, of every observable that has some.
PARAMETERS: dict[str, dict[str, Any]] = {
    "bond_order": {"cutoff": 1.8},
    "chirality_vortices": {},
    "correlation_length": {"of": "scalar_chirality", "peak": "M", "method": "second_moment", "radius": 1.5},
    "domain_wall": {
        "quantity": "widths",
        "direction": 1,
        "axis": [0.6, 0.0, 0.8],
        "sense": -1,
        "method": "crossing",
        "order": "bonds",
    },
    "edwards_anderson_overlap": {},
    "energy_per_site": {},
    "ferromagnetic_clusters": {"threshold": 0.1, "quantity": "largest", "cutoff": 1.8},
    "magnetization": {},
    "neighbor_correlation": {"cutoff": 1.8},
    "pair_correlation": {"bin_width": 0.2, "max_distance": 2.0},
    "pair_correlation_length": {"bin_width": 0.2, "max_distance": 1.2},
    "scalar_chirality": {"reduce": "absolute"},
    "shell_correlation": {"cutoff": 2.0},
    "skyrmion_center": {"within": 2.5},
    "skyrmion_radius": {"axis": [0.6, 0.0, 0.8], "polarity": 1},
    "structure_factor": {"wave_vectors": ["K", [0.5, 0.2, 0.0]]},
    "temperature_terms": {"curvature": True},
    "tetrahedral_order": {},
    "three_sublattice_order": {},
    "topological_charge": {"reduce": "magnitude", "sites": 12},
    "torque_error": {"warn": 1e9, "store": 1e9, "stop": 1e9, "snapshots": "nowhere"},
    "torque_residual": {},
    "triple_q_order": {"wave_vector": "K"},
    "vector_chirality": {"reduce": "absolute"},
    "wall_length": {"of": "vector_chirality", "axis": [0.6, 0.0, 0.8]},
}
#: Of several replicas together, or with random probes of each replica's own.
ACROSS_REPLICAS = ("edwards_anderson_overlap", "temperature_terms")
SOURCE = gs.classical.Heisenberg(TRIANGULAR, (1.0,))


class Doubtful(WithErrorBars, gs.classical.Heisenberg):
    """Exchange that takes a tenth of its field for its error."""

    calibration = Calibration((0.5, 0.99), (1.0, 3.0), 0.1, 1.0, 10, 1000)

    def fields_and_scores(self, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fields and their lengths."""
        fields = self.fields(spins)
        return fields, fields.norm(dim=-1)


#: Those whose parameters say what happens, and change nothing that is measured.
REACTIONS = ("torque_error",)
#: Sources of observables that not every source has.
SOURCES = {"torque_error": Doubtful(TRIANGULAR, (1.0,))}


def value(observable: Observable, spins: torch.Tensor, source: Any = None) -> torch.Tensor:
    source = SOURCES.get(observable.kind, SOURCE) if source is None else source
    return torch.as_tensor(observable.observer(source.system, source)(gs.core.State(spins)))


def test_every_observable_is_tested() -> None:
    ours = {kind for kind in Observable.kinds() if Observable.registry[kind].__module__.startswith("gnnspin.")}
    assert {kind for kind in ours if not kind.startswith("example_")} == PARAMETERS.keys()
    for kind, parameters in PARAMETERS.items():
        assert parameters.keys() == inspect.signature(Observable.registry[kind]).parameters.keys()


@pytest.mark.parametrize("kind", PARAMETERS)
def test_what_a_description_builds_measures_the_same_alone_and_in_a_batch(kind: str) -> None:
    first = Observable.recipe({"kind": kind, **PARAMETERS[kind]}).build()
    again = Observable.from_specification(as_stored(first.specification()))
    assert again.specification() == first.specification()
    spins = random_spins(36, replicas=(3,), seed=0)
    together = value(first, spins)
    assert together.shape[0] == 3
    torch.testing.assert_close(value(again, spins), together, atol=0, rtol=0, equal_nan=True)
    for k in range(3) if kind not in ACROSS_REPLICAS else ():
        torch.testing.assert_close(value(first, spins[k]), together[k], atol=1e-12, rtol=1e-10, equal_nan=True)
    plain = value(Observable.recipe(kind=kind).build(), spins)
    assert (
        not PARAMETERS[kind] or kind in REACTIONS or plain.shape != together.shape or not torch.equal(plain, together)
    )


def test_parts_of_a_union_are_measured_each_by_itself() -> None:
    parts = [gs.systems.triangular(6, 6), gs.systems.triangular(6, 12)]
    spins = [random_spins(part.n_sites, replicas=(2,), seed=k) for k, part in enumerate(parts)]
    both = gs.systems.union(parts)
    observable = Observable.recipe(kind="correlation_length", peak="K").build()
    found = observable(both, torch.cat(spins, dim=-2))
    assert found.shape == (2, 2)
    for k in range(2):
        torch.testing.assert_close(found[:, k], observable(parts[k], spins[k]))
    assert Observable.recipe(kind="magnetization").build()(both, torch.cat(spins, dim=-2)).shape == (2, 2, 3)


class Holder(Config):
    observers: Annotated[dict[str, Recipe], NamedObservables()]


def test_forms_of_a_configuration_and_the_one_that_is_written() -> None:
    listed = Holder.model_validate(
        {"observers": ["magnetization", {"kind": "correlation_length", "peak": "K", "name": "length"}]}
    )
    mapped = Holder.model_validate(
        {"observers": {"magnetization": None, "length": {"kind": "correlation_length", "peak": "K"}}}
    )
    assert listed == mapped
    assert list(listed.observers) == ["magnetization", "length"]
    written = listed.model_dump(mode="json")
    assert written == {"observers": ["magnetization", {"kind": "correlation_length", "peak": "K", "name": "length"}]}
    assert Holder.model_validate(written) == Holder.model_validate_json(listed.model_dump_json()) == listed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["magnetisation"], "'magnetisation' is unknown; known: .*magnetization"),
        ([{"kind": "correlation_length", "peek": "K"}], "peek"),
        (["magnetization", "magnetization"], "given twice"),
        ([{"kind": "ferromagnetic_clusters", "threshold": 3}], "threshold=3"),
        ([{"kind": "magnetization", "name": "a/b"}], "'a/b'"),
        ([7], "7 is neither"),
        ("magnetization", "a list of names"),
    ],
)
def test_what_is_wrong_is_named(given: Any, message: str) -> None:
    with pytest.raises((InvalidInput, ValidationError), match=message):
        Holder.model_validate({"observers": given})


def test_simulate_takes_names_mappings_and_objects_beside_functions() -> None:
    observers = [
        "energy_per_site",
        {"kind": "correlation_length", "peak": "K", "name": "length"},
        Observable.recipe(kind="scalar_chirality").build(),
        lambda state: state.time,
    ]
    options: dict[str, Any] = {"dt": 0.1, "n_steps": 2, "damping": 0.1}
    start = random_spins(36, replicas=(2,), seed=1)
    run = gs.dynamics.simulate(SOURCE, start, observers=observers, **options)
    assert list(run.observables) == ["energy_per_site", "length", "scalar_chirality", "observable_3"]
    by_name = gs.dynamics.simulate(SOURCE, start, observers={"e": "energy_per_site"}, **options)
    assert (by_name.observables["e"] == run.observables["energy_per_site"]).all()
    with pytest.raises(InvalidInput, match="'enregy' is unknown"):
        gs.dynamics.simulate(SOURCE, start, observers=["enregy"], **options)


def test_functions_of_the_source_and_classes_share_the_registry() -> None:
    def factory(source: gs.core.FieldSource) -> Any:
        return lambda state: state.spins[..., 0, 2]

    try:
        gs.dynamics.register_observer("test_first")(factory)
        gs.dynamics.register_observer("test_first")(factory)
        assert "test_first" in Observable.kinds()
        spins = random_spins(36, seed=0)
        assert value(Observable.recipe(kind="test_first").build(), spins) == spins[0, 2]
        with pytest.raises(InvalidInput, match="belongs to"):
            gs.dynamics.register_observer("test_first")(lambda _: len)
        with pytest.raises(InvalidInput, match="needs the field source"):
            Observable.recipe(kind="energy_per_site").build().observer(TRIANGULAR)
        with pytest.warns(DeprecationWarning, match="OBSERVERS"):
            old = gs.dynamics.OBSERVERS
        assert old["test_first"](SOURCE)(gs.core.State(spins)) == spins[0, 2]
        assert "magnetization" in old
    finally:
        Observable.registry._known.pop("test_first", None)


def test_neighbour_correlation_leaves_out_sites_without_neighbours() -> None:
    positions = [[0.0, 0.0, 0.0], [0.6, 0.0, 0.0], [5.0, 5.0, 5.0]]
    system = gs.systems.SpinSystem(positions=positions, cell=None, pbc=False)
    spins = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.6, 0.8], [1.0, 0.0, 0.0]], dtype=torch.float64)
    measured = Observable.recipe({"kind": "neighbor_correlation", "cutoff": 0.7}).build()(system, spins)
    assert float(measured) == pytest.approx(0.8)
