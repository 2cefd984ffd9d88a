"""The group-irrep descriptor: decompositions, symmetries, what phases and bispectrum tell apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import random_rotation, random_spins
from gnnspin.descriptors.irreps import GroupIrreps, GroupIrrepsConfig
from gnnspin.descriptors.irreps.orbits import sides
from gnnspin.systems import SpinSystem
from gnnspin.testing.permutations import site_symmetries, translations

EXACT = 1e-10


def manganese_silicide(length: int) -> SpinSystem:
    """The manganese sites of MnSi: four per cubic cell, all equivalent, site group 3 (no mirror, a complex irrep)."""
    u = 0.137
    basis = [[u, u, u], [u + 0.5, 0.5 - u, 1 - u], [1 - u, u + 0.5, 0.5 - u], [0.5 - u, 1 - u, u + 0.5]]
    return gs.systems.bravais((length,) * 3, np.eye(3), basis=basis)


SYSTEMS = {
    "square": (gs.systems.square(7, 7), (1.1, 1.5, 2.1)),
    "triangular": (gs.systems.triangular(7, 7), (1.1, 1.8, 2.1)),
    "simple_cubic": (gs.systems.simple_cubic(4, 4, 4), (1.1, 1.5, 1.8)),
    "honeycomb": (gs.systems.honeycomb(5, 5), (1.1, 1.8, 2.1)),
    "kagome": (gs.systems.kagome(4, 4), (1.1, 1.8, 2.1)),
    "pyrochlore": (gs.systems.pyrochlore(3, 3, 3), (1.1, 1.8, 2.1)),
    "chain": (gs.systems.chain(12), (1.1, 2.1, 3.1)),
    "manganese_silicide": (manganese_silicide(3), (0.7, 0.95, 1.05)),
}
PLANAR = ("square", "triangular", "honeycomb", "kagome")


def build(system: SpinSystem, cutoff: float, **values: object) -> GroupIrreps:
    spec = gs.graphs.GraphSpec.for_system(system, cutoff)
    return GroupIrrepsConfig.for_system(system, **values).build(spec).double()


def features(module: GroupIrreps, spins: Tensor, system: SpinSystem) -> Tensor:
    """Features (N, F) of one configuration (N, 3)."""
    return module(module.prepare(system), spins[None])[0]


def close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) < EXACT * float(b.abs().max())


@pytest.fixture(params=[name for name in SYSTEMS if name != "simple_cubic"])
def small(request: pytest.FixtureRequest) -> tuple[SpinSystem, GroupIrreps]:
    system, cutoffs = SYSTEMS[request.param]
    return system, build(system, cutoffs[1], phase_references=2, bispectrum_references=2)


class TestDecomposition:
    """Irreps of orbits."""

    @pytest.mark.parametrize(
        ("cutoff", "lengths", "labels", "angle"),
        [(1.1, (1, 1, 2**0.5), {"A2", "B1", "E"}, 45), (1.5, (2**0.5, 2**0.5, 2), {"A2", "B2", "E"}, 0)],
        ids=["quadrant triangles", "axis triangles"],
    )
    def test_the_papers_example(
        self, cutoff: float, lengths: tuple[float, ...], labels: set[str], angle: float
    ) -> None:
        """Four chiralities A, B, C, D around a square site: the vectors the review prints, with the signed action."""
        module = build(SYSTEMS["square"][0], cutoff)
        points = module.neighborhood.vertices
        ((family, orbit),) = [
            (k, orbit)
            for k, family in enumerate(module.families)
            for orbit in family.vertices
            if family.kind == "chirality" and np.allclose(sides(module.neighborhood, orbit[0]), lengths)
        ]
        parts = module.decompositions[family]
        corners = points[orbit]
        centre = corners.mean(1)
        turn = np.degrees(np.arctan2(centre[:, 1], centre[:, 0])) - angle
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
        order = np.argsort(np.round(turn / 90) % 4)
        found = {irrep.label for irrep, m in zip(module.irreps, parts.multiplicity, strict=True) if m}
        assert found == labels
        printed = {
            "A2": [[1, 1, 1, 1]],
            "B1": [[1, -1, 1, -1]],
            "B2": [[1, -1, 1, -1]],
            "E": [[1, 0, -1, 0], [0, 1, 0, -1]],
        }
        start = 0
        for irrep, copies in zip(module.irreps, parts.multiplicity, strict=True):
            columns = parts.basis[:, start : start + copies * irrep.dimension]
            start += copies * irrep.dimension
            if copies:
                expected = np.array(printed[irrep.label], dtype=float)
                expected /= np.linalg.norm(expected, axis=1, keepdims=True)
                inside = expected @ (columns * np.sign(area)[:, None])[order]
                assert np.allclose(inside @ inside.T, np.eye(irrep.dimension), atol=1e-12)

    @pytest.mark.parametrize("name", list(SYSTEMS))
    def test_multiplicities_follow_the_character_formula(self, name: str) -> None:
        """Characters from class sums, traces from a dictionary of members: nothing of the package but the rotations."""
        system, cutoffs = SYSTEMS[name]
        for cutoff in cutoffs:
            triples = "centre" if name in ("simple_cubic", "pyrochlore") and cutoff > 1.5 else "all"
            module = build(system, cutoff, triples=triples, phases="none", bispectrum="none")
            rotations = module.neighborhood.group.rotations
            characters = real_characters(rotations)
            for kind, size in (("bond", 2), ("chirality", 3)):
                trace = signed_traces(
                    module.neighborhood.vertices, rotations, size, centre=size == 3 and triples != "all"
                )
                expected = {
                    tuple(np.round(chi, 6) + 0.0): round(float(trace @ chi / (chi @ chi))) for chi in characters
                }
                counted = np.zeros(len(module.irreps), dtype=int)
                for family, parts in zip(module.families, module.decompositions, strict=True):
                    if family.kind == kind:
                        counted += family.n_orbits * parts.multiplicity
                found = {
                    tuple(np.round(irrep.character, 6) + 0.0): int(m)
                    for irrep, m in zip(module.irreps, counted, strict=True)
                }
                assert found == expected
                assert sum(m * irrep.dimension for irrep, m in zip(module.irreps, counted, strict=True)) == trace[0]

    def test_coefficients_transform_like_their_irrep(self) -> None:
        """Coefficients of the rotated configuration is D(g) f, for every family, irrep and copy."""
        system, cutoffs = SYSTEMS["triangular"]
        module = build(system, cutoffs[1])
        data, spins = module.prepare(system), random_spins(system.n_sites, seed=2)
        group, table = module.neighborhood.group, data.sites
        before = [f[:, :, 0] for f in module.coefficients(data, spins[None])]
        for g in range(group.order):
            moved = spins.clone()
            moved[table[0, torch.from_numpy(module.neighborhood.permutations[g])]] = spins[table[0]]
            after = [f[:, :, 0] for f in module.coefficients(data, moved[None])]
            for old, new, parts in zip(before, after, module.decompositions, strict=True):
                blocks = [
                    torch.from_numpy(irrep.matrices[g])
                    for irrep, m in zip(module.irreps, parts.multiplicity, strict=True)
                    for _ in range(m)
                ]
                assert close(new, old @ torch.block_diag(*blocks).T)

    def test_labels(self) -> None:
        expected = {
            "square": {"A1", "A2", "B1", "B2", "E"},
            "triangular": {"A1", "A2", "B1", "B2", "E1", "E2"},
            "simple_cubic": {f"{a}{p}" for a in ("A1", "A2", "E", "T1", "T2") for p in "gu"},
            "honeycomb": {"A1", "A2", "E"},
            "kagome": {"A1", "A2", "B1", "B2"},
            "pyrochlore": {f"{a}{p}" for a in ("A1", "A2", "E") for p in "gu"},
            "chain": {"A'", "A''"},
            "manganese_silicide": {"A", "E"},
        }
        for name, (system, cutoffs) in SYSTEMS.items():
            module = build(system, cutoffs[0], triples="none", phases="none", bispectrum="none")
            assert {irrep.label for irrep in module.irreps} == expected[name]


class TestInvariance:
    """Features of all kinds, references included."""

    def test_spin_rotation_and_time_reversal(self, small: tuple[SpinSystem, GroupIrreps]) -> None:
        system, module = small
        spins = random_spins(system.n_sites, seed=1)
        own = features(module, spins, system)
        assert close(features(module, spins @ random_rotation(3).T, system), own)
        assert close(features(module, -spins, system), own)

    def test_translation(self, small: tuple[SpinSystem, GroupIrreps]) -> None:
        system, module = small
        spins = random_spins(system.n_sites, seed=1)
        own = features(module, spins, system)
        for image in translations(system):
            moved = torch.empty_like(spins).index_copy(0, image, spins)
            assert close(features(module, moved, system)[image], own)

    @pytest.mark.parametrize(
        ("name", "bispectrum"),
        [
            *itertools.product(PLANAR, ("references", "orbits")),
            ("pyrochlore", "references"),
            ("simple_cubic", "orbits"),
        ],
    )
    def test_point_group(self, name: str, bispectrum: str) -> None:
        """Every element of the point group of every basis site, found without spglib."""
        system, cutoffs = SYSTEMS[name]
        module = build(
            system,
            cutoffs[name in PLANAR and bispectrum == "references"],
            bispectrum=bispectrum,
            bispectrum_references=2,
        )
        spins = random_spins(system.n_sites, seed=1)
        geometry = module.prepare(system)
        own = module(geometry, spins[None])
        for site in range(system.n_basis):
            for images in torch.stack(site_symmetries(system, site, planar=name in PLANAR)).split(16):
                found = module(geometry, spins[images.argsort(dim=-1)])
                assert close(found.take_along_dim(images[..., None], dim=1), own.expand_as(found))

    def test_equivalent_sites_of_a_chiral_crystal(self) -> None:
        """Screw axes of MnSi carry features from one site of the cell to the others."""
        system, module = SYSTEMS["manganese_silicide"][0], build(SYSTEMS["manganese_silicide"][0], 0.95)
        spins = random_spins(system.n_sites, seed=1)
        own = features(module, spins, system)
        screw, shift = np.diag([1.0, -1.0, -1.0]), np.array([0.5, 0.5, 0.0])
        images = system.positions @ screw.T + shift
        fractional = (images[:, None] - system.positions) @ np.linalg.inv(system.cell)
        distance = np.linalg.norm((fractional - np.round(fractional)) @ system.cell, axis=-1)
        assert distance.min(1).max() < 1e-9
        image = torch.from_numpy(distance.argmin(1))
        moved = torch.empty_like(spins).index_copy(0, image, spins)
        assert close(features(module, moved, system)[image], own)

    def test_relabelled_sites(self) -> None:
        """A lattice given as a bare list of sites in any order has the same features."""
        system = SYSTEMS["triangular"][0]
        module, spins = build(system, 1.8), random_spins(49, seed=1)
        order = np.random.default_rng(0).permutation(49)
        shuffled = SpinSystem(system.positions[order], system.cell, system.pbc)
        assert close(features(module, spins[order], shuffled), features(module, spins, system)[order])

    def test_without_time_reversal_odd_features_appear(self) -> None:
        system = SYSTEMS["square"][0]
        module = build(system, 1.5, time_reversal=False)
        spins = random_spins(system.n_sites, seed=1)
        own, reversed_ = features(module, spins, system), features(module, -spins, system)
        odd = (own + reversed_).abs().amax(0) < EXACT
        even = (own - reversed_).abs().amax(0) < EXACT
        assert bool(odd.any())
        assert bool((odd | even).all())
        assert close(features(module, spins @ random_rotation(3).T, system), own)


class TestContent:
    """Nothing vanishes, nothing is missing."""

    @pytest.mark.parametrize("bispectrum", ["references", "orbits"])
    @pytest.mark.parametrize("name", list(SYSTEMS))
    def test_every_feature_varies(self, name: str, bispectrum: str) -> None:
        system, cutoffs = SYSTEMS[name]
        cutoff = cutoffs[name not in ("simple_cubic", "pyrochlore")]
        module = build(system, cutoff, bispectrum=bispectrum, bispectrum_references=3, phase_references=3)
        spins = random_spins(system.n_sites, replicas=(4,), seed=1)
        values = module(module.prepare(system), spins).flatten(0, 1)
        assert float(values.std(0).min()) > 1e-4
        assert values.shape[1] == module.n_features

    def test_every_chirality_is_seen(self) -> None:
        """Chiral amplitudes are those of the chiralities: their sum over irreps is the sum of squares (Parseval)."""
        system, cutoffs = SYSTEMS["triangular"]
        module = build(system, cutoffs[1], triples="all")
        data, spins = module.prepare(system), random_spins(system.n_sites, seed=3)
        near = spins[data.sites[0]]
        triples = torch.tensor(list(itertools.combinations(range(len(near)), 3))).T
        expected = (near[triples[0]] * torch.linalg.cross(near[triples[1]], near[triples[2]])).sum(-1).square().sum()
        coefficients = module.coefficients(data, spins[None])
        total = sum(
            f[:, :, 0].square().sum() for f, o in zip(coefficients, module.families, strict=True) if o.kind != "bond"
        )
        assert float(total) == pytest.approx(float(expected), rel=1e-12)

    def test_every_spin_within_the_cutoff_matters(self, small: tuple[SpinSystem, GroupIrreps]) -> None:
        system, module = small
        spins = random_spins(system.n_sites, seed=1).requires_grad_()
        data = module.prepare(system)
        weights = random_spins(module.n_features, seed=4)[:, 0]
        (gradient,) = torch.autograd.grad((module(data, spins[None])[0, 0] * weights).sum(), spins)
        near = torch.zeros(system.n_sites, dtype=torch.bool)
        near[data.sites[0]] = True
        assert torch.equal(gradient.norm(dim=-1) > 1e-9, near)

    def test_relative_phases(self) -> None:
        """Rotating one shell against another keeps every amplitude; phases and bispectrum see it."""
        system = SYSTEMS["square"][0]
        plain = {"pairs": "centre", "triples": "none"}
        modules = {
            "amplitudes": build(system, 1.5, **plain, phases="none", bispectrum="none"),
            "smooth": build(system, 1.5, **plain, phases="smooth", bispectrum="none"),
            "paper": build(system, 1.5, **plain, phases="paper", bispectrum="none", identity="squared"),
            "bispectrum": build(system, 1.5, **plain, phases="none", bispectrum="references"),
        }
        table = modules["smooth"].prepare(system).sites[0]
        first = random_spins(system.n_sites, seed=5)
        second = first.clone()
        points = modules["smooth"].neighborhood.vertices
        shell = np.flatnonzero(np.isclose(np.linalg.norm(points, axis=1), 1))
        turned = points[shell] @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
        source = [int(np.linalg.norm(points - point, axis=1).argmin()) for point in turned]
        second[table[shell]] = first[table[source]]
        change = {
            name: float((features(m, second, system) - features(m, first, system))[0].abs().max())
            for name, m in modules.items()
        }
        assert change["amplitudes"] < 1e-12
        assert min(change["smooth"], change["paper"], change["bispectrum"]) > 1e-3

    def test_open_edges_are_missing_spins(self) -> None:
        """Where an open lattice has no site the variables are zero; inside it nothing changes."""
        closed, open_ = SYSTEMS["square"][0], gs.systems.square(7, 7, pbc=False)
        module = build(closed, 1.5)
        assert build(open_, 1.5).config == module.config
        spins = random_spins(49, seed=1)
        a, b = features(module, spins, closed), features(module, spins, open_)
        assert close(b[24], a[24])
        assert bool(torch.isfinite(b).all())
        assert not close(b[0], a[0])

    def test_union(self) -> None:
        parts = [SYSTEMS["square"][0], gs.systems.square(5, 6)]
        module = build(parts[0], 1.5)
        spins = random_spins(79, seed=1)
        joint = features(module, spins, gs.systems.union(parts))
        assert close(joint, torch.cat([features(module, spins[:49], parts[0]), features(module, spins[49:], parts[1])]))


def signed_traces(vertices: np.ndarray, rotations: np.ndarray, size: int, *, centre: bool) -> np.ndarray:
    """Trace of every operation on bonds or triples, sign included: members mapped on themselves, one by one."""
    keys = {tuple(np.round(v, 4) + 0.0): k for k, v in enumerate(vertices)}
    traces = []
    for rotation in rotations:
        image = [keys[tuple(np.round(v @ rotation.T, 4) + 0.0)] for v in vertices]
        total = 0
        for member in itertools.combinations(range(len(vertices)), size):
            if centre and member[0] != 0:
                continue
            moved = [image[k] for k in member]
            if set(moved) == set(member):
                permutation = np.eye(size)[[member.index(k) for k in moved]]
                total += round(np.linalg.det(permutation)) if size == 3 else 1
        traces.append(total)
    return np.array(traces, dtype=float)


def real_characters(rotations: np.ndarray) -> list[np.ndarray]:
    """Characters (G,) of the irreps over the reals by Burnside's method: common eigenvectors of the class sums."""
    order = len(rotations)
    products = np.einsum("gij,hjk->ghik", rotations, rotations).reshape(order, order, 1, 9)
    product = np.abs(products - rotations.reshape(order, 9)).max(-1).argmin(-1)
    inverse = (product == 0).argmax(1)
    conjugate = np.array([[product[product[h, g], inverse[h]] for h in range(order)] for g in range(order)])
    representative = conjugate.min(1)
    classes = np.unique(representative)
    member = representative[:, None] == classes
    sizes = member.sum(0)
    structure = np.zeros((len(classes),) * 3)
    for i, j in itertools.product(range(len(classes)), repeat=2):
        hit = product[np.ix_(member[:, i], member[:, j])].reshape(-1)
        structure[i, j] = [np.count_nonzero(hit == k) for k in classes]
    mixture = np.einsum("i,ijk->jk", np.random.default_rng(0).normal(size=len(classes)), structure)
    _, vectors = np.linalg.eig(mixture)
    found: list[np.ndarray] = []
    for vector in vectors.T:
        weights = vector / vector[0] / sizes  # eigenvalue of the class sum is size * character / dimension
        dimension = np.sqrt(order / (sizes * np.abs(weights) ** 2).sum())
        character = (dimension * weights)[np.searchsorted(classes, representative)]
        real = character.real if np.abs(character.imag).max() < 1e-6 else 2 * character.real
        if not any(np.allclose(real, other, atol=1e-6) for other in found):
            found.append(real)
    return found
