"""Figures and movies: drawn without a display and without touching matplotlib's global state."""

from gnnspin.core.moved import moved_names
from gnnspin.plotting.accuracy import ErrorStatistics, error_statistics, parity_and_histogram
from gnnspin.plotting.aging import aging
from gnnspin.plotting.agreement import difference_in_errors, exact_against_learned, exact_against_learned_profile
from gnnspin.plotting.curves import against_time, correlation_against_distance, length_against_time
from gnnspin.plotting.maps import lattice_map
from gnnspin.plotting.movie import movie
from gnnspin.plotting.parameter import against_parameter
from gnnspin.plotting.reciprocal import structure_factor_map
from gnnspin.plotting.ruler import scale_bar
from gnnspin.plotting.spectra import spectrum_map
from gnnspin.plotting.sphere import sphere_legend, spin_colors
from gnnspin.plotting.textures import spin_map

__all__ = [
    "ErrorStatistics",
    "against_parameter",
    "against_time",
    "aging",
    "correlation_against_distance",
    "difference_in_errors",
    "error_statistics",
    "exact_against_learned",
    "exact_against_learned_profile",
    "lattice_map",
    "length_against_time",
    "movie",
    "parity_and_histogram",
    "scale_bar",
    "spectrum_map",
    "sphere_legend",
    "spin_colors",
    "spin_map",
    "structure_factor_map",
]

__getattr__ = moved_names(__name__, {"locality_figure": "gnnspin.analysis"})
