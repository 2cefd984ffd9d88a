"""The papers' force fields: a fully connected network of the features of a descriptor, site by site."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.descriptors.irreps import GroupIrrepsConfig
from gnnspin.descriptors.magnetic_acsf import MagneticACSFConfig
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import HiddenUnits, SpinModel
from gnnspin.models.blocks.standardization import Standardization
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

#: Widths of the hidden layers of the papers' networks.
PAPER_WIDTHS: dict[str, tuple[int, ...]] = {
    "tetrahedral": (2048, 1024, 512, 256, 128, 64, 64, 64),
    "glass": (1024, 1024, 512, 256, 128, 128, 128, 128),
    "double_exchange": (1024, 512, 256, 128, 64),
}

#: Fields of more sites than this pass through the network in parts, so that its memory stays bounded.
SITES_AT_ONCE = 16_384

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

DescriptorConfig = Annotated[MagneticACSFConfig | GroupIrrepsConfig, Field(discriminator="kind")]


class BehlerParrinelloHyperparameters(Config):
    """Hyperparameters of `BehlerParrinello`."""

    descriptor: DescriptorConfig = Field(description="features of a site: kind magnetic_acsf or group_irreps")
    hidden: Literal["tetrahedral", "glass", "double_exchange"] | tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(128, 64, 32), description="widths of the hidden layers, or the paper whose widths to take"
    )
    activation: Literal["relu", "silu", "softplus", "tanh"] = Field(
        default="silu", description="between layers; relu as in the papers, whose field then jumps in places"
    )

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return PAPER_WIDTHS[self.hidden] if isinstance(self.hidden, str) else self.hidden


@register
class BehlerParrinello(SpinModel):
    r"""Site energies :math:`\epsilon_i = f(G_i)` of standardised features G of the neighbourhood (Behler-Parrinello).

    Symmetry is that of the descriptor, locality its cutoff. Features that do not vary on typical spins are switched
    off. With ReLU, as in the papers, the energy is piecewise linear in the features and the field is discontinuous
    where a hidden unit switches; smooth activations avoid that.

    Review: 1806 features, ``hidden="tetrahedral"``; six layers on 554 features, ``hidden="double_exchange"``. Glass:
    450 features, ``hidden="glass"``. Weights start from He's normal distribution (arXiv:1502.01852), which keeps the
    signal of eight ReLU layers of order one; the papers do not say how theirs start.

    Parameters
    ----------
    spec : GraphSpec
        Its cutoff is the descriptor's.
    hyperparameters : BehlerParrinelloHyperparameters

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.amorphous(n_sites=100, box=5.0, min_distance=0.5, seed=0)
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=2.5)
    >>> descriptor = {"kind": "magnetic_acsf", "preset": "paper"}
    >>> gs.models.build("behler_parrinello", spec, descriptor=descriptor, hidden="glass").n_parameters
    2250113
    """

    name = "behler_parrinello"
    Hyperparameters = BehlerParrinelloHyperparameters
    hyperparameters: BehlerParrinelloHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: BehlerParrinelloHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self.descriptor = hyperparameters.descriptor.build(spec)
        self.standardization = Standardization(self.descriptor.n_features)
        widths = (self.descriptor.n_features, *hyperparameters.widths, 1)
        self.network = _network(widths, _ACTIVATIONS[hyperparameters.activation])

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters: a descriptor made for a lattice takes the lattice from `system`."""
        given = values.get("descriptor")
        if isinstance(given, GroupIrrepsConfig):
            given = given.model_dump()
        if not isinstance(given, dict) or given.get("kind") != "group_irreps" or given.get("lattice") is not None:
            return values
        rest = {name: value for name, value in given.items() if name not in ("kind", "lattice")}
        return {**values, "descriptor": GroupIrrepsConfig.for_system(system, **rest)}

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that leave energies as they are; group irreps fix the lattice's orientation in space."""
        irreps = isinstance(self.hyperparameters.descriptor, GroupIrrepsConfig)
        return super().symmetries - {"space_rotation"} if irreps else super().symmetries

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return (HiddenUnits(self.network[-2], sites_last=False),) if len(self.network) > 1 else ()

    def prepare(self, system: SpinSystem) -> Any:
        return self.descriptor.prepare(system)

    def dimensionless_energies(self, data: Any, spins: Tensor) -> Tensor:
        return self._of_features(self.descriptor(data, spins))

    def _of_features(self, features: Tensor) -> Tensor:
        """Dimensionless site energies (...) of features (..., F)."""
        return self.network(self.standardization(features))[..., 0]

    def energies_and_fields(
        self, data: Any, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N) and fields (R, N, 3); the network is evaluated for `SITES_AT_ONCE` sites at a time."""
        if create_graph or spins[..., 0].numel() <= SITES_AT_ONCE:
            return super().energies_and_fields(data, spins, create_graph=create_graph)
        with torch.enable_grad():
            spins = spins.detach().requires_grad_(True)
            features = self.descriptor(data, spins)
            slopes = features.detach().flatten(0, 1).clone()
            energies = [self._replace_by_slopes(part) for part in slopes.split(SITES_AT_ONCE)]
            (gradient,) = torch.autograd.grad(features, spins, slopes.view_as(features))
        site = torch.cat(energies).view_as(spins[..., 0])
        return self.energy_scale * site + self.energy_shift, -self.energy_scale * gradient

    def _replace_by_slopes(self, features: Tensor) -> Tensor:
        """Site energies (n,) of features (n, F), which their derivatives replace in place."""
        variable = features.clone().requires_grad_(True)
        energies = self._of_features(variable)
        features.copy_(torch.autograd.grad(energies.sum(), variable)[0])
        return energies.detach()

    @torch.no_grad()
    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Measure mean and spread of the features on spins (R, N, 3)."""
        self.standardization.measure(self.descriptor(data, spins))


def _network(widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    """Fully connected layers, linear at the end, weights from He's distribution, biases zero."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])
