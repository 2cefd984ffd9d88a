"""Analysis of sources and models: locality, response, symmetries, cost, architectures; imported at first use."""

from typing import TYPE_CHECKING

from gnnspin.core.lazy import lazy_names

if TYPE_CHECKING:
    from gnnspin.analysis.comparison import ComparisonConfig, compare
    from gnnspin.analysis.cost import FieldCost, field_cost
    from gnnspin.analysis.curl import CurlAgreement, FieldCurl, curl_agreement, field_curl
    from gnnspin.analysis.field_response import Agreement, response, response_agreement
    from gnnspin.analysis.locality import Locality, LocalityConfig, analyze_locality, conditional_variance
    from gnnspin.analysis.locality_plot import locality_figure
    from gnnspin.analysis.run_errors import draw_run_errors
    from gnnspin.analysis.symmetries import SourceSymmetries, source_symmetries, symmetry_violations
    from gnnspin.analysis.trajectory import GrowthConfig, TrajectoryAnalysisConfig, analyze_trajectory
    from gnnspin.analysis.trajectory_report import write_analysis
    from gnnspin.analysis.trajectory_result import TrajectoryAnalysis

__all__ = [
    "Agreement",
    "ComparisonConfig",
    "CurlAgreement",
    "FieldCost",
    "FieldCurl",
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
    "curl_agreement",
    "draw_run_errors",
    "field_cost",
    "field_curl",
    "locality_figure",
    "response",
    "response_agreement",
    "source_symmetries",
    "symmetry_violations",
    "write_analysis",
]

_NAMES = {
    "comparison": ("ComparisonConfig", "compare"),
    "cost": ("FieldCost", "field_cost"),
    "curl": ("CurlAgreement", "FieldCurl", "curl_agreement", "field_curl"),
    "locality": ("Locality", "LocalityConfig", "analyze_locality", "conditional_variance"),
    "locality_plot": ("locality_figure",),
    "field_response": ("Agreement", "response", "response_agreement"),
    "run_errors": ("draw_run_errors",),
    "symmetries": ("SourceSymmetries", "source_symmetries", "symmetry_violations"),
    "trajectory": ("GrowthConfig", "TrajectoryAnalysisConfig", "analyze_trajectory"),
    "trajectory_report": ("write_analysis",),
    "trajectory_result": ("TrajectoryAnalysis",),
}

__getattr__ = lazy_names(
    __name__, {name: f"gnnspin.analysis.{module}" for module, names in _NAMES.items() for name in names}
)


def __dir__() -> list[str]:
    return sorted(__all__)
