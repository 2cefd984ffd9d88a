"""Order parameters, correlations and structure factors: pure functions of spins ``(..., N, 3)``."""

from gnnspin.observables import correlation_kinds as _correlation_kinds  # noqa: F401  registers its observables
from gnnspin.observables import kinds as _kinds  # noqa: F401  registers its observables
from gnnspin.observables import standard_orders as _standard_orders  # noqa: F401  registers its orders
from gnnspin.observables import texture_kinds as _texture_kinds  # noqa: F401  registers its observables
from gnnspin.observables.boundaries import BoundaryConfig, order_boundary
from gnnspin.observables.chirality import (
    scalar_chirality,
    site_average,
    solid_angle,
    staggered_vector_chirality,
    topological_charge,
    topological_charge_density,
    vector_chirality,
)
from gnnspin.observables.clusters import Clusters, clusters, ferromagnetic_clusters
from gnnspin.observables.correlation_length import correlation_length, pair_correlation_length
from gnnspin.observables.correlations import (
    PairCorrelation,
    bond_order,
    magnetization,
    nearest_neighbor_correlation,
    neighbor_correlation,
    pair_correlation,
    shell_correlation,
)
from gnnspin.observables.defects import chirality_vortices, wall_length
from gnnspin.observables.extended_zone import extended_reciprocal_vectors, extended_zones, wave_vectors
from gnnspin.observables.growth import (
    Estimate,
    GrowthComparison,
    GrowthFit,
    compare_growth_laws,
    fit_growth,
)
from gnnspin.observables.memory import edwards_anderson_overlap, mean_overlap, two_time_correlation
from gnnspin.observables.motion import Motion, skyrmion_motion, unwrapped, wall_velocity
from gnnspin.observables.observable import Observable, ProfileObservable, SourceObservable
from gnnspin.observables.order_parameters import tetrahedral_order, three_sublattice_order, triple_q_order
from gnnspin.observables.orders import available_orders, perturbed, reference_order, register_order
from gnnspin.observables.reciprocal import (
    commensurate_wave_vectors,
    high_symmetry_points,
    reciprocal_vectors,
    shortest_equivalent,
    wave_vector_path,
)
from gnnspin.observables.skyrmion_tracking import (
    dissipation_tensor,
    skyrmion_center,
    skyrmion_radius,
    thiele_velocity,
)
from gnnspin.observables.skyrmions import skyrmion
from gnnspin.observables.structure_factor import scalar_structure_factor, structure_factor, structure_factor_at
from gnnspin.observables.triangulation import Triangles, delaunay_cells, triangles
from gnnspin.observables.walls import DomainWall, domain_wall

__all__ = [
    "BoundaryConfig",
    "Clusters",
    "DomainWall",
    "Estimate",
    "GrowthComparison",
    "GrowthFit",
    "Motion",
    "Observable",
    "PairCorrelation",
    "ProfileObservable",
    "SourceObservable",
    "Triangles",
    "available_orders",
    "bond_order",
    "chirality_vortices",
    "clusters",
    "commensurate_wave_vectors",
    "compare_growth_laws",
    "correlation_length",
    "delaunay_cells",
    "dissipation_tensor",
    "domain_wall",
    "edwards_anderson_overlap",
    "extended_reciprocal_vectors",
    "extended_zones",
    "ferromagnetic_clusters",
    "fit_growth",
    "high_symmetry_points",
    "magnetization",
    "mean_overlap",
    "nearest_neighbor_correlation",
    "neighbor_correlation",
    "order_boundary",
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
    "skyrmion_center",
    "skyrmion_motion",
    "skyrmion_radius",
    "solid_angle",
    "staggered_vector_chirality",
    "structure_factor",
    "structure_factor_at",
    "tetrahedral_order",
    "thiele_velocity",
    "three_sublattice_order",
    "topological_charge",
    "topological_charge_density",
    "triangles",
    "triple_q_order",
    "two_time_correlation",
    "unwrapped",
    "vector_chirality",
    "wall_length",
    "wall_velocity",
    "wave_vector_path",
    "wave_vectors",
]
