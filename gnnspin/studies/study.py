"""Configuration common to all studies: labels, held-out labels, a model, its training, and a quench."""

from __future__ import annotations

from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.labels import GenerateConfig
from gnnspin.systems.config import SystemConfig
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig


class QuenchConfig(Config):
    """A quench from random spins to a low temperature, driven by the learned force field."""

    system: SystemConfig = Field(description="usually much larger than the training systems")
    dt: float = Field(gt=0, description="time step in 1/(gamma t)")
    n_steps: int = Field(gt=0)
    damping: float = Field(ge=0)
    kT: float = Field(ge=0, description="temperature the spins are quenched to")
    observe_every: int = Field(gt=0)
    save_every: int = Field(gt=0)
    seed: int = Field(default=0, ge=0)


class Study(Config):
    """A known system from its Hamiltonian to its physics; run by `reproduce`."""

    title: str
    question: str = Field(description="what the physics should show, for the report")
    labels: GenerateConfig
    held_out: GenerateConfig = Field(description="labels of other trajectories and seeds, never trained on")
    model: ModelConfig
    training: TrainingConfig
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of the labels the trainer validates on")
    quench: QuenchConfig
    peak: str = Field(description="name of the wave vector at which order shows")
