"""Generation of exact labels: a fixed plan of spin configurations, solved and stored one by one."""

from gnnspin.labels.config import (
    GenerateConfig,
    PerturbedOrderSampler,
    RandomSampler,
    RelaxationSampler,
    Sampler,
)
from gnnspin.labels.generate import generate
from gnnspin.labels.workers import default_workers

__all__ = [
    "GenerateConfig",
    "PerturbedOrderSampler",
    "RandomSampler",
    "RelaxationSampler",
    "Sampler",
    "default_workers",
    "generate",
]
