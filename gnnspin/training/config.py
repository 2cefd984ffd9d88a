"""Configuration of the trainer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gnnspin.core.config import Config
from gnnspin.runs import MAY_CHANGE
from gnnspin.training.recipes import RecipeName, with_recipe


class EnergyWeight(Config):
    """Schedule of the energy term: zero, then a linear ramp to `final`."""

    final: float = Field(default=0.01, ge=0, description="eta_E after the ramp")
    start_epoch: int = Field(default=0, ge=0, description="epoch at which the ramp starts")
    ramp_epochs: int = Field(default=0, ge=0, description="length of the ramp; 0 switches at once")

    def at(self, epoch: int) -> float:
        """eta_E in `epoch`."""
        if epoch < self.start_epoch:
            return 0.0
        if self.ramp_epochs == 0:
            return self.final
        return self.final * min(1.0, (epoch - self.start_epoch + 1) / self.ramp_epochs)


class TrainingConfig(Config):
    """How a model is fitted to labels.

    The loss per snapshot, in units of the mean square torque of the training set, is
    ``w_T <|T - T'|^2> + w_H <|H - H'|^2> + eta_E |E - E'|^2 / N`` with averages over the N sites.
    A torque loss leaves the field's component along the spin free: it does not drive the motion.
    The defaults are the recommended training (see the documentation's page on training). ``recipe`` sets the values of
    a training of the papers instead; what is given beside it stands.
    """

    recipe: RecipeName | None = Field(default=None, description="a training of the papers to start from")
    loss: Literal["torque", "field", "mixed"] = Field(
        default="torque",
        description="torque: w_T = 1, w_H = 0; field: w_T = 0, w_H = 1; mixed: w_T = 1, w_H = field_weight",
    )
    field_weight: float = Field(default=0.1, ge=0, description="w_H of the mixed loss")
    energy_weight: EnergyWeight | float = Field(default=0.0, description="eta_E: a number or a schedule")
    max_epochs: int = Field(default=30, ge=1, description="passes over the training set")
    max_minutes: Annotated[float | None, MAY_CHANGE] = Field(
        default=None, gt=0, description="stop after this time, at the end of an epoch"
    )
    batch_size: int = Field(default=1, ge=1, description="snapshots per step")
    optimizer: Literal["adamw", "soap"] = Field(
        default="soap",
        description="soap: Adam in the eigenbasis of the gradients' covariance, for fewer epochs",
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="largest learning rate")
    schedule: Literal["cosine", "constant"] = Field(default="cosine", description="learning rate over the epochs")
    final_learning_rate: float = Field(default=1e-5, ge=0, description="where the cosine ends")
    warmup_steps: int = Field(default=20, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled weight decay")
    gradient_clip: float | None = Field(
        default=1.0, gt=0, description="largest norm of the gradient; null: no clipping"
    )
    ema: float | None = Field(
        default=0.99,
        gt=0,
        lt=1,
        description="decay per step of an exponential moving average of the weights, e.g. 0.999; the averaged weights "
        "are validated and saved; null: none",
    )
    patience: int | None = Field(default=None, ge=1, description="stop after so many validations without improvement")
    validate_every: int = Field(default=1, ge=1, description="epochs between validations")
    seed: int = Field(default=0, ge=0, description="seed of the order of the snapshots")
    compiled: Annotated[bool, MAY_CHANGE] = Field(
        default=False,
        description="run fields and their gradients through torch.compile (needs a C++ compiler, costs minutes at "
        "first): the same training, up to twice as fast as in torch, where all batches have one shape; on a CPU the "
        "native code of the cluster expansions, which is used without being asked for, is quicker",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], MAY_CHANGE] = Field(default="auto", description="where to train")
    tensorboard: Annotated[bool, MAY_CHANGE] = Field(
        default=False, description="also log for TensorBoard, which must be installed"
    )

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, values: Any) -> Any:
        return with_recipe(values)

    @model_validator(mode="after")
    def _rates(self) -> TrainingConfig:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate={self.final_learning_rate} exceeds learning_rate={self.learning_rate}"
            )
        return self

    @model_validator(mode="after")
    def _energy_is_reached(self) -> TrainingConfig:
        schedule = self.energy_weight
        if isinstance(schedule, EnergyWeight) and self.max_epochs <= schedule.start_epoch:
            raise ValueError(
                f"energy_weight starts in epoch {schedule.start_epoch}, but max_epochs={self.max_epochs}; "
                "set start_epoch below max_epochs"
            )
        return self

    @property
    def weights(self) -> tuple[float, float]:
        """Weights (w_T, w_H) of torque and field."""
        return {"torque": (1.0, 0.0), "field": (0.0, 1.0), "mixed": (1.0, self.field_weight)}[self.loss]

    def energy_weight_at(self, epoch: int) -> float:
        """eta_E in `epoch`."""
        return self.energy_weight.at(epoch) if isinstance(self.energy_weight, EnergyWeight) else self.energy_weight
