"""`ForceField`: a model on a system as a field source."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from gnnspin.core.containers import move_arrays
from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput, NoEnergyError
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.description import ForceFieldParameters, weights_digest
from gnnspin.force_fields.error_bars import WithErrorBars
from gnnspin.force_fields.evaluation import NativeChoice, on_this_machine, sum_over_graphs
from gnnspin.force_fields.last_layer import Surroundings, hidden_of, recorded
from gnnspin.force_fields.members import member_at
from gnnspin.force_fields.memory import MOST_PER_SITE, field_bytes, memory_at_hand, too_large
from gnnspin.force_fields.model_uncertainty import FamilyUncertainty, TorqueUncertainty
from gnnspin.force_fields.tiling import Tiling
from gnnspin.force_fields.weight_uncertainty import WeightUncertainty
from gnnspin.graphs import GraphSpec
from gnnspin.models import build
from gnnspin.models.base import NativeField, SpinModel
from gnnspin.systems import SpinSystem

#: Sites of a window unless told otherwise: the caches hold a good part of its tensors.
_USUAL_WINDOW = 16_384


class ForceField(WithErrorBars, FieldSource, kind="force_field"):
    """A learned field source: the energies and fields of a model; no energy where the model has none.

    Holds a frozen copy of the model: training the original, or moving this to another precision, does not touch the
    other. Evaluates in float32 unless told otherwise; on a CPU by code compiled for this machine where the architecture
    has it, see `native`. Once `calibrate` gave it error bars, `torque_with_error_bar` tells with the torques how wrong
    they may be.

    Parameters
    ----------
    model : SpinModel
    system : SpinSystem
        Any system the model's graph specification fits; other sizes of the lattice it was trained on, for instance.
    provenance : dict, optional
        How the model came about (training data, errors); stored with it.
    dtype : torch.dtype
        Precision of the evaluation.
    device : device, optional
        Where to evaluate; default where the model is.

    Raises
    ------
    InvalidInput
        If the system does not fit the model's graph specification.
    """

    def __init__(
        self,
        model: SpinModel,
        system: SpinSystem,
        provenance: dict[str, Any] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.system = system
        self.provenance = provenance or {}
        self.uncertainty: TorqueUncertainty | FamilyUncertainty | WeightUncertainty | None = None
        self._surroundings: Surroundings | None = None
        self._tiling: Tiling | None = None
        self._native = NativeChoice()
        self._products: torch.dtype | None = None
        self._max_sites: int | None = None
        self._prepared = model.prepare(system)
        self.model.check_species(system)
        self.has_energy = self.model.conservative
        self.to(next(model.parameters()).device if device is None else device, dtype)

    @independent_of_modes
    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ForceField:
        """Move model and geometry to `device` and `dtype`, in place; returns itself."""
        self.device = torch.device(device) if device is not None else self.device
        self.dtype = dtype or self.dtype
        self.model.to(self.device, self.dtype)
        self.data = move_arrays(self._prepared, self.device, self.dtype)
        self._surroundings = None
        return self

    def compile(self, **options: Any) -> ForceField:
        """Compile the model with `torch.compile` (options are passed on), in place; returns itself.

        Raises
        ------
        InvalidInput
            If the architecture does not go through it.
        """
        if not self.model.compiles:
            raise InvalidInput(f"{self.model.name} does not go through torch.compile; use it as it is")
        self.model.compile(**options)
        self._native.wanted = False
        return self

    def native(self, wanted: bool = True) -> ForceField:
        """Evaluate by code compiled for this machine, or, with ``False``, by the model in torch; in place.

        Energies and fields agree to rounding. The code is C++, needs a compiler (``c++``, ``g++``, ``clang++`` or what
        ``CXX`` names), is built in some seconds at the first field and kept under ``~/.cache/gnnspin``. Without this
        call it is used on 400 sites or more where it can be built, unless the environment says ``GNNSPIN_NATIVE=0``.

        Raises
        ------
        InvalidInput
            At the next field, if there is none for this architecture on this system.
        NoCompiler
            At the next field, if it cannot be built.
        """
        self._native.wanted = wanted
        return self

    def products_in(self, dtype: torch.dtype | None) -> ForceField:
        """Multiply matrices in lower precision, bfloat16 or float16, and add in float32, in place; None as before.

        For devices with units for such products; the model is evaluated in torch. docs/cost.md has the errors.

        Raises
        ------
        InvalidInput
            For any other precision.
        """
        if dtype not in (None, torch.bfloat16, torch.float16):
            raise InvalidInput(f"products_in({dtype}): choose torch.bfloat16, torch.float16 or None")
        self._products, self._native.wanted = dtype, None if dtype is None else False
        return self

    @independent_of_modes
    def tile(self, max_sites: int = _USUAL_WINDOW) -> ForceField:
        """Evaluate a lattice in windows of at most `max_sites` sites, in place; returns itself.

        Energies and fields are the same to rounding. Memory no longer grows with the lattice but for the spins and
        fields themselves; the borders, as wide as a torque reaches, are evaluated more than once.

        Raises
        ------
        InvalidInput
            If the system is no lattice that repeats from cell to cell, the model has no translations (onsite disorder),
            or a window has no room inside its border.
        """
        if "translation" not in self.model.symmetries:
            raise InvalidInput(
                f"{self.model.name} with this Hamiltonian differs from cell to cell; it cannot run in tiles"
            )
        self._tiling = Tiling.of(self.system, self.model.torque_receptive_radius, max_sites)
        self._max_sites = max_sites
        self._prepared = self.model.prepare(self._tiling.window)
        self._surroundings = None
        return self.to()

    def memory(self, replicas: int = 1) -> int:
        """Bytes that one field evaluation needs beside model and geometry, predicted from shapes.

        Of the model in torch, see `field_bytes`: native code takes less.

        Parameters
        ----------
        replicas : int
            Number of replicas evaluated together.

        Raises
        ------
        InvalidInput
            If shapes inside the model depend on values.
        """
        if self._tiling is None:
            return field_bytes(self.model, self.data, (replicas, self.system.n_sites), self.dtype, self.device)
        window = (replicas, self._tiling.window.n_sites)
        return field_bytes(self.model, self.data, window, self.dtype, self.device) + self._result_bytes(replicas)

    def _result_bytes(self, replicas: int) -> int:
        """Bytes of spins, fields and site energies of the whole system."""
        return 7 * replicas * self.system.n_sites * self.dtype.itemsize

    @independent_of_modes
    def fit(self, memory: float | None = None, replicas: int = 1) -> ForceField:
        """Evaluate in windows, see `tile`, if a field would not fit in memory otherwise; in place, returns itself.

        `simulate` calls it before a run. Windows and memory stand in the description, so that a run goes on with the
        same windows elsewhere.

        Parameters
        ----------
        memory : float, optional
            Bytes that a field may take; default: 0.6 of what is free on the device, or on this machine.
        replicas : int
            Number of replicas evaluated together.

        Raises
        ------
        InvalidInput
            If the memory cannot be predicted though `memory` is given, or nothing fits: the system cannot be cut into
            windows, or the smallest takes more. Names the number of sites, or of replicas, that would fit.
        """
        at_hand = memory_at_hand(self.device) if memory is None else memory
        n_sites = self.system.n_sites if self._tiling is None else self._tiling.window.n_sites
        small = replicas * n_sites * MOST_PER_SITE <= at_hand
        if memory is None and (small or self._native_code() is not None):
            return self
        try:
            needed = self.memory(replicas)
        except InvalidInput:
            if memory is None:
                return self
            raise
        kept = self._tiling, self._prepared, self._max_sites, self.data
        while needed > at_hand:
            results = self._result_bytes(replicas) if self._tiling is not None else 0
            room = (at_hand - self._result_bytes(replicas)) / max(needed - results, 1)
            try:
                self._tile_at_most(int(0.95 * room * n_sites))
            except InvalidInput as error:
                self._tiling, self._prepared, self._max_sites, self.data = kept
                raise InvalidInput(too_large(self, needed, at_hand, replicas, n_sites, error)) from error
            assert self._tiling is not None
            n_sites, needed = self._tiling.window.n_sites, self.memory(replicas)
        return self

    def _tile_at_most(self, max_sites: int) -> None:
        """Windows of the usual size, which caches hold; larger ones where these have no room inside their border."""
        try:
            self.tile(min(max_sites, _USUAL_WINDOW))
        except InvalidInput:
            if max_sites <= _USUAL_WINDOW:
                raise
            self.tile(max_sites)

    def on(self, system: SpinSystem) -> ForceField:
        """The same model on another system, not in tiles."""
        moved = ForceField(self.model, system, self.provenance, dtype=self.dtype, device=self.device)
        moved.uncertainty = self.uncertainty
        return moved

    def at(self, **values: float) -> ForceField:
        """The member of a family of Hamiltonians at these parameters, an ordinary force field.

        Errors and warnings as of `Family.at`; InvalidInput if the model is no family.
        """
        return member_at(self, values)

    @property
    def calibration(self) -> Calibration | None:
        """Quantiles of its torque errors, None before `calibrate`."""
        return None if self.uncertainty is None else self.uncertainty.calibration

    def fields_and_scores(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Fields (R, N, 3) and posterior deviations of the torque (R, N); see `WithErrorBars`."""
        if isinstance(self.uncertainty, WeightUncertainty):
            return self.uncertainty.fields_and_scores(self.model, self.data, spins)
        if self._tiling is None:
            return self._with_scores(spins)
        fields, scores = torch.zeros_like(spins), spins.new_zeros(spins.shape[:-1])
        for sites, owned in zip(self._tiling.sites, self._tiling.owned, strict=True):
            part, score = self._with_scores(spins[:, sites])
            fields[:, sites[owned]], scores[:, sites[owned]] = part[:, owned], score[:, owned]
        return fields, scores

    def _with_scores(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the whole system, or of one window."""
        assert isinstance(self.uncertainty, TorqueUncertainty | FamilyUncertainty)
        if self._surroundings is None:
            system = self.system if self._tiling is None else self._tiling.window
            self._surroundings = Surroundings.of(system, self.model.spec)
            self._surroundings = self._surroundings.to(self.device, self.dtype)
        native = self._native_code() if on_this_machine(spins) else None
        if native is not None:
            _, fields, hidden = native.with_hidden_units(spins.detach())
        else:
            with recorded(self.model) as seen:
                _, fields = self.model.energies_and_fields(self.data, spins)
            hidden = hidden_of(self.model, seen, spins).detach()
        return fields, self.uncertainty.network.on(self.device)(hidden, self._surroundings).to(fields)

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        del time
        site, _ = self._evaluated(spins, field=False)
        if site is None:
            raise NoEnergyError(self._no_energy())
        return sum_over_graphs(self.system, site)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        del time
        return self._evaluated(spins, field=True)[1]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        del time
        site, fields = self._evaluated(spins, field=True)
        if site is None:
            raise NoEnergyError(self._no_energy())
        return sum_over_graphs(self.system, site), fields

    def _evaluated(self, spins: Tensor, *, field: bool) -> tuple[Tensor | None, Any]:
        tiling = self._tiling
        return self._on(spins, field=field) if tiling is None else self._in_tiles(tiling, spins, field=field)

    def _on(self, spins: Tensor, *, field: bool) -> tuple[Tensor | None, Tensor | None]:
        """Site energies (R, N), None where there are none, and fields (R, N, 3) if asked for."""
        if on_this_machine(spins) and (native := self._native_code()) is not None:
            return native(spins.detach(), field=field)
        with torch.autocast(self.device.type, self._products, enabled=self._products is not None):
            if not field:
                with torch.no_grad():
                    return self.model(self.data, spins), None
            site, fields = self.model.energies_and_fields(self.data, spins)
        return None if site is None else site.detach(), fields

    def _native_code(self) -> NativeField | None:
        """Native evaluation of the system or of a window of it, where there is one."""
        system = self.system if self._tiling is None else self._tiling.window
        return self._native.field(self.model, system, self.dtype) if self.device.type == "cpu" else None

    def _in_tiles(self, tiling: Tiling, spins: Tensor, *, field: bool) -> tuple[Tensor | None, Tensor | None]:
        """The same, window after window."""
        energies = spins.new_zeros(spins.shape[:-1]) if self.has_energy else None
        fields = torch.zeros_like(spins) if field else None
        for sites, kept, owned in tiling.windows(spins.device):
            site, part = self._on(spins.index_select(1, sites), field=field)
            if energies is not None and site is not None:
                energies.index_copy_(1, owned, site.index_select(1, kept))
            if fields is not None and part is not None:
                fields.index_copy_(1, owned, part.index_select(1, kept))
        return energies, fields

    def _no_energy(self) -> str:
        return f"the model {self.model.name} has no energy: its field is not a gradient; use field()"

    @classmethod
    def parameters(cls, without: tuple[str, ...] = ()) -> type[Recipe]:
        """Pydantic class of the description; a model is described by its architecture and the digest of its weights."""
        del without
        return ForceFieldParameters

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        system: Any = None,
        device: Any = None,
        contents: Mapping[str, bytes] | None = None,
        **given: Any,
    ) -> Any:
        """Build from a description and the weights that it names; see `Recipe.build`."""
        assert isinstance(recipe, ForceFieldParameters)
        weights = (contents or {}).get(recipe.weights)
        if weights is None or system is None:
            raise InvalidInput(
                f"the weights {recipe.weights} are not in the file; load the {recipe.model} with gnnspin.load"
            )
        model = build(recipe.model, GraphSpec(**recipe.graph), **recipe.hyperparameters)
        force_field = cls(model, system, **given).to(device, recipe.dtype)
        force_field.model.load_state_dict(safetensors.torch.load(weights))
        return force_field if recipe.max_sites is None else force_field.tile(recipe.max_sites)

    def specification(self) -> dict[str, Any]:
        """Description of the model without its weights, of which it holds the digest; see `model_weights`."""
        return {
            "kind": self.kind,
            "model": self.model.name,
            "hyperparameters": self.model.hyperparameters.model_dump(mode="json"),
            "graph": self.model.spec.to_dict(),
            "weights": weights_digest(self.model),
            "dtype": str(self.dtype).removeprefix("torch."),
            "max_sites": self._max_sites,
        }


def model_weights(source: FieldSource) -> dict[str, bytes]:
    """Safetensors of every learned model in `source`, by the digest in its description."""
    return {
        weights_digest(part.model): safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in part.model.state_dict().items()}
        )
        for part in source.inside()
        if isinstance(part, ForceField)
    }


ForceFieldParameters.described_class = ForceField
