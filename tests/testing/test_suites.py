"""The shipped suites pass on what obeys the laws and fail on what does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.electrons import (
    ExactDiagonalization,
    HaldaneHopping,
    HoppingRule,
    NearestNeighborHopping,
    PeierlsHopping,
    RashbaHopping,
    SDHamiltonian,
    TwistedHopping,
)
from gnnspin.electrons.hopping.rules import Hops
from gnnspin.systems import SpinSystem, chain, honeycomb, square
from gnnspin.testing import HoppingPhysics, IntegratorPhysics, SourcePhysics

ALL = frozenset({"spin_rotation", "time_reversal", "translation", "point_group", "mirrors"})


class TestElectrons(SourcePhysics):
    symmetries = ALL
    accuracy = 1e-7

    def source(self) -> FieldSource:
        return ExactDiagonalization(SDHamiltonian(square(4, 4), NearestNeighborHopping(), J=1.5), kT=0.1, mu=-0.7)


class TestHaldane(HoppingPhysics):
    system = honeycomb(4, 4)

    def rule(self) -> HoppingRule:
        return HaldaneHopping(0.2, 0.7)


class TestRashba(HoppingPhysics):
    def rule(self) -> HoppingRule:
        return RashbaHopping(0.3)


class TestNearestNeighbors(HoppingPhysics):
    def rule(self) -> HoppingRule:
        return NearestNeighborHopping(1.2)


class TestTwisted(HoppingPhysics):
    def rule(self) -> HoppingRule:
        return TwistedHopping(NearestNeighborHopping(), (0.4, 0.9, 0.0))


class TestPeierls(HoppingPhysics):
    def rule(self) -> HoppingRule:
        return PeierlsHopping(NearestNeighborHopping(), 1 / self.system.n_sites)


class TestSemiImplicit(IntegratorPhysics):
    integrator = "semi_implicit"


class TestExtrapolatedMidpoint(IntegratorPhysics):
    """A step that remembers."""

    integrator = "extrapolated_midpoint"


class Wrong(FieldSource):
    """Twice the field of its energy, different from call to call, with fields of replicas mixed up."""

    def __init__(self, factor: float = 2.0, noise: float = 0.0, mixed: bool = False) -> None:
        self.system, self.factor, self.noise, self.mixed = chain(6), factor, noise, mixed
        self.calls = 0

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        return spins[..., 2].sum(-1)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        self.calls += 1
        field = torch.zeros_like(spins)
        field[..., 2] = -self.factor + self.noise * self.calls
        return field + field.mean(0, keepdim=True) * len(spins) if self.mixed else field


class Broken(HoppingRule):
    """Hops one way only."""

    time_reversal = translation = isotropic = True

    def part_hops(self, system: SpinSystem) -> Hops:
        sites = np.arange(system.n_sites)
        return Hops(sites, np.roll(sites, 1), np.zeros((len(sites), 3)), np.ones(len(sites)))


def suite_of(wrong: Callable[[], FieldSource], **claims: object) -> SourcePhysics:
    return type("Suite", (SourcePhysics,), {"source": lambda _self: wrong(), **claims})()


def test_a_wrong_source_fails() -> None:
    right = suite_of(lambda: Wrong(factor=1.0))
    right.test_field_is_minus_the_gradient()
    right.test_field_is_a_pure_function()
    right.test_replicas_are_independent()
    right.test_description_rebuilds_the_source()
    with pytest.raises(AssertionError):
        suite_of(Wrong).test_field_is_minus_the_gradient()
    with pytest.raises(AssertionError):
        suite_of(lambda: Wrong(noise=0.1)).test_field_is_a_pure_function()
    with pytest.raises(AssertionError):
        suite_of(lambda: Wrong(mixed=True)).test_replicas_are_independent()
    with pytest.raises(AssertionError):
        suite_of(lambda: Wrong(factor=1.0), symmetries=frozenset({"spin_rotation"})).test_symmetries()


def test_one_flux_quantum_through_a_torus_has_no_translations() -> None:
    """Loops around it enclose a flux that depends on where they run; to claim translations fails the suite."""
    claims = type("Claims", (PeierlsHopping,), {"translation": True})
    suite = type("Suite", (HoppingPhysics,), {"rule": lambda _self: claims(NearestNeighborHopping(), 1 / 16)})()
    suite.system = square(4, 4)
    with pytest.raises(AssertionError, match="translation changes the energy"):
        suite.test_declared_symmetries()
    assert not PeierlsHopping(NearestNeighborHopping(), 1 / 16).translation


def test_a_wrong_rule_fails() -> None:
    suite = type("Suite", (HoppingPhysics,), {"rule": lambda _self: Broken()})()
    with pytest.raises(AssertionError):
        suite.test_hermitian()
    with pytest.raises(AssertionError):
        suite.test_declared_symmetries()
