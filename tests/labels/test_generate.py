"""A generated set is a function of its configuration: interrupted or not, and of nothing else."""

import importlib
import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.datasets import LabelStore
from gnnspin.dynamics import simulate
from gnnspin.labels import GenerateConfig, generate
from gnnspin.labels.plan import make_plan
from gnnspin.observables import nearest_neighbor_correlation
from gnnspin.runs import differences
from gnnspin.systems import triangular

CONFIG = {
    "systems": [{"kind": "triangular", "shape": [6, 6]}, {"kind": "triangular", "shape": [3, 6]}],
    "hamiltonian": {"J": 6.0},
    "solver": {"kT": 0.05, "filling": 0.5},
    "samplers": [
        {"kind": "random", "count": 2},
        {"kind": "perturbed_order", "orders": ["120-degree", "ferromagnet"], "amplitude": [0.1, 0.3], "count": 2},
        {"kind": "relaxation", "count": 1, "n_steps": 12, "save_every": 4, "damping": 0.5, "kT": 0.02},
    ],
    "seed": 5,
}
N_LABELS = 2 * (2 + 2 + 3)


def configuration(**changes):
    return GenerateConfig.model_validate({**CONFIG, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return generate(configuration(), tmp_path_factory.mktemp("labels") / "whole.h5", progress=False)


def contents(store):
    return [(x.system, x.spins.tolist(), x.field.tolist(), x.density.tolist(), x.energy, x.internal_energy, x.entropy,
             x.mu, x.n_electrons, x.provenance) for x in store]  # fmt: skip


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("stops", [(1,), (5, 9, 12), (13,)])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, monkeypatch, finished, stops):
    path = tmp_path / "labels.h5"
    original = LabelStore.append
    for stop in stops:

        def append(store, label, *, number, stop=stop):
            if number == stop:
                raise Killed
            return original(store, label, number=number)

        monkeypatch.setattr(LabelStore, "append", append)
        with pytest.raises(Killed):
            generate(configuration(), path, progress=False, resume=True)
        assert LabelStore(path).numbers == tuple(range(stop))
    monkeypatch.setattr(LabelStore, "append", original)
    store = generate(configuration(), path, progress=False, resume=True)
    assert contents(store) == contents(finished)
    assert path.read_bytes() == finished.path.read_bytes()
    before = path.stat().st_mtime_ns
    assert contents(generate(configuration(), path, progress=False, resume=True)) == contents(finished)
    assert path.stat().st_mtime_ns == before


def test_ctrl_c_inside_a_trajectory_leaves_what_was_solved(tmp_path, monkeypatch, finished):
    module = importlib.import_module("gnnspin.labels.solve")
    calls, simulate = itertools.count(), module.simulate

    def interrupted(*arguments, **options):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return simulate(*arguments, **options)

    monkeypatch.setattr(module, "simulate", interrupted)
    path = tmp_path / "labels.h5"
    with pytest.raises(KeyboardInterrupt):
        generate(configuration(), path, progress=False)
    assert contents(LabelStore(path)) == contents(finished)[:9]
    monkeypatch.setattr(module, "simulate", simulate)
    assert contents(generate(configuration(), path, progress=False, resume=True)) == contents(finished)


def test_every_label_is_the_exact_solution_of_its_spins(finished):
    config = configuration()
    assert len(finished) == N_LABELS
    assert finished.metadata["n_planned"] == N_LABELS
    for label in finished:
        solver = config.solver.build(hamiltonian=config.hamiltonian.build(label.system))
        state = solver.solve(label.spins)
        assert torch.equal(label.field, state.field)
        assert label.energy == float(state.energy)
        assert label.entropy == float(state.entropy)
        assert label.n_electrons == pytest.approx(label.system.n_sites)
        assert label.energy == pytest.approx(label.internal_energy - 0.05 * label.entropy, abs=1e-9)


def test_samplers_do_what_they_say(finished):
    labels = list(finished)
    kinds = [label.provenance["sampler"]["kind"] for label in labels]
    assert kinds == ["random"] * 4 + ["perturbed_order"] * 4 + ["relaxation"] * 6
    assert [label.provenance["sampler"].get("order") for label in labels[4:8]] == ["120-degree"] * 2 + [
        "ferromagnet"
    ] * 2
    assert all(0.1 <= label.provenance["sampler"]["amplitude"] <= 0.3 for label in labels[4:8])
    assert nearest_neighbor_correlation(labels[4].system, labels[4].spins) < -0.35
    assert nearest_neighbor_correlation(labels[6].system, labels[6].spins) > 0.7
    assert [label.provenance["sampler"]["step"] for label in labels[8:11]] == [4, 8, 12]
    spins = {tuple(label.spins.flatten().tolist()) for label in labels}
    assert len(spins) == N_LABELS
    assert len({(label.provenance["seed"]) for label in labels}) == 2 * (2 + 2 + 1)


def test_relaxation_lowers_the_energy_without_noise(tmp_path):
    sampler = {"kind": "relaxation", "count": 1, "n_steps": 60, "save_every": 15, "damping": 1.0}
    store = generate(
        configuration(samplers=[sampler], systems=CONFIG["systems"][:1]), tmp_path / "a.h5", progress=False
    )
    energies = [label.energy for label in store]
    assert energies == sorted(energies, reverse=True)
    assert energies[0] - energies[-1] > 0.1


def test_provenance_says_how_to_make_the_label_again(finished):
    provenance = finished[-1].provenance
    assert provenance["hamiltonian"]["J"] == 6.0
    assert provenance["solver"]["kT"] == 0.05
    assert {"gnnspin", "torch", "numpy", "python"} <= set(provenance["versions"])
    assert provenance["config_seed"] == 5
    assert GenerateConfig.model_validate(finished.metadata["config"]) == configuration()


def test_seed_decides_the_configurations(tmp_path, finished):
    samplers = CONFIG["samplers"][:1]
    other = generate(configuration(seed=6, samplers=samplers), tmp_path / "other.h5", progress=False)
    again = generate(configuration(samplers=samplers), tmp_path / "again.h5", progress=False)
    assert not torch.equal(other[0].spins, finished[0].spins)
    assert torch.equal(again[3].spins, finished[3].spins)


def test_existing_output_and_other_configurations_are_refused(finished):
    before = finished.path.read_bytes()
    with pytest.raises(StoreError, match=r"whole\.h5 exists"):
        generate(configuration(), finished.path, progress=False)
    with pytest.raises(StoreError, match="another set of labels"):
        generate(configuration(seed=6), finished.path, progress=False, resume=True)
    assert finished.path.read_bytes() == before


def test_errors_come_before_the_output_is_made(tmp_path):
    bad = [{"kind": "perturbed_order", "orders": ["ferromagnet", "tetrahedral"], "count": 2}]
    with pytest.raises(InvalidInput, match="tetrahedral order needs periodic lengths"):
        generate(configuration(samplers=bad), tmp_path / "labels.h5", progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smaplers": []}, "smaplers"),
        ({"samplers": [{"kind": "random", "count": 1, "cuont": 2}]}, "cuont"),
        ({"samplers": [{"kind": "rendom", "count": 1}]}, "rendom"),
        ({"samplers": [{"kind": "random", "count": 0}]}, "greater than 0"),
        ({"samplers": []}, "samplers"),
        ({"solver": {"kT": -1.0, "mu": 0.0}}, "kT"),
        ({"samplers": [{"kind": "perturbed_order", "orders": ["spiral"], "count": 1}]}, "known: 120-degree"),
        (
            {"samplers": [{"kind": "perturbed_order", "orders": ["neel"], "amplitude": [2, 1], "count": 1}]},
            "low <= high",
        ),
        ({"samplers": [{"kind": "relaxation", "count": 1, "n_steps": 5, "save_every": 2}]}, "multiple of save_every"),
        (
            {"samplers": [{"kind": "relaxation", "count": 1, "n_steps": 2, "save_every": 2, "integrator": "euler"}]},
            "known: adaptive, extrapolated_midpoint, heun",
        ),
    ],
)
def test_configurations_are_checked(changes, message):
    with pytest.raises(ValidationError, match=message):
        configuration(**changes)


def test_every_field_is_described():
    for schema in GenerateConfig.model_json_schema()["$defs"].values():
        if "Sampler" in schema.get("title", ""):
            named = {key: value for key, value in schema["properties"].items() if key != "kind"}
            assert all("description" in value for value in named.values()), schema["title"]
    assert all("description" in value for value in GenerateConfig.model_json_schema()["properties"].values())


def test_progress_bar_shows_on_request(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, standard error is a terminal
    samplers = [{"kind": "random", "count": 1}]
    generate(configuration(samplers=samplers), tmp_path / "a.h5", progress=False)
    assert capsys.readouterr().err == ""
    generate(configuration(samplers=samplers), tmp_path / "b.h5")
    assert "2/2" in capsys.readouterr().err


def test_a_force_field_may_drive_the_trajectories(tmp_path):
    """Spins follow the learned field from snapshot to snapshot; labels are those of the exact solver."""
    system = triangular(6, 6)
    model = gs.models.build("spin_cluster_expansion", gs.graphs.GraphSpec.for_system(system, 1.2), channels=2, hidden=4)
    force_field = gs.ForceField(model, system)
    gs.save(force_field, tmp_path / "driver.safetensors")
    sampler = {
        "kind": "relaxation",
        "count": 1,
        "n_steps": 6,
        "save_every": 3,
        "force_field": tmp_path / "driver.safetensors",
    }
    config = configuration(systems=[{"kind": "triangular", "shape": [6, 6]}], samplers=[sampler])
    store = generate(config, tmp_path / "driven.h5", progress=False)
    first, second = store
    run = simulate(force_field, first.spins, dt=0.1, n_steps=3, damping=0.1, progress=False)
    assert torch.allclose(run.spins.double(), second.spins, atol=1e-6)
    exact = config.solver.build(hamiltonian=config.hamiltonian.build(system)).field(second.spins)
    assert torch.allclose(exact, second.field, atol=1e-12)
    assert second.provenance["sampler"]["weights"] == force_field.specification()["weights"]


def test_a_missing_force_field_is_named():
    sampler = {"kind": "relaxation", "count": 1, "n_steps": 6, "save_every": 3, "force_field": "nowhere.safetensors"}
    with pytest.raises(ValidationError, match=r"nowhere\.safetensors does not exist"):
        configuration(samplers=[sampler])


def test_orders_of_ones_own_come_from_files(tmp_path):
    """A file is an order like the named ones; a set belongs to the spins in it, not to its name."""
    path, system = tmp_path / "own.npz", triangular(3, 6)
    own = gs.observables.reference_order("120-degree", system).numpy()
    np.savez(path, spins=own)
    sampler = {"kind": "perturbed_order", "orders": str(path), "amplitude": [0.0, 0.0], "count": 1}
    config = configuration(systems=CONFIG["systems"][1:], samplers=[sampler])
    assert config.samplers[0].orders == (str(path),)
    [label] = generate(config, tmp_path / "labels.h5", progress=False)
    assert nearest_neighbor_correlation(system, label.spins).item() == pytest.approx(-1 / 2)
    assert label.provenance["sampler"]["order"] == str(path)
    before = config.fingerprint
    np.savez(path, spins=-own)
    assert config.fingerprint != before
    with pytest.raises(StoreError):
        generate(config, tmp_path / "labels.h5", progress=False, resume=True)
    with pytest.raises(ValidationError, match="existing files"):
        configuration(samplers=[{**sampler, "orders": str(tmp_path / "missing.npz")}])
    with pytest.raises(InvalidInput, match="expected"):
        generate(configuration(samplers=[sampler]), tmp_path / "other.h5", progress=False)


def test_a_store_of_version_0_1_recognises_its_configuration():
    """It holds every key, with null for what another solver takes, and a fingerprint by another rule."""
    solver = {"kind": "kernel_polynomial", "kT": 0.05, "mu": -1.0, "filling": None, "n_electrons": None}
    stored = {
        "systems": [{"kind": "square", "shape": [4, 4], "pbc": True}],
        "hamiltonian": {
            "hopping": {"kind": "peierls", "hopping": {"kind": "nearest_neighbor", "t": 1.0}, "flux": 0.25},
            "J": 3.0,
            "spin_fraction": 0.5,
            "dilution_seed": 0,
        },
        "solver": solver | {"tolerance": None, "n_moments": 100, "kernel": None, "probes": None, "n_colors": None},
        "samplers": [{"kind": "random", "count": 2}],
        "seed": 3,
    }
    short = {
        "systems": [{"kind": "square", "shape": [4, 4]}],
        "hamiltonian": {"J": 3, "spin_fraction": 0.5, "hopping": {"kind": "peierls", "flux": 0.25}},
        "solver": {"kind": "kernel_polynomial", "kT": 0.05, "mu": -1, "n_moments": 100},
        "samplers": [{"kind": "random", "count": 2}],
        "seed": 3,
    }
    config = GenerateConfig.model_validate(short)
    assert not differences(config, stored)
    assert set(differences(GenerateConfig.model_validate(short | {"seed": 4}), stored)) == {"seed"}
    simple = {**short, "hamiltonian": {"J": 3.0}, "solver": {"kT": 0.05, "filling": 0.5}}
    assert GenerateConfig.model_validate(simple).fingerprint == "3ae28e2ddadba3145528632707592188"


def test_other_content_of_a_named_file_is_another_set(tmp_path):
    structure = tmp_path / "cell.extxyz"
    gs.systems.write(structure, triangular(3, 3))
    config = configuration(systems=[{"kind": "structure", "path": str(structure)}], samplers=[CONFIG["samplers"][0]])
    generate(config, tmp_path / "labels.h5", progress=False)
    assert len(generate(config, tmp_path / "labels.h5", progress=False, resume=True)) == 2
    gs.systems.write(structure, triangular(3, 4))
    with pytest.raises(StoreError, match=r"other content in .*cell\.extxyz; restore"):
        generate(config, tmp_path / "labels.h5", progress=False, resume=True)


def test_several_packings_are_labelled_each_by_itself(tmp_path):
    packings = {"kind": "amorphous", "n_sites": 6, "box": 2.5, "min_distance": 0.5, "count": 3}
    config = configuration(systems=[packings], samplers=[{"kind": "random", "count": 2}])
    store = generate(config, tmp_path / "labels.h5", progress=False)
    assert len(store) == 6
    assert len({system.fingerprint for system in store.systems}) == 3
    assert {label.system.n_sites for label in store} == {6}


ANNEALING = {
    "kind": "relaxation",
    "count": 1,
    "n_steps": 12,
    "save_every": 4,
    "damping": 0.5,
    "kT": {"kind": "ramp", "start": 0.04, "end": 0.0, "duration": 1.2},
    "terms": [{"kind": "zeeman", "B": [0.0, 0.0, 0.3], "amplitude": [0.2, 0.0, 0.0], "frequency": 0.5}],
}


def test_known_terms_and_a_protocol_drive_the_spins_and_stay_out_of_the_labels(tmp_path):
    """Temperature and field go on from snapshot to snapshot; each way between two is one simulation of that time."""
    system = triangular(3, 6)
    config = configuration(systems=CONFIG["systems"][1:], samplers=[ANNEALING])
    store = generate(config, tmp_path / "a.h5", progress=False)
    solver = config.solver.build(hamiltonian=config.hamiltonian.build(system))
    driver = solver + gs.classical.Zeeman(system, (0, 0, 0.3), amplitude=(0.2, 0, 0), frequency=0.5)
    [job] = make_plan(config).jobs
    ramp = gs.dynamics.Ramp(0.04, 0.0, 1.2)
    options = {"dt": 0.1, "n_steps": 4, "damping": 0.5, "progress": False, "kT": ramp}
    spins = gs.core.random_spins(18, seed=job.seed)
    for k, label in enumerate(store):
        spins = simulate(driver, spins, seed=job.segment_seed(k), start_time=0.4 * k, **options).spins
        assert torch.allclose(label.spins, spins, atol=1e-12)
        assert torch.equal(label.field, solver.field(label.spins))
    assert GenerateConfig.model_validate(store.metadata["config"]) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kT": {"kind": "ramp", "start": -0.1, "end": 0.0, "duration": 1.0}}, "start"),
        ({"kT": {"kind": "rump"}}, "ramp"),
        ({"kT": -0.1}, "kT"),
        ({"terms": [{"kind": "zeman"}]}, "zeeman"),
        ({"terms": [{"kind": "zeeman", "b": [0, 0, 1]}]}, "Extra inputs"),
    ],
)
def test_protocols_and_terms_are_checked(changes, message):
    with pytest.raises((ValidationError, InvalidInput), match=message):
        make_plan(configuration(samplers=[ANNEALING | changes]))


def test_terms_that_do_not_fit_are_found_before_any_work(tmp_path):
    wrong = ANNEALING | {"terms": [{"kind": "zeeman", "B": [[0.0, 0.0, 1.0]] * 5}]}
    with pytest.raises(InvalidInput, match=r"B=.*one vector per site"):
        generate(configuration(samplers=[wrong]), tmp_path / "labels.h5", progress=False)
    assert not list(tmp_path.iterdir())


def test_plain_relaxations_have_the_fingerprint_that_they_had():
    assert configuration().fingerprint == "c369c9c5abafcdf844e9848b43174a79"
