"""Law of described objects: what is built from a description describes itself and evaluates bit for bit alike."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin import classical
from gnnspin.classical import Harmonic, Heisenberg, PairExchange, Pulse, Sampled, Waveform, Zeeman
from gnnspin.core import Diluted, FieldSource, InvalidInput, SumSource, random_spins
from gnnspin.dynamics.protocols import Anneal, Protocol, Quench, Ramp, Table
from gnnspin.force_fields import Committee, ForceField, ModelFile
from gnnspin.force_fields.force_field import model_weights

SYSTEM = gs.systems.triangular(4, 4)
SINGLE = {"dtype": torch.float32}
RANDOM = np.random.default_rng(0)


def learned(seed: int = 0, **options: object) -> ForceField:
    torch.manual_seed(seed)
    spec = gs.graphs.GraphSpec.for_system(SYSTEM, cutoff=1.5)
    model = gs.models.build("spin_cluster_expansion", spec, layers=1, channels=4, hidden=8)
    return ForceField(model, SYSTEM, **options)


def from_file(tmp_path) -> FieldSource:
    path = gs.save(learned(), tmp_path / "model.safetensors")
    return ModelFile(SYSTEM, path, dtype=torch.float64)


#: Every kind outside the electrons, with arguments that are not the defaults.
SOURCES: dict[str, Callable[..., FieldSource]] = {
    "biquadratic": lambda _: classical.Biquadratic(SYSTEM, B=[0.3, -0.1], **SINGLE),
    "bond_exchange": lambda _: classical.BondExchange(SYSTEM, [[0, 1], [2, 3]], RANDOM.normal(size=(3, 3)), **SINGLE),
    "committee": lambda _: Committee([learned(0), learned(1, dtype=torch.float64)]),
    "cubic_anisotropy": lambda _: classical.CubicAnisotropy(SYSTEM, RANDOM.normal(size=16), **SINGLE),
    "diluted": lambda _: Diluted(Heisenberg(SYSTEM, [1.0, 0.3]), [1, 5, 9]),
    "dzyaloshinskii_moriya": lambda _: classical.DzyaloshinskiiMoriya(
        SYSTEM, [0.3, 0.1], "bulk", normal=(1.0, 1.0, 1.0), **SINGLE
    ),
    "force_field": lambda _: learned(dtype=torch.float64),
    "four_spin": lambda _: classical.FourSpin(SYSTEM, [[0, 1, 2, 3], [4, 5, 6, 7]], [0.3, -0.2], **SINGLE),
    "heisenberg": lambda _: Heisenberg(SYSTEM, [1.0, 0.3, -0.1], **SINGLE),
    "model": from_file,
    "pair_exchange": lambda _: PairExchange(SYSTEM, [0, 0, 1, 2], [1, 2, 0, 0], [0.7, 0.2, 0.7, 0.2], **SINGLE),
    "ring_exchange": lambda _: classical.RingExchange(SYSTEM, 0.3, [[0, 1, 5, 4]], **SINGLE),
    "rkky": lambda _: classical.RKKY(SYSTEM, 0.4, 2.0, 1.7, 1.8, **SINGLE),
    "slonczewski": lambda _: classical.SlonczewskiTorque(
        SYSTEM, RANDOM.normal(size=16), 0.2, (1.0, 2.0, 0.5), asymmetry=1.7, waveform=Harmonic(0.3, 0.1, 0.7, 0.2)
    ),
    "spin_orbit_torque": lambda _: classical.SpinOrbitTorque(
        SYSTEM, 0.3, [0.1] * 16, (1.0, 1.0, 0.2), normal=(0.1, 0.0, 1.0), waveform=Pulse(3.0, 0.5, 0.4), **SINGLE
    ),
    "sum": lambda _: SumSource([Heisenberg(SYSTEM, 0.3, **SINGLE), Zeeman(SYSTEM, (0.1, 0.2, 0.3))]),
    "uniaxial_anisotropy": lambda _: classical.UniaxialAnisotropy(SYSTEM, 0.3, (1.0, 1.0, 1.0)),
    "zeeman": lambda _: Zeeman(
        SYSTEM, RANDOM.normal(size=(16, 3)), amplitude=(0.1, 0.2, 0.3), frequency=0.2, phase=(0.0, 0.5, 1.0), **SINGLE
    ),
    "zhang_li": lambda _: classical.ZhangLi(
        SYSTEM, (0.3, 0.1, 0.0), 0.2, n_shells=2, waveform=Sampled((0.0, 0.5, 2.0), (0.1, 0.5, 0.9)), **SINGLE
    ),
}


def test_every_source_has_an_example() -> None:
    """A class of the library that is registered, but for those of the electrons, is in the list above."""
    kinds = {
        name
        for name in FieldSource.registry.names()
        if FieldSource.registry[name].__module__.startswith("gnnspin.") and not name.startswith("example_")
        if not FieldSource.registry[name].__module__.startswith("gnnspin.electrons")
    }
    assert kinds == SOURCES.keys()


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_built_from_its_description_is_the_same_source(kind: str, tmp_path) -> None:
    source = SOURCES[kind](tmp_path)
    stored = json.loads(json.dumps(source.specification()))
    built = FieldSource.recipe(stored).build(SYSTEM, "cpu", model_weights(source))
    assert json.loads(json.dumps(built.specification())) == stored
    assert (built.dtype, built.has_energy) == (source.dtype if kind != "model" else built.dtype, source.has_energy)
    spins = random_spins(16, replicas=(2,), seed=1)
    assert torch.equal(built.field(spins, 0.7), source.field(spins, 0.7))
    if source.has_energy:
        assert torch.equal(built.energy(spins, 0.7), source.energy(spins, 0.7))
    again = FieldSource.recipe(json.loads(json.dumps(FieldSource.recipe(stored).model_dump(mode="json"))))
    assert again == FieldSource.recipe(stored)


def test_bonds_with_vectors_of_their_own_are_described() -> None:
    source = classical.DzyaloshinskiiMoriya(SYSTEM, RANDOM.normal(size=(2, 3)), bonds=[[0, 1], [1, 2]])
    built = FieldSource.from_specification(source.specification(), SYSTEM)
    assert torch.equal(built.field(random_spins(16, seed=1)), source.field(random_spins(16, seed=1)))


@pytest.mark.parametrize("seed", range(20))
def test_directions_keep_their_bits(seed: int) -> None:
    """A direction of unit length is not scaled again: described and rebuilt any number of times it stays the same."""
    axis = np.random.default_rng(seed).normal(size=(16, 3))
    source = classical.UniaxialAnisotropy(SYSTEM, 0.3, axis)
    again = FieldSource.from_specification(source.specification(), SYSTEM)
    assert np.array_equal(again.axis, source.axis)
    np.testing.assert_allclose(source.axis, axis / np.linalg.norm(axis, axis=1, keepdims=True), rtol=1e-15)


PROTOCOLS = {
    "quench": Quench(0.3, 0.1, 2.0),
    "ramp": Ramp(0.3, 0.1, 2.0, 1.0),
    "anneal": Anneal(0.3, 0.1, 2.0, 1.0),
    "table": Table((0.0, 1.0, 3.0), (0.3, 0.2, 0.1)),
}


def test_every_protocol_is_the_one_that_it_describes() -> None:
    assert set(Protocol.registry.names()) == PROTOCOLS.keys()
    for protocol in PROTOCOLS.values():
        assert Protocol.from_specification(json.loads(json.dumps(protocol.specification()))) == protocol


def test_every_waveform_is_the_one_that_it_describes() -> None:
    found = {
        "harmonic": Harmonic(0.3, 0.1, 0.7, 0.2),
        "pulse": Pulse(3.0, 0.5, 0.4),
        "sampled": Sampled((0, 1), (1, 3)),
    }
    ours = {kind for kind in Waveform.registry.names() if Waveform.registry[kind].__module__.startswith("gnnspin.")}
    assert ours == found.keys()
    for waveform in found.values():
        again = Waveform.from_specification(json.loads(json.dumps(waveform.specification())))
        assert again == waveform
        assert [again(t) for t in (-1.0, 0.7, 9.0)] == [waveform(t) for t in (-1.0, 0.7, 9.0)]


def test_a_function_is_named_but_cannot_be_rebuilt() -> None:
    with pytest.raises(InvalidInput, match="is a function, which no file can hold"):
        FieldSource.recipe(Zeeman(SYSTEM, lambda time: (0.0, 0.0, time)).specification())


def test_a_term_of_the_user_needs_its_site_energies_alone() -> None:
    """``E = -sum z^6`` has the field 6 z^5 along z, in either precision, and describes itself by its name."""

    class Sextic(classical.ClassicalTerm):
        def site_energies(self, spins: torch.Tensor, time: float | None = None) -> torch.Tensor:
            return -(spins[..., 2] ** 6)

    for dtype in (torch.float32, torch.float64):
        term, spins = Sextic(SYSTEM, dtype=dtype), random_spins(16, replicas=(3,), seed=0)
        z = spins[..., 2]
        torch.testing.assert_close(term.energy(spins), -(z**6).sum(-1), atol=1e-6, rtol=0)
        torch.testing.assert_close(term.field(spins)[..., 2], 6 * z**5, atol=1e-5, rtol=0)
    assert term.specification()["class"].endswith("Sextic")
    with pytest.raises(InvalidInput, match="has no kind"):
        FieldSource.recipe(term.specification())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1, 0], [0.3, 0.2]), "no other direction"),
        (([0], [1], [0.3]), "no other direction"),
        (([1, 0], [0, 1], [0.3, 0.3]), "ascend"),
        (([0, 16], [16, 0], [0.3, 0.3]), "outside"),
        (([0, 1], [1, 0], [0.3]), "shapes"),
    ],
)
def test_pairs_that_are_no_exchange(arguments, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        PairExchange(SYSTEM, *arguments)
