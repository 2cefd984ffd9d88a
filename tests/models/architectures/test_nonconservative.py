"""Laws of the heads: which fields are gradients, which symmetries they keep, and closed forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gnnspin as gs
from gnnspin import models
from gnnspin.core import FieldSource, InvalidInput, random_spins
from gnnspin.core.errors import NoEnergyError
from gnnspin.core.spins import torque
from gnnspin.datasets import Label
from gnnspin.models.blocks.directed import end_profiles
from gnnspin.testing.models import EXACT, SYSTEMS, ModelPhysics, close, force_field
from gnnspin.testing.permutations import permutation
from gnnspin.training import TrainingConfig

SMALL = {"layers": 2, "channels": 3, "scalars": 2, "hidden": 8, "max_degree": 2}
SQUARE = gs.systems.square(5, 5)


def head(name: str, **values: Any) -> dict[str, Any]:
    return {"head": name, "hyperparameters": SMALL, "hidden": 8, **values}


class HeadPhysics(ModelPhysics):
    """The laws of the suite that do not speak of an energy, and those that replace the others."""

    name = "nonconservative"

    @pytest.fixture(params=["honeycomb", "amorphous"])
    def key(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_spin_rotation(self, key: str) -> None:
        source, rotation = self.source(key), gs.core.random_rotation(3)
        spins = random_spins(source.system.n_sites, seed=1)
        field = source.field(spins)
        assert close(source.field(spins @ rotation.T), field @ rotation.T, field)

    def test_time_reversal(self, key: str) -> None:
        """Exact where imposed; broken otherwise."""
        spins = random_spins(SYSTEMS[key].n_sites, seed=1)
        free = self.source(key)
        assert float((free.field(-spins) + free.field(spins)).abs().max()) > 1e-3
        if self.hyperparameters["head"] != "pair":
            odd = force_field(self.name, SYSTEMS[key], **{**self.hyperparameters, "time_reversal": True})
            assert close(odd.field(-spins), -odd.field(spins), odd.field(spins))

    def test_field_is_minus_the_gradient(self, key: str) -> None:
        """No energy: there is none to be had, and the error says so."""
        source = self.source(key)
        assert not source.has_energy
        with pytest.raises(NoEnergyError, match="not a gradient"):
            source.energy(random_spins(source.system.n_sites, seed=1))

    def test_replicas_are_independent(self, key: str) -> None:
        source = self.source(key)
        spins = random_spins(source.system.n_sites, replicas=(2, 2), seed=1)
        assert close(source.field(spins)[1, 0], source.field(spins[1, 0]), source.field(spins))

    def test_union_is_each_part(self) -> None:
        parts = [gs.systems.amorphous(40, 3.6, 0.5, seed=s) for s in (1, 2)]
        source = self.source("amorphous")
        spins = random_spins(80, replicas=(2,), seed=1)
        joint = source.on(gs.systems.union(parts)).field(spins)
        for k, part in enumerate(parts):
            field = source.on(part).field(spins[:, 40 * k : 40 * (k + 1)])
            assert close(joint[:, 40 * k : 40 * (k + 1)], field, field)

    def test_nothing_beyond_the_receptive_field(self) -> None:
        """The torque depends on spins within twice the receptive radius, of a site's own function within once."""
        source = force_field(self.name, gs.systems.chain(41), cutoff=2.0, **self.hyperparameters)
        spins = random_spins(41, seed=1)
        reach = 2 if self.hyperparameters["head"] == "pair" else 1
        for distance in (1, int(reach * source.model.receptive_radius) + 1):
            moved = spins.clone()
            moved[20 + distance] = random_spins(1, seed=9)[0]
            change = float((source.field(moved) - source.field(spins))[20].norm())
            assert (change > 1e-6) is (distance == 1)


class TestPair(HeadPhysics):
    hyperparameters = head("pair")


class TestSitePairs(HeadPhysics):
    hyperparameters = head("site_pairs")


class TestVectors(HeadPhysics):
    hyperparameters = head("vectors")


def curl(source: FieldSource, spins: Tensor, step: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Exterior derivative of ``sum H_i . dS_i`` in tangent frames (2N, 2N), and the rotation by S_i x of each frame."""
    n_sites = len(spins)
    first = torch.linalg.cross(spins, torch.tensor([[0.0, 0.6, 0.8]], dtype=spins.dtype).expand_as(spins))
    first = gs.core.normalize(first)
    frame = torch.stack([first, torch.linalg.cross(spins, first)], dim=1)  # (N, 2, 3)
    copies = spins.repeat(n_sites, 2, 2, 1, 1)  # (turned site, direction, forth and back, N, 3)
    for site in range(n_sites):
        for k, sign in enumerate((1, -1)):
            copies[site, :, k, site] = np.cos(step) * spins[site] + sign * np.sin(step) * frame[site]
    fields = source.field(copies)
    slope = (fields[:, :, 0] - fields[:, :, 1]) / (2 * step)
    jacobian = torch.einsum("iajx,jbx->iajb", slope, frame)
    matrix = jacobian.reshape(2 * n_sites, 2 * n_sites)
    quarter = torch.kron(torch.eye(n_sites), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])).to(spins.dtype)
    return matrix - matrix.T, quarter


@pytest.mark.parametrize("name", ["energy", "pair", "site_pairs", "vectors"])
@pytest.mark.parametrize("drive", [None, (1.0, 0.0, 0.0)])
def test_curl(name: str, drive: tuple[float, float, float] | None) -> None:
    """None for an energy; of type (1, 1), unchanged when both arguments are turned by S x, for a pair; else general."""
    source = force_field("nonconservative", SQUARE, **head(name, drive=drive))
    form, quarter = curl(source, random_spins(SQUARE.n_sites, seed=2))
    turned = quarter @ form @ quarter.T
    if name == "energy":
        assert float(form.abs().max()) < 1e-7
        return
    assert float(form.norm()) > 1e-2
    if name == "pair":
        assert float((turned - form).norm()) < 1e-6 * float(form.norm())
    else:
        assert float((turned - form).norm()) > 1e-2 * float(form.norm())


@pytest.mark.parametrize("orientations", [None, "all", "bonds"])
@pytest.mark.parametrize("name", ["energy", "pair", "site_pairs", "vectors"])
def test_drive_keeps_the_operations_that_keep_it(name: str, orientations: str | None) -> None:
    """A mirror along the current holds, one across it does not unless the current turns too."""
    system = gs.systems.square(7, 7)
    spins = random_spins(49, seed=1)
    base: dict[str, Any] = {}
    if orientations is not None:
        sizes = {"layers": 2, "filters": 3, "channels": 2, "scalars": 2, "factors": 3, "hidden": 6}
        base = {"model": "oriented_cluster_expansion", "hyperparameters": {**sizes, "orientations": orientations}}
    right, left = (
        force_field("nonconservative", system, **{**head(name, drive=(s, 0.0, 0.0)), **base}) for s in (1.0, -1.0)
    )
    left.model.load_state_dict(right.model.state_dict())
    field, rotation = right.field(spins), gs.core.random_rotation(1)
    assert close(right.field(spins @ rotation.T), field @ rotation.T, field)
    for mirror, keeps in (((1.0, -1.0, 1.0), True), ((-1.0, 1.0, 1.0), False)):
        image = permutation(system, np.diag(mirror), system.positions[0], np.zeros(3))
        assert image is not None
        moved = torch.empty_like(spins).index_copy(0, image, spins)
        assert (float((right.field(moved)[image] - field).abs().max()) < EXACT) is keeps
        if not keeps:
            assert close(left.field(moved)[image], field, field)


@pytest.mark.parametrize("name", ["pair", "vectors"])
def test_drive_on_edges_equals_lattice(name: str) -> None:
    source = force_field("nonconservative", gs.systems.square(8, 6, pbc=(False, True)), **head(name, drive=(1.0, 1, 0)))
    spins = random_spins(48, seed=1)
    fast = source.field(spins)
    data = source.data
    edges = type(data.drive)(data.drive.neighbors.without_stencil(), data.drive.along, data.drive.ends)
    source.data = type(data)(data.base.without_stencil(), edges)
    assert close(source.field(spins), fast, fast)


class Exchange(models.SpinModel):
    """Site energies ``strength/2 sum_j S_i.S_j``: every head has a closed form."""

    name = "exchange"

    capabilities = frozenset({"compiles", "site_resolved", "vectors"})

    class Hyperparameters(gs.core.config.Config):
        channels: int = 1

    def __init__(self, spec: gs.graphs.GraphSpec, hyperparameters: Any, *, vector_output: bool = False) -> None:
        super().__init__(spec, hyperparameters)
        self.strength = nn.Parameter(torch.ones(()))

    def prepare(self, system: gs.systems.SpinSystem) -> Tensor:
        graph = self.spec.graph(system)
        matrix = torch.zeros(system.n_sites, system.n_sites)
        return matrix.index_put((graph.edge_index[1], graph.edge_index[0]), torch.ones(()), accumulate=True)

    def dimensionless_energies(self, data: Tensor, spins: Tensor, center: Tensor | None = None) -> Tensor:
        return 0.5 * self.strength * ((spins if center is None else center) * (data @ spins)).sum(-1)

    def site_vectors(self, data: Tensor, spins: Tensor) -> Tensor:
        return self.strength * (data @ spins)[:, None]


def exchange_head(name: str, monkeypatch: pytest.MonkeyPatch, strengths: tuple[float, float]) -> gs.ForceField:
    monkeypatch.setitem(models.registry.ARCHITECTURES._known, "exchange", Exchange)
    spec = gs.graphs.GraphSpec.for_system(SQUARE, 1.1)
    model = models.build("nonconservative", spec, head=name, model="exchange")
    with torch.no_grad():
        for function, strength in zip(model.functions, strengths, strict=True):
            function.base.strength.fill_(strength)
    return gs.ForceField(model, SQUARE, dtype=torch.float64)


def neighbor_sum(spins: Tensor) -> Tensor:
    grid = spins.reshape(*spins.shape[:-2], 5, 5, 3)
    shifts = ((1, -3), (-1, -3), (1, -2), (-1, -2))
    return sum(torch.roll(grid, s, d) for s, d in shifts).reshape(spins.shape)  # type: ignore[union-attr]


def test_slonczewski_torque(monkeypatch: pytest.MonkeyPatch) -> None:
    """G alone, ``G = 1/2 sum_ij S_i.S_j``, is the torque ``S x (S x p)`` with p the sum of the neighbours."""
    source = exchange_head("pair", monkeypatch, (0.0, 1.0))
    spins = random_spins(25, replicas=(2,), seed=0)
    expected = torque(spins, torque(spins, neighbor_sum(spins)))
    assert torch.allclose(source.torque(spins), expected, atol=1e-12)


def test_site_pairs_differentiate_the_own_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    source = exchange_head("site_pairs", monkeypatch, (3.0, 1.0))
    spins = random_spins(25, seed=0)
    p = neighbor_sum(spins)
    assert torch.allclose(source.field(spins), -1.5 * p + 0.5 * torque(spins, p), atol=1e-12)


def test_energy_head_is_the_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    spins = random_spins(25, seed=0)
    alone = force_field("spin_cluster_expansion", SQUARE, **SMALL)
    under = gs.models.build("nonconservative", alone.model.spec, **head("energy", time_reversal=True)).double()
    under.functions[0].base.load_state_dict(alone.model.state_dict())
    source = gs.ForceField(under, SQUARE, dtype=torch.float64)
    assert source.has_energy
    assert torch.equal(source.field(spins), alone.field(spins))
    assert torch.equal(source.energy(spins), alone.energy(spins))


def test_impossible_heads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gs.graphs.GraphSpec.for_system(SQUARE, 1.1)

    class Blind(Exchange):
        capabilities = frozenset({"compiles"})

        def dimensionless_energies(self, data: Tensor, spins: Tensor) -> Tensor:  # type: ignore[override]
            return super().dimensionless_energies(data, spins)

    monkeypatch.setitem(models.registry.ARCHITECTURES._known, "blind", Blind)
    for values, text in (
        ({"head": "pair", "time_reversal": True}, "head energy"),
        ({"head": "site_pairs", "model": "blind"}, "environment"),
        ({"head": "vectors", "model": "blind"}, "no vectors"),
        ({"model": "nothing"}, "model .nothing. is unknown"),
        ({"head": "site_pairs", "hyperparameters": {"fixed_number": True}}, "fixed_number"),
        ({"drive": (0, 0, 1)}, "in the plane"),
        ({"drive": (0, 0, 0)}, "other than zero"),
        ({"hyperparameters": {"chanels": 2}}, "chanels"),
        ({"hyperparameters": {"time_reversal": True}}, "set it once"),
    ):
        with pytest.raises(InvalidInput, match=text):
            models.build("nonconservative", spec, **values)


def synthetic(spins: Tensor, system: gs.systems.SpinSystem, drift: float) -> Tensor:
    """Exchange, a damping-like torque towards the neighbours, and a spin-transfer torque of a current along x."""
    grid = spins.reshape(*system.lattice_shape[:2], 3)
    ahead, back = torch.roll(grid, -1, 0), torch.roll(grid, 1, 0)
    p = (ahead + back + torch.roll(grid, 1, 1) + torch.roll(grid, -1, 1)).reshape(spins.shape)
    return 0.3 * p + 0.5 * torque(spins, p) + drift * (ahead - back).reshape(spins.shape)


def trained(name: str, drift: float, directory: Path, **values: Any) -> gs.training.Evaluation:
    system = gs.systems.square(6, 6)
    spins = [random_spins(36, seed=k) for k in range(14)]
    store = gs.datasets.LabelStore.create(directory / "labels.h5", {})
    for one in spins:
        store.append(Label(system=system, spins=one, field=synthetic(one, system, drift)))
    torch.manual_seed(0)
    inner = {"layers": 1, "channels": 2, "hidden": 8, "max_degree": 1}
    spec = gs.graphs.GraphSpec.for_system(system, 1.1)
    model = gs.models.build("nonconservative", spec, head=name, hyperparameters=inner, hidden=8, **values)
    config = TrainingConfig(max_epochs=20, learning_rate=0.05, validate_every=20, batch_size=4, device="cpu")
    result = gs.training.fit(model, store[:12], store[12:], config, directory=directory / "run", progress=False)
    return gs.training.evaluate(result.force_field, store[12:])


@pytest.mark.parametrize(
    ("name", "drift", "values", "r2"),
    [
        ("pair", 0.0, {}, (0.98, 1.0)),
        ("vectors", 0.6, {"drive": (1.0, 0.0, 0.0)}, (0.95, 1.0)),
        pytest.param("energy", 0.0, {}, (0.0, 0.6), marks=pytest.mark.slow),
        pytest.param("pair", 0.6, {"drive": (1.0, 0.0, 0.0)}, (0.0, 0.9), marks=pytest.mark.slow),
    ],
)
def test_training_recovers_what_a_head_can_express(
    name: str, drift: float, values: dict[str, Any], r2: tuple[float, float], tmp_path: Path
) -> None:
    """A damping-like torque needs G; a spin-transfer torque needs the direction and is no global pair."""
    result = trained(name, drift, tmp_path, **values)
    assert r2[0] < result.torque_r2 < r2[1]


def test_trainer_refuses_an_energy_loss(tmp_path: Path) -> None:
    store = gs.datasets.LabelStore.create(tmp_path / "labels.h5", {})
    for k in range(2):
        spins = random_spins(25, seed=k)
        store.append(Label(system=SQUARE, spins=spins, field=neighbor_sum(spins), energy=0.0))
    model = gs.models.build("nonconservative", gs.graphs.GraphSpec.for_system(SQUARE, 1.1), **head("pair"))
    config = TrainingConfig(energy_weight=0.1, max_epochs=1)
    with pytest.raises(InvalidInput, match="no energy"):
        gs.training.fit(model, store, store, config, directory=tmp_path / "run", progress=False)


@pytest.mark.parametrize("name", ["pair", "site_pairs", "vectors"])
def test_save_load_simulate_resume(name: str, tmp_path: Path) -> None:
    """The loaded model is the saved one, and a continued run is the run that was not interrupted."""
    source = force_field("nonconservative", SQUARE, **head(name, drive=(0.0, 1.0, 0.0))).to(dtype=torch.float32)
    spins = random_spins(25, seed=0)
    source.model.energy_scale.mul_(1 / source.field(spins).square().mean().sqrt())
    path = gs.save(source, tmp_path / "model.safetensors")
    again = gs.load(path, system=SQUARE)
    assert torch.equal(again.field(spins), source.field(spins))
    options: dict[str, Any] = {"dt": 0.005, "damping": 0.1, "kT": 0.01, "seed": 3, "progress": False}
    whole = gs.dynamics.simulate(source, spins, n_steps=6, **options)
    gs.dynamics.simulate(source, spins, n_steps=3, trajectory=tmp_path / "run.h5", **options)
    resumed = gs.dynamics.resume(tmp_path / "run.h5", n_steps=3, progress=False)
    assert torch.equal(resumed.spins, whole.spins)
    assert float((whole.spins - spins).abs().max()) > 1e-3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["pair", "site_pairs", "vectors"])
def test_compiled_equals_plain(name: str) -> None:
    source = force_field("nonconservative", SQUARE, **head(name))
    spins = random_spins(25, replicas=(2,), seed=0)
    plain = source.field(spins)
    assert float(plain.abs().max()) > 0.1
    assert torch.allclose(source.compile().field(spins), plain, atol=1e-9)


@pytest.mark.parametrize("name", ["energy", "vectors"])
def test_ends_tell_where_a_site_is_along_the_drive(name: str) -> None:
    """Equal environments have equal torques without, others with; far from both ends, and in a ring, they do again."""
    ribbon, ring = (gs.systems.square(40, 4, pbc=(closed, True)) for closed in (False, True))
    spins = random_spins(16, seed=3).repeat(10, 1)  # a pattern of period 4 along the ribbon
    blind, knowing = (
        force_field("nonconservative", ribbon, **head(name, drive=(1.0, 0.0, 0.0), ends=ends)) for ends in ((), (3.0,))
    )

    def shift(source: gs.ForceField, sites: int) -> float:
        torque = source.torque(spins).reshape(40, 4, 3)
        return float((torque[sites] - torque[sites + 4]).abs().max())

    assert shift(blind, 12) < EXACT
    assert shift(knowing, 12) > 1e-6
    assert shift(knowing.on(ring), 12) < EXACT
    turned = knowing.field(spins @ gs.core.random_rotation(1).T)
    assert close(turned, knowing.field(spins) @ gs.core.random_rotation(1).T, turned)


def test_distances_from_both_ends() -> None:
    """By hand on a chain, part by part of a union; none on a ring; ends without a drive are refused."""
    profiles = end_profiles(gs.systems.chain(4, pbc=False), np.array([2.0, 0, 0]), (1.0, 2.0)).numpy()
    x = np.arange(4.0)
    np.testing.assert_allclose(profiles, np.exp([-x, x - 3, -x / 2, (x - 3) / 2]), atol=1e-12)
    assert not end_profiles(gs.systems.chain(4), np.array([1.0, 0, 0]), (1.0,)).any()
    with pytest.raises(InvalidInput, match="give drive"):
        force_field("nonconservative", SQUARE, **head("vectors", ends=(3.0,)))


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("name", ["energy", "vectors"])
def test_untrained_heads_stay_bounded_on_spins_unlike_those_they_were_calibrated_on(name: str, layers: int) -> None:
    system = gs.systems.square(16, 6, pbc=(False, True))
    spec = gs.graphs.GraphSpec.for_system(system, cutoff=3.2)
    values = {"layers": layers, "channels": 8, "scalars": 8, "hidden": 32, "max_degree": 2}
    torch.manual_seed(0)
    model = gs.models.build("nonconservative", spec, head=name, drive=(1, 0, 0), hyperparameters=values).double()
    wall = gs.observables.order_boundary(system, ("neel", "ferromagnet"), place=0.5, width=2.0)
    model.calibrate(model.prepare(system), torch.as_tensor(wall)[None])
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(system.n_sites, 3)
    for spins in (wall, random_spins(system.n_sites, seed=1), up):
        torques = gs.ForceField(model, system).torque(torch.as_tensor(spins))
        assert torques.square().mean().sqrt() < 100.0
