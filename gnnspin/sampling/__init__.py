"""States without dynamics: minimisation on the sphere, Monte Carlo, tempering."""

from gnnspin.sampling.minimize import Minimum, minimize
from gnnspin.sampling.sampler import Sampler, SamplerState, SampleRun, sample
from gnnspin.sampling.tempering import ParallelTempering, TemperingState
from gnnspin.sampling.updates import HeatBath, Langevin, Metropolis

__all__ = [
    "HeatBath",
    "Langevin",
    "Metropolis",
    "Minimum",
    "ParallelTempering",
    "SampleRun",
    "Sampler",
    "SamplerState",
    "TemperingState",
    "minimize",
    "sample",
]
