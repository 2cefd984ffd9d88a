"""Figures are written, hold the data they were given, and leave matplotlib as it was."""

import itertools

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from gnnspin.core import InvalidInput, random_spins
from gnnspin.observables import reference_order, staggered_vector_chirality, structure_factor
from gnnspin.plotting import (
    error_statistics,
    lattice_map,
    length_against_time,
    parity_and_histogram,
    structure_factor_map,
)
from gnnspin.plotting.comparison import accuracy_against_cost, learning_curves
from gnnspin.systems import amorphous, honeycomb, kagome, simple_cubic, square, triangular


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
    parity_and_histogram(predicted, exact, tmp_path / "new" / "parity.png")
    statistics = error_statistics(predicted, exact)
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
    parity_and_histogram(exact, exact, tmp_path / "perfect.png")
    statistics = error_statistics(exact, exact)
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
    assert any("$a$" in text.get_text() for text in drawn[0].axes[0].texts)


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


def labelled(axis):
    """Boxes of the tick labels that are seen, and the values they stand at."""
    low, high = sorted(axis.get_view_interval())
    seen = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]
    return [tick.label1.get_window_extent() for tick in seen], [float(tick.get_loc()) for tick in seen]


@pytest.mark.parametrize(
    ("start", "decades"),
    [(0.013, 0.05), (37.0, 0.3), (37.0, 0.7), (0.013, 1.2), (1e-7, 1.6), (2e6, 2.0), (0.013, 2.5), (1e-7, 9.0)],
)
def test_logarithmic_axes_have_labels_that_can_be_read(start, decades):
    """At least two labels, and none on another, from a few per cent to nine decades."""
    values = np.geomspace(start, start * 10**decades, 12)
    figure, axes = length_against_time(values, values)
    figure.draw_without_rendering()
    for axis in (axes.xaxis, axes.yaxis):
        boxes, places = labelled(axis)
        assert 2 <= len(places) <= 9
        assert not any(Bbox.intersection(first, second) for first, second in itertools.pairwise(boxes))


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(("growth", "guide"), [(0.5, 0.33), (0.33, 0.5), (1.0, 0.2), (0.1, 1.0)])
def test_the_guide_stays_above_the_curve(growth, guide, scale):
    times = np.geomspace(1, 1000, 40)
    errors = 0.1 * times**growth
    _, axes = length_against_time(times, times**growth, errors=errors, power_law=guide, scale=scale)
    line = axes.lines[1]
    assert (line.get_ydata() > 1.2 * np.interp(line.get_xdata(), times, times**growth + errors) - 1e-9).all()
    slope = np.diff(np.log(line.get_ydata())) / np.diff(np.log(line.get_xdata()))
    assert slope == pytest.approx(np.full(len(slope), guide))


@pytest.mark.parametrize(("system", "share"), [(kagome(4, 4), 3 / 4), (honeycomb(4, 4), 2 / 3), (square(4, 4), 1)])
def test_rings_of_sites_stay_empty(system, share):
    """Cells of the kagome and honeycomb lattices are regular hexagons, 3/4 and 2/3 of the triangular lattice's."""
    _, [axes] = lattice_map(system, np.arange(system.n_sites))
    [collection] = axes.collections
    cells = {}
    for path, value in zip(collection.get_paths(), collection.get_array(), strict=True):
        x, y = path.vertices[:-1].T
        cells[value] = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        if share < 1:
            assert len(x) == 6
            assert np.hypot(np.diff(x), np.diff(y)) == pytest.approx(np.full(5, 1 / np.sqrt(3)))
    assert sum(cells.values()) / abs(np.linalg.det(system.cell)) == pytest.approx(share)


def test_figures_are_returned_and_drawn_into_given_axes(tmp_path):
    system = triangular(6, 6)
    structure = structure_factor(system, reference_order("120-degree", system))
    torques = random_spins(30, seed=0).numpy()
    rows = [
        {"model": "a", "n_training": n, "test_torque_rmse": 0.01, "microseconds_per_site": 3.0 * n} for n in (10, 20)
    ]
    drawings = {
        1: [
            lambda **options: length_against_time([1, 2, 3], [1, 2, 3], **options),
            lambda **options: structure_factor_map(system, structure, **options),
            lambda **options: lattice_map(system, np.arange(36), **options),
            lambda **options: accuracy_against_cost(rows, **options),
            lambda **options: learning_curves(rows, **options),
        ],
        2: [lambda **options: parity_and_histogram(torques, 0.9 * torques, **options)],
    }
    for panels, functions in drawings.items():
        for number, draw in enumerate(functions):
            own, axes = draw()
            assert isinstance(own, Figure)
            assert np.ravel(np.array(axes, dtype=object))[0].figure is own
            page = Figure()
            given = list(page.subplots(1, panels, squeeze=False)[0])
            path = tmp_path / "page.png" if number == 0 else None
            figure, axes = draw(ax=given[0] if panels == 1 else given, path=path)
            assert figure is page
            assert list(np.ravel(np.array(axes, dtype=object))) == given
            assert path is None or path.stat().st_size > 1000
            assert all(each.has_data() for each in given)
    with pytest.raises(InvalidInput, match="2 panels"):
        parity_and_histogram(torques, 0.9 * torques, ax=given[:1])


def test_maps_of_lattices_with_a_basis_show_the_extended_zone():
    """The dashed border of the kagome lattice encloses four Brillouin zones, and the q = 0 order shows its peaks."""
    system = kagome(6, 6)
    structure = structure_factor(system, reference_order("q0", system))
    _, axes = structure_factor_map(system, structure)
    [dashed] = [line for line in axes.lines if line.is_dashed()]
    [first] = [line for line in axes.lines if len(line.get_xdata()) == 7 and line is not dashed]
    sizes = [abs(x[:-1] @ y[1:] - y[:-1] @ x[1:]) for x, y in (line.get_data() for line in (dashed, first))]
    assert sizes[0] / sizes[1] == pytest.approx(4)
    assert np.nanmax(axes.images[0].get_array()) == pytest.approx(48)
    _, axes = structure_factor_map(
        system, structure_factor(system, reference_order("q0", system), (1, 1, 1)), zones=(1, 1, 1)
    )
    assert np.isnan(np.asarray(axes.images[0].get_array())).any()
    with pytest.raises(InvalidInput, match="expected"):
        structure_factor_map(system, structure[:6, :6])
