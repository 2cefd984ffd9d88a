"""Radius graphs under any mix of periodic directions, and the specification a model is saved with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.graphs.lattice import lattice_pairs
from gnnspin.graphs.triplets import with_triplets
from gnnspin.systems.distances import LENGTH_TOLERANCE, no_neighbor, pairs_within
from gnnspin.systems.lattice import is_lattice
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest distance of a neighbour from the shell a model was made for, as part of the first shell's distance.
MATCH_TOLERANCE = 1e-4


@independent_of_modes
def radius_graph(system: SpinSystem, cutoff: float) -> Data:
    """All ordered pairs of sites, periodic images included, closer than or at `cutoff`.

    Parameters
    ----------
    system : SpinSystem
        A union gives the disjoint union of the parts' graphs.
    cutoff : float
        Largest distance, in the units of the positions; it may exceed the cell, a site then has its own images as
        neighbours. A neighbour that is farther by a millionth (rounding) still counts.

    Returns
    -------
    torch_geometric.data.Data
        ``edge_index (2, E)`` with rows (neighbour j, centre i), sorted by i; ``edge_vector (E, 3) = r_j - r_i``;
        ``edge_distance (E,)``; ``edge_shell (E,)``, the rank of the distance among all that occur;
        ``n_sites``. Floats are float64.

    Raises
    ------
    InvalidInput
        If `cutoff` is not a positive finite number, or two sites coincide.
    """
    check_cutoff(cutoff)
    indices, vectors, offset = [], [], 0
    for part in system.parts:
        i, j, vector = _pairs(part, cutoff)
        indices.append(np.stack([j, i]) + offset)
        vectors.append(vector)
        offset += part.n_sites
    edge_vector = np.concatenate(vectors)
    distance = np.linalg.norm(edge_vector, axis=1)
    return Data(
        edge_index=torch.from_numpy(np.concatenate(indices, axis=1)),
        edge_vector=torch.from_numpy(edge_vector),
        edge_distance=torch.from_numpy(distance),
        edge_shell=torch.from_numpy(shell_ranks(distance)),
        n_sites=system.n_sites,
        num_nodes=system.n_sites,
    )


def check_cutoff(cutoff: float) -> None:
    """Raise InvalidInput unless `cutoff` is a positive finite number."""
    if not isinstance(cutoff, Real) or not np.isfinite(cutoff) or cutoff <= 0:
        raise InvalidInput(f"cutoff={cutoff!r} must be a positive finite distance")


def shell_distances(distance: FloatArray) -> FloatArray:
    """Distinct values among distances (E,), ascending, each the smallest of its shell.

    Values that differ by less than `LENGTH_TOLERANCE` of the closest distance are one shell.
    """
    ordered = np.sort(distance)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = np.diff(ordered) > LENGTH_TOLERANCE * ordered[:1]
    return ordered[first]


def shell_ranks(distance: FloatArray) -> IntArray:
    """Which of the `shell_distances` each distance (E,) belongs to."""
    shells = shell_distances(distance)
    return np.maximum(np.searchsorted(shells, distance, side="right") - 1, 0)


def _pairs(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Ordered pairs (i, j) and vectors r_j - r_i of one system, sorted by i, then j, then vector."""
    if is_lattice(system):
        i, j, vector = lattice_pairs(system, cutoff)
    else:
        i, j, shift = pairs_within(system, cutoff * (1 + LENGTH_TOLERANCE))
        vector = system.positions[j] - system.positions[i] + shift @ system.cell
    closest = np.linalg.norm(vector, axis=1).min(initial=np.inf)
    if closest < LENGTH_TOLERANCE * LENGTH_TOLERANCE * cutoff:
        raise InvalidInput(f"two sites are {closest:.1e} apart; positions must be distinct")
    rounded = np.round(vector / (LENGTH_TOLERANCE * closest)).astype(np.int64)
    order = np.lexsort((rounded[:, 2], rounded[:, 1], rounded[:, 0], j, i))
    return i[order], j[order], vector[order]


@dataclass(frozen=True)
class GraphSpec:
    """Which graph a model sees; saved with the model.

    Parameters
    ----------
    cutoff : float
        Radius of the graph.
    triplets : bool
        Whether `graph` also gives ``triplet_index (2, T)``: all pairs of edges with a common centre, see
        `gnnspin.graphs.triplets`.
    shells : tuple of float or None
        Distances of the neighbour shells of the lattice the model is made for, with one learned weight per shell;
        None for continuous distances (amorphous systems) and learned radial functions. `for_system` fills it in.
    dimension : 2 or 3
        2 when all neighbours lie in the xy plane: angular functions are then cos(m phi), sin(m phi).

    Raises
    ------
    InvalidInput
        If a value is out of range.
    """

    cutoff: float
    triplets: bool = False
    shells: tuple[float, ...] | None = None
    dimension: int = 3

    def __post_init__(self) -> None:
        check_cutoff(self.cutoff)
        if self.dimension not in (2, 3):
            raise InvalidInput(f"dimension={self.dimension} must be 2 (planar) or 3")
        if self.shells is not None:
            object.__setattr__(self, "shells", tuple(float(d) for d in self.shells))

    @classmethod
    def for_system(cls, system: SpinSystem, cutoff: float, *, triplets: bool = False) -> GraphSpec:
        """Specification for models of `system`: shells on a lattice, continuous distances otherwise.

        Raises
        ------
        InvalidInput
            If `cutoff` is not positive or no site has a neighbour within it.
        """
        graph = radius_graph(system, cutoff)
        _require_neighbors(graph, system, cutoff)
        planar = not _leaves_plane(graph.edge_vector, graph.edge_distance)
        lattice = all(part.lattice_shape is not None for part in system.parts)
        shells = tuple(shell_distances(graph.edge_distance.numpy()).tolist()) if lattice else None
        return cls(cutoff=float(cutoff), triplets=triplets, shells=shells, dimension=2 if planar else 3)

    def graph(self, system: SpinSystem) -> Data:
        """Radius graph of `system` with ``edge_shell`` counted in this specification's shells, and triplets if asked.

        Raises
        ------
        InvalidInput
            If no site has a neighbour, a distance belongs to none of the shells, or a planar model meets a
            neighbour outside the plane.
        """
        graph = radius_graph(system, self.cutoff)
        _require_neighbors(graph, system, self.cutoff)
        shell = self.match(graph.edge_vector, graph.edge_distance)
        graph.edge_shell = graph.edge_shell if self.shells is None else shell
        return with_triplets(graph) if self.triplets else graph

    @independent_of_modes
    def match(self, vector: Tensor, distance: Tensor) -> Tensor:
        """Shell (E,) of neighbours at `vector` (E, 3) and `distance` (E,); zeros without shells. Raises as `graph`."""
        if self.dimension == 2 and _leaves_plane(vector, distance):
            raise InvalidInput("the model is planar (dimension=2), but this system has neighbours outside the xy plane")
        if self.shells is None:
            return torch.zeros(len(distance), dtype=torch.int64)
        gaps = (distance[:, None] - torch.tensor(self.shells, dtype=torch.float64)).abs()
        nearest, shell = gaps.min(dim=1)
        if bool((nearest > MATCH_TOLERANCE * self.shells[0]).any()):
            raise InvalidInput(
                f"a neighbour at distance {float(distance[nearest.argmax()]):.7g} lies on none of the shells "
                f"{self.shells} the model was made for; build the model with GraphSpec.for_system of this lattice"
            )
        return shell

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON header; ``GraphSpec(**values)`` is the inverse."""
        values = asdict(self)
        values["shells"] = None if self.shells is None else list(self.shells)
        return values


def _leaves_plane(vector: Tensor, distance: Tensor) -> bool:
    """Whether a neighbour at `vector` (E, 3) is outside the xy plane, by the measure of the closest of them."""
    return bool((vector[:, 2].abs() > LENGTH_TOLERANCE * distance.min()).any()) if len(distance) else False


def _require_neighbors(graph: Data, system: SpinSystem, cutoff: float) -> None:
    """Raise InvalidInput when the graph has no edge."""
    if graph.edge_index.shape[1] == 0:
        raise no_neighbor(system, cutoff)
