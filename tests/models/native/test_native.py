"""The native kernels of both cluster expansions against the models themselves, in double precision."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import gnnspin as gs
from gnnspin.core.errors import InvalidInput
from gnnspin.core.native_library import NativeLibrary, _compiler
from gnnspin.force_fields.last_layer import hidden_of, recorded
from gnnspin.models.native import NoCompiler

try:
    _compiler()
except NoCompiler:  # the plain path then is the only one
    pytest.skip("there is no C++ compiler", allow_module_level=True)

ORIENTED, CLUSTER = "oriented_cluster_expansion", "spin_cluster_expansion"
SMALL = {
    ORIENTED: {"filters": 5, "channels": 3, "scalars": 2, "factors": 4, "hidden": 7},
    CLUSTER: {"channels": 3, "scalars": 2, "hidden": 7},
}


def _force_field(system, cutoff=2.0, name=ORIENTED, **hyperparameters):
    """A model with random weights, measured features, and neither linear energy nor shift of zero."""
    model = gs.models.for_system(name, system, cutoff, **{**SMALL[name], **hyperparameters}).double()
    spins = torch.as_tensor(gs.core.random_spins(system.n_sites, seed=1))[None].double()
    model.calibrate(gs.core.move_arrays(model.prepare(system), dtype=torch.float64), spins)
    with torch.no_grad():
        model.energy_scale.fill_(0.7)
        model.energy_shift.fill_(-0.3)
        for layer in model.layers:
            layer.linear_energy.normal_()
    return gs.ForceField(model, system, dtype=torch.float64)


def _assert_same_hidden_units(force_field, spins):
    """What error bars are made of, with the fields of the same evaluation."""
    model = force_field.model
    energies, fields, hidden = model.native(force_field.system, torch.float64).with_hidden_units(spins)
    with recorded(model) as seen:
        expected = model.energies_and_fields(force_field.data, spins)
    torch.testing.assert_close((energies, fields), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(hidden, hidden_of(model, seen, spins), rtol=1e-10, atol=1e-12)


def _assert_same(force_field, replicas=2):
    n_sites = force_field.system.n_sites
    spins = torch.stack([torch.as_tensor(gs.core.random_spins(n_sites, seed=k)) for k in range(replicas)]).double()
    plain = force_field.native(False).energies_and_fields(spins)
    energies, fields = force_field.native().energies_and_fields(spins)
    torch.testing.assert_close(energies, plain[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fields, plain[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(force_field.energies(spins), plain[0], rtol=1e-12, atol=1e-12)
    _assert_same_hidden_units(force_field, spins)
    assert plain[1].abs().max() > 0.01


IDS = ["triangular", "long", "tall", "open-x", "open-y", "honeycomb", "kagome", "cubic", "chain"]
BONDS = {"orientations": "bonds"}
ORIENTED_CASES = [
    (gs.systems.triangular(6, 5), {}),
    (gs.systems.triangular(4, 23), {"layers": 3, "mixtures": 1}),
    (gs.systems.triangular(25, 4), {"layers": 1}),
    (gs.systems.square(7, 6, pbc=(True, False)), {"time_reversal": False}),
    (gs.systems.square(6, 7, pbc=(False, True)), {"scalars": 0}),
    (gs.systems.honeycomb(5, 6), {"mirrors": False, "fixed_number": True}),
    (gs.systems.kagome(4, 5), {"site_kind": "basis"}),
    (gs.systems.simple_cubic(4, 3, 5), {"time_reversal": False, "layers": 3}),
    (gs.systems.chain(40), {"fixed_number": True}),
    (gs.systems.triangular(6, 7), {"layers": 3, **BONDS}),
    (gs.systems.kagome(5, 4), BONDS),
    (gs.systems.simple_cubic(4, 3, 5), {"time_reversal": False, **BONDS}),
]
CLUSTER_CASES = [
    (gs.systems.triangular(6, 5), {}),
    (gs.systems.square(4, 23), {"layers": 3, "max_degree": 3, "pairs": 4, "channels": 5}),
    (gs.systems.square(25, 4), {"layers": 1, "max_degree": 0}),
    (gs.systems.square(7, 6, pbc=(True, False)), {"time_reversal": False}),
    (gs.systems.square(6, 7, pbc=(False, True)), {"scalars": 0, "channels": 1}),
    (gs.systems.honeycomb(5, 6), {"fixed_number": True}),
    (gs.systems.kagome(4, 5), {"site_kind": "basis", "time_reversal": False, "pairs": 2}),
    (gs.systems.simple_cubic(4, 3, 5), {"layers": 3}),
    (gs.systems.chain(40), {"fixed_number": True}),
]


def _cutoff(system):
    return 1.5 if system.lattice_shape[2] > 1 else 2.0


@pytest.mark.parametrize(
    ("system", "hyperparameters"), ORIENTED_CASES, ids=[*IDS, "bonds-triangular", "bonds-kagome", "bonds-cubic"]
)
def test_oriented_energies_and_fields_are_those_of_the_model(system, hyperparameters):
    _assert_same(_force_field(system, _cutoff(system), **hyperparameters))


@pytest.mark.parametrize(("system", "hyperparameters"), CLUSTER_CASES, ids=IDS)
def test_cluster_energies_and_fields_are_those_of_the_model(system, hyperparameters):
    _assert_same(_force_field(system, _cutoff(system), CLUSTER, **hyperparameters))


def _gradients(outputs, model, adjoints=None):
    return torch.autograd.grad(outputs, list(model.parameters()), adjoints, allow_unused=True)


def _assert_trainable(force_field):
    """Gradients of weighted energies are those of torch; so are those of a loss of fields, up to a difference."""
    model, n_sites = force_field.model.requires_grad_(True), force_field.system.n_sites
    spins = torch.stack([torch.as_tensor(gs.core.random_spins(n_sites, seed=k)) for k in range(2)]).double()
    native = model.native(force_field.system, torch.float64)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, n_sites, generator=generator, dtype=torch.float64)
    energies = _gradients((weights * model.site_energies(force_field.data, spins)).sum(), model)
    for expected, found in zip(energies, _gradients((weights * native.trainable(spins)[0]).sum(), model), strict=True):
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    wanted = torch.randn(2, n_sites, 3, generator=generator, dtype=torch.float64)

    def loss(energies, fields):
        return gs.core.spins.torque(spins, fields - wanted).square().sum() + (weights * energies).sum()

    exact = _gradients(loss(*model.energies_and_fields(force_field.data, spins, create_graph=True)), model)
    found = _gradients(loss(*native.trainable(spins)), model)
    assert _difference(found, exact) < 1e-4


def _difference(found, expected):
    """Root-mean-square difference of gradients over the size of the expected ones."""
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if b is not None]
    size = sum(float(b.square().sum()) for _, b in pairs)
    return (sum(float((a - b).square().sum()) for a, b in pairs) / size) ** 0.5


@pytest.mark.parametrize(
    ("system", "hyperparameters"), ORIENTED_CASES, ids=[*IDS, "bonds-triangular", "bonds-kagome", "bonds-cubic"]
)
def test_oriented_gradients_of_weights_are_those_of_torch(system, hyperparameters):
    _assert_trainable(_force_field(system, _cutoff(system), **hyperparameters))


@pytest.mark.parametrize(("system", "hyperparameters"), CLUSTER_CASES, ids=IDS)
def test_cluster_gradients_of_weights_are_those_of_torch(system, hyperparameters):
    _assert_trainable(_force_field(system, _cutoff(system), CLUSTER, **hyperparameters))


def test_float32_gradients_are_good_to_a_thousandth_or_so():
    """A loss of torques of pretrained weights, against second derivatives in double precision."""
    system = gs.systems.triangular(24, 24)
    model = gs.load("pretrained:tetrahedral_fast", system).model.requires_grad_(True)
    spins = torch.as_tensor(gs.core.random_spins(576, seed=0))[None].float()
    wanted = 0.02 * torch.randn(1, 576, 3, generator=torch.Generator().manual_seed(0))

    def loss(spins, fields):
        return gs.core.spins.torque(spins, fields - wanted.to(fields)).square().sum()

    found = _gradients(loss(spins, model.native(system, torch.float32).trainable(spins)[1]), model)
    model.double()
    data = gs.core.move_arrays(model.prepare(system), dtype=torch.float64)
    _, fields = model.energies_and_fields(data, spins.double(), create_graph=True)
    assert _difference(found, _gradients(loss(spins.double(), fields), model)) < 5e-3


def test_other_parameters_may_stand_for_those_of_the_model():
    """As in a family of models, where weights are functions of something else."""
    force_field = _force_field(gs.systems.triangular(6, 5))
    model, system = force_field.model.requires_grad_(True), force_field.system
    spins = torch.as_tensor(gs.core.random_spins(30, seed=2))[None].double()
    factor = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    others = {name: factor * weight.detach() for name, weight in model.named_parameters()}
    others["energy_scale"] = torch.tensor(2.0)
    fields = model.native(system, torch.float64).trainable(spins, others)[1]
    (found,) = torch.autograd.grad(fields.square().sum(), factor, retain_graph=True)
    evaluated = torch.func.functional_call(
        _Fields(model), {f"model.{k}": v for k, v in others.items()}, (force_field.data, spins)
    )
    torch.testing.assert_close(fields, evaluated, rtol=1e-10, atol=1e-12)
    (expected,) = torch.autograd.grad(evaluated.square().sum(), factor)
    assert abs(found - expected) < 1e-5 * abs(expected)


class _Fields(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data, spins):
        return self.model.energies_and_fields(data, spins, create_graph=True)[1]


def test_gradients_of_weights_are_the_same_again_with_several_threads():
    system = gs.systems.triangular(20, 30)
    native = gs.load("pretrained:tetrahedral_fast", system).model.native(system, torch.float32)
    spins, ones = gs.core.random_spins(600, seed=3)[None].float(), torch.ones(1, 600)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        first, again = (native.weight_gradients(spins, ones) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    alone = native.weight_gradients(spins, ones)
    for name, gradient in first[1].items():
        assert torch.equal(gradient, again[1][name])
        torch.testing.assert_close(gradient, alone[1][name], rtol=1e-4, atol=1e-4 * float(gradient.abs().max()))


def test_float32_agrees_to_its_rounding_and_tiles_to_theirs():
    system = gs.systems.triangular(24, 24)
    force_field = gs.load("pretrained:tetrahedral_fast", system)
    spins = gs.core.random_spins(576, seed=3)
    exact = gs.load("pretrained:tetrahedral_fast", system).native(False).to(dtype=torch.float64).field(spins)
    native = force_field.native().field(spins)
    assert (native - exact).abs().max() < 3e-6 * exact.abs().max()
    tiled = force_field.tile(22 * 22).field(spins)
    assert (tiled - exact).abs().max() < 3e-6 * exact.abs().max()


def test_results_do_not_depend_on_the_number_of_threads():
    system = gs.systems.triangular(20, 30)
    force_field = gs.load("pretrained:tetrahedral_fast", system).native()
    spins = gs.core.random_spins(600, seed=3)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, *(2, 3) * 20):
            torch.set_num_threads(threads)
            results.append(force_field.field(spins))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], each) for each in results[1:])


def test_threads_of_a_program_may_share_a_force_field():
    force_field = gs.load("pretrained:tetrahedral_fast", gs.systems.triangular(24, 24)).native()
    spins = [gs.core.random_spins(576, seed=seed) for seed in range(8)]
    alone = [force_field.field(each) for each in spins]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(force_field.field, spins))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_weights_that_change_are_seen():
    system = gs.systems.square(6, 6)
    force_field = _force_field(system).native()
    spins = gs.core.random_spins(36, seed=0)
    before = force_field.field(spins)
    with torch.no_grad():
        force_field.model.energy_scale.mul_(2)
    assert torch.allclose(force_field.field(spins), 2 * before, rtol=1e-12)


def test_copies_and_pickles_evaluate():
    force_field = _force_field(gs.systems.square(6, 6)).native()
    spins = gs.core.random_spins(36, seed=0)
    assert torch.equal(pickle.loads(pickle.dumps(force_field)).field(spins), force_field.field(spins))


def test_environment_switches_it_off(monkeypatch):
    monkeypatch.setenv("GNNSPIN_NATIVE", "0")
    force_field = _force_field(gs.systems.square(20, 20))
    built = []
    monkeypatch.setattr(type(force_field.model), "native", lambda *given: built.append(given))
    force_field.field(gs.core.random_spins(400, seed=0))
    assert not built


def test_without_a_compiler_the_model_is_evaluated(monkeypatch):
    def fails(*given):
        raise NoCompiler("there is no C++ compiler")

    force_field = _force_field(gs.systems.square(20, 20))
    spins = gs.core.random_spins(400, seed=0)
    native = force_field.native().field(spins)
    monkeypatch.setattr(type(force_field.model), "native", fails)
    with pytest.raises(NoCompiler, match="no C\\+\\+ compiler"):
        force_field.on(force_field.system).native().field(spins)
    assert torch.allclose(force_field.on(force_field.system).field(spins), native, atol=1e-12)


def test_what_has_no_native_code_says_so():
    system = gs.systems.square(6, 6)
    model = gs.models.for_system("vector_message_passing", system, 2.0)
    with pytest.raises(InvalidInput, match="no native code of vector_message_passing"):
        gs.ForceField(model, system).native().field(gs.core.random_spins(36, seed=0))
    handed = _force_field(system, 2.0, CLUSTER, mirrors=False)
    with pytest.raises(InvalidInput, match="no native code of spin_cluster_expansion"):
        handed.native().field(gs.core.random_spins(36, seed=0))
    with pytest.raises(NoCompiler, match="float16"):
        NativeLibrary("oriented.cpp", torch.float16, 2)
