"""On a GPU, simulated: every source, model, step, observer and sampler stays on it, and waits where it must alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from classical.test_described import SOURCES
from electrons.test_described import SOURCES as SOLVERS
from models.test_capabilities import NAMES, SYSTEM, built
from observables.test_observable import PARAMETERS, TRIANGULAR

import gnnspin as gs
from gnnspin.core import FieldSource, SimulationError, State, random_spins
from gnnspin.dynamics import guard
from gnnspin.dynamics.integrators import INTEGRATORS
from gnnspin.dynamics.parameters import StepParameters
from gnnspin.force_fields.force_field import model_weights
from gnnspin.observables import Observable
from gnnspin.sampling import HeatBath, Langevin, Metropolis, ParallelTempering, minimize, sample
from gnnspin.testing import SimulatedGPU
from gnnspin.trajectories import Trajectory

SPINS = random_spins(36, replicas=(2,), seed=1)


def exchange(device: str) -> FieldSource:
    return gs.classical.Heisenberg(TRIANGULAR, 1.0, device=device)


@pytest.fixture
def gpu():
    with SimulatedGPU() as device:
        yield device


def fields_agree(make: Any, spins: torch.Tensor, gpu: SimulatedGPU, error: float = 0.0) -> list[Any]:
    """The second field there is that of the CPU; what the host waited for in it."""
    source, there = make("cuda"), spins.to("cuda")
    source.unchecked_field(there, 0.3)
    with gpu.synchronizations() as found:
        field = source.unchecked_field(there, 0.3)
    assert field.device.type == "cuda"
    exact = make("cpu").field(spins, 0.3)
    assert float((field.cpu() - exact).abs().max()) <= error * float(exact.abs().max())
    return found


class TestTheDeviceItself:
    def test_values_are_those_of_the_cpu_and_gradients_too(self, gpu):
        x = torch.randn(4, 3, dtype=torch.float64)
        there = x.to("cuda").requires_grad_()
        (gradient,) = torch.autograd.grad((there[:, [0, 2]] @ there[:, [1, 2]].mT).sin().sum(), there)
        here = x.requires_grad_()
        (expected,) = torch.autograd.grad((here[:, [0, 2]] @ here[:, [1, 2]].mT).sin().sum(), here)
        assert gradient.device == torch.device("cuda", 0)
        assert torch.equal(gradient.cpu(), expected)

    def test_what_cannot_be_done_on_a_device_raises(self, gpu):
        there = torch.ones(3, device="cuda")
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises((TypeError, RuntimeError)):
            there.numpy()
        assert float((there + torch.tensor(1.0)).sum()) == 6.0

    @pytest.mark.parametrize(
        ("waiting", "operation"),
        [
            (lambda x: float(x[0]), "_local_scalar_dense"),
            (lambda x: bool((x > 0).all()), "_local_scalar_dense"),
            (lambda x: x.tolist(), "copy to the host"),
            (lambda x: x.cpu(), "copy to the host"),
            (lambda x: x[x > 0], "with a mask"),
            (lambda x: x.nonzero(), "nonzero"),
            (lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=x.device), "copy to the device"),
            (lambda x: x[[0, 1]], "indices of the host"),
        ],
    )
    def test_every_wait_is_found_with_its_line(self, gpu, waiting, operation):
        there = torch.ones(3, device="cuda")
        with gpu.synchronizations() as found:
            waiting(there)
        assert len(found) == 1
        assert operation in found[0].operation
        assert "testing/test_devices.py" in found[0].line

    def test_what_does_not_wait_is_not_counted(self, gpu):
        there = torch.ones(3, device="cuda")
        with gpu.synchronizations() as found:
            there[1] = 5.0
            torch.full((3,), 2.0, device=there.device) + there.index_select(0, torch.arange(2, device="cuda")).sum()
            there.to("cpu", non_blocking=True)
        assert found == []


@pytest.mark.parametrize("kind", sorted(set(SOURCES) - {"model"}))
def test_classical_and_learned_sources_never_wait(kind, gpu, tmp_path):
    given = SOURCES[kind](tmp_path)
    recipe, weights = FieldSource.recipe(given.specification()), model_weights(given)
    spins = random_spins(16, replicas=(2,), seed=1)
    assert fields_agree(lambda device: recipe.build(given.system, device, weights), spins, gpu) == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"nonconservative"}))
def test_models_never_wait(name, gpu):
    model = built(name)
    spins = random_spins(25, replicas=(2,), seed=1)
    found = fields_agree(
        lambda device: gs.ForceField(model, SYSTEM, dtype=torch.float64, device=device), spins, gpu, 1e-13
    )
    assert [each for each in found if "torch_geometric" not in each.line] == []  # a network of the user's


def test_tiles_never_wait(gpu):
    system = gs.systems.square(10, 10)
    model = built("linear_cluster_expansion")
    found = fields_agree(
        lambda device: gs.ForceField(model, system, dtype=torch.float64, device=device).tile(81),
        random_spins(100, seed=0),
        gpu,
        1e-13,
    )
    assert found == []


#: Waits per field: of the levels' search and occupations in a diagonalisation, of rounds of the search for mu among
#: poles, of moments in a chemical potential, of eigenvectors and rounds of a quadrature in a steady state.
WAITS = {"exact_diagonalization": 8, "pole_expansion": 20, "kernel_polynomial": 2, "driven_steady_state": 50}


@pytest.mark.parametrize("solver", [0, 1, 2, 3, 6, 7], ids=lambda k: f"{SOLVERS[k].kind}-{k}")
def test_solvers_wait_a_counted_number_of_times(solver, gpu):
    given = SOLVERS[solver]
    recipe = FieldSource.recipe(given.specification())
    spins = random_spins(given.system.n_sites, seed=1)
    found = fields_agree(lambda device: recipe.build(given.system, device), spins, gpu, 1e-12)
    parts = given.system.n_graphs
    assert len(found) <= WAITS[given.kind] * parts, "\n".join(map(str, found))


def test_solvers_at_a_fixed_potential_leave_everything_there(gpu, monkeypatch):
    """Poles and polynomials at fixed mu do nothing that depends on values; a diagonalisation waits for itself."""
    monkeypatch.setenv("GNNSPIN_NATIVE", "0")  # native code rounds otherwise, and exists on the CPU alone
    hamiltonian = gs.electrons.SDHamiltonian(gs.systems.square(4, 4), J=2.0)
    spins = random_spins(16, replicas=(2,), seed=1)
    options: dict[str, Any] = {"kT": 0.2, "mu": -0.5}
    for kind, extra, waits in (
        (gs.electrons.PoleExpansion, {"tolerance": 1e-3}, 0),
        (gs.electrons.KernelPolynomial, {"n_moments": 40}, 0),
        (gs.electrons.ExactDiagonalization, {}, 2),
    ):
        found = fields_agree(lambda d, k=kind, e=extra: k(hamiltonian, **options, **e, device=d), spins, gpu, 1e-12)
        assert len(found) == waits, found


def test_sparse_steady_states_wait_for_their_window_only(gpu):
    """Nothing in equilibrium; three per lead and refinement of its window where there is a bath."""
    hamiltonian = gs.electrons.SDHamiltonian(gs.systems.square(4, 3, pbc=(False, True)), J=1.5)
    spins, contacts = random_spins(12, replicas=(2,), seed=1), (range(3), range(9, 12), range(12))
    for voltage, waits in ((0.0, 0), (0.3, 6)):
        given = (hamiltonian, contacts, (1.0, 1.0, 0.05), (voltage, -voltage, 0.0), 0.05, -0.5)
        options = {"method": "sparse", "tolerance": 1e-4}
        found = fields_agree(
            lambda d, g=given, o=options: gs.electrons.DrivenSteadyState(*g, **o, device=d), spins, gpu, 1e-12
        )
        assert len(found) == waits, found


STEADY = sorted(set(INTEGRATORS) - {"adaptive", "spherical_midpoint", "example_euler"})


@pytest.mark.parametrize("kT", [0.0, 0.1, [0.1, 0.2]], ids=["cold", "warm", "warm-by-replica"])
@pytest.mark.parametrize("integrator", STEADY)
def test_a_step_waits_for_nothing(integrator, kT, gpu):
    spins, step = SPINS.to("cuda"), INTEGRATORS[integrator]
    parameters = StepParameters.checked(spins, dt=0.05, damping=0.1, kT=kT)
    source, guarded = exchange("cuda"), guard.FiniteSum()
    state = step(State(spins), source, parameters)
    deferring = replace(parameters, guard=guarded)
    state = step(state, source, deferring)
    with gpu.synchronizations() as found:
        for _ in range(2):
            state = step(state, source, deferring)
    assert found == [], "\n".join(map(str, found))


def test_a_temperature_by_replica_that_changes_in_time_is_copied_once_per_step(gpu):
    spins, step = SPINS.to("cuda"), INTEGRATORS["semi_implicit"]
    parameters = StepParameters.checked(spins, dt=0.05, damping=0.1, kT=lambda time: [0.1, 0.2 + time])
    deferring, source = replace(parameters, guard=guard.FiniteSum()), exchange("cuda")
    state = step(State(spins), source, deferring)
    with gpu.synchronizations() as found:
        step(state, source, deferring)
    assert [each.operation for each in found] == ["copy to the device"]


@pytest.mark.parametrize("integrator", ["adaptive", "spherical_midpoint"])
def test_steps_that_iterate_wait_once_per_iteration(integrator, gpu):
    options: dict[str, Any] = {"dt": 0.05, "n_steps": 2, "damping": 0.1, "integrator": integrator, "progress": False}
    options["tolerance"] = 1e-6
    evaluations: list[int] = []

    class Counted(FieldSource):
        def __init__(self, source: FieldSource) -> None:
            self.system, self.device, self.source = source.system, source.device, source

        def fields(self, spins, time=None):
            evaluations.append(1)
            return self.source.fields(spins, time)

    with gpu.synchronizations() as found:
        run = gs.dynamics.simulate(Counted(exchange("cuda")), SPINS.to("cuda"), **options)
    inside = [each for each in found if "adaptive.py" in each.line or "steps.py" in each.line]
    assert 2 <= len(inside) <= len(evaluations)
    assert torch.equal(run.spins.cpu(), gs.dynamics.simulate(exchange("cpu"), SPINS, **options).spins)


def test_a_corrected_run_with_noise_equals_that_of_the_cpu(gpu, monkeypatch):
    """36 steps: the guard is fetched without waiting, and the run waits a number of times that grows as its log."""
    options: dict[str, Any] = {"dt": 0.05, "damping": 0.1, "kT": 0.1, "n_steps": 36, "progress": False}
    there = {"correction": exchange("cuda"), "observe_every": 36}
    with gpu.synchronizations() as found:
        run = gs.dynamics.simulate(exchange("cuda"), SPINS.to("cuda"), **options, **there)
    inside = [each for each in found if "timestep.py" in each.line]
    assert len(inside) <= 2 * 6
    assert len(found) - len(inside) <= 20, "\n".join(map(str, found))
    assert torch.equal(run.spins.cpu(), gs.dynamics.simulate(exchange("cpu"), SPINS, **options).spins)


class Exploding(FieldSource):
    """An exchange whose field at one site is not a number from some time on."""

    def __init__(self, device: str, after: float) -> None:
        self.source, self.after = exchange(device), after
        self.system, self.device = TRIANGULAR, torch.device(device)

    def fields(self, spins, time=None):
        field = self.source.fields(spins, time)
        if time is not None and time >= self.after:
            field[1, 4] = torch.nan
        return field


@pytest.mark.parametrize(
    ("integrator", "pinned"), [("semi_implicit", [4]), ("extrapolated_midpoint", None)], ids=["pinned", "free"]
)
def test_a_run_stops_at_the_same_step_with_the_same_words_and_file(integrator, pinned, gpu, tmp_path):
    """The field fails between two looks of the guard; nothing after it is stored, with and without frames between."""
    options: dict[str, Any] = {"dt": 0.1, "n_steps": 60, "damping": 0.1, "integrator": integrator, "progress": False}
    options |= {"pinned": pinned, "save_every": 50}
    messages, left = [], []
    for device in ("cpu", "cuda"):
        path = tmp_path / f"{device}.h5"
        source = Unnamed(device, after=1.95)
        with pytest.raises(SimulationError, match=r"at site 4 of replica \[1\] is not finite") as raised:
            gs.dynamics.simulate(source, SPINS.to(device), trajectory=path, **options)
        messages.append(str(raised.value))
        with Trajectory(path) as stored:
            left.append((stored.steps.tolist(), stored.state.step, stored.state.spins))
    assert messages[0] == messages[1]
    assert left[0][:2] == left[1][:2]
    assert torch.equal(left[0][2], left[1][2])


class Unnamed(Exploding):
    """With a description for the file."""

    def specification(self) -> dict[str, Any]:
        return {"kind": "exploding"}


@pytest.mark.parametrize("kind", sorted(set(PARAMETERS) - {"torque_error"}))  # which needs a learned model
def test_observers_wait_a_few_times_per_observation(kind, gpu):
    observable = Observable.recipe({"kind": kind, **PARAMETERS[kind]}).build()
    observe, state = observable.observer(TRIANGULAR, exchange("cuda")), State(SPINS.to("cuda"))
    observe(state)
    with gpu.synchronizations() as found:
        there = observe(state)
    here = observable.observer(TRIANGULAR, exchange("cpu"))(State(SPINS))
    there = there.cpu() if isinstance(there, torch.Tensor) else torch.as_tensor(there)
    torch.testing.assert_close(there, torch.as_tensor(here), atol=1e-12, rtol=1e-10, equal_nan=True)
    assert len(found) <= 8, "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("sampler", "waits"),
    [
        (lambda source: HeatBath(source, 0.3, overrelaxation=1), 1),
        (lambda source: Metropolis(source, 0.3), 0),
        (lambda source: Langevin(source, 0.3, dt=0.05, n_steps=3), 6),
        (lambda source: ParallelTempering(HeatBath(source, 1.0), [0.3, 0.4]), 4),
    ],
    ids=["heat_bath", "metropolis", "langevin", "tempering"],
)
def test_samplers_wait_once_per_sweep(sampler, waits, gpu):
    there = sampler(exchange("cuda"))
    state = sample(there, SPINS.to("cuda"), n_sweeps=1).state
    with gpu.synchronizations() as found:
        state = sample(there, state, n_sweeps=1).state
    assert torch.equal(state.spins.cpu(), sample(sampler(exchange("cpu")), SPINS, n_sweeps=2).spins)
    assert len(found) <= waits, "\n".join(map(str, found))


def test_minimisation_runs_there(gpu):
    there = minimize(exchange("cuda"), SPINS.to("cuda"), max_iterations=5)
    assert torch.equal(there.spins.cpu(), minimize(exchange("cpu"), SPINS, max_iterations=5).spins)
