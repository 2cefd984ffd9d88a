"""One trainer and one evaluation for all models."""

from gnnspin.training.config import EnergyWeight, TrainingConfig
from gnnspin.training.evaluate import Evaluation, evaluate
from gnnspin.training.fit import FitResult, fit

__all__ = ["EnergyWeight", "Evaluation", "FitResult", "TrainingConfig", "evaluate", "fit"]
