"""One model for a family of Hamiltonians: an architecture whose weights depend on parameters such as J and filling."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import ExtrapolationWarning, InvalidInput
from gnnspin.datasets.conditions import Ranges, label_parameters, range_text
from gnnspin.datasets.labels import LabelSet
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import HiddenUnits, SpinModel
from gnnspin.models.blocks.modulation import WeightModulation, fitted_quadratic, quadratics
from gnnspin.models.registry import architecture, build, register
from gnnspin.systems import SpinSystem


class FamilyHyperparameters(Config):
    """Hyperparameters of `Family`."""

    conditions: Ranges = Field(
        min_length=1,
        description="parameters of the Hamiltonian that the weights depend on, each with its range [low, high]",
        examples=[{"J": [1.0, 6.0], "filling": [0.1, 0.5]}],
    )
    model: str = Field(default="spin_cluster_expansion", description="architecture of every member")
    hyperparameters: dict[str, Any] = Field(default_factory=dict, description="of the architecture of every member")
    modulation: int = Field(default=24, ge=1, description="width of the network from parameters to weights")


@dataclass(frozen=True)
class FamilyData(TensorContainer):
    """Frozen geometry of one system, and the parameters of the Hamiltonian on it.

    Attributes
    ----------
    whole : Any
        What the architecture prepares of the system.
    parts : tuple of (Any, (n,) int64)
        Of a union, the same of each of its systems, and their sites.
    parameters : (n_graphs, P) or (1, P) or None
        Values for each system of a union, or for all; None: not chosen.
    """

    whole: Any
    parts: tuple[tuple[Any, Tensor], ...] = ()
    parameters: Tensor | None = None


class _Member(nn.Module):
    """The model whose weights are exchanged, with its methods by name: only a call of a module exchanges weights."""

    def __init__(self, base: SpinModel) -> None:
        super().__init__()
        self.base = base

    def forward(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Result of a method of the model."""
        return getattr(self.base, method)(*arguments, **options)


@register
class Family(SpinModel):
    r"""An architecture whose weights are functions of the parameters of the Hamiltonian.

    Every weight of the architecture depends on the parameters :math:`\theta` by a learned modulation, see
    `gnnspin.models.blocks.modulation`; the scale of its energies is :math:`e^{q(\theta)}` with a quadratic polynomial q
    that is fitted to the torques of the labels, and does not go on outside of the range. Feature statistics are common.
    What an architecture knows of a parameter it takes from it: the moment network its coupling J, and from mu and kT
    together the Chebyshev coefficients of the grand potential, to which learned ones are added.

    A member of the family, ``family.at(J=3.0, filling=0.3)``, is an ordinary model of the architecture with the weights
    of these parameters: whatever such a model can do (native code, windows, error bars, files), a member can. All
    symmetries of the architecture hold, for every member.

    In a training the parameters are those of the Hamiltonian that the labels record, and torques of all members count
    alike: errors are in units of the scale above.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : FamilyHyperparameters

    Raises
    ------
    InvalidInput
        If the architecture is a family itself, or does not take its hyperparameters.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.triangular(6, 6)
    >>> ranges = {"J": (1.0, 6.0), "filling": (0.1, 0.5)}
    >>> family = gs.models.for_system("family", system, cutoff=2.0, conditions=ranges)
    >>> gs.ForceField(family, system).at(J=3.0, filling=0.3).field(gs.core.random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    name = "family"
    Hyperparameters = FamilyHyperparameters
    capabilities = frozenset()
    hyperparameters: FamilyHyperparameters

    log_scale: Tensor
    shift: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: FamilyHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self.member = _Member(_architecture(spec, hyperparameters))
        shapes = {name: tuple(weight.shape) for name, weight in self.base.named_parameters()}
        count = len(hyperparameters.conditions)
        self.modulation = None if self.base.solved else WeightModulation(shapes, count, hyperparameters.modulation)
        size = quadratics(torch.zeros(count)).shape[-1]
        self.register_buffer("log_scale", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size, dtype=torch.float64))

    @property
    def base(self) -> SpinModel:
        """The architecture, with the weights that are modulated."""
        return self.member.base

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters of the Hamiltonian that the model depends on."""
        return tuple(self.hyperparameters.conditions)

    def at(self, **values: float) -> SpinModel:
        """The member of the family at these parameters of the Hamiltonian: an ordinary model, with weights of its own.

        Raises
        ------
        InvalidInput
            If a parameter is missing or unknown.

        Warns
        -----
        ExtrapolationWarning
            If a value is outside of the range of the family.
        """
        parameters = self.parameters_of(values)
        self._warn_outside(values)
        return self.member_at(parameters)

    def member_at(self, parameters: Tensor) -> SpinModel:
        """The member at parameters (P,) in the order of the family; nothing is checked, see `at`."""
        with torch.no_grad():
            weights = {name: weight.clone() for name, weight in self.weights(parameters).items()}
        member = copy.deepcopy(self.base)
        member.load_state_dict(weights, strict=False)
        return member

    def parameters_of(self, values: Mapping[str, float]) -> Tensor:
        """Parameters (P,) in the order of the family, float64, of values by name.

        Raises
        ------
        InvalidInput
            If one is missing, unknown or not finite.
        """
        ranges = self.hyperparameters.conditions
        if set(values) != set(ranges):
            missing, unknown = sorted(set(ranges) - set(values)), sorted(set(values) - set(ranges))
            wrong = [f"missing {', '.join(missing)}"] if missing else []
            wrong += [f"unknown {', '.join(unknown)}"] if unknown else []
            raise InvalidInput(f"{'; '.join(wrong)}: the family has {self.range_text}; give each of these a value")
        found = torch.tensor([float(values[name]) for name in ranges], dtype=torch.float64)
        if not bool(torch.isfinite(found).all()):
            raise InvalidInput(f"parameters {dict(values)} are not all finite; the family has {self.range_text}")
        return found

    @property
    def range_text(self) -> str:
        """The parameters with their ranges, in words."""
        return range_text(self.hyperparameters.conditions)

    def outside(self, values: Mapping[str, float]) -> dict[str, float]:
        """Those of the values that are outside of their range."""
        ranges = self.hyperparameters.conditions
        return {name: value for name, value in values.items() if not ranges[name][0] <= value <= ranges[name][1]}

    def _warn_outside(self, values: Mapping[str, float]) -> None:
        if far := self.outside(values):
            given = ", ".join(f"{name}={value:g}" for name, value in far.items())
            warnings.warn(
                f"{given} is outside of the range of the family, {self.range_text}: errors there are unknown; look at "
                "the error bars, or train on labels there",
                ExtrapolationWarning,
                stacklevel=3,
            )

    def scaled(self, parameters: Tensor) -> Tensor:
        """Parameters (..., P) scaled to [-1, 1] over their ranges."""
        ranges = torch.tensor(list(self.hyperparameters.conditions.values()), dtype=torch.float64)
        low, high = ranges.to(parameters.device).unbind(-1)
        return 2 * (parameters.double() - low) / (high - low) - 1

    def unscaled(self, scaled: Tensor) -> Tensor:
        """The inverse of `scaled`."""
        low, high = torch.tensor(list(self.hyperparameters.conditions.values()), dtype=torch.float64).unbind(-1)
        return low + (high - low) * (scaled.double() + 1) / 2

    def torque_scale(self, parameters: Tensor) -> Tensor:
        """Expected root mean square torque per spin (...) at parameters (..., P); outside as at the nearest inside."""
        inside = self.scaled(parameters).clamp(-1, 1)
        return (quadratics(inside) @ self.log_scale.double()).exp()

    def weights(self, parameters: Tensor) -> dict[str, Tensor]:
        """Weights of the member at parameters (P,), and the scale and shift of its energies, by their names in it."""
        scaled = self.scaled(parameters)
        own = dict(self.base.named_parameters())
        dtype = next(iter(own.values())).dtype
        changed = own if self.modulation is None else self.modulation(scaled.to(dtype), own)
        shift = quadratics(scaled.clamp(-1, 1)) @ self.shift.double()
        named = dict(zip(self.parameter_names, parameters.double().unbind(-1), strict=True))
        exact = {name: value.to(dtype) for name, value in self.base.closed_form(named).items()}
        return {
            **changed,
            **exact,
            "energy_scale": self.torque_scale(parameters).to(dtype),
            "energy_shift": shift.to(dtype),
        }

    @torch.no_grad()
    def fit_units(self, parameters: Tensor, torques: Tensor, energies: Tensor | None = None) -> None:
        """Fit the scale of the torques, and the mean energies, to those of labels at n points of the parameters.

        Parameters
        ----------
        parameters : (n, P)
        torques : (n,)
            Root mean square torque per spin.
        energies : (n,), optional
            What the mean energy per site lacks, by which the shift is corrected.
        """
        scaled = self.scaled(parameters)
        floor = 1e-3 * float(torques.max())
        self.log_scale.copy_(fitted_quadratic(scaled, torques.clamp_min(floor).log()))
        if energies is not None:
            self.shift_energies(parameters, energies)

    @torch.no_grad()
    def shift_energies(self, parameters: Tensor, missing: Tensor) -> None:
        """Add to the energies per site what they lack (n,) at n points (n, P), as a quadratic polynomial."""
        self.shift += fitted_quadratic(self.scaled(parameters), missing)

    def prepare(self, system: SpinSystem) -> FamilyData:
        """Freeze the geometry of `system`, without parameters; see `SpinModel.prepare`."""
        whole = self.base.prepare(system)
        if system.n_graphs == 1:
            return FamilyData(whole)
        owner = torch.from_numpy(system.graph_index.copy())
        parts = [(self.base.prepare(part), (owner == k).nonzero()[:, 0]) for k, part in enumerate(system.parts)]
        return FamilyData(whole, tuple(parts))

    def with_parameters(self, data: FamilyData, parameters: Tensor) -> FamilyData:
        """Geometry with parameters (n_graphs, P), one row for each system of a union, or (1, P) for all."""
        return replace(data, parameters=parameters.to(torch.float64))

    def dimensionless_energies(self, data: FamilyData, spins: Tensor) -> Tensor:
        raise InvalidInput(self._no_member())

    def _no_member(self) -> str:
        names = ", ".join(f"{name}=..." for name in self.parameter_names)
        if not all(name.isidentifier() for name in self.parameter_names):
            names = "**{" + ", ".join(f'"{name}": ...' for name in self.parameter_names) + "}"
        return f"a family has no field of its own; choose a member with .at({names}) out of {self.range_text}"

    def _pieces(self, data: FamilyData) -> list[tuple[Any, Tensor | None, Tensor]]:
        """Geometry, sites and parameters (P,) of all that is evaluated with the same weights."""
        if data.parameters is None:
            raise InvalidInput(self._no_member())
        rows = data.parameters
        if len(rows) == 1 or bool((rows == rows[0]).all()):
            return [(data.whole, None, rows[0])]
        return [(part, sites, row) for (part, sites), row in zip(data.parts, rows, strict=True)]

    def _evaluated(self, parameters: Tensor, method: str, *arguments: Any, **options: Any) -> Any:
        weights = {f"base.{name}": weight for name, weight in self.weights(parameters).items()}
        return torch.func.functional_call(self.member, weights, (method, *arguments), options)

    def site_energies(self, data: FamilyData, spins: Tensor) -> Tensor:
        """Site energies (..., N) of spins (..., N, 3) at the parameters that `data` holds."""
        pieces = self._pieces(data)
        if pieces[0][1] is None:
            return cast(Tensor, self._evaluated(pieces[0][2], "site_energies", pieces[0][0], spins))
        result = spins.new_zeros(spins.shape[:-1])
        for geometry, sites, row in pieces:
            part = self._evaluated(row, "site_energies", geometry, spins[..., sites, :])
            result = result.index_copy(-1, cast(Tensor, sites), part)
        return result

    def energies_and_fields(
        self, data: FamilyData, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N), None where there are none, and fields (R, N, 3) of spins (R, N, 3)."""
        energies = spins.new_zeros(spins.shape[:-1]) if self.conservative else None
        fields = torch.zeros_like(spins)
        for geometry, sites, row in self._pieces(data):
            given = spins if sites is None else spins[..., sites, :]
            site, field = self._evaluated(row, "energies_and_fields", geometry, given, create_graph=create_graph)
            if sites is None:
                return site, field
            fields = fields.index_copy(-2, sites, field)
            energies = None if energies is None else energies.index_copy(-1, sites, site)
        return energies, fields

    @torch.no_grad()
    def calibrate(self, data: FamilyData, spins: Tensor) -> None:
        """Feature statistics of the architecture with the weights before modulation."""
        self.base.calibrate(data.whole, spins)

    def start_from(self, labels: LabelSet) -> None:
        """Weights of the architecture that have a solution in closed form, from labels of all members together.

        Nothing where the parameters tell more, see `SpinModel.closed_form`, unless members are solved for.
        """
        middle = self.unscaled(torch.zeros(len(self.parameter_names))).unbind(-1)
        if self.base.solved or not self.base.closed_form(dict(zip(self.parameter_names, middle, strict=True))):
            self.base.start_from(labels)

    @classmethod
    def for_labels(cls, labels: LabelSet, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters of the architecture by the labels and the names of the parameters.

        Raises
        ------
        InvalidInput
            If members are solved for, and the conditions go beyond the labels.
        """
        kind = architecture(values.get("model", cls.Hyperparameters.model_fields["model"].default))
        if "solved" in kind.capabilities:
            _require_covered(values["conditions"], labels)
        inner = dict(values.get("hyperparameters", {}))
        if "parameters" in kind.Hyperparameters.model_fields:
            inner["parameters"] = tuple(values["conditions"])
        return {**values, "hyperparameters": kind.for_labels(labels, inner)}

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("model", cls.Hyperparameters.model_fields["model"].default)
        if "solved" in architecture(name).capabilities and architecture(name).closed_form is SpinModel.closed_form:
            raise InvalidInput(f"{name} is of one Hamiltonian; choose another model for a family, or fit one for each")
        inner = architecture(name).for_system(system, dict(values.get("hyperparameters", {})))
        return {**values, "hyperparameters": inner}

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters of the architecture without `broken` symmetries."""
        name = values.get("model", cls.Hyperparameters.model_fields["model"].default)
        inner = architecture(name).without(broken, system, dict(values.get("hyperparameters", {})))
        return {**values, "hyperparameters": inner}

    @property
    def conservative(self) -> bool:
        return self.base.conservative

    @property
    def solved(self) -> bool:
        """Whether members have nothing to train."""
        return self.base.solved

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that every member leaves its energies under: those of the architecture."""
        return self.base.symmetries

    @property
    def tells_species(self) -> bool:
        return self.base.tells_species

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return self.base.hidden_units

    @property
    def receptive_radius(self) -> float:
        return self.base.receptive_radius

    @property
    def torque_receptive_radius(self) -> float:
        return self.base.torque_receptive_radius


def _require_covered(conditions: Mapping[str, tuple[float, float]], labels: LabelSet) -> None:
    """InvalidInput if ranges go beyond the parameters of labels, where members of solved models would all be one."""
    found = label_parameters(labels, tuple(conditions))
    for (name, (low, high)), column in zip(conditions.items(), found.T, strict=True):
        if low < column.min() - 1e-9 or high > column.max() + 1e-9:
            raise InvalidInput(
                f"conditions have {name} from {low:g} to {high:g}, the labels from {column.min():g} to "
                f"{column.max():g}; narrow the range, or add labels"
            )


def _architecture(spec: GraphSpec, h: FamilyHyperparameters) -> SpinModel:
    if issubclass(architecture(h.model), Family):
        raise InvalidInput("a family of families; name the architecture of the members as `model`")
    values = dict(h.hyperparameters)
    if "parameters" in architecture(h.model).Hyperparameters.model_fields:
        values["parameters"] = tuple(h.conditions)
    return build(h.model, spec, **values)
