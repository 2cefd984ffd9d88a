"""Heads: fields that are not, or not only, the gradient of an energy, over any family of site-energy models."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Annotated, Any, Literal

import pydantic
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.directed import DirectedReadout, DirectedVectors, PreparedWithDrive
from gnnspin.models.registry import architecture, register
from gnnspin.systems import SpinSystem

HeadName = Literal["energy", "pair", "site_pairs", "vectors"]


class NonconservativeHyperparameters(Config):
    """Hyperparameters of `Nonconservative`."""

    head: HeadName = Field(default="vectors", description="where the field comes from, most special first")
    model: str = Field(default="spin_cluster_expansion", description="architecture under the head")
    hyperparameters: dict[str, Any] = Field(default_factory=dict, description="of the architecture under the head")
    time_reversal: bool = Field(default=False, description="impose H(-S) = -H(S); not in a driven system")
    drive: tuple[float, float, float] | None = Field(
        default=None, description="direction of the current; null: every direction of space is alike"
    )
    ends: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(),
        description="decay lengths l of what a site knows of its distances d from both ends along the drive, "
        "exp(-d / l); empty: sites are alike wherever they are",
    )
    drive_channels: int = Field(default=4, ge=1, description="vectors collected along the drive")
    hidden: int = Field(default=32, ge=1, description="width of the head's site network")


@register
class Nonconservative(SpinModel):
    r"""A head on another architecture; `base` are one or two models of it.

    ===============  ==========================================================================================
    head             field
    ===============  ==========================================================================================
    ``energy``       :math:`H_i = -\partial E/\partial S_i`: conservative, as the architecture alone
    ``pair``         :math:`H_i = -\partial E/\partial S_i + S_i\times\partial G/\partial S_i`, the sums E and G of
                     two site functions: not every field is of this form
    ``site_pairs``   :math:`H_i = -\partial E_i/\partial S_i + S_i\times\partial G_i/\partial S_i`, each site's own
                     functions differentiated by its own spin at fixed environment: general
    ``vectors``      :math:`H_i = \sum_a g_i^a X_i^a + g_i'^a S_i\times X_i^a`, equivariant vectors X with invariant
                     gates g: general, and without any derivative
    ===============  ==========================================================================================

    Only the torque of a field matters: one spin's tangent vector field is always such a pair (Hodge), a field of many
    spins is one global pair only if the exterior derivative of :math:`\sum H_i\cdot dS_i` is of type (1, 1). A
    Slonczewski torque :math:`S_i\times(S_i\times p)` is ``G = sum p.S`` (Zhang and Chern, npj Comput. Mater. 9,
    32, 2023, doi:10.1038/s41524-023-00990-0).

    All heads are equivariant under spin rotation, translations and, without `drive`, the point group. A current singles
    out a direction of space; with `drive` only operations that keep it remain, and any that moves it holds if the drive
    is moved along. With `time_reversal` the terms even in the spins are dropped.

    Between contacts the electrons that reach a site depend on how far the contacts are, further than any message goes.
    With `ends` the site networks know the distances from both ends of a system that is open along the drive.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : NonconservativeHyperparameters

    Raises
    ------
    InvalidInput
        If the architecture under the head lacks what the head needs, or head and symmetry contradict each other.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(6, 6, pbc=(False, True))
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=2.0)
    >>> model = gs.models.build("nonconservative", spec, head="pair", drive=(1, 0, 0))
    >>> gs.ForceField(model, system).has_energy
    False
    """

    name = "nonconservative"
    Hyperparameters = NonconservativeHyperparameters
    hyperparameters: NonconservativeHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: NonconservativeHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        if h.head == "pair" and h.time_reversal:
            raise InvalidInput("head pair with time_reversal: true has no G and is head energy; choose one of them")
        if h.ends and h.drive is None:
            raise InvalidInput(f"ends={list(h.ends)} are those along the drive; give drive, its direction")
        count = 2 if h.head in ("pair", "site_pairs") and not h.time_reversal else 1
        self.functions = nn.ModuleList(self._function() for _ in range(count))

    def _function(self) -> SiteFunction | DirectedFunction:
        h = self.hyperparameters
        vectors = h.head == "vectors" or h.drive is not None
        base = _build(h, self.spec, vectors=vectors)
        if vectors:
            return DirectedFunction(base, self.spec, h)
        if h.head == "site_pairs" and "site_resolved" not in base.capabilities:
            raise InvalidInput(f"{base.name} does not separate a site's spin from its environment; choose head vectors")
        if h.head == "site_pairs" and math.isinf(base.receptive_radius):
            raise InvalidInput(
                "head site_pairs needs energies of single sites, but fixed_number: true ties them together"
            )
        return SiteFunction(base)

    @property
    def _first(self) -> SiteFunction | DirectedFunction:
        return self.functions[0]  # type: ignore[return-value]

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("model", cls.Hyperparameters.model_fields["model"].default)
        inner = architecture(name).for_system(system, dict(values.get("hyperparameters", {})))
        return {**values, "hyperparameters": inner}

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters without `broken` symmetries, also those of the architecture under the head."""
        name = values.get("model", cls.Hyperparameters.model_fields["model"].default)
        spatial = set(broken) - {"time_reversal"}
        inner = architecture(name).without(spatial, system, dict(values.get("hyperparameters", {})))
        return {**super().without(broken, system, values), "hyperparameters": inner}

    @property
    def conservative(self) -> bool:
        return self.hyperparameters.head == "energy"

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that the fields obey; a drive singles out a direction and so breaks those of space."""
        driven = self.hyperparameters.drive is not None
        kept = super().symmetries & self._first.base.symmetries
        return kept - {"point_group", "mirrors", "space_rotation"} if driven else kept

    @property
    def tells_species(self) -> bool:
        """Whether the architecture under the head tells sites of different species apart."""
        return self._first.base.tells_species

    @property
    def compiles(self) -> bool:
        """Whether the architecture under the head goes through `torch.compile`."""
        return self._first.base.compiles

    @property
    def receptive_radius(self) -> float:
        further = self.spec.cutoff if self.hyperparameters.drive is not None else 0.0
        return self._first.base.receptive_radius + further

    def prepare(self, system: SpinSystem) -> Any:
        """Freeze the geometry of `system`, which both functions share."""
        return self._first.prepare(system)

    @torch.no_grad()
    def calibrate(self, data: Any, spins: Tensor) -> None:
        for function in self.functions:
            function.calibrate(data, spins)  # type: ignore[operator]

    def start_from(self, labels: LabelSet) -> None:
        """Set weights that have a solution in closed form: an energy head starts as its architecture does."""
        base = self._first.base
        base.energy_scale.copy_(self.energy_scale)
        if self.conservative:
            base.start_from(labels)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the site functions; derivatives are taken outside them."""
        for function in self.functions:
            function.compile(*args, **options)

    def dimensionless_energies(self, data: Any, spins: Tensor) -> Tensor:
        if not self.conservative:
            raise InvalidInput(f"head {self.hyperparameters.head} has no energy; its field is not a gradient")
        return self.functions[0](data, spins, spins)

    def energies_and_fields(
        self, data: Any, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        head = self.hyperparameters.head
        if head == "energy":
            return super().energies_and_fields(data, spins, create_graph=create_graph)
        if head == "vectors":
            with torch.set_grad_enabled(create_graph):
                return None, self.energy_scale * self.functions[0](data, spins, spins, field=True)
        gradients = [self._gradient(f, data, spins, create_graph=create_graph) for f in self.functions]
        field = -gradients[0]
        if len(gradients) == 2:
            field = field + torch.linalg.cross(spins.detach(), gradients[1])
        return None, self.energy_scale * field

    def _gradient(self, function: nn.Module, data: Any, spins: Tensor, *, create_graph: bool) -> Tensor:
        """Derivative of a function's sum by all spins, or of every site's value by its own spin alone."""
        with torch.enable_grad():
            variable = spins.detach().clone().requires_grad_(True)
            around = spins.detach() if self.hyperparameters.head == "site_pairs" else variable
            return torch.autograd.grad(function(data, around, variable).sum(), variable, create_graph=create_graph)[0]


class SiteFunction(nn.Module):
    """The site energies of a model as a function of environment and centre."""

    def __init__(self, base: SpinModel) -> None:
        super().__init__()
        self.base = base

    def prepare(self, system: SpinSystem) -> Any:
        """Geometry of the model."""
        return self.base.prepare(system)

    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Feature statistics of the model."""
        self.base.calibrate(data, spins)

    def forward(self, data: Any, around: Tensor, center: Tensor) -> Tensor:
        """Values (R, N) for environments `around` and centres `center`, both (R, N, 3)."""
        if around is center:
            return self.base.dimensionless_energies(data, around)
        return self.base.dimensionless_energies(data, around, center)  # type: ignore[call-arg]


class DirectedFunction(nn.Module):
    """Values or vectors read from a model's vectors, collected along the drive where there is one."""

    def __init__(self, base: SpinModel, spec: GraphSpec, h: NonconservativeHyperparameters) -> None:
        super().__init__()
        self.base = base
        self.collect = None
        if h.drive is not None:
            self.collect = DirectedVectors(base.n_vectors, h.drive_channels, spec, h.drive, h.ends)
        n_vectors = base.n_vectors + (0 if self.collect is None else 2 * h.drive_channels)
        gates, places = h.head == "vectors", 2 * len(h.ends)
        self.readout = DirectedReadout(n_vectors, h.hidden, time_reversal=h.time_reversal, gates=gates, n_places=places)

    def prepare(self, system: SpinSystem) -> PreparedWithDrive:
        """Geometry of the model and of the vectors collected along the drive."""
        drive = None if self.collect is None else self.collect.prepare(system)
        return PreparedWithDrive(self.base.prepare(system), drive)

    def calibrate(self, data: PreparedWithDrive, spins: Tensor) -> None:
        """Feature statistics of the model, then of the head."""
        self.base.calibrate(data.base, spins)
        self.readout.measure(spins, self._vectors(data, spins), self._places(data))

    def _places(self, data: PreparedWithDrive) -> Tensor | None:
        return None if data.drive is None else data.drive.ends

    def _vectors(self, data: PreparedWithDrive, spins: Tensor) -> Tensor:
        vectors = self.base.site_vectors(data.base, spins)
        if self.collect is None or data.drive is None:
            return vectors
        return torch.cat([vectors, self.collect(data.drive, vectors)], dim=1)

    def forward(self, data: PreparedWithDrive, around: Tensor, center: Tensor, *, field: bool = False) -> Tensor:
        """Values (R, N), or with `field` vectors (R, N, 3), for environments and centres (R, N, 3)."""
        vectors, places = self._vectors(data, around), self._places(data)
        return self.readout.vectors(center, vectors, places) if field else self.readout(center, vectors, places)


def _build(h: NonconservativeHyperparameters, spec: GraphSpec, *, vectors: bool) -> SpinModel:
    """The architecture under the head, with the head's choice of time reversal."""
    kind = architecture(h.model)
    values = dict(h.hyperparameters)
    known = "time_reversal" in kind.Hyperparameters.model_fields
    if known and values.setdefault("time_reversal", h.time_reversal) != h.time_reversal:
        raise InvalidInput(f"time_reversal is {h.time_reversal} for the head, but not for {h.model}; set it once")
    if "drive" in kind.Hyperparameters.model_fields:
        values.setdefault("drive", h.drive)
    try:
        inner = kind.Hyperparameters(**values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{h.model}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not vectors:
        return kind(spec, inner)
    if "vectors" not in kind.capabilities:
        raise InvalidInput(f"{h.model} gives no vectors; choose head energy, pair or site_pairs without drive")
    return kind(spec, inner, vector_output=True)  # type: ignore[call-arg]
