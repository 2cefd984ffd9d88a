"""Laws of every hopping rule: inherit `HoppingPhysics` and define `rule`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import pytest
from numpy.typing import NDArray

from gnnspin.core.spins import random_rotation, random_spins
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.hopping.rules import HoppingRule
from gnnspin.systems import lattices, union
from gnnspin.systems.operations import site_operations
from gnnspin.systems.system import SpinSystem

#: sigma_y, which reverses a spin together with complex conjugation.
REVERSAL = np.array([[0, -1j], [1j, 0]])


class HoppingPhysics(ABC):
    """Laws of a hopping rule; a subclass defines `rule`, and a `system` where the triangular lattice will not do.

    What the rule declares of itself must hold; what it does not declare may hold all the same.
    """

    @cached_property
    def system(self) -> SpinSystem:
        """A system the rule works on, of a few dozen sites."""
        return lattices.triangular(6, 6)

    @abstractmethod
    def rule(self) -> HoppingRule:
        """A new object of the rule under test."""

    def matrix(self, system: SpinSystem) -> NDArray[np.complex128]:
        """Amplitudes of a system as a dense matrix, complex."""
        return self.rule().matrix(system).toarray().astype(np.complex128)

    def test_hermitian(self) -> None:
        """The matrix is Hermitian and not zero."""
        matrix = self.matrix(self.system)
        assert abs(matrix).max() > 0
        assert abs(matrix - matrix.conj().T).max() < 1e-12 * abs(matrix).max()

    def test_parts_of_a_union_are_not_connected(self) -> None:
        """The matrix of a union is block diagonal, with the matrix of each part."""
        matrix, joint = self.matrix(self.system), self.matrix(union([self.system, self.system]))
        size = len(matrix)
        assert joint.shape == (2 * size, 2 * size)
        assert abs(joint[:size, :size] - matrix).max() == 0
        assert abs(joint[:size, size:]).max() == 0

    def test_declared_symmetries(self) -> None:
        """Time reversal leaves the matrix, translations and point operations of sites leave the energy of any spins."""
        rule, matrix = self.rule(), self.matrix(self.system)
        n_sites, size = self.system.n_sites, len(matrix)
        assert rule.acts_on_spin or not rule.hops(self.system).spinful
        if rule.time_reversal:
            spinful = rule.hops(self.system).spinful
            reversal = np.kron(np.eye(size // 2), REVERSAL) if spinful else np.eye(size)
            assert abs(reversal @ matrix.conj() @ reversal.conj().T - matrix).max() < 1e-12
        if not rule.has_onsite:
            assert abs(np.diagonal(matrix)).max() == 0
        if size != n_sites:
            pytest.skip("the remaining laws are stated for one orbital without spin per site")
        claimed = [
            operation
            for operation in site_operations(self.system)
            if (rule.translation if operation.kind == "translation" else rule.isotropic)
        ]
        if rule.isotropic or np.isrealobj(rule.matrix(self.system)):
            for operation in claimed:
                image = operation.image.numpy()
                assert abs(matrix[np.ix_(image, image)] - matrix).max() < 1e-12
        source = ExactDiagonalization(SDHamiltonian(self.system, rule, J=1.0), kT=0.1, mu=0.2)
        spins = random_spins(n_sites, seed=0)
        for operation in claimed:  # phases may differ from site to site where a gauge joins them
            change = float(source.energy(spins[operation.image]) - source.energy(spins))
            assert abs(change) < 1e-10 * n_sites, f"{operation.kind} changes the energy by {change:.2e}"

    def test_spins_rotate_without_cost_where_no_hop_turns_them(self) -> None:
        """The energy is invariant under a common rotation of all spins, unless hops act on the spin."""
        rule = self.rule()
        n_spins = self.system.n_sites
        source = ExactDiagonalization(SDHamiltonian(self.system, rule, J=1.0), kT=0.1, mu=0.2)
        spins, rotation = random_spins(n_spins, seed=0), random_rotation(1)
        change = float(source.energy(spins @ rotation.T) - source.energy(spins))
        if not rule.acts_on_spin:
            assert abs(change) < 1e-8 * n_spins

    def test_description_rebuilds_the_rule(self) -> None:
        """A rule built from the description has the same description and the same matrix."""
        rule = self.rule()
        assert rule.kind, "give the class a kind, so that files and configurations can name it"
        rebuilt = HoppingRule.from_specification(json.loads(json.dumps(rule.specification())))
        assert rebuilt.specification() == rule.specification()
        assert abs(rebuilt.matrix(self.system) - rule.matrix(self.system)).max() == 0
