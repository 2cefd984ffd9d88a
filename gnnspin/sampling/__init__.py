"""States without dynamics: minimisation on the sphere, paths and barriers, Monte Carlo, tempering."""

from gnnspin.sampling.elastic_band import MinimumEnergyPath, elastic_band
from gnnspin.sampling.geodesics import geodesic_distance, geodesic_path
from gnnspin.sampling.minimize import Minimum, minimize
from gnnspin.sampling.minimum_modes import MinimumModes, minimum_modes
from gnnspin.sampling.saddle import refine_saddle
from gnnspin.sampling.sampler import Sampler, SamplerState, SampleRun, sample
from gnnspin.sampling.tempering import ParallelTempering, TemperingState
from gnnspin.sampling.transition_rate import TransitionRate, transition_rate
from gnnspin.sampling.updates import HeatBath, Langevin, Metropolis

__all__ = [
    "HeatBath",
    "Langevin",
    "Metropolis",
    "Minimum",
    "MinimumEnergyPath",
    "MinimumModes",
    "ParallelTempering",
    "SampleRun",
    "Sampler",
    "SamplerState",
    "TemperingState",
    "TransitionRate",
    "elastic_band",
    "geodesic_distance",
    "geodesic_path",
    "minimize",
    "minimum_modes",
    "refine_saddle",
    "sample",
    "transition_rate",
]
