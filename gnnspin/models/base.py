"""What every model of site energies is: a module with a graph specification, typed hyperparameters and `prepare`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem


class SpinModel(nn.Module, ABC):
    """Base of all models.

    A subclass declares `name` and `Hyperparameters`, and implements `prepare` and `_site_energies`. It is built by
    `gnnspin.models.build(name, spec, **hyperparameters)`, and `(name, spec, hyperparameters)` is what a file stores.

    Attributes
    ----------
    energy_scale, energy_shift : scalar buffers
        Site energies are ``energy_scale * network + energy_shift``; set from the labels by the trainer.
    """

    name: ClassVar[str]
    Hyperparameters: ClassVar[type[Config]]

    energy_scale: Tensor
    energy_shift: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: Config) -> None:
        super().__init__()
        self.spec = spec
        self.hyperparameters = hyperparameters
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("energy_shift", torch.zeros(()))

    @abstractmethod
    def prepare(self, system: SpinSystem) -> Any:
        """Freeze the geometry of `system`: graph, stencils, radial and angular factors; has ``.to(device, dtype)``."""

    @abstractmethod
    def _site_energies(self, data: Any, spins: Tensor) -> Tensor:
        """Dimensionless site energies (R, N) of spins (R, N, 3)."""

    def site_energies(self, data: Any, spins: Tensor) -> Tensor:
        """Site energies (..., N) of spins (..., N, 3), in units of the hopping; differentiable."""
        replicas = spins.shape[:-2]
        energies = self._site_energies(data, spins.reshape(-1, *spins.shape[-2:]))
        return (self.energy_scale * energies + self.energy_shift).reshape(*replicas, -1)

    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Set feature statistics from typical spins (R, N, 3); called once before training. Default: nothing."""
        del data, spins

    @property
    def receptive_radius(self) -> float:
        """Radius within which a site energy depends on spins; the torque on a spin depends on those within twice it.

        Default: the cutoff, for models whose site energies see direct neighbours alone.
        """
        return self.spec.cutoff

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters that follow from the lattice of `system`; `ModelConfig.build` calls it."""
        del system
        return values

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
