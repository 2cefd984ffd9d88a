"""Maps of spins: their directions, chiralities, bond order and topological charge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.chirality import scalar_chirality, staggered_vector_chirality, topological_charge_density
from gnnspin.observables.correlations import bond_order
from gnnspin.plotting import style
from gnnspin.plotting.cells import Places, draw_cells, folded_positions
from gnnspin.plotting.maps import MAX_PANELS, color_limits, finish
from gnnspin.plotting.sphere import sphere_legend, spin_colors
from gnnspin.systems.system import FloatArray, SpinSystem

#: How spins are drawn: arrows on a ground coloured by S_z, or a colour for every direction.
Form: TypeAlias = Literal["auto", "arrows", "colors"]

#: Largest number of sites whose arrows can be told apart.
ARROWS_UP_TO = 400

#: Length of the arrow of a spin in the plane, in units of the distance of neighbours.
_ARROW = 0.85


@dataclass(frozen=True)
class Quantity:
    """A scalar that maps show.

    Attributes
    ----------
    label : str
        Of the colour bar.
    on : Places
        To which its values belong.
    measure : callable
        Values (..., n) of a system and spins (..., N, 3).
    limits : (low, high) or None
        Of the colours; None: those of the values that are drawn.
    """

    label: str
    on: Places
    measure: Callable[[SpinSystem, Tensor], Tensor]
    limits: tuple[float, float] | None = (-1.0, 1.0)


#: Scalars by their names.
QUANTITIES = {
    "S_z": Quantity("$S_z$", "sites", lambda _, spins: spins[..., 2]),
    "scalar_chirality": Quantity("scalar chirality", "triangles", scalar_chirality),
    "vector_chirality": Quantity(
        r"vector chirality $\kappa_z$", "sites", lambda system, spins: staggered_vector_chirality(system, spins)[..., 2]
    ),
    "bond_order": Quantity(r"bond order $\langle\mathbf{S}_i\cdot\mathbf{S}_j\rangle_j$", "sites", bond_order),
    "topological_charge": Quantity("topological charge", "tiling", topological_charge_density, None),
}

#: The directions themselves, which are no scalar.
SPINS = "spins"


def spin_map(
    system: SpinSystem,
    spins: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    what: str = SPINS,
    form: Form = "auto",
    limits: tuple[float, float] | None = None,
    titles: Sequence[str] = (),
    scale: Literal["bar", "axes"] = "bar",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw spin configurations of a planar system side by side: the texture itself, or a scalar made of it.

    Parameters
    ----------
    system : SpinSystem
        A planar system; z is ignored.
    spins : (N, 3) or (panels, N, 3)
        Unit spins, such as those of several times.
    path : path, optional
        File to write.
    what : str
        ``spins``: directions. Or a scalar: ``S_z``; ``scalar_chirality`` of the triangles; ``vector_chirality``, z
        component of the map of `staggered_vector_chirality`; ``bond_order`` of the sites; ``topological_charge`` of the
        triangles that cover the plane.
    form : {"auto", "arrows", "colors"}
        Of directions. Arrows: the part in the plane as an arrow, on a ground coloured by S_z. Colours: those of
        `spin_colors`, with the legend of the sphere. Default: arrows up to 400 sites.
    limits : (low, high), optional
        Of the colours of a scalar; default -1 and 1, for the topological charge the largest values with both signs.
    titles, scale, ax
        As in `lattice_map`.

    Returns
    -------
    figure, axes
        One Axes for each panel.

    Raises
    ------
    InvalidInput
        If `what` or `form` is unknown, the spins do not fit the system or are no unit vectors, there are too many
        panels, or the quantity is not defined on this system.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.triangular(12, 12)
    >>> spins = gs.observables.reference_order("skyrmion", system)
    >>> figure, [axes] = spin_map(system, spins)
    """
    panels = as_spins(style.as_array(spins), system.n_sites)
    panels = panels[None] if panels.ndim == 2 else panels
    if panels.ndim != 3 or len(panels) > MAX_PANELS:
        raise InvalidInput(
            f"spins have shape {tuple(panels.shape)}; expected (N, 3) or (panels, N, 3) with at most {MAX_PANELS} "
            "panels"
        )
    chosen = checked_form(system, what, form)
    if what != SPINS and limits is None:
        limits = symmetric_limits(system, panels, what)
    with style.figure(path, 2.6 * len(panels) + 0.9, 2.9, panels=len(panels), ax=ax) as (drawing, axes):
        for axis, row in zip(axes, panels, strict=True):
            picture = SpinPicture(axis, system, what, chosen, limits)
            picture.update(row)
        finish(axes, titles, scale)
        picture.add_key(drawing)
    return drawing, axes


def checked_form(system: SpinSystem, what: str, form: Form) -> Form:
    """The form in which spins are drawn; InvalidInput if it or the quantity is unknown."""
    if what != SPINS and what not in QUANTITIES:
        raise InvalidInput(f"what={what!r} is unknown; known: {SPINS}, {', '.join(QUANTITIES)}")
    if form not in ("auto", "arrows", "colors"):
        raise InvalidInput(f"form={form!r} is unknown; known: auto, arrows, colors")
    if form == "auto":
        return "arrows" if system.n_sites <= ARROWS_UP_TO else "colors"
    return form


def symmetric_limits(system: SpinSystem, spins: Tensor, what: str) -> tuple[float, float]:
    """Limits of the colours of a scalar, symmetric about zero: its own, or those of its largest value on the spins."""
    quantity = QUANTITIES[what]
    if quantity.limits is not None:
        return quantity.limits
    values = style.as_array(quantity.measure(system, spins))
    _, high = color_limits(np.concatenate([values.ravel(), -values.ravel()]))
    return -high, high


class SpinPicture:
    """A map of one spin configuration, which `update` changes: the cells are placed once.

    Parameters
    ----------
    axes : Axes
    system : SpinSystem
    what : str
        ``spins`` or one of `QUANTITIES`.
    form : {"arrows", "colors"}
        Of spins.
    limits : (low, high), optional
        Of the colours of a scalar.
    """

    def __init__(
        self, axes: Axes, system: SpinSystem, what: str, form: Form, limits: tuple[float, float] | None = None
    ) -> None:
        self._axes, self._system = axes, system
        name = "S_z" if what == SPINS and form == "arrows" else what
        self._quantity = QUANTITIES.get(name)
        self._cells, self._numbers = draw_cells(axes, system, self._quantity.on if self._quantity else "sites")
        if self._quantity is not None:
            low, high = limits or self._quantity.limits or (-1.0, 1.0)
            self._cells.set(cmap=style.DIVERGING, norm=Normalize(low, high))
        if system.lattice_shape is None:
            self._cells.set_zorder(4)
        self._arrows = self._add_arrows() if what == SPINS and form == "arrows" else None

    def update(self, spins: Tensor | FloatArray) -> None:
        """Show other spins (N, 3)."""
        given = torch.as_tensor(spins)
        if self._quantity is None:
            self._cells.set_facecolor(cast(Any, spin_colors(given)[self._numbers]))
        else:
            self._cells.set_array(style.as_array(self._quantity.measure(self._system, given))[self._numbers])
        if self._arrows is not None:
            self._arrows.set_UVC(*style.as_array(given)[self._arrow_sites, :2].T)

    def add_key(self, drawing: Figure) -> None:
        """Add the colour bar, or the legend of the sphere."""
        if self._quantity is None:
            sphere_legend(self._axes)
        else:
            style.aligned_colorbar(drawing, self._axes, self._cells, self._quantity.label)

    def _add_arrows(self) -> Quiver:
        """Arrows at the sites that are seen, of no length yet."""
        positions, sites = folded_positions(self._system)
        low, high = np.array([self._axes.get_xlim(), self._axes.get_ylim()]).T
        seen = ((positions > low) & (positions < high)).all(1)
        self._arrow_sites = sites[seen]
        length = _ARROW * (self._system.spacing if self._system.n_sites > 1 else 1.0)
        empty = np.zeros(int(seen.sum()))
        return self._axes.quiver(
            *positions[seen].T,
            empty,
            empty,
            pivot="mid",
            angles="xy",
            scale_units="xy",
            scale=1 / length,
            units="xy",
            width=0.09 * length,
            minlength=0.1,
            color="black",
            zorder=3,
        )
