"""Maps of spins: colours of directions, arrows, scalars with both signs, scale bars."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from gnnspin.core import InvalidInput, random_spins
from gnnspin.observables import reference_order, scalar_chirality, topological_charge, triangles
from gnnspin.plotting import lattice_map, scale_bar, sphere_legend, spin_colors, spin_map
from gnnspin.plotting.sphere import oklab_of_spins, to_srgb
from gnnspin.systems import SpinSystem, amorphous, honeycomb, kagome, simple_cubic, square, triangular

#: Linear sRGB as a deuteranope sees it: Vienot, Brettel and Mollon, Color Res. Appl. 24, 243 (1999).
DEUTERANOPE = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])

#: From linear sRGB to cone responses, and from their cube roots to Oklab (Ottosson 2020).
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colors):
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def oklab(linear_colors):
    return np.cbrt(linear_colors @ CONES.T) @ LAB.T


def test_colors_are_linear_in_the_spin_where_equal_distances_look_equal():
    """Back from sRGB to Oklab by the published inverse: the sphere is an ellipsoid, and nothing was cut off."""
    spins = random_spins(4000, seed=0).numpy()
    lab = oklab(linear(spin_colors(spins)))
    assert lab == pytest.approx(oklab_of_spins(spins), abs=2e-5)
    middle = np.array([0.65, 0.0, 0.0])
    assert (lab - middle) + (oklab(linear(spin_colors(-spins))) - middle) == pytest.approx(np.zeros_like(lab), abs=4e-5)


def test_poles_are_lightest_and_darkest_and_the_hue_turns_once():
    north, south = spin_colors([[0, 0, 1], [0, 0, -1]])
    colors = spin_colors(random_spins(500, seed=1))
    lightness = oklab(linear(colors))[:, 0]
    assert np.ptp(north) < 1e-3
    assert np.ptp(south) < 1e-3
    assert oklab(linear(south))[0] < lightness.min() < lightness.max() < oklab(linear(north))[0]
    phi = np.linspace(0, 2 * np.pi, 73)
    around = oklab(linear(spin_colors(np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1))))
    assert np.ptp(around[:, 0]) < 1e-4
    hue = np.unwrap(np.arctan2(around[:, 2], around[:, 1]))
    assert np.diff(hue) == pytest.approx(np.full(72, 2 * np.pi / 72), abs=1e-3)


def test_a_color_blind_reader_sees_two_axes():
    """Opposite directions along x and z stay as far apart; those along y do not."""
    ends = np.concatenate([np.eye(3), -np.eye(3)])
    colors = linear(spin_colors(ends))
    seen, blind = (oklab(each) for each in (colors, np.clip(colors @ DEUTERANOPE.T, 0, 1)))
    apart = [np.linalg.norm(lab[:3] - lab[3:], axis=1) for lab in (seen, blind)]
    share = apart[1] / apart[0]
    assert share[0] > 0.8
    assert share[2] > 0.95
    assert share[1] < 0.5


def test_colors_beyond_srgb_are_cut_off():
    assert to_srgb(np.array([[1.2, 0.0, 0.0], [-0.1, 0.0, 0.0]])) == pytest.approx(np.array([[1.0] * 3, [0.0] * 3]))
    with pytest.raises(InvalidInput, match="not a unit vector"):
        spin_colors([[0.0, 0.0, 2.0]])


@pytest.mark.parametrize("system", [triangular(6, 5), honeycomb(3, 4), kagome(3, 3), square(5, 4, pbc=False)])
def test_the_texture_is_that_of_the_spins(system):
    """Every site has its arrow, of its length and direction, and its colour."""
    spins = random_spins(system.n_sites, seed=2).numpy()
    _, [axes] = spin_map(system, spins)
    [arrows] = [each for each in axes.collections if isinstance(each, Quiver)]
    drawn = {tuple(np.round(pair, 9)) for pair in np.stack([arrows.U, arrows.V], axis=1)}
    assert drawn == {tuple(np.round(spin[:2], 9)) for spin in spins}
    [ground] = [each for each in axes.collections if isinstance(each, PolyCollection) and each is not arrows]
    assert ground.get_clim() == (-1, 1)
    assert set(np.round(ground.get_array(), 9)) == set(np.round(spins[:, 2], 9))
    _, [axes] = spin_map(system, spins, form="colors")
    [cells] = axes.collections
    assert {tuple(np.round(each, 6)) for each in cells.get_facecolor()[:, :3]} == {
        tuple(np.round(each, 6)) for each in spin_colors(spins)
    }


def test_the_form_follows_the_size():
    small, large = (
        spin_map(system, random_spins(system.n_sites, seed=0))[1] for system in (square(20, 20), square(21, 20))
    )
    assert any(isinstance(each, Quiver) for each in small[0].collections)
    assert not any(isinstance(each, Quiver) for each in large[0].collections)
    packing = amorphous(40, (7, 7, 1), 0.5, seed=0)
    _, [axes] = spin_map(packing, random_spins(40, seed=0))
    assert len(axes.collections) == 2


@pytest.mark.parametrize("system", [triangular(5, 4), honeycomb(3, 3), kagome(3, 3), square(4, 5)])
def test_triangles_cover_the_cell(system):
    """Those of the tiling have the area of the cell; each is drawn where its corners are."""
    spins = random_spins(system.n_sites, seed=3)
    _, [axes] = spin_map(system, spins, what="topological_charge")
    [drawn] = axes.collections
    values = drawn.get_array()
    total, low, high = {}, *drawn.get_clim()
    for path, value in zip(drawn.get_paths(), values, strict=True):
        x, y = path.vertices[:3].T
        total[round(float(value), 12)] = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert sum(total.values()) == pytest.approx(abs(np.linalg.det(system.cell)))
    assert sum(total) == pytest.approx(float(topological_charge(system, spins)), abs=1e-9)
    assert (-low, high) == pytest.approx((max(map(abs, total)),) * 2)


def test_scalars_of_known_orders():
    system = triangular(6, 6)
    tetrahedral = reference_order("tetrahedral", system)
    known = {"scalar_chirality": 4 / (3 * np.sqrt(3)), "bond_order": -1 / 3, "S_z": None}
    for what, value in known.items():
        _, [axes] = spin_map(system, tetrahedral, what=what)
        [drawn] = [each for each in axes.collections if isinstance(each, PolyCollection)]
        assert drawn.get_clim() == (-1, 1)
        if value is not None:
            assert np.abs(drawn.get_array() - np.sign(drawn.get_array()[0]) * abs(value)).max() < 1e-6
    flat = torch.stack([reference_order("120-degree", system)] * 2)
    _, axes = spin_map(system, flat, what="vector_chirality")
    assert len(axes) == 2
    assert np.ptp(axes[1].collections[0].get_array()) < 1e-6


def test_values_per_triangle_are_checked_and_drawn():
    system = kagome(3, 3)
    chirality = scalar_chirality(system, random_spins(27, seed=0))
    _, [axes] = lattice_map(system, chirality, on="triangles")
    assert set(axes.collections[0].get_array()) == set(chirality.tolist())
    hole = chirality.clone()
    hole[0] = np.nan
    _, [axes] = lattice_map(system, hole, on="triangles")
    assert set(axes.collections[0].get_array()) == set(chirality.tolist()[1:])
    with pytest.raises(InvalidInput, match="one for each of the tiling"):
        lattice_map(system, chirality, on="tiling")
    assert len(triangles(system, tiling=True).sites) != len(chirality)


@pytest.mark.parametrize(("cells", "expected"), [(12, 2.0), (40, 10.0), (4, 1.0), (192, 50.0)])
def test_the_scale_bar_has_its_length(cells, expected):
    """In units of the data, whatever the figure; 1, 2 or 5 times a power of ten."""
    system = square(cells, 3)
    _, [axes] = lattice_map(system, np.arange(system.n_sites))
    bar = axes.lines[-1]
    assert np.ptp(bar.get_xdata()) == pytest.approx(expected)
    assert f"{expected:g} $a$" in {text.get_text() for text in axes.texts}
    axes.figure.draw_without_rendering()
    pixels = np.ptp(bar.get_transform().transform(bar.get_xydata())[:, 0])
    site = np.ptp(axes.transData.transform([[0, 0], [1, 0]])[:, 0])
    assert pixels / site == pytest.approx(expected)


def test_the_scale_bar_can_be_chosen():
    axes = Figure().subplots()
    axes.set(xlim=(0, 5e-9), ylim=(0, 1e-9))
    assert np.ptp(scale_bar(axes, 2e-9, unit="m", location="inside").get_xdata()) == pytest.approx(2e-9)
    assert axes.get_xlim() == (0, 5e-9)
    for wrong in (0.0, -1.0, 6e-9, float("nan")):
        with pytest.raises(InvalidInput, match="scale bar"):
            scale_bar(axes, wrong)
    _, [axes] = lattice_map(square(3, 3), np.arange(9), scale="axes")
    assert "$a$" in axes.get_xlabel()


def test_the_legend_shows_the_whole_sphere():
    axes = Figure().subplots()
    picture = np.asarray(sphere_legend(axes).images[0].get_array())
    middle = len(picture) // 2
    assert picture[middle, middle, :3] == pytest.approx(spin_colors([[0, 0, 1]])[0])
    assert picture[middle, -1, :3] == pytest.approx(spin_colors([[0, 0, -1]])[0], abs=1e-6)
    quarter = middle + middle // 2
    assert picture[middle, quarter, :3] == pytest.approx(spin_colors([[1, 0, 0]])[0], abs=1e-6)
    assert picture[quarter, middle, :3] == pytest.approx(spin_colors([[0, 1, 0]])[0], abs=1e-6)
    assert picture[0, 0, 3] == 0


def test_what_cannot_be_drawn_is_refused(tmp_path):
    system, path = square(3, 3), tmp_path / "x.png"
    spins = random_spins(9, seed=0)
    with pytest.raises(InvalidInput, match="what='torque'"):
        spin_map(system, spins, path, what="torque")
    with pytest.raises(InvalidInput, match="form='stars'"):
        spin_map(system, spins, path, form="stars")
    with pytest.raises(InvalidInput, match="on='bonds'"):
        lattice_map(system, np.ones(9), path, on="bonds")
    with pytest.raises(InvalidInput, match="sites"):
        spin_map(system, random_spins(8, seed=0), path)
    with pytest.raises(InvalidInput, match="at most 8 panels"):
        spin_map(system, torch.stack([spins] * 9), path)
    with pytest.raises(InvalidInput, match="2 layers"):
        lattice_map(simple_cubic(3, 3, 2), np.arange(18), path)
    with pytest.raises(InvalidInput, match="triangles are defined"):
        spin_map(SpinSystem(positions=np.eye(3)), random_spins(3, seed=0), path, what="scalar_chirality")
    assert not list(tmp_path.iterdir())
