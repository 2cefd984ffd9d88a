"""Trainings of the papers by name: ``TrainingConfig(recipe="glass")``, ``ModelConfig(**RECIPES["glass"].model)``.

"Review" is the review of force fields for metallic magnets (Sec. III and IV), "glass" the paper on the metallic spin
glass (Sec. IV, eq. 17-19). What a paper does not say is chosen here: the number of epochs, the batch, the patience, and
the weight of the energy in eq. 19.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

RecipeName = Literal["review_torque", "review_torque_energy", "double_exchange", "glass"]


@dataclass(frozen=True)
class Recipe:
    """How one network of the papers was trained.

    Attributes
    ----------
    description : str
        What the paper says.
    training : mapping
        Values of `TrainingConfig`.
    model : mapping
        Values of `ModelConfig`: descriptor and network.
    folds : int or None
        Folds of the cross-validation the paper reports; see `cross_validate`.
    """

    description: str
    training: Mapping[str, Any]
    model: Mapping[str, Any]
    folds: int | None = None


#: Adam at a constant rate, without the trainer's other defaults (averaging, clipping, warm-up, cosine).
_ADAM = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-3,
    "schedule": "constant",
    "warmup_steps": 0,
    "ema": None,
}
_PLAIN = {**_ADAM, "gradient_clip": None, "weight_decay": 0.0, "batch_size": 1, "validate_every": 1}

#: 1806 features: all bonds and the chiralities with the centre among 36 neighbours, with two references per irrep.
_TRIANGULAR = {
    "name": "behler_parrinello",
    "cutoff": 3.05,
    "hyperparameters": {
        "descriptor": {"kind": "group_irreps", "identity": "squared", "phases": "paper", "bispectrum_references": 2},
        "hidden": "tetrahedral",
        "activation": "relu",
    },
}

#: 554 features, in one of several ways to reach that number: amplitudes and phases among 20 neighbours.
_SQUARE = {
    "name": "behler_parrinello",
    "cutoff": 2.3,
    "hyperparameters": {
        "descriptor": {
            "kind": "group_irreps",
            "identity": "squared",
            "phases": "paper",
            "bispectrum": "none",
            "pair_range": 3.7,
            "triple_range": 4.13,
        },
        "hidden": "double_exchange",
        "activation": "relu",
    },
}

_AMORPHOUS = {
    "name": "behler_parrinello",
    "cutoff": 2.5,
    "hyperparameters": {
        "descriptor": {"kind": "magnetic_acsf", "preset": "paper"},
        "hidden": "glass",
        "activation": "relu",
    },
}

RECIPES: dict[RecipeName, Recipe] = {
    "review_torque": Recipe(
        description="review, Sec. III: sum_i |T_i - T'_i|^2 alone (eta_E = 0), Adam",
        training={**_PLAIN, "loss": "torque", "energy_weight": 0.0, "max_epochs": 200},
        model=_TRIANGULAR,
    ),
    "review_torque_energy": Recipe(
        description="review, Sec. III: torque alone at first, then eta_E = 0.01 in later epochs, Adam",
        training={
            **_PLAIN,
            "loss": "torque",
            "energy_weight": {"final": 0.01, "start_epoch": 100, "ramp_epochs": 50},
            "max_epochs": 200,
        },
        model=_TRIANGULAR,
    ),
    "double_exchange": Recipe(
        description="review, Sec. IV: six layers trained on exchange fields of ED-LLG, Adam",
        training={**_PLAIN, "loss": "field", "energy_weight": 0.0, "max_epochs": 200},
        model=_SQUARE,
    ),
    "glass": Recipe(
        description=(
            "glass, eq. 19: mu_H sum_i |S_i x (H_i - H'_i)|^2 + mu_E |E - E'|^2 with mu_E / mu_H = 0.01, "
            "Adam at 0.001, early stopping, 5-fold cross-validation"
        ),
        training={**_PLAIN, "loss": "torque", "energy_weight": 0.01, "max_epochs": 200, "patience": 20},
        model=_AMORPHOUS,
        folds=5,
    ),
}


def with_recipe(values: Any) -> Any:
    """`values` of a `TrainingConfig`, completed by the recipe they name; what is given stands.

    Raises
    ------
    ValueError
        If the recipe is unknown.
    """
    name = values.get("recipe") if isinstance(values, dict) else None
    if name is None:
        return values
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown; known: {', '.join(get_args(RecipeName))}")
    return {**RECIPES[name].training, **values}
