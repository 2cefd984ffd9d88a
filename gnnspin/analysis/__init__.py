"""Analysis of sources and models: locality, response, symmetries, cost, and architectures compared."""

from gnnspin.analysis.comparison import ComparisonConfig, compare
from gnnspin.analysis.cost import FieldCost, field_cost
from gnnspin.analysis.locality import Locality, LocalityConfig, analyze_locality, conditional_variance
from gnnspin.analysis.locality_figure import locality_figure
from gnnspin.analysis.response import Agreement, response, response_agreement
from gnnspin.analysis.symmetries import SourceSymmetries, source_symmetries, symmetry_violations
from gnnspin.analysis.trajectory import GrowthConfig, TrajectoryAnalysisConfig, analyze_trajectory
from gnnspin.analysis.trajectory_report import write_analysis
from gnnspin.analysis.trajectory_result import TrajectoryAnalysis

__all__ = [
    "Agreement",
    "ComparisonConfig",
    "FieldCost",
    "GrowthConfig",
    "Locality",
    "LocalityConfig",
    "SourceSymmetries",
    "TrajectoryAnalysis",
    "TrajectoryAnalysisConfig",
    "analyze_locality",
    "analyze_trajectory",
    "compare",
    "conditional_variance",
    "field_cost",
    "locality_figure",
    "response",
    "response_agreement",
    "source_symmetries",
    "symmetry_violations",
    "write_analysis",
]
