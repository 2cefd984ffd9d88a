"""Simulations in configurations: everything that Python can say, and runs that go on as they began."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import FieldSource, GnnspinError, InvalidInput, StoreError, normalize, random_spins
from gnnspin.dynamics import INTEGRATORS, Ramp, StepParameters, simulate
from gnnspin.dynamics.initial import InitialConfig
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.observables import Observable
from gnnspin.systems.config import PositionsConfig, StructureConfig
from gnnspin.trajectories import Trajectory

SQUARE = {"kind": "square", "shape": [4, 4]}
SYSTEM = gs.systems.square(4, 4)
HEISENBERG = {"kind": "heisenberg", "J": [1.0, 0.2]}
HAMILTONIAN = {"J": 2.0}
POLES = {"kind": "pole_expansion", "hamiltonian": HAMILTONIAN, "kT": 0.2, "mu": 0.0}
SHORT: dict[str, Any] = {"system": SQUARE, "source": HEISENBERG, "dt": 0.1, "n_steps": 4, "observe_every": 2}


def run(path: Path, *, resume: bool = False, **changes: Any) -> Any:
    return SimulationConfig.model_validate(SHORT | changes).run(path, continue_run=resume, progress=False)


def model_folder(tmp_path: Path) -> Path:
    spec = gs.graphs.GraphSpec.for_system(SYSTEM, cutoff=1.5)
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        members.append(gs.ForceField(gs.models.build("spin_cluster_expansion", spec, layers=1, channels=2), SYSTEM))
    return gs.Committee(members).save(tmp_path / "committee")


def test_a_configuration_is_the_call_that_it_describes(tmp_path: Path) -> None:
    """Every option of `simulate` in a configuration gives the trajectory of the same call, bit for bit."""
    options = {
        "damping": [0.1, 0.3], "kT": 0.05, "gamma": 1.2, "noise": "both", "integrator": "spherical_midpoint",
        "tolerance": 1e-9, "seed": 4, "replicas": [7, 3], "pinned": [0, 5], "vacancies": [2], "observe_every": 3,
        "save_every": 2, "save_dtype": "float64",
    }  # fmt: skip
    done = run(tmp_path / "a.h5", initial={"replicas": 2, "seed": 8}, **options)
    source = gs.classical.Heisenberg(SYSTEM, (1.0, 0.2))
    spins = random_spins(16, replicas=(2,), seed=8)
    assert torch.equal(done.spins, simulate(source, spins, dt=0.1, n_steps=4, **options).spins)
    moved = (done.spins - spins).abs().amax((0, 2)) > 1e-12
    assert not moved[[0, 2, 5]].any()
    assert moved[[1, 3, 4]].all()
    with Trajectory(tmp_path / "a.h5") as stored:
        assert stored[-1].dtype == np.float64
        assert stored.notes["simulation"]["gamma"] == 1.2


def test_an_option_of_the_step_has_one_default_in_python_and_in_yaml() -> None:
    arguments = inspect.signature(simulate).parameters
    options = {field.name: field for field in fields(StepParameters)}
    assert options.keys() - arguments.keys() == {"part_sizes", "max_iterations", "guard"}
    for name in options.keys() & arguments.keys():
        required = options[name].default is MISSING
        assert arguments[name].default == (inspect.Parameter.empty if required else options[name].default), name
        described = SimulationConfig.model_fields[name]
        assert described.description, name
        if name != "damping":
            assert described.is_required() == required, name
            assert required or described.default == options[name].default, name


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "sum", "terms": [HEISENBERG, {"kind": "zeeman", "B": [0, 0, 0.3]}]},
        {"kind": "exact_diagonalization", "hamiltonian": HAMILTONIAN, "kT": 0.1, "filling": "1/4"},
        {"kind": "sum", "terms": [POLES, HEISENBERG]},
        {"kind": "driven_steady_state", "hamiltonian": HAMILTONIAN, "contacts": [[0], [15]], "voltage": 0.3},
        {"kind": "diluted", "source": HEISENBERG, "vacant": [3, 4]},
        {"hamiltonian": HAMILTONIAN, "solver": {"kT": 0.1, "mu": -1.0}},
    ],
    ids=lambda source: source.get("kind", "solver"),
)  # fmt: skip
def test_any_source_by_its_kind_runs_and_goes_on_from_the_file(tmp_path: Path, source: dict[str, Any]) -> None:
    changes = {"source": source, "observers": ["magnetization", "torque_residual"], "kT": 0.01}
    whole = run(tmp_path / "whole.h5", **changes, n_steps=6)
    run(tmp_path / "parts.h5", **changes)
    assert torch.equal(run(tmp_path / "parts.h5", resume=True, **changes, n_steps=6).spins, whole.spins)


def test_models_and_committees_by_file_and_folder(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    committee = gs.Committee.load(folder, SYSTEM)
    spins = random_spins(16, seed=0)
    for number, (source, expected) in enumerate(
        [
            ({"model": str(folder)}, committee),
            ({"kind": "model", "path": str(folder)}, committee),
            ({"model": str(folder / "member_00.safetensors")}, committee.members[0]),
            ({"kind": "sum", "terms": [{"kind": "model", "path": str(folder)}, HEISENBERG]},
             committee + gs.classical.Heisenberg(SYSTEM, (1.0, 0.2))),
        ]
    ):  # fmt: skip
        done = run(tmp_path / f"{number}.h5", source=source)
        assert torch.equal(done.spins, simulate(expected, spins, dt=0.1, n_steps=4, damping=0.1).spins)
        with Trajectory(done.path) as stored:
            assert torch.equal(stored.rebuild_source().field(spins), expected.field(spins))


def test_temperatures_by_their_kind(tmp_path: Path) -> None:
    ramp = {"kind": "ramp", "start": 0.1, "end": 0.0, "duration": 0.5}
    done = run(tmp_path / "a.h5", kT=ramp)
    source = gs.classical.Heisenberg(SYSTEM, (1.0, 0.2))
    call = simulate(source, random_spins(16, seed=0), dt=0.1, n_steps=4, damping=0.1, kT=Ramp(0.1, 0.0, 0.5))
    assert torch.equal(done.spins, call.spins)
    with pytest.raises(StoreError, match=r"kT\.end=0\.05 \(stored 0\.0\)"):
        run(tmp_path / "a.h5", resume=True, kT=ramp | {"end": 0.05}, n_steps=6)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.xyz"])
def test_spins_of_a_file(tmp_path: Path, name: str) -> None:
    spins, path = random_spins(16, seed=5), tmp_path / name
    if path.suffix == ".npy":
        np.save(path, spins.numpy())
    elif path.suffix == ".npz":
        np.savez(path, spins=spins.numpy())
    elif path.suffix == ".h5":
        still = gs.classical.Zeeman(SYSTEM)
        simulate(still, spins, dt=0.1, n_steps=1, damping=0.0, trajectory=path)
    else:
        gs.systems.write(path, SYSTEM, spins)
    start = InitialConfig(file=path).build(SYSTEM, torch.float64)
    torch.testing.assert_close(start, spins, atol=1e-14, rtol=0)
    noisy = InitialConfig(file=path, amplitude=0.01, replicas=2).build(SYSTEM, torch.float64)
    assert noisy.shape == (2, 16, 3)
    assert 0.001 < float((noisy - spins).norm(dim=-1).mean()) < 0.03
    with pytest.raises(GnnspinError):
        InitialConfig(file=path).build(gs.systems.square(5, 5), torch.float64)


def test_a_file_of_several_replicas(tmp_path: Path) -> None:
    spins = random_spins(16, replicas=(3,), seed=5)
    np.save(tmp_path / "a.npy", spins.numpy())
    for replicas in (1, 3):
        start = InitialConfig(file=tmp_path / "a.npy", replicas=replicas).build(SYSTEM, torch.float64)
        torch.testing.assert_close(start, spins, atol=1e-14, rtol=0)
    with pytest.raises(InvalidInput, match=r"initial\.replicas=2"):
        InitialConfig(file=tmp_path / "a.npy", replicas=2).build(SYSTEM, torch.float64)


def test_one_replica_has_no_axis_of_its_own(tmp_path: Path) -> None:
    run(tmp_path / "a.h5", observers=["magnetization", "energy_per_site"])
    with Trajectory(tmp_path / "a.h5") as stored:
        assert stored[0].shape == (16, 3)
        assert stored.observables["magnetization"].shape == (3, 3)
        assert stored.observables["energy_per_site"].shape == (3,)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"initial": {"seed": 1}}, r"initial\.seed=1 \(stored 0\)"),
        ({"initial": {"kind": "neel"}}, r"initial\.kind=neel"),
        ({"initial": {"amplitude": 0.2}}, r"initial\.amplitude"),
        ({"source": HEISENBERG | {"J": [1.0, 0.3]}}, r"source\.described\.J"),
        ({"gamma": 2.0}, "gamma=2.0"),
        ({"pinned": [0]}, "pinned"),
        ({"system": SQUARE | {"pbc": False}}, r"system\.pbc"),
        ({"observers": ["magnetization"]}, "observers"),
    ],
)
def test_another_run_is_refused_by_the_key_that_differs(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    run(tmp_path / "a.h5")
    with pytest.raises(StoreError, match=key):
        run(tmp_path / "a.h5", resume=True, **{"n_steps": 6} | change)


def test_the_number_of_steps_may_only_grow(tmp_path: Path) -> None:
    """Fewer steps than the run was begun with are refused, even where they are not done yet."""
    stop = {"count": 0}

    @gs.dynamics.register_observer("test_stops")
    def stops(source: FieldSource) -> Any:
        def observe(state: Any) -> torch.Tensor:
            stop["count"] += 1
            if stop["count"] == 3:
                raise KeyboardInterrupt
            return state.spins.mean(-2)

        return observe

    try:
        begun = {"observers": ["test_stops"], "observe_every": 1}
        assert run(tmp_path / "a.h5", **begun, n_steps=8).interrupted
        with Trajectory(tmp_path / "a.h5") as stored:
            assert stored.state.step < 6
        with pytest.raises(InvalidInput, match=r"n_steps=6 is less than the 8 steps .* may only grow: give 8 or more"):
            run(tmp_path / "a.h5", resume=True, **begun, n_steps=6)
        assert run(tmp_path / "a.h5", resume=True, **begun, n_steps=9).state.step == 9
    finally:
        del Observable.registry._known["test_stops"]


@pytest.mark.parametrize("key", ["kind", "file"])
def test_other_content_of_a_named_file_is_another_run(tmp_path: Path, key: str) -> None:
    """Even if the spins are equal to the rounding of stored frames."""
    spins, path = random_spins(16, seed=1).numpy(), tmp_path / "order.npz"
    np.savez(path, spins=spins)
    initial = {key: str(path)}
    run(tmp_path / "a.h5", initial=initial)
    assert run(tmp_path / "a.h5", resume=True, initial=initial, n_steps=5).state.step == 5
    np.savez(path, spins=normalize(torch.from_numpy(spins + 1e-9)).numpy())
    with pytest.raises(StoreError, match=rf"initial\.{key}=.*order\.npz is not what it was"):
        run(tmp_path / "a.h5", resume=True, initial=initial, n_steps=6)


def test_other_spins_in_the_same_file_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", random_spins(16, seed=1).numpy())
    initial = {"file": str(tmp_path / "s.npy")}
    run(tmp_path / "a.h5", initial=initial)
    np.save(tmp_path / "s.npy", random_spins(16, seed=2).numpy())
    with pytest.raises(StoreError, match=r"initial\.file=.*is not what it was"):
        run(tmp_path / "a.h5", resume=True, initial=initial, n_steps=6)
    with h5py.File(tmp_path / "a.h5", "r+", libver="latest") as file:  # versions that noted no content
        settings = json.loads(file.attrs["settings"])
        del settings["notes"]["initial_content"]
        file.attrs["settings"] = json.dumps(settings)
    with pytest.raises(InvalidInput, match="initial: the spins differ"):
        run(tmp_path / "a.h5", resume=True, initial=initial, n_steps=6)


def test_a_run_of_the_previous_version_is_known_by_its_settings_and_first_spins(tmp_path: Path) -> None:
    """Its file holds no configuration, and one replica has an axis of its own."""
    run(tmp_path / "whole.h5", n_steps=6)
    source, spins = gs.classical.Heisenberg(SYSTEM, (1.0, 0.2)), random_spins(16, replicas=(1,), seed=0)
    observers = ["neighbor_correlation"]
    path = tmp_path / "old.h5"
    simulate(source, spins, dt=0.1, n_steps=4, damping=0.1, trajectory=path, observers=observers, observe_every=2)
    with h5py.File(path, "r+", libver="latest") as file:
        settings = json.loads(file.attrs["settings"])
        del settings["notes"]
        file.attrs["settings"] = json.dumps(settings)
    changes = {"damping": 0.2, "dt": 0.2, "noise": "both", "replicas": [5], "compiled": True, "gamma": 1.1}
    for change in ({"initial": {"seed": 1}}, *({name: value} for name, value in changes.items())):
        with pytest.raises(InvalidInput, match=next(iter(change))):
            run(path, resume=True, n_steps=6, **change)
    done = run(path, resume=True, n_steps=6)
    with Trajectory(tmp_path / "whole.h5") as whole:
        assert torch.equal(done.spins[0], whole.state.spins)


def test_registered_integrators_and_observers_are_names_like_the_others(tmp_path: Path) -> None:
    @gs.dynamics.register_integrator("test_still")
    def still(state: Any, source: Any, parameters: Any) -> Any:
        return type(state)(state.spins, state.time + parameters.dt, state.step + 1)

    @gs.dynamics.register_observer("test_first_spin")
    def first(source: FieldSource) -> Any:
        return lambda state: state.spins[..., 0, :]

    try:
        done = run(tmp_path / "a.h5", integrator="test_still", observers=["test_first_spin"])
        again = run(tmp_path / "a.h5", resume=True, integrator="test_still", observers=["test_first_spin"], n_steps=8)
    finally:
        del INTEGRATORS._known["test_still"], Observable.registry._known["test_first_spin"]
    torch.testing.assert_close(done.spins, random_spins(16, seed=0), atol=1e-15, rtol=0)
    assert again.observables["test_first_spin"].shape == (5, 3)
    for change in ({"integrator": "test_still"}, {"observers": ["test_first_spin"]}):
        with pytest.raises(ValidationError, match="is unknown; known"):
            run(tmp_path / "b.h5", **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 1.5}, "whole number"),
        ({"seed": True}, "is needed"),
        ({"seed": 1.9}, "whole number"),
        ({"seed": -1}, "seed=-1"),
        ({"dt": -0.1}, "dt=-0.1"),
        ({"damping": [-0.1]}, "damping"),
        ({"noise": "all"}, "precession"),
        ({"source": {"kind": "heisenbeg"}}, "unknown; known"),
        ({"source": HEISENBERG | {"K": 1.0}}, "K"),
        ({"source": {}}, "give one of"),
        ({"kT": {"kind": "ramp", "start": 1.0}}, "end"),
        ({"initial": {"kind": "neel", "file": "a.npy"}}, "give one of them"),
    ],
)
def test_mistakes_are_errors_before_any_work(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulationConfig.model_validate(SHORT | change)


def test_whole_numbers_of_steps_in_any_notation(tmp_path: Path) -> None:
    assert SimulationConfig.model_validate(SHORT | {"n_steps": "1e5", "seed": 1e2}).n_steps == 100_000
    source, spins = gs.classical.Heisenberg(SYSTEM), random_spins(16, seed=0)
    done = simulate(source, spins, dt=0.1, n_steps=4.0, damping=0.1, seed=np.float64(3))
    assert torch.equal(done.spins, simulate(source, spins, dt=0.1, n_steps=4, damping=0.1, seed=3).spins)
    for options in ({"seed": 1.9}, {"seed": True}, {"n_steps": 1.5}, {"n_steps": True}):
        with pytest.raises(InvalidInput, match="whole number"):
            simulate(source, spins, **{"dt": 0.1, "n_steps": 4, "damping": 0.1} | options)


@pytest.mark.parametrize("gamma", [[1.0, 2.0], np.ones(16), torch.ones(16)])
def test_gamma_is_one_number(gamma: Any) -> None:
    with pytest.raises(InvalidInput, match=r"gamma.*moments of different size are given as moments="):
        simulate(gs.classical.Heisenberg(SYSTEM), random_spins(16, seed=0), dt=0.1, n_steps=1, damping=0.1, gamma=gamma)


def test_an_observer_that_returns_nothing_is_a_callback(tmp_path: Path) -> None:
    source, spins, seen = gs.classical.Heisenberg(SYSTEM), random_spins(16, seed=0), []
    observers = {"note": lambda state: seen.append(state.step), "m": lambda state: state.spins.mean(-2)}
    path, options = tmp_path / "a.h5", {"dt": 0.1, "damping": 0.1}
    done = simulate(source, spins, n_steps=3, observers=observers, trajectory=path, **options)
    assert seen == [0, 1, 2, 3]
    assert done.observables.keys() == {"m"}
    again = gs.dynamics.resume(path, n_steps=1, observers=observers)
    assert seen == [0, 1, 2, 3, 4]
    assert again.observables["m"].shape == (5, 3)
    gs.dynamics.resume(path, n_steps=1, observers={"m": observers["m"]})
    with pytest.raises(InvalidInput, match="'late' returned a value"):
        gs.dynamics.resume(path, n_steps=1, observers={"m": observers["m"], "late": lambda state: state.time})
    with pytest.raises(InvalidInput, match="not those of the stored run"):
        gs.dynamics.resume(path, n_steps=1, observers={"note": observers["note"]})
    with pytest.raises(InvalidInput, match="returned nothing at step 1"):
        simulate(source, spins, n_steps=2, observers=[lambda state: None if state.step else 1.0], **options)


def test_a_single_precision_run_resumes_in_single_precision(tmp_path: Path) -> None:
    source = gs.classical.Heisenberg(SYSTEM, dtype=torch.float32)
    spins, options = random_spins(16, seed=0), {"dt": 0.1, "damping": 0.1}
    simulate(source, spins, n_steps=3, trajectory=tmp_path / "a.h5", **options)
    with Trajectory(tmp_path / "a.h5") as stored:
        assert stored.rebuild_source().dtype == torch.float32
    continued = gs.dynamics.resume(tmp_path / "a.h5", n_steps=3)
    assert torch.equal(continued.spins, simulate(source, spins, n_steps=6, **options).spins)


def test_systems_of_files_and_of_positions(tmp_path: Path) -> None:
    gs.systems.write(tmp_path / "a.xyz", SYSTEM)
    found = StructureConfig(kind="structure", path=tmp_path / "a.xyz").build()
    np.testing.assert_allclose(found.positions, SYSTEM.positions, atol=1e-7)
    cell = [[2.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    pair = PositionsConfig.model_validate(
        {"kind": "positions", "positions": [[0, 0, 0], [1.0, 0, 0]], "cell": cell, "pbc": [True, False, False]}
    ).build()
    assert pair.pbc == (True, False, False)
    up = normalize(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    assert float(gs.classical.Heisenberg(pair).energy(up)) == -2.0


def test_initial_boundaries_and_orders_that_are_not_turned() -> None:
    """A skyrmion keeps its far field along z where asked to; a boundary stands in place of kind and file."""
    film = gs.systems.square(16, 16)
    kept = InitialConfig(kind="skyrmion", rotate=False).build(film, torch.float64)
    torch.testing.assert_close(kept, gs.observables.reference_order("skyrmion", film), atol=1e-12, rtol=0)
    turned = InitialConfig(kind="skyrmion").build(film, torch.float64)
    torch.testing.assert_close(turned @ turned.T, kept @ kept.T, atol=1e-12, rtol=0)
    assert float((turned - kept).abs().max()) > 0.1
    ribbon = gs.systems.square(12, 4, pbc=(False, True))
    walls = InitialConfig.model_validate({"boundary": {"place": 0.4}, "amplitude": 0.05, "replicas": 2})
    spins = walls.build(ribbon, torch.float64)
    assert spins.shape == (2, 48, 3)
    found = gs.observables.domain_wall(ribbon, spins, order="bonds").mean_position()
    assert found.tolist() == pytest.approx([4.4, 4.4], abs=0.4)
    with pytest.raises(ValueError, match="boundary stands in place"):
        InitialConfig.model_validate({"boundary": {}, "kind": "neel"})
