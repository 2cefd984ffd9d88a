"""The group-irrep descriptor in use: gradients, chunks, precision, configuration, feature counts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from descriptors.test_irreps import SYSTEMS, build, close, features
from torch import Tensor

import gnnspin as gs
from gnnspin.core import normalize, random_spins
from gnnspin.core.errors import InvalidInput
from gnnspin.descriptors.irreps import (
    PAPER_TRIANGULAR,
    GroupIrreps,
    GroupIrrepsConfig,
    descriptor,
    nearest_feature_counts,
)
from gnnspin.descriptors.irreps.orbits import sides
from gnnspin.systems import SpinSystem


class TestGradients:
    """Derivatives, chunks, and where the paper's phase jumps."""

    @pytest.mark.parametrize("phases", ["smooth", "paper"])
    def test_gradient_and_curvature(self, phases: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Against finite differences; in chunks of sites as well, second derivatives included (torque losses)."""
        system = gs.systems.honeycomb(2, 2)
        module = build(system, 1.1, phases=phases, identity="squared" if phases == "paper" else "linear")
        data, spins = module.prepare(system), random_spins(system.n_sites, replicas=(1,), seed=1).requires_grad_()
        weights = random_spins(module.n_features, seed=2)[:, 1]
        for sites in (8, 5):
            monkeypatch.setattr(descriptor, "CHUNK_NUMBERS", sites * module._numbers_per_site)
            function = lambda s: (module(data, s) @ weights).sin().sum()  # noqa: E731
            assert torch.autograd.gradcheck(function, spins, fast_mode=True)
            assert torch.autograd.gradgradcheck(function, spins, fast_mode=True)

    def test_chunks_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        system, _ = SYSTEMS["kagome"]
        module = build(system, 1.8)
        data, spins = module.prepare(system), random_spins(system.n_sites, replicas=(3,), seed=1)

        def both() -> tuple[Tensor, Tensor]:
            leaf = spins.clone().requires_grad_()
            values = module(data, leaf)
            (gradient,) = torch.autograd.grad(values.square().sum(), leaf)
            return values.detach(), gradient

        whole = both()
        monkeypatch.setattr(descriptor, "CHUNK_NUMBERS", 10 * 3 * module._numbers_per_site)
        pieces = both()
        assert close(pieces[0], whole[0])
        assert close(pieces[1], whole[1])

    @pytest.mark.parametrize("phases", ["smooth", "paper"])
    def test_the_papers_phase_jumps_and_the_smooth_one_does_not(self, phases: str) -> None:
        """Across a zero of a one-dimensional coefficient f: the cosine is a sign and jumps by 2."""
        system = SYSTEMS["square"][0]
        module = build(system, 2.1, phases=phases, identity="squared", triples="none", bispectrum="none")
        data = module.prepare(system)
        start = next(k for k, f in enumerate(module.families) if f.size == 4)
        column = int(module.decompositions[start].multiplicity[0])
        many = random_spins(system.n_sites, replicas=(32,), seed=9)
        values = module.coefficients(data, many)[start][0, column].reshape(32, -1)[:, 0]
        ends = many[[int(values.argmin()), int(values.argmax())]]

        def at(t: float) -> Tensor:
            return normalize((1 - t) * ends[0] + t * ends[1])[None]

        coefficient = lambda t: float(module.coefficients(data, at(t))[start][0, column, 0])  # noqa: E731
        low, high = 0.0, 1.0
        assert coefficient(low) * coefficient(high) < 0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if coefficient(low) * coefficient(middle) > 0 else (low, middle)

        def jump(step: float) -> float:
            return float((module(data, at(low + step)) - module(data, at(low - step)))[0, 0].abs().max())

        if phases == "paper":
            assert jump(1e-6) == pytest.approx(2, abs=1e-3)
        else:
            assert jump(1e-6) == pytest.approx(0.1 * jump(1e-5), rel=1e-3)
            slopes = [derivative(module, data, at, low + step) for step in (-1e-6, 1e-6)]
            assert float((slopes[1] - slopes[0]).abs().max()) < 1e-4 * float(slopes[0].abs().max())

    def test_aligned_spins_have_finite_gradients(self) -> None:
        """Coefficients of a ferromagnet vanish: the cosine of nothing is 0, with gradient 0."""
        system = SYSTEMS["square"][0]
        for phases in ("smooth", "paper"):
            module = build(system, 1.5, phases=phases)
            spins = torch.zeros(1, 49, 3, dtype=torch.float64).index_fill(2, torch.tensor(2), 1.0).requires_grad_()
            values = module(module.prepare(system), spins)
            (gradient,) = torch.autograd.grad(values.sum(), spins)
            assert bool(torch.isfinite(gradient).all())

    @pytest.mark.slow
    def test_memory_of_large_systems(self) -> None:
        """100,000 sites, features and gradient, within 8 GB: the intermediates alone would not fit."""
        program = """
import resource, torch, gnnspin as gs
from gnnspin.descriptors import GroupIrrepsConfig
system = gs.systems.triangular(316, 317)
spec = gs.graphs.GraphSpec.for_system(gs.systems.triangular(9, 9), 3.01)
module = GroupIrrepsConfig.for_system(system).build(spec)
spins = gs.core.random_spins(system.n_sites, replicas=(1,), seed=0, dtype=torch.float32).requires_grad_()
values = module(module.prepare(system), spins)
torch.autograd.grad(values, spins, torch.ones(()).expand_as(values))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, module._numbers_per_site * system.n_sites * 4)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        kilobytes, intermediates = map(int, done.stdout.split())
        assert kilobytes * 1024 < 8e9 < intermediates

    def test_single_precision(self) -> None:
        """Constants keep their digits when a module goes to float32 and back."""
        system = SYSTEMS["triangular"][0]
        module, spins = build(system, 1.8), random_spins(49, seed=1)
        exact = features(module, spins, system)
        single = features(module.float(), spins.float(), system)
        assert single.dtype == torch.float32
        assert float((single.double() - exact).abs().max()) < 1e-5 * float(exact.abs().max())
        assert close(features(module.double(), spins, system), exact)


class TestConfiguration:
    """Rebuilding, limits and errors."""

    def test_rebuilt_from_plain_numbers(self) -> None:
        system = SYSTEMS["kagome"][0]
        module, spins = build(system, 1.8), random_spins(system.n_sites, seed=1)
        config = GroupIrrepsConfig.model_validate_json(module.config.model_dump_json())
        again = config.build(module.spec).double()
        assert again.n_features == module.n_features
        state = {name: value.clone() for name, value in module.state_dict().items()}
        assert all(isinstance(value, Tensor) for value in state.values())
        again.load_state_dict(state)
        assert torch.equal(features(again, spins, system), features(module, spins, system))

    def test_saved_bases_win(self) -> None:
        """A saved descriptor keeps its own symmetry-adapted basis, whatever a later irrep library chooses."""
        system = SYSTEMS["square"][0]
        module, spins = build(system, 1.5, phase_references=2), random_spins(49, seed=1)
        other = build(system, 1.5, phase_references=2)
        own = features(module, spins, system)
        for projection in other.projections:
            projection.basis.set_extra_state(-projection.basis.get_extra_state())
        assert not close(features(other, spins, system), own)
        other.load_state_dict(module.state_dict())
        assert torch.equal(features(other, spins, system), own)

    @pytest.mark.parametrize(("by_shell", "by_distance"), [(1, 1.0), (2, 2**0.5), (3, 2.0)])
    def test_shells_are_distances(self, by_shell: int, by_distance: float) -> None:
        system = SYSTEMS["square"][0]
        shells = build(system, 2.1, pair_shells=by_shell, triple_shells=by_shell, triples="all")
        ranges = build(system, 2.1, pair_range=by_distance, triple_range=by_distance, triples="all")
        assert shells.table() == ranges.table()
        longest = [sides(shells.neighborhood, family.vertices).max() for family in shells.families]
        assert max(longest) == pytest.approx(by_distance)

    def test_table(self) -> None:
        module = build(SYSTEMS["square"][0], 1.1)
        table = module.table()
        assert (table.group, table.order, table.n_neighbors) == ("4mm", 8, 4)
        assert sum(row.n_orbits * row.size for row in table.rows if row.kind == "bond") == 10
        assert sum(row.n_orbits * row.size for row in table.rows if row.kind == "chirality") == 6
        assert f"{module.n_features} features" in str(table)
        assert "A1 + E + B1" in str(table) or "A1 + B1 + E" in str(table)

    def test_feature_count_of_the_papers_triangular_model(self) -> None:
        """1806 features: of all choices counted, the one with all bonds and all triples of the centre within 3 a."""
        triangular = SYSTEMS["triangular"][0]
        nearest = nearest_feature_counts(triangular, 1806, (2.01, 2.66, 3.01))
        first = nearest[0]
        assert (first.n_features, first.n_neighbors, first.recipe) == (1806, 36, "with bispectrum")
        assert (first.pairs, first.pair_range, first.triples, first.triple_range) == ("all", np.inf, "centre", np.inf)
        assert nearest[1].n_features != 1806
        module = build(triangular, 3.01, **PAPER_TRIANGULAR)
        assert module.n_features == 1806
        assert (module.table().n_amplitudes, module.table().n_phases, module.table().n_products) == (864, 864, 78)

    def test_counts_are_those_of_descriptors(self) -> None:
        """The counted choices agree with descriptors that are built."""
        square = SYSTEMS["square"][0]
        for choice in nearest_feature_counts(square, 100, (1.5,))[::17]:
            products = choice.recipe == "with bispectrum"
            module = build(
                square,
                1.5,
                pairs=choice.pairs,
                pair_range=min(choice.pair_range, 99),
                triples=choice.triples,
                triple_range=min(choice.triple_range, 99),
                identity="squared",
                phases="none" if choice.recipe == "amplitudes" else "paper",
                bispectrum="references" if products else "none",
                bispectrum_references=9,
            )
            assert module.n_features == choice.n_features

    def test_errors(self) -> None:
        square = SYSTEMS["square"][0]
        spec = gs.graphs.GraphSpec.for_system(square, 1.1)
        with pytest.raises(InvalidInput, match="for_system"):
            GroupIrrepsConfig().build(spec)
        with pytest.raises(InvalidInput, match="magnetic symmetry functions"):
            GroupIrrepsConfig.for_system(SpinSystem([[0, 0, 0], [1, 0, 0], [0.3, 1, 0]]))
        lieb = gs.systems.bravais((4, 4), 2 * np.eye(3), basis=[[0, 0, 0], [1, 0, 0], [0, 1, 0]])
        with pytest.raises(InvalidInput, match="not equivalent"):
            GroupIrrepsConfig.for_system(lieb).build(spec)
        with pytest.raises(InvalidInput, match="give one"):
            build(square, 1.1, pair_range=1.0, pair_shells=1)
        with pytest.raises(InvalidInput, match="has none"):
            build(square, 1.1).prepare(SYSTEMS["triangular"][0])
        with pytest.raises(InvalidInput, match="sites per cell"):
            build(SYSTEMS["kagome"][0], 1.1).prepare(square)
        with pytest.raises(InvalidInput, match="increase the cutoff"):
            GroupIrrepsConfig.for_system(square).build(gs.graphs.GraphSpec(cutoff=0.5))


def derivative(module: GroupIrreps, data: object, at: object, t: float) -> Tensor:
    """Gradient of the sum of a site's features with respect to the spins at a point of a path."""
    spins = at(t).detach().requires_grad_()  # type: ignore[operator]
    return torch.autograd.grad(module(data, spins)[0, 0].sum(), spins)[0]
