"""Common base of the two cluster expansions: kinds of sites, layers that add to the energy, fixed number."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.models.base import HiddenUnits, SpinModel
from gnnspin.models.blocks.fixed_number import with_potential
from gnnspin.models.blocks.site_kinds import site_kinds
from gnnspin.models.blocks.standardization import last_hidden
from gnnspin.systems import SpinSystem


class LayeredHyperparameters(Config):
    """Hyperparameters common to the cluster expansions: imposed symmetries, electron number, kinds of sites."""

    time_reversal: bool = Field(default=True, description="exact time reversal; false allows odd products (driven)")
    mirrors: bool = Field(
        default=True, description="exact mirrors and inversions; false imposes proper rotations of space alone (flux)"
    )
    fixed_number: bool = Field(
        default=False,
        description="labels at fixed electron number: the chemical potential follows the mean of learned site charges",
    )
    site_kind: Literal["species", "basis"] = Field(
        default="species", description="what tells kinds of sites apart: species, or the place in the unit cell"
    )
    n_kinds: int = Field(default=1, ge=1, description="kinds of sites; follows from the system")


class LayeredExpansion(SpinModel):
    """Layers hand vectors and scalars on, and each adds to the energy of the sites (and to their charge).

    A layer is called with its geometry, the spins, vectors and scalars, and returns site outputs
    (R, 1 + fixed_number, N), the next vectors and scalars. A subclass fills `layers` and says what they start from.
    """

    capabilities = frozenset({"compiles", "site_resolved", "vectors"})
    hyperparameters: LayeredHyperparameters
    layers: nn.ModuleList

    @abstractmethod
    def _start(self, kinds: Tensor, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spins, first vectors and first scalars in the layers' shapes; kinds (n_kinds, N) one-hot, spins (R, 3, N)."""

    @abstractmethod
    def _layer_geometry(self, data: Any, k: int) -> Any:
        """Part of the frozen geometry that layer k reads."""

    @property
    @abstractmethod
    def _reach(self) -> float:
        """Radius that the messages of all layers span."""

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Set `n_kinds` to the kinds of sites that `system` has."""
        kinds = site_kinds(system, values.get("site_kind", "species"))
        return {"n_kinds": int(kinds.max()) + 1} | values

    @property
    def tells_species(self) -> bool:
        return True

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that leave energies as they are, without those that may exchange kinds of sites."""
        h = self.hyperparameters
        exchanged = h.site_kind == "basis" and h.n_kinds > 1
        return super().symmetries - ({"point_group", "mirrors"} if exchanged else set())

    @property
    def receptive_radius(self) -> float:
        """Radius within which a site energy depends on spins; infinite at fixed number: one potential for all sites."""
        return math.inf if self.hyperparameters.fixed_number else self._reach

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return last_hidden(self.layers)

    def _site_kinds(self, system: SpinSystem) -> np.ndarray:
        """Kind of every site (N,) int64; InvalidInput if there are more than the model knows."""
        return site_kinds(system, self.hyperparameters.site_kind, self.hyperparameters.n_kinds)

    def dimensionless_energies(
        self, data: Any, spins: Tensor, center: Tensor | None = None, *, calibrate: bool = False
    ) -> Tensor:
        """Site energies (R, N); `center` (R, N, 3) replaces the spin of the centre in the last layer alone."""
        return self._propagate(data, spins, center, calibrate=calibrate)[0]

    def _propagate(
        self, data: Any, spins: Tensor, center: Tensor | None = None, *, calibrate: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Site energies (R, N) and the vectors of the last layer."""
        kind = torch.arange(self.hyperparameters.n_kinds, device=spins.device)
        kinds = (data.site_kind[:, None] == kind).to(spins.dtype).T  # one_hot of torch looks at the values first
        own, vectors, scalars = self._start(kinds, spins.transpose(-1, -2))
        sites = spins.new_zeros(len(spins), 1 + self.hyperparameters.fixed_number, spins.shape[1])
        for k, layer in enumerate(self.layers):
            if center is not None and k == len(self.layers) - 1:
                own = self._start(kinds, center.transpose(-1, -2))[0]
            outputs, vectors, scalars = layer(self._layer_geometry(data, k), own, vectors, scalars, calibrate=calibrate)
            sites = sites + outputs
        return with_potential(sites, data.membership), vectors

    @torch.no_grad()
    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Measure mean and spread of every layer's invariants on spins (R, N, 3)."""
        self.dimensionless_energies(data, spins, calibrate=True)
