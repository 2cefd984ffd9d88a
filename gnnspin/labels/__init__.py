"""Generation of exact labels: a fixed plan of spin configurations, solved and stored one by one."""

from gnnspin.labels.config import (
    GenerateConfig,
    PerturbedOrderSampler,
    RandomSampler,
    RelaxationSampler,
    Sampler,
)
from gnnspin.labels.generate import generate
from gnnspin.labels.locality import Locality, LocalityConfig, analyze_locality, conditional_variance
from gnnspin.labels.response import Agreement, response, response_agreement
from gnnspin.labels.workers import default_workers

__all__ = [
    "Agreement",
    "GenerateConfig",
    "Locality",
    "LocalityConfig",
    "PerturbedOrderSampler",
    "RandomSampler",
    "RelaxationSampler",
    "Sampler",
    "analyze_locality",
    "conditional_variance",
    "default_workers",
    "generate",
    "response",
    "response_agreement",
]
