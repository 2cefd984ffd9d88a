"""Figures are written, hold the data they were given, and leave matplotlib as it was."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread

from gnnspin.core import InvalidInput, random_spins
from gnnspin.observables import reference_order, staggered_vector_chirality, structure_factor
from gnnspin.plotting import (
    error_statistics,
    lattice_map,
    length_against_time,
    parity_and_histogram,
    structure_factor_map,
)
from gnnspin.systems import amorphous, honeycomb, simple_cubic, square, triangular


@pytest.fixture
def drawn(monkeypatch):
    """Figures saved during the test."""
    figures, save = [], Figure.savefig

    def keep(figure, *arguments, **options):
        figures.append(figure)
        return save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def check(path, figure):
    picture = imread(path)
    assert min(picture.shape[:2]) > 300
    assert np.ptp(picture[..., :3]) > 0.5
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_parity_and_histogram_report_the_errors(tmp_path, drawn):
    rng = np.random.default_rng(0)
    exact = torch.tensor(rng.normal(size=(5, 2000, 3)) * 0.1)
    predicted = exact + torch.tensor(rng.normal(0.001, 0.01, size=exact.shape))
    statistics = parity_and_histogram(predicted, exact, tmp_path / "new" / "parity.png")
    assert statistics.sigma == pytest.approx(0.01, rel=0.03)
    assert statistics.mean == pytest.approx(0.001, rel=0.2)
    assert statistics.rmse == pytest.approx(np.sqrt(0.01**2 + 0.001**2), rel=0.03)
    assert statistics.r2 == pytest.approx(1 - 0.0101, abs=5e-4)
    [figure] = drawn
    check(tmp_path / "new" / "parity.png", figure)
    parity, histogram = figure.axes[:2]
    assert parity.get_xlim() == parity.get_ylim()
    assert "R^2" in parity.texts[0].get_text()
    legend = " ".join(text.get_text() for text in histogram.get_legend().get_texts())
    assert f"{statistics.sigma:.3g}" in legend
    for axes in (parity, histogram):
        assert "$t$" in axes.get_xlabel()
        assert "t" in axes.get_ylabel()
    assert sum(patch.get_height() * patch.get_width() for patch in histogram.patches) == pytest.approx(1)


def test_the_fit_follows_the_core_and_the_rmse_the_tails():
    rng = np.random.default_rng(1)
    errors = np.where(rng.random(60000) < 0.05, rng.normal(size=60000) * 0.1, rng.normal(size=60000) * 0.01)
    exact = np.arange(60000) % 2
    statistics = error_statistics(errors + exact, exact)
    assert statistics.sigma < 0.015
    assert statistics.rmse > 2 * statistics.sigma
    assert statistics.rmse == pytest.approx(np.sqrt(np.square(errors).mean()))


def test_a_perfect_model_can_be_drawn(tmp_path, drawn):
    exact = random_spins(50, seed=0)
    statistics = parity_and_histogram(exact, exact, tmp_path / "perfect.png")
    assert (statistics.rmse, statistics.r2, statistics.sigma) == (0, 1, 0)
    check(tmp_path / "perfect.png", drawn[0])


def test_bad_values_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="equal shapes"):
        parity_and_histogram(np.ones((4, 3)), np.ones((5, 3)), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="not finite"):
        parity_and_histogram(np.full((4, 3), np.nan), np.ones((4, 3)), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="equal"):
        parity_and_histogram(np.ones((4, 3)), np.ones((4, 3)), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="panels"):
        lattice_map(square(3, 3), np.ones((2, 8)), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="planar"):
        structure_factor_map(simple_cubic(2, 2, 2), torch.ones(2, 2, 2), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="shapes"):
        length_against_time([1, 2], [1, 2, 3], tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="fewer than two points"):
        length_against_time([0, 1], [1, 2], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_chirality_snapshots_share_one_scale(tmp_path, drawn):
    system = triangular(9, 6)
    spins = torch.stack([reference_order("120-degree", system), random_spins(54, seed=0)])
    kappa = staggered_vector_chirality(system, spins)[..., 2]
    lattice_map(system, kappa, tmp_path / "map.png", titles=["$t = 0$", "$t = 9$"], label="vector chirality")
    check(tmp_path / "map.png", drawn[0])
    first, second = (next(c for c in axes.collections if isinstance(c, PolyCollection)) for axes in drawn[0].axes[:2])
    assert first.get_clim() == second.get_clim() == pytest.approx((-1, 1))
    assert set(np.round(second.get_array(), 9)) <= set(np.round(kappa[1].numpy(), 9))
    assert drawn[0].axes[1].get_title() == "$t = 9$"
    assert "$a$" in drawn[0].axes[0].get_xlabel()


@pytest.mark.parametrize(
    "system", [square(4, 5), honeycomb(3, 3), triangular(4, 4, pbc=False), amorphous(20, 5.0, 0.5, seed=0)]
)
def test_every_site_is_drawn_where_it_is(tmp_path, drawn, system):
    values = np.arange(system.n_sites, dtype=float)
    lattice_map(system, values, tmp_path / "map.png", label="site")
    check(tmp_path / "map.png", drawn[0])
    [collection] = drawn[0].axes[0].collections
    array = collection.get_array()
    assert set(values) <= set(array)
    if isinstance(collection, PolyCollection):
        for path, value in zip(collection.get_paths(), array, strict=True):
            shift = [*(path.vertices[:-1].mean(0) - system.positions[int(value), :2]), 0]
            fractions = np.array(shift) @ np.linalg.inv(system.cell)
            offset = (fractions - np.round(fractions) * system.pbc) @ system.cell
            assert np.abs(offset).max() < (1e-9 if system.n_basis == 1 else 0.51)


def test_structure_factor_map_peaks_at_k(tmp_path, drawn):
    system = triangular(12, 12)
    structure_factor_map(system, structure_factor(system, reference_order("120-degree", system)), tmp_path / "s.png")
    check(tmp_path / "s.png", drawn[0])
    axes = drawn[0].axes[0]
    pixels = np.asarray(axes.images[0].get_array())
    low, high = np.reshape(axes.images[0].get_extent(), (2, 2)).T[:, :, None]
    rows, columns = np.nonzero(pixels == pixels.max())
    q = low + (np.stack([columns, rows]) + 0.5) / len(pixels) * (high - low)
    corners = 4 * np.pi / 3 * np.array([[np.cos(k), np.sin(k)] for k in np.arange(6) * np.pi / 3])
    nearest = np.linalg.norm(q.T[:, None] - corners, axis=-1).min(1)
    assert nearest.max() < 2 * np.pi / 12
    assert {text.get_text() for text in axes.texts} == {r"$\Gamma$", "M", "K"}


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_length_curve(tmp_path, drawn, scale):
    times = np.array([0.0, 1, 2, 4, 8, 16])
    lengths = np.sqrt(1 + times)
    path = tmp_path / "length.pdf"
    length_against_time(times, lengths, path, errors=0.1 * lengths, label="exact", scale=scale, power_law=0.5)
    assert path.read_bytes().startswith(b"%PDF")
    curve, guide = drawn[0].axes[0].lines
    shown = slice(1, None) if scale == "log" else slice(None)
    assert curve.get_ydata().tolist() == lengths[shown].tolist()
    slope = np.polyfit(np.log(guide.get_xdata()), np.log(guide.get_ydata()), 1)[0]
    assert slope == pytest.approx(0.5)


def test_matplotlib_is_left_as_it_was(tmp_path):
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)
    length_against_time([1, 2, 3], [1, 2, 3], tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend(auto_select=False) == backend
