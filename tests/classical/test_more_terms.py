"""Classical terms beyond Heisenberg: energies of known states, gradients, symmetries, time dependence."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import gradient_error, ordered

from gnnspin.classical import (
    RKKY,
    Biquadratic,
    BondExchange,
    CubicAnisotropy,
    DzyaloshinskiiMoriya,
    FourSpin,
    Heisenberg,
    RingExchange,
    UniaxialAnisotropy,
    Zeeman,
    parallelograms,
    shell_bond_list,
)
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union

PACKING = amorphous(20, 4.0, 0.5, seed=0)
LATTICE = triangular(4, 3)
BONDS = [[0, 1], [1, 5], [2, 7], [0, 1]]
MATRICES = np.random.default_rng(0).normal(size=(4, 3, 3))

TERMS = {
    "bond matrices": lambda s: BondExchange(s, BONDS, MATRICES),
    "biquadratic": lambda s: Biquadratic(s, B=[1.0, -0.4]),
    "ring": lambda s: RingExchange(s, K=0.7, plaquettes=[[0, 1, 2, 3], [4, 1, 7, 9]]),
    "four spins": lambda s: FourSpin(s, [[0, 1, 2, 3], [0, 1, 0, 4]], K=[0.5, -1.0]),
    "interfacial": lambda s: DzyaloshinskiiMoriya(s, D=[0.5, 0.2], normal=[0.1, 0.2, 1.0]),
    "bulk": lambda s: DzyaloshinskiiMoriya(s, D=0.5, rule="bulk"),
    "vectors": lambda s: DzyaloshinskiiMoriya(s, D=MATRICES[:, 0], bonds=BONDS),
    "easy axis": lambda s: UniaxialAnisotropy(s, K=np.linspace(-1, 1, s.n_sites), axis=[1.0, 1.0, 0.0]),
    "cubic": lambda s: CubicAnisotropy(s, K=0.8),
    "RKKY": lambda s: RKKY(s, J=1.3, fermi_energy=2.0, k_F=1.1, cutoff=1.8),
    "Zeeman": lambda s: Zeeman(s, [0.1, 0.2, 0.3], amplitude=[1.0, 0.5, 0.0], frequency=0.0),
}
ISOTROPIC = ("biquadratic", "ring", "four spins", "RKKY")


class AtTime:
    """A source frozen at one time, for helpers that know no time."""

    def __init__(self, source, time):
        self.source, self.time = source, time

    def energy(self, spins):
        return self.source.energy(spins, time=self.time)

    def field(self, spins):
        return self.source.field(spins, time=self.time)


@pytest.mark.parametrize("system", [PACKING, LATTICE], ids=["amorphous", "triangular"])
@pytest.mark.parametrize("name", TERMS)
def test_field_is_the_gradient_and_the_specification_is_json(name, system):
    source = TERMS[name](system)
    spins = random_spins(system.n_sites, seed=1)
    assert source.field(spins, time=0.4).abs().max() > 1e-3
    assert gradient_error(AtTime(source, 0.4), spins) < 1e-9
    assert json.loads(json.dumps(source.specification())) == source.specification()


@pytest.mark.parametrize("name", TERMS)
def test_batch_equals_single_and_terms_add(name):
    source, other = TERMS[name](PACKING), Heisenberg(PACKING)
    spins = random_spins(20, replicas=(2, 2), seed=1)
    field = source.field(spins, time=0.4)
    torch.testing.assert_close(field[1, 0], source.field(spins[1, 0], time=0.4), atol=1e-14, rtol=0)
    torch.testing.assert_close((source + other).field(spins, time=0.4), field + other.field(spins))
    total = source.energy(spins, time=0.4) + other.energy(spins)
    torch.testing.assert_close((other + source).energy(spins, time=0.4), total)


@pytest.mark.parametrize("name", TERMS)
def test_spin_rotation(name):
    """Isotropic terms are invariant under rotation of all spins and exert no total torque; the others are not."""
    source, spins, rotation = TERMS[name](LATTICE), random_spins(12, seed=0), random_rotation(1)
    change = abs(float(source.energy(spins @ rotation.T, time=0.0) - source.energy(spins, time=0.0)))
    torque = torch.linalg.cross(spins, source.field(spins, time=0.0)).sum(0).norm()
    assert (change < 1e-12) is (name in ISOTROPIC)
    assert (float(torque) < 1e-12) is (name in ISOTROPIC)


def test_bond_list_equals_shells_and_counts_images_once():
    for system in (chain(2), chain(1), triangular(1, 4), honeycomb(3, 3), PACKING, union([chain(5), square(3, 4)])):
        bonds = shell_bond_list(system, 2)
        spins = random_spins(system.n_sites, seed=0)
        listed = BondExchange(system, bonds.pairs, np.array([1.0, -0.3])[bonds.shell])
        reference = Heisenberg(system, J=[1.0, -0.3])
        torch.testing.assert_close(listed.energy(spins), reference.energy(spins))
        torch.testing.assert_close(listed.field(spins), reference.field(spins))


def test_biquadratic_of_known_states():
    """-B cos^2 per bond: square Neel -2 B per site, triangular 120 degrees -3/4 B."""
    assert float(Biquadratic(square(4, 4), B=0.5).energy(ordered(square(4, 4), "neel"))) == pytest.approx(-16)
    lattice = triangular(6, 6)
    assert float(Biquadratic(lattice, B=0.5).energy(ordered(lattice, "120"))) / 36 == pytest.approx(-0.5 * 0.75)


@pytest.mark.parametrize(
    ("system", "per_site"),
    [(square(4, 5), 1), (triangular(4, 5), 3), (simple_cubic(3, 4, 5), 3), (honeycomb(3, 3), 0), (square(2, 3), 1)],
)
def test_plaquettes(system, per_site):
    found = parallelograms(system)
    assert len(found) == per_site * system.n_sites
    if len(found):
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(system.n_sites, 3)
        assert float(RingExchange(system, K=0.3).energy(up)) == pytest.approx(0.3 * len(found))


def test_plaquettes_of_an_open_square_are_its_faces():
    found = parallelograms(square(3, 4, pbc=False))
    assert sorted(sorted(p) for p in found.tolist()) == sorted(
        sorted([4 * a + b, 4 * a + b + 1, 4 * a + b + 4, 4 * a + b + 5]) for a in range(2) for b in range(3)
    )


def test_ring_exchange_of_known_states():
    """Per plaquette: Neel +1, orthogonal four-sublattice -K(S1.S3)(S2.S4): crossing pairs antiparallel gives -1."""
    lattice = square(4, 4)
    assert float(RingExchange(lattice).energy(ordered(lattice, "neel"))) == pytest.approx(16)
    vortex = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    four = SpinSystem([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert float(RingExchange(four).energy(vortex)) == pytest.approx(-1)
    assert float(RingExchange(triangular(4, 4)).energy(ordered(triangular(4, 4), "tetrahedral"))) == pytest.approx(
        48 * (2 / 9 - 1 / 9)
    )


@pytest.mark.parametrize(("rule", "axis"), [("interfacial", 1), ("bulk", 0)])
def test_dzyaloshinskii_moriya_spiral(rule, axis):
    """Along x, D is D z x x = D y or D x; a spiral turning by q about that axis has E = D sin q per bond."""
    length = 12
    angle = 2 * math.pi / length * torch.arange(length, dtype=torch.float64)
    spiral = torch.zeros(length, 3, dtype=torch.float64)
    spiral[:, (axis + 1) % 3], spiral[:, (axis + 2) % 3] = angle.cos(), angle.sin()
    term = DzyaloshinskiiMoriya(chain(length), D=0.7, rule=rule)
    assert float(term.energy(spiral)) == pytest.approx(length * 0.7 * math.sin(2 * math.pi / length))
    # with exchange the best turn is -arctan(D / J): no torque there, and a lower energy than any other
    total = term + Heisenberg(chain(length), J=0.7 / math.tan(2 * math.pi / length))
    mirrored = spiral.clone()
    mirrored[:, (axis + 2) % 3] *= -1
    assert float(total.torque(mirrored).abs().max()) < 1e-12
    assert float(total.energy(mirrored)) < float(total.energy(spiral)) - 1


def test_bond_vector_form_of_dzyaloshinskii_moriya_equals_matrix_form():
    """D.(S_i x S_j) = -S_i^T J S_j with J the matrix of -D x."""
    vectors = MATRICES[:, 1]
    epsilon = np.zeros((3, 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[a, b, c], epsilon[a, c, b] = 1, -1
    spins = random_spins(12, seed=0)
    matrix = BondExchange(LATTICE, BONDS, -np.einsum("abc,na->nbc", epsilon, vectors))
    vector = DzyaloshinskiiMoriya(LATTICE, vectors, bonds=BONDS)
    torch.testing.assert_close(matrix.field(spins), vector.field(spins))


def test_interfacial_rule_follows_the_polar_axis():
    system = SpinSystem([[0, 0, 0], [1, 0, 0]], polar_axis=[0, 3.0, 0])
    term = DzyaloshinskiiMoriya(system, D=2.0)
    assert term.vectors.tolist() == [[0.0, 0.0, -2.0]]  # y x x = -z


def test_anisotropies_of_single_spins():
    single = SpinSystem([[0, 0, 0]])
    diagonal = torch.tensor([[1.0, 1, 1]], dtype=torch.float64) / math.sqrt(3)
    axis = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    assert float(UniaxialAnisotropy(single, K=2.0, axis=[0, 0, 5.0]).energy(diagonal)) == pytest.approx(-2 / 3)
    assert float(CubicAnisotropy(single, K=2.0).energy(diagonal)) == pytest.approx(2 / 3)
    assert float(CubicAnisotropy(single, K=2.0).energy(axis)) == 0.0
    assert float(UniaxialAnisotropy(single, K=-1.0).energy(axis)) == 1.0


def test_rkky_pair_and_cutoff():
    """Two spins at r: E = J_RKKY(2 k_F r) S_1.S_2, antiparallel favoured where J_RKKY > 0."""
    for distance in (0.5, 1.0, 2.3):
        pair = SpinSystem([[0, 0, 0], [distance, 0, 0]])
        x = 2 * 1.1 * distance
        exact = 9 * math.pi * 1.3**2 / 2.0 * (x * math.cos(x) - math.sin(x)) / x**4
        up = torch.tensor([[0.0, 0, 1], [0, 0, 1]], dtype=torch.float64)
        assert float(RKKY(pair, 1.3, 2.0, 1.1, cutoff=3.0).energy(up)) == pytest.approx(exact, rel=1e-12)
        assert float(RKKY(pair, 1.3, 2.0, 1.1, cutoff=0.4).energy(up)) == 0.0


def test_rkky_sum_converges_with_the_cutoff():
    """The 1/r^3 tail oscillates: doubling the cutoff changes the field less and less."""
    spins, system = random_spins(16, seed=0), square(4, 4)
    fields = [RKKY(system, 1.0, 1.0, 1.0, cutoff=c).field(spins) for c in (4.0, 8.0, 16.0, 32.0)]
    changes = [float((b - a).abs().max()) for a, b in pairwise(fields)]
    assert changes[0] > changes[1] > changes[2]


def test_zeeman_in_time():
    system, spins = chain(3), random_spins(3, seed=0)
    rotating = Zeeman(system, [0, 0, 1.0], amplitude=[0.5, 0.5, 0], frequency=0.25, phase=[0, -math.pi / 2, 0])
    assert rotating.field(spins, time=0.0)[0].tolist() == pytest.approx([0.5, 0, 1])
    assert rotating.field(spins, time=1.0)[1].tolist() == pytest.approx([0, 0.5, 1], abs=1e-12)
    function = Zeeman(system, lambda t: [0.0, t, 0.0])
    assert function.field(spins, time=0.3)[2].tolist() == [0.0, 0.3, 0.0]
    assert float(function.energy(spins, time=2.0)) == pytest.approx(-2 * float(spins[:, 1].sum()))
    for source in (rotating, function, rotating + Heisenberg(system)):
        with pytest.raises(InvalidInput, match="time"):
            source.field(spins)
    assert "lambda" in function.specification()["B"]["function"]


def test_a_field_that_differs_from_site_to_site():
    """A row of spins in fields of its own: each energy and field is that of its site alone, in time as well."""
    system, spins = chain(4), random_spins(4, replicas=(2,), seed=0)
    fields = np.arange(12.0).reshape(4, 3)
    source = Zeeman(system, fields, amplitude=fields, frequency=0.5)
    for time, factor in ((0.0, 2.0), (1.0, 0.0)):
        expected = factor * torch.from_numpy(fields)
        torch.testing.assert_close(source.field(spins, time), expected.expand(2, 4, 3), atol=1e-12, rtol=0)
        torch.testing.assert_close(source.energy(spins, time), -(spins * expected).sum((-1, -2)))
    assert torch.equal(Zeeman(system, lambda _: fields).field(spins, 0.0)[0], torch.from_numpy(fields))
    with pytest.raises(InvalidInput, match=r"one vector per site"):
        Zeeman(system, fields[:3, :2])


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: BondExchange(LATTICE, [[0, 12]]), "outside"),
        (lambda: BondExchange(LATTICE, [[0, 1, 2]]), "shape"),
        (lambda: BondExchange(LATTICE, BONDS, np.ones(3)), "J has shape"),
        (lambda: BondExchange(union([chain(3), chain(3)]), [[0, 4]]), "different parts"),
        (lambda: Biquadratic(LATTICE, B=[]), "B="),
        (lambda: FourSpin(LATTICE, [[0, 1, 2]]), "quadruples"),
        (lambda: RingExchange(LATTICE, K=[1.0, 2.0]), "K has shape"),
        (lambda: DzyaloshinskiiMoriya(LATTICE, 1.0, rule="surface"), "rule"),
        (lambda: DzyaloshinskiiMoriya(LATTICE, 1.0, normal=[0, 0, 0]), "normal"),
        (lambda: DzyaloshinskiiMoriya(LATTICE, [1.0], bonds=BONDS), "D has shape"),
        (lambda: UniaxialAnisotropy(LATTICE, 1.0, axis=[0, 0, 0]), "axis"),
        (lambda: UniaxialAnisotropy(LATTICE, math.nan), "K"),
        (lambda: CubicAnisotropy(LATTICE, [1.0]), "K has shape"),
        (lambda: RKKY(LATTICE, 1.0, -1.0, 1.0, 2.0), "fermi_energy"),
        (lambda: RKKY(LATTICE, 1.0, 1.0, 1.0, math.inf), "cutoff"),
        (lambda: Zeeman(LATTICE, amplitude=[1.0]), "amplitude"),
        (lambda: Zeeman(LATTICE, frequency=math.nan), "frequency"),
    ],
)
def test_errors(build, match):
    with pytest.raises(InvalidInput, match=match):
        build()
