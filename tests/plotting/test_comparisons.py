"""Exact against learned, C(r, t) and S(q, omega): the numbers that are drawn are those of the data."""

import numpy as np
import pytest
import torch

from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput
from gnnspin.dynamics import DynamicStructureFactor, simulate
from gnnspin.observables import pair_correlation, wave_vector_path
from gnnspin.plotting import (
    against_parameter,
    correlation_against_distance,
    difference_in_errors,
    exact_against_learned,
    spectrum_map,
)
from gnnspin.systems import amorphous, chain


def test_the_difference_is_in_units_of_its_standard_error():
    """By hand: means 1 and 3, errors 1/sqrt(2) x sqrt(2) = 1 and 2, so z = 2 / sqrt(5)."""
    exact, learned = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    assert difference_in_errors(exact, learned) == pytest.approx(np.array([2 / np.sqrt(5)]))
    figure, (curves, beneath) = exact_against_learned([4.0], exact, learned, ylabel="order")
    assert [line.get_ydata()[0] for line in curves.lines] == [1, 3]
    [drawn] = [line for line in beneath.lines if line.get_marker() == "o"]
    assert drawn.get_ydata() == pytest.approx(np.array([2 / np.sqrt(5)]))
    figure.draw_without_rendering()
    assert curves.get_position().y0 > beneath.get_position().y1


def test_equal_processes_differ_by_one_standard_error():
    rng = np.random.default_rng(0)
    z = difference_in_errors(rng.normal(1.0, 0.3, (40, 4000)), rng.normal(1.0, 0.1, (25, 4000)))
    assert z.mean() == pytest.approx(0, abs=0.06)
    assert z.std() == pytest.approx(1, abs=0.05)
    shifted = difference_in_errors(rng.normal(0, 1, (50, 2000)), rng.normal(1, 1, (50, 2000)))
    assert shifted.mean() == pytest.approx(5, abs=0.2)


def test_panels_need_replicas_at_the_same_times(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(InvalidInput, match="at least two replicas"):
        exact_against_learned([1, 2], np.ones((1, 2)), np.ones((2, 2)), path)
    with pytest.raises(InvalidInput, match="the same ones"):
        exact_against_learned([1, 2], np.ones((2, 3)), np.ones((2, 2)), path)
    with pytest.raises(InvalidInput, match="times have shape"):
        exact_against_learned([1, 2], np.ones((2, 3)), np.ones((2, 3)), path)
    assert np.isnan(difference_in_errors(np.ones((2, 3)), np.ones((2, 3)))).all()
    exact_against_learned([1, 2], np.ones((2, 2)), np.ones((3, 2)), path)
    assert path.stat().st_size > 1000


def test_correlations_have_bands_over_replicas():
    """Empty bins are left out; the band is one standard error of the replicas' mean."""
    system = amorphous(40, 5.0, 0.5, seed=0)
    spins = torch.nn.functional.normalize(torch.randn(2, 6, 40, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = pair_correlation(system, spins.double(), 0.2, 2.4)
    _, axes = correlation_against_distance(found.distance, found.correlation, times=[3, 30])
    curves = axes.lines[1:]
    assert [line.get_label() for line in curves] == ["$t$ = 3", "$t$ = 30"]
    filled = (found.pairs > 0).numpy()
    assert not filled.all()
    for line, band, values in zip(curves, axes.collections, found.correlation.numpy()[..., filled], strict=True):
        assert line.get_ydata() == pytest.approx(values.mean(0))
        corners = band.get_paths()[0].vertices
        middle = corners[np.isclose(corners[:, 0], found.distance.numpy()[filled][3])][:, 1]
        assert np.ptp(middle) == pytest.approx(2 * values[:, 3].std(ddof=1) / np.sqrt(6))
    with pytest.raises(InvalidInput, match="one for each of the 2 curves"):
        correlation_against_distance(found.distance, found.correlation)
    with pytest.raises(InvalidInput, match="choose some"):
        correlation_against_distance(found.distance, np.ones((13, 2, len(found.distance))), times=np.arange(13))
    _, axes = correlation_against_distance([1, 2, 3], np.ones((1, 3)))
    assert axes.get_legend() is None


def test_the_map_of_a_spectrum_shows_the_magnons():
    """Chain: omega = 2 J (1 - cos q); the brightest frequency of every column, at labelled corners."""
    system = chain(16)
    q, distances = wave_vector_path(system, [[0, 0, 0], [np.pi, 0, 0]], n_points=8)
    noise = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1.0]) + 0.02 * noise, dim=-1)
    observer = DynamicStructureFactor(system, q, interval=0.4, n_samples=128)
    simulate(Heisenberg(system), start, dt=0.1, n_steps=760, damping=0.0, observers=[observer], observe_every=4)
    exact = 2 * (1 - np.cos(q[:, 0]))
    found = observer.result()
    _, axes = spectrum_map(found, distances, ["Gamma", "X"], frequencies=(0, 5), lines={"magnons": exact})
    mesh = axes.collections[0]
    values, edges = np.asarray(mesh.get_array()), mesh.get_coordinates()[:, 0, 1]
    brightest = ((edges[1:] + edges[:-1]) / 2)[values.argmax(0)]
    assert np.abs(brightest - exact)[1:].max() < found.resolution
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [r"$\Gamma$", "X"]
    assert axes.get_xticks() == pytest.approx([0, np.pi])
    assert axes.lines[0].get_ydata() == pytest.approx(exact)
    with pytest.raises(InvalidInput, match="corners do not divide"):
        spectrum_map(found, distances, ["Gamma", "X", "M", "Gamma"])
    with pytest.raises(InvalidInput, match="growing"):
        spectrum_map(found, distances[::-1], ["Gamma", "X"])
    with pytest.raises(InvalidInput, match="hold none"):
        spectrum_map(found, distances, ["Gamma", "X"], frequencies=(90, 99))


def test_a_phase_diagram_draws_means_and_errors_in_the_order_of_the_parameter(tmp_path):
    curves = {"exact": [(0.2, 1.0, 0.1), (0.0, 2.0, np.nan)], "learned": [(0.0, 1.9, 0.2)]}
    _, axes = against_parameter(curves, tmp_path / "n.png", xlabel="field", ylabel="charge")
    exact, learned = axes.containers
    assert exact.lines[0].get_xydata() == pytest.approx(np.array([[0.0, 2.0], [0.2, 1.0]]))
    [segments] = [bar.get_segments() for bar in exact.lines[2]]
    assert segments[1][:, 1] == pytest.approx([0.9, 1.1])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["exact", "learned"]
    assert len(learned.lines[0].get_xydata()) == 1
    with pytest.raises(InvalidInput, match=r"\(2,\)"):
        against_parameter({"exact": [0.0, 1.0]})
    with pytest.raises(InvalidInput, match="missing"):
        against_parameter({})
