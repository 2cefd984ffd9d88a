"""Base class of models: a module with a graph specification, hyperparameters, `prepare`, energies and fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import make_independent_of_modes
from gnnspin.datasets.labels import LabelSet
from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem

#: What a model may claim in `SpinModel.symmetries`; ``point_group`` and ``space_rotation`` are the proper rotations of
#: a lattice and of all positions of any system, ``mirrors`` the improper operations of either.
SYMMETRIES = frozenset({"spin_rotation", "time_reversal", "translation", "point_group", "mirrors", "space_rotation"})


#: What an architecture can do beyond energies and fields; see `SpinModel.capabilities`.
Capability = Literal["compiles", "linear", "site_resolved", "solved", "vectors"]


class NativeField(Protocol):
    """Evaluation of a model on one system by code outside of torch; see `SpinModel.native`."""

    def __call__(self, spins: Tensor, *, field: bool) -> tuple[Tensor, Tensor | None]:
        """Site energies (R, N) and, if asked for, fields (R, N, 3) of spins (R, N, 3)."""
        ...

    def update(self, parameters: Mapping[str, Tensor] | None = None) -> object:
        """Take the present weights of the model, or others, by name, in their place."""
        ...

    def trainable(self, spins: Tensor, parameters: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Site energies (R, N) and fields (R, N, 3) as functions of the parameters of the model, or of others."""
        ...

    def with_hidden_units(self, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Site energies, fields, and outputs (R, N, P) of `SpinModel.hidden_units`, those of all one after another."""
        ...


@dataclass(frozen=True)
class HiddenUnits:
    """A module whose outputs the last linear map turns into site energies.

    Attributes
    ----------
    module : nn.Module
    sites_last : bool
        Whether its outputs are (R, h, N), or (R, G, h, N) with G orientations whose mean counts; else (R, N, h), for
        some of the sites at a time.
    """

    module: nn.Module
    sites_last: bool


class SpinModel(nn.Module, ABC):
    """Base of all models.

    A subclass declares `name`, `Hyperparameters` and its `capabilities`, and writes `prepare` and
    `dimensionless_energies`; everything else (fields, training, files, dynamics) follows. It is built by
    `gnnspin.models.build(name, spec, **hyperparameters)`, and `(name, spec, hyperparameters)` is what a file stores.

    Attributes
    ----------
    energy_scale, energy_shift : scalar buffers
        Site energies are ``energy_scale * network + energy_shift``; set from the labels by the trainer.
    """

    name: ClassVar[str]
    Hyperparameters: ClassVar[type[Config]]
    #: What the architecture can do beyond energies and fields. ``compiles``: it goes through `torch.compile`;
    #: ``site_resolved``: `dimensionless_energies` takes a third argument `center`; ``vectors``: it writes
    #: `site_vectors` and is then built with ``vector_output=True``; ``linear``: its energy is linear in the weights,
    #: which `gnnspin.training.fit` solves for, see `LinearSpinModel`; ``solved``: `start_from` finds all its weights,
    #: there is nothing left to train.
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"compiles"})

    energy_scale: Tensor
    energy_shift: Tensor

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        make_independent_of_modes(cls, "__init__", "prepare")

    def __init__(self, spec: GraphSpec, hyperparameters: Config) -> None:
        super().__init__()
        self.spec = spec
        self.hyperparameters = hyperparameters
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("energy_shift", torch.zeros(()))

    @abstractmethod
    def prepare(self, system: SpinSystem) -> Any:
        """Freeze the geometry of `system`: graph, stencils, radial and angular factors.

        Returns a `torch_geometric.data.Data`, a `TensorContainer`, or whatever else `gnnspin.core.move_arrays`
        takes to the model's device and precision.
        """

    @property
    def tells_species(self) -> bool:
        """Whether the model tells species apart; if not, `check_species` refuses several. Default: no."""
        return False

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters of the Hamiltonian that the weights depend on, see `Family`. Default: none."""
        return ()

    def closed_form(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights and buffers by name that follow from parameters of the Hamiltonian; `Family` asks. Default: none."""
        del values
        return {}

    @property
    def solved(self) -> bool:
        """Whether `start_from` finds all weights of this model. Default: what its architecture declares."""
        return "solved" in self.capabilities

    @property
    def compiles(self) -> bool:
        """Whether the fields of this model go through `torch.compile`. Default: what its architecture declares."""
        return "compiles" in self.capabilities

    def check_species(self, system: SpinSystem) -> None:
        """InvalidInput if `system` has several species and they are all the same to the model."""
        found = sorted(set(system.species.tolist()))
        if len(found) > 1 and not self.tells_species:
            raise InvalidInput(
                f"the system has species {found}, which {self.name} does not tell apart; use spin_cluster_expansion or "
                "oriented_cluster_expansion, or give all sites one species"
            )

    @abstractmethod
    def dimensionless_energies(self, data: Any, spins: Tensor) -> Tensor:
        """Site energies (R, N) of spins (R, N, 3) in units of `energy_scale`; what an author writes.

        A model with the capability ``site_resolved`` takes a third argument `center` (R, N, 3) in place of every site's
        own spin in its own energy, its environment made of `spins`; some heads need it, see `Nonconservative`.
        """

    def site_vectors(self, data: Any, spins: Tensor) -> Tensor:
        """Vectors (R, C, N, 3) that rotate with the spins (R, N, 3) and, with time reversal, are odd in them.

        A model with the capability ``vectors`` writes it, and is built with the keyword ``vector_output=True`` for it.
        """
        raise InvalidInput(f"{self.name} gives no vectors; choose another model, or a head that needs none")

    def site_energies(self, data: Any, spins: Tensor) -> Tensor:
        """Site energies (..., N) of spins (..., N, 3), in units of the hopping; differentiable."""
        replicas = spins.shape[:-2]
        energies = self.dimensionless_energies(data, spins.reshape(-1, *spins.shape[-2:]))
        return (self.energy_scale * energies + self.energy_shift).reshape(*replicas, -1)

    def native(self, system: SpinSystem, dtype: torch.dtype) -> NativeField | None:
        """Energies and fields on `system` by code compiled for this machine; None where there is none. Default: none.

        Raises
        ------
        NoCompiler
            If there is such code, and no compiler for it.
        """
        del system, dtype
        return None

    def forward(self, data: Any, spins: Tensor) -> Tensor:
        """`site_energies`; what `torch.nn.Module.compile` compiles."""
        return self.site_energies(data, spins)

    @property
    def n_vectors(self) -> int:
        """Number C of vectors of `site_vectors`; default: the hyperparameter ``channels``."""
        return int(self.hyperparameters.channels)  # type: ignore[attr-defined]

    @property
    def conservative(self) -> bool:
        """Whether the field is the gradient of an energy; if it is not, the model has no energy."""
        return True

    def energies_and_fields(
        self, data: Any, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N), None where there are none, and fields (R, N, 3) of spins (R, N, 3).

        Default: ``H_i = -dE/dS_i`` by automatic differentiation. With `create_graph` both are differentiable with
        respect to the weights.
        """
        with torch.enable_grad():
            spins = spins.detach().requires_grad_(True)
            site = self(data, spins)
            (gradient,) = torch.autograd.grad(site.sum(), spins, create_graph=create_graph)
        return site, -gradient

    def fields(self, data: Any, spins: Tensor, *, create_graph: bool = False) -> Tensor:
        """Fields (R, N, 3) of spins (R, N, 3), see `energies_and_fields`."""
        return self.energies_and_fields(data, spins, create_graph=create_graph)[1]

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        """Where the last linear maps of the site energies read; what `TorqueUncertainty` is made of. Default: none."""
        return ()

    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Set feature statistics from typical spins (R, N, 3); called once before training. Default: nothing."""
        del data, spins

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that leave the model's energies exactly as they are, named as by `symmetry_violations`.

        Default: all of `SYMMETRIES`, but for ``time_reversal`` and ``mirrors`` where that hyperparameter is false.
        """
        flags = ("time_reversal", "mirrors")
        given_up = {flag for flag in flags if not getattr(self.hyperparameters, flag, True)}
        return SYMMETRIES - given_up

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters so that `broken` symmetries are not imposed, as far as `values` leave a choice.

        Default: the hyperparameters ``time_reversal`` and ``mirrors`` are set to false.
        """
        del system
        fields = cls.Hyperparameters.model_fields
        flags = {"time_reversal", "mirrors"} & set(broken) & set(fields)
        if values.get("max_degree") == 0:
            flags -= {"mirrors"}
        return {**dict.fromkeys(sorted(flags), False), **values}

    def start_from(self, labels: LabelSet) -> None:
        """Set weights that have a solution in closed form; called before `calibrate` and training. Default: none."""
        del labels

    @property
    def receptive_radius(self) -> float:
        """Radius within which a site energy depends on spins; the torque on a spin depends on those within twice it.

        Default: the cutoff, for models whose site energies see direct neighbours alone.
        """
        return self.spec.cutoff

    @property
    def torque_receptive_radius(self) -> float:
        """Radius within which the torque on a spin depends on others; default: twice that of a site energy."""
        return 2 * self.receptive_radius

    @classmethod
    def for_labels(cls, labels: LabelSet, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters that follow from the labels to train on; `ModelConfig.build` calls it."""
        del labels
        return values

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters that follow from the lattice of `system`; `ModelConfig.build` calls it."""
        del system
        return values

    @property
    def n_parameters(self) -> int:
        """Number of parameters, also of a frozen copy."""
        return sum(p.numel() for p in self.parameters())
