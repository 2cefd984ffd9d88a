"""Draw orbits of bonds and chiralities around a site and their symmetry-adapted combinations.

Writes irreps_{square,triangular}_{bonds,chiralities}.png; run with a directory as argument, default docs/images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

import gnnspin as gs
from gnnspin.descriptors.irreps import GroupIrreps, GroupIrrepsConfig
from gnnspin.descriptors.irreps.orbits import sides
from gnnspin.plotting.style import DIVERGING, figure

#: Sides of the triangles of the centre that are drawn.
TRIANGLES = {"square": (1.0, 1.0, np.sqrt(2)), "triangular": (1.0, 1.0, 1.0)}


def main(directory: Path) -> None:
    """Draw both lattices."""
    for name, lengths in TRIANGLES.items():
        system = getattr(gs.systems, name)(5, 5)
        spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.1)
        descriptor = GroupIrrepsConfig.for_system(system, pairs="centre").build(spec)
        draw(descriptor, (1.0,), directory / f"irreps_{name}_bonds.png")
        draw(descriptor, lengths, directory / f"irreps_{name}_chiralities.png")


def draw(descriptor: GroupIrreps, lengths: tuple[float, ...], path: Path) -> None:
    """One panel for every component of every irrep of the orbit whose members have sides `lengths`."""
    family, members = next(
        (k, orbit)
        for k, family in enumerate(descriptor.families)
        for orbit in family.vertices
        if family.vertices.shape[-1] == (2 if len(lengths) == 1 else 3)
        and np.allclose(sides(descriptor.neighborhood, orbit[0]), lengths)
    )
    parts = descriptor.decompositions[family]
    labels = [
        irrep.label + (f", {component + 1}" if irrep.dimension > 1 else "")
        for irrep, copies in zip(descriptor.irreps, parts.multiplicity, strict=True)
        for _ in range(copies)
        for component in range(irrep.dimension)
    ]
    with figure(path, 1.25 * len(labels), 1.45, panels=len(labels)) as (_, panels):
        for axes, label, column in zip(panels, labels, parts.basis.T, strict=True):
            panel(axes, descriptor.neighborhood.vertices[:, :2], members, column)
            axes.set_title(label)


def panel(axes: Axes, points: np.ndarray, members: np.ndarray, weights: np.ndarray) -> None:
    """Members coloured by their weight: red plus, blue minus; a chirality counts counterclockwise."""
    corners = points[members]
    colour = matplotlib.colormaps[DIVERGING]
    if members.shape[1] == 3:
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        weights = weights * np.sign(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    colours = colour(0.5 + 0.5 * weights / np.abs(weights).max())
    if members.shape[1] == 3:
        centre = corners.mean(1, keepdims=True)
        axes.add_collection(PolyCollection(list(centre + 0.88 * (corners - centre)), facecolors=colours))
    else:
        axes.add_collection(LineCollection(list(corners), colors=colours, linewidths=5, capstyle="round"))
    axes.plot(*points.T, "o", color="0.25", markersize=4)
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    axes.axis("off")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images")
