"""Generation of exact labels: a fixed plan of spin configurations, solved and stored one by one."""

from gnnspin.core.moved import moved_names
from gnnspin.labels.config import (
    GenerateConfig,
    PerturbedOrderSampler,
    RandomSampler,
    RelaxationSampler,
    Sampler,
)
from gnnspin.labels.family import FamilyConfig
from gnnspin.labels.generate import generate
from gnnspin.labels.workers import default_workers

__all__ = [
    "FamilyConfig",
    "GenerateConfig",
    "PerturbedOrderSampler",
    "RandomSampler",
    "RelaxationSampler",
    "Sampler",
    "default_workers",
    "generate",
]

__getattr__ = moved_names(
    __name__,
    {
        "Agreement": "gnnspin.analysis",
        "Locality": "gnnspin.analysis",
        "LocalityConfig": "gnnspin.analysis",
        "analyze_locality": "gnnspin.analysis",
        "conditional_variance": "gnnspin.analysis",
        "response": "gnnspin.analysis",
        "response_agreement": "gnnspin.analysis",
    },
)
