"""One trainer and one evaluation for all models."""

from gnnspin.training.config import EnergyWeight, TrainingConfig
from gnnspin.training.cross_validation import CrossValidation, cross_validate
from gnnspin.training.evaluate import Evaluation, evaluate
from gnnspin.training.fit import FitResult, fit
from gnnspin.training.job import ModelConfig
from gnnspin.training.recipes import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "CrossValidation",
    "EnergyWeight",
    "Evaluation",
    "FitResult",
    "ModelConfig",
    "Recipe",
    "TrainingConfig",
    "cross_validate",
    "evaluate",
    "fit",
]
