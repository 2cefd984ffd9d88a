"""Rules of the field-source protocol."""

import numpy as np
import pytest
import torch

from gnnspin.classical import Heisenberg, Zeeman
from gnnspin.core import FieldSource, InvalidInput, NoEnergyError, SumSource, random_spins
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.systems import square, triangular

SYSTEM = square(4, 4)
SPINS = random_spins(16, replicas=(2,), seed=0)


class Driven(FieldSource):
    """A field without an energy that depends on time and keeps a graph and single precision inside."""

    dtype = torch.float32

    def __init__(self):
        self.system = SYSTEM
        self.weight = torch.ones(3, requires_grad=True)
        self.seen = []

    def fields(self, spins, time=None):
        self.seen.append((spins.dtype, tuple(spins.shape)))
        return spins * self.weight * (1.0 if time is None else time)


def sources():
    exact = ExactDiagonalization(SDHamiltonian(SYSTEM, J=2.0), kT=0.1, mu=-1.0)
    return [
        Heisenberg(SYSTEM),
        Zeeman(SYSTEM, [0, 0, 0.3]),
        exact,
        exact + Heisenberg(SYSTEM) + Heisenberg(SYSTEM, 0.2),
    ]


@pytest.mark.parametrize("source", sources(), ids=lambda s: type(s).__name__)
def test_every_source_obeys_the_protocol(source):
    energy, field = source.energy_and_field(SPINS)
    assert energy.shape == (2,)
    assert field.shape == (2, 16, 3)
    torch.testing.assert_close(source.energy(SPINS), energy, atol=1e-12, rtol=0)
    torch.testing.assert_close(source.field(SPINS), field, atol=1e-12, rtol=0)
    torch.testing.assert_close(source.torque(SPINS), torch.linalg.cross(SPINS, field), atol=1e-12, rtol=0)
    tracked = SPINS.float().requires_grad_()
    energy, field = source.energy_and_field(tracked)
    assert (energy.dtype, field.dtype) == (torch.float64, torch.float32)
    assert not energy.requires_grad
    assert not field.requires_grad
    assert source.field(SPINS[0].numpy()).shape == (16, 3)
    with pytest.raises(InvalidInput, match="16"):
        source.field(SPINS[:, :5])
    with pytest.raises(InvalidInput, match="normalise"):
        source.energy(2 * SPINS)
    with pytest.raises(InvalidInput, match="nan"):
        source.field(torch.full((16, 3), torch.nan))


@pytest.mark.parametrize("source", sources(), ids=lambda s: type(s).__name__)
def test_field_is_a_pure_function(source):
    """Neither earlier calls nor the caller's changes to the result matter."""
    first = source.field(SPINS)
    kept = first.clone()
    source.field(-SPINS)
    first.zero_()
    assert source.field(SPINS).equal(kept)


def test_sum_adds_energies_and_fields_and_is_flat():
    a, b, c = Heisenberg(SYSTEM), Zeeman(SYSTEM, [0, 0, 0.3]), Heisenberg(SYSTEM, J=[0, 0.5])
    total = a + b + c
    assert isinstance(total, SumSource)
    assert total.terms == (a, b, c)
    torch.testing.assert_close(total.energy(SPINS), a.energy(SPINS) + b.energy(SPINS) + c.energy(SPINS))
    torch.testing.assert_close(total.field(SPINS), a.field(SPINS) + b.field(SPINS) + c.field(SPINS))
    assert [term["kind"] for term in total.specification()["terms"]] == ["heisenberg", "zeeman", "heisenberg"]


def test_sources_of_different_systems_do_not_add():
    with pytest.raises(InvalidInput, match="different systems"):
        Heisenberg(SYSTEM) + Heisenberg(triangular(4, 4))
    with pytest.raises(InvalidInput, match="at least one"):
        SumSource([])
    with pytest.raises(TypeError):
        Heisenberg(SYSTEM) + 1.0  # type: ignore[operator]


def test_a_source_without_energy_says_so_alone_and_in_a_sum():
    driven = Driven()
    for source in (driven, driven + Heisenberg(SYSTEM)):
        assert source.field(SPINS).shape == (2, 16, 3)
        for ask in (source.energy, source.energy_and_field):
            with pytest.raises(NoEnergyError, match="use field"):
                ask(SPINS)


def test_own_dtype_inside_the_spins_dtype_outside():
    driven = Driven()
    field = driven.field(SPINS.reshape(2, 1, 16, 3), time=2.0)
    assert driven.seen == [(torch.float32, (2, 16, 3))]
    assert field.dtype == torch.float64
    assert field.shape == (2, 1, 16, 3)
    assert not field.requires_grad
    torch.testing.assert_close(field[:, 0], 2 * SPINS, atol=1e-6, rtol=0)


def test_time_reaches_the_terms_of_a_sum():
    total = Driven() + Zeeman(SYSTEM, np.zeros(3))
    torch.testing.assert_close(total.field(SPINS, time=3.0), 3 * SPINS, atol=1e-6, rtol=0)


@pytest.mark.parametrize("source", sources(), ids=lambda source: type(source).__name__)
def test_unchecked_field_is_the_field(source):
    for dtype in (torch.float32, torch.float64):
        spins = random_spins(source.system.n_sites, replicas=(2, 3), seed=0, dtype=dtype)
        assert torch.equal(source.unchecked_field(spins, 0.3), source.field(spins, 0.3))


def test_a_sum_names_its_terms_and_the_one_without_an_energy() -> None:
    driven = Heisenberg(SYSTEM) + Driven()
    assert repr(driven) == f"Heisenberg({SYSTEM}) + Driven({SYSTEM})"
    with pytest.raises(NoEnergyError, match="the sum has no energy, since the field of Driven is not a gradient"):
        driven.energy(SPINS)
