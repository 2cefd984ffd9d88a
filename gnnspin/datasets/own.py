"""Labels from arrays of one's own, with their conventions said and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.spins import UNIT_TOLERANCE, as_spins, normalize
from gnnspin.core.spins import torque as torque_of
from gnnspin.datasets.conventions import check_conventions, transposed_rows
from gnnspin.datasets.in_memory import LabelsInMemory
from gnnspin.datasets.labels import StackedLabels
from gnnspin.systems.system import SpinSystem

#: Largest part of a torque that may lie along its spin, relative to the root-mean-square torque.
_ALONG = 1e-3


@independent_of_modes
def from_arrays(
    system: SpinSystem,
    spins: ArrayLike | Tensor,
    fields: ArrayLike | Tensor | None = None,
    energies: ArrayLike | Tensor | None = None,
    *,
    torques: ArrayLike | Tensor | None = None,
    field_scale: float = 1.0,
    normalize_spins: bool = False,
    site_order: Literal["last_axis_fastest", "first_axis_fastest"] | Sequence[int] = "last_axis_fastest",
    spin_orbit: bool = False,
    trajectory: str | None = None,
    steps: ArrayLike | None = None,
    times: ArrayLike | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> LabelsInMemory:
    """Labels of one system from spins with fields or torques of another program.

    What can be proved wrong is refused with the number that proves it: spins that are no unit vectors, torques along
    their spins, a field against the gradient of the energies of neighbouring snapshots. What is only suspicious, such
    as torques that do not add up to zero, is a `ConventionWarning`.

    Parameters
    ----------
    system : SpinSystem
        Where the N spins sit.
    spins : (N, 3) or (R, N, 3)
        Unit spins of one or R snapshots.
    fields : as spins, optional
        Effective fields ``H_i = -dE/dS_i`` for unit spins, in the units of the energies.
    energies : (R,), optional
        Energy of each whole snapshot, whose gradient the field is.
    torques : as spins, optional
        Torques ``T_i = S_i x H_i`` in place of fields; they become ``H_i = -S_i x T_i``, which a torque loss takes for
        the field.
    field_scale : float
        Factor that makes fields or torques what they are said to be: -1 for ``+dE/dS`` or torques ``H x S``, the moment
        m for fields ``-dE/dM`` with ``M = m S``.
    normalize_spins : bool
        Whether the vectors may have any length, of which only the direction is kept; otherwise other lengths than 1 are
        an error.
    site_order : "last_axis_fastest", "first_axis_fastest" or (N,) integers
        Order of the arrays' rows on a lattice: that of `SpinSystem`, the cells with their first index running fastest,
        or the site of the system to which each row belongs.
    spin_orbit : bool
        Whether the energy knows directions in space (spin-orbit coupling, anisotropy, an external field) or the field
        is driven: torques then need not add up to zero.
    trajectory : str, optional
        Name of the trajectory that the snapshots are of; splits keep its snapshots together. Default: independent
        snapshots.
    steps, times : (R,), optional
        Of the snapshots in that trajectory; default for `steps` their number.
    provenance : mapping, optional
        Whatever else each label should tell of its origin, JSON-able.

    Returns
    -------
    LabelsInMemory
        To train on as it is; ``.save("labels.h5")`` makes a label store of it.

    Raises
    ------
    InvalidInput
        If a shape is wrong, a value is not finite, or a convention is provably another one.

    Warns
    -----
    ConventionWarning
        If the arrays look as if a convention were another one.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(4, 4)
    >>> spins = gs.core.random_spins(16, replicas=(5,), seed=0)
    >>> exchange = gs.classical.Heisenberg(system, J=1.0)
    >>> labels = gs.datasets.from_arrays(system, spins, exchange.field(spins), exchange.energy(spins))
    >>> labels
    LabelsInMemory(5 labels of SpinSystem(n_sites=16, lattice_shape=(4, 4, 1), pbc=(True, True, False)))
    """
    if (fields is None) is (torques is None):
        raise InvalidInput("give either fields or torques, as fields=... or torques=...")
    if system.n_graphs > 1:
        raise InvalidInput("labels belong to one system; call from_arrays for each part of a union")
    if not np.isfinite(field_scale) or field_scale == 0:
        raise InvalidInput(f"field_scale={field_scale} must be finite and not zero")
    order = _rows_of_sites(site_order, system)
    own = _unit_spins(_snapshots(spins, "spins", system), normalize_spins)[:, order]
    name = "fields" if torques is None else "torques"
    given = field_scale * _snapshots(fields if torques is None else torques, name, system)[:, order]
    if len(given) != len(own):
        raise InvalidInput(f"{len(own)} snapshots of spins and {len(given)} of {name}; give one for each")
    if torques is not None:
        given = _field_of_torque(own, given)
    count = len(own)
    energy = None if energies is None else torch.from_numpy(_column(energies, count, "energies"))
    check_conventions(system, own, given, energy, spin_orbit=spin_orbit)
    stack = StackedLabels(system=system, spins=own, field=given, energy=energy)
    return LabelsInMemory(stack, _records(count, trajectory, steps, times, provenance or {}))


def _snapshots(values: Any, name: str, system: SpinSystem) -> Tensor:
    """Vectors (R, N, 3) in float64."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating) and not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(f"{name} have the type {array.dtype}; give real numbers (R, {system.n_sites}, 3)")
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1:] != (system.n_sites, 3) or len(array) == 0:
        raise InvalidInput(f"{name} have shape {array.shape}; give (R, {system.n_sites}, 3) for {system}")
    wrong = ~np.isfinite(array).all((1, 2))
    if wrong.any():
        raise InvalidInput(f"{name} of snapshot {int(np.flatnonzero(wrong)[0])} contain values that are not finite")
    return torch.from_numpy(np.array(array, dtype=np.float64))


def _unit_spins(vectors: Tensor, free: bool) -> Tensor:
    """Unit spins; InvalidInput where vectors have no direction, or another length and that is not expected."""
    lengths = vectors.norm(dim=-1)
    if bool((lengths == 0).any()):
        snapshot, site = (int(k) for k in (lengths == 0).nonzero()[0])
        raise InvalidInput(
            f"the spin of site {site} in snapshot {snapshot} is zero; leave sites without a moment out of the system"
        )
    if not free and bool(((lengths - 1).abs() > UNIT_TOLERANCE).any()):
        low, high = float(lengths.min()), float(lengths.max())
        raise InvalidInput(
            f"spins have lengths from {low:.6g} to {high:.6g} and not 1; say normalize_spins (normalize_spins=True) to "
            "keep their directions, and give fields for unit spins (field_scale, the moment, turns -dE/dM into -dE/dS)"
        )
    return as_spins(normalize(vectors))


def _rows_of_sites(order: Any, system: SpinSystem) -> NDArray[np.int64]:
    """Row (N,) of the arrays that belongs to each site."""
    sites = np.arange(system.n_sites)
    if isinstance(order, str):
        if order == "last_axis_fastest":
            return sites
        if order != "first_axis_fastest":
            raise InvalidInput(
                f"site_order={order!r}; choose last_axis_fastest, first_axis_fastest, or give the site of every row"
            )
        if system.lattice_shape is None:
            raise InvalidInput(f"site_order={order!r} needs a lattice; {system} is none: give the site of every row")
        return transposed_rows(system)
    given = np.asarray(order)
    if given.shape != (system.n_sites,) or not np.array_equal(np.sort(given), sites):
        raise InvalidInput(
            f"site_order has shape {given.shape}; give every site 0 .. {system.n_sites - 1} once, in the order of the "
            "rows"
        )
    return np.argsort(given).astype(np.int64)


def _field_of_torque(spins: Tensor, torques: Tensor) -> Tensor:
    """Fields across the spins whose torques these are; InvalidInput if they are no torques of these spins."""
    along = (spins * torques).sum(-1).square().mean().sqrt()
    size = torques.square().sum(-1).mean().sqrt()
    if float(along) > _ALONG * float(size):
        raise InvalidInput(
            f"the torques have a part along their spins of {float(along):.3g} (root mean square; all of it "
            f"{float(size):.3g}), which S x H never has: these are fields, or of other spins or sites"
        )
    return -torque_of(spins, torques)


def _column(values: Any, count: int, name: str) -> NDArray[np.float64]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    array = np.atleast_1d(array).astype(np.float64)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise InvalidInput(f"{name} have shape {array.shape}; give one finite number for each of the {count} snapshots")
    return array


def _records(
    count: int, trajectory: str | None, steps: Any, times: Any, provenance: Mapping[str, Any]
) -> Sequence[dict[str, Any]]:
    """Provenance of every snapshot, by which splits keep those of one trajectory together."""
    records: list[dict[str, Any]] = [{"sampler": {"kind": "import"}, **provenance} for _ in range(count)]
    if trajectory is None:
        if steps is not None or times is not None:
            raise InvalidInput("steps and times belong to snapshots of a trajectory; name it, trajectory=...")
        return records
    numbers = np.arange(count) if steps is None else _column(steps, count, "steps")
    moments = None if times is None else _column(times, count, "times")
    for k, record in enumerate(records):
        record |= {"file": trajectory, "step": int(numbers[k])}
        if moments is not None:
            record["time"] = float(moments[k])
    return records
