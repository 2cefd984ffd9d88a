"""A committee is the mean of its members and knows how much they differ."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.core.errors import NoEnergyError
from gnnspin.testing import force_field

SYSTEM = gs.systems.square(6, 6)
SMALL = {"channels": 2, "scalars": 2, "hidden": 8, "max_degree": 2}


def member(scale: float) -> gs.ForceField:
    """The same random model, its energies multiplied."""
    source = force_field("spin_cluster_expansion", SYSTEM, **SMALL)
    source.model.energy_scale.mul_(scale)
    return source


@pytest.fixture
def committee() -> gs.Committee:
    return gs.Committee([member(scale) for scale in (1.0, 2.0, 6.0)])


def test_mean_and_spread(committee: gs.Committee) -> None:
    """Fields 1, 2 and 6 times one field: mean 3, standard deviation sqrt((4 + 1 + 9) / 2)."""
    spins = random_spins(36, replicas=(2, 3), seed=0)
    one = member(1.0)
    energy, field = committee.energy_and_field(spins)
    assert energy.shape == (2, 3)
    assert torch.allclose(field, 3 * one.field(spins))
    assert torch.allclose(energy, 3 * one.energy(spins))
    spread = committee.spread(spins)
    assert spread.shape == (2, 3, 36)
    assert torch.allclose(spread, 7**0.5 * one.torque(spins).norm(dim=-1))
    assert float(spread.max()) > 0.1


def test_a_part_along_the_spin_is_no_spread() -> None:
    """Members whose fields differ along the spins alone agree: only the torque counts."""

    class Radial(gs.ForceField):
        def fields(self, spins, time=None):  # type: ignore[no-untyped-def]
            return super().fields(spins, time) + 5 * spins

    one = member(1.0)
    both = gs.Committee([one, Radial(one.model, SYSTEM, dtype=torch.float64)])
    spins = random_spins(36, seed=0)
    assert float((both.field(spins) - one.field(spins)).norm()) > 1
    assert float(both.spread(spins).max()) < 1e-10


def test_files_and_other_systems(committee: gs.Committee, tmp_path: Path) -> None:
    spins = random_spins(36, seed=0, dtype=torch.float32)
    folder = committee.to(dtype=torch.float32).save(tmp_path / "deep" / "committee")
    loaded = gs.Committee.load(folder, SYSTEM)
    assert len(loaded) == 3
    assert torch.equal(loaded.field(spins), committee.field(spins))
    assert torch.equal(loaded.spread(spins), committee.spread(spins))
    assert loaded.on(gs.systems.square(8, 8)).spread(random_spins(64, seed=0)).shape == (64,)
    with pytest.raises(StoreError, match="exists"):
        committee.save(folder)
    with pytest.raises(StoreError, match="at least two"):
        gs.Committee.load(tmp_path, SYSTEM)
    with pytest.raises(StoreError, match=r"Committee\.load"):
        gs.load(folder, SYSTEM)


def test_simulate_observe_resume(committee: gs.Committee, tmp_path: Path) -> None:
    """The spread is an observer, and a continued run is the run that was not interrupted."""
    spins = random_spins(36, seed=0)
    options = {"dt": 0.005, "damping": 0.1, "kT": 0.01, "seed": 1, "progress": False}
    observers = {"spread": lambda state: committee.spread(state.spins).mean(-1)}
    whole = gs.dynamics.simulate(committee, spins, n_steps=4, observers=observers, **options)  # type: ignore[arg-type]
    assert whole.observables["spread"].shape == (5,)
    assert whole.observables["spread"][0] == pytest.approx(float(committee.spread(spins).mean()))
    gs.dynamics.simulate(committee, spins, n_steps=2, trajectory=tmp_path / "run.h5", **options)  # type: ignore[arg-type]
    again = gs.dynamics.resume(tmp_path / "run.h5", n_steps=2, progress=False)
    assert torch.equal(again.spins, whole.spins)


def test_what_is_no_committee() -> None:
    one = member(1.0)
    with pytest.raises(InvalidInput, match="at least two"):
        gs.Committee([one])
    with pytest.raises(InvalidInput, match="no ForceField"):
        gs.Committee([one, gs.classical.Heisenberg(SYSTEM, J=1.0)])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="different systems"):
        gs.Committee([one, one.on(gs.systems.square(8, 8))])
    torques = force_field("nonconservative", SYSTEM, hyperparameters=SMALL)
    with pytest.raises(NoEnergyError):
        gs.Committee([one, torques]).energy(random_spins(36, seed=0))
