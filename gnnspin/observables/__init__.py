"""Order parameters, correlations and structure factors: pure functions of spins ``(..., N, 3)``."""

from gnnspin.observables import standard_orders as _standard_orders  # noqa: F401  registers its orders
from gnnspin.observables.chirality import (
    scalar_chirality,
    site_average,
    solid_angle,
    staggered_vector_chirality,
    topological_charge,
    vector_chirality,
)
from gnnspin.observables.correlation_length import correlation_length, pair_correlation_length
from gnnspin.observables.correlations import (
    PairCorrelation,
    magnetization,
    nearest_neighbor_correlation,
    neighbor_correlation,
    pair_correlation,
    shell_correlation,
)
from gnnspin.observables.extended_zone import extended_reciprocal_vectors, extended_zones, wave_vectors
from gnnspin.observables.orders import available_orders, perturbed, reference_order, register_order
from gnnspin.observables.reciprocal import (
    commensurate_wave_vectors,
    high_symmetry_points,
    reciprocal_vectors,
    shortest_equivalent,
    wave_vector_path,
)
from gnnspin.observables.skyrmions import skyrmion
from gnnspin.observables.structure_factor import scalar_structure_factor, structure_factor, structure_factor_at
from gnnspin.observables.triangulation import Triangles, delaunay_cells, triangles

__all__ = [
    "PairCorrelation",
    "Triangles",
    "available_orders",
    "commensurate_wave_vectors",
    "correlation_length",
    "delaunay_cells",
    "extended_reciprocal_vectors",
    "extended_zones",
    "high_symmetry_points",
    "magnetization",
    "nearest_neighbor_correlation",
    "neighbor_correlation",
    "pair_correlation",
    "pair_correlation_length",
    "perturbed",
    "reciprocal_vectors",
    "reference_order",
    "register_order",
    "scalar_chirality",
    "scalar_structure_factor",
    "shell_correlation",
    "shortest_equivalent",
    "site_average",
    "skyrmion",
    "solid_angle",
    "staggered_vector_chirality",
    "structure_factor",
    "structure_factor_at",
    "topological_charge",
    "triangles",
    "vector_chirality",
    "wave_vector_path",
    "wave_vectors",
]
