"""Training by the native code of a model, where there is any: fields and the gradients of their errors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gnnspin.core.modes import ordinary_modes
from gnnspin.force_fields.evaluation import on_this_machine
from gnnspin.models.architectures.family import Family
from gnnspin.models.base import NativeField, SpinModel
from gnnspin.models.native import NoCompiler, native_allowed
from gnnspin.systems import SpinSystem
from gnnspin.training.batches import Batch

#: Sites of a batch from which on native code is worth building: a step in torch has a thousand operations.
_WORTH_SITES = 100


class NativeTraining:
    """Native code of one model, or of the members of a family, on the systems of its batches, while weights change.

    Parameters
    ----------
    model : SpinModel
    """

    def __init__(self, model: SpinModel) -> None:
        self._model = model
        self._known: dict[str, NativeField | None] = {}

    def energies_and_fields(self, batch: Batch, *, create_graph: bool) -> tuple[Tensor, Tensor] | None:
        """Site energies (R, N) and fields (R, N, 3), with `create_graph` as functions of the parameters.

        None where torch does it: on unions of systems, on batches of fewer than `_WORTH_SITES` sites, on a GPU, or
        where there is no native code.
        """
        small = batch.spins[..., 0].numel() < _WORTH_SITES
        if small or batch.system.n_graphs > 1 or not on_this_machine(batch.spins) or not native_allowed():
            return None
        native = self._of(batch.system, batch.spins)
        if native is None:
            return None
        member = self._model.weights(batch.data.parameters[0]) if isinstance(self._model, Family) else None
        if create_graph:
            return native.trainable(batch.spins, member)
        native.update(member)
        energies, fields = native(batch.spins, field=True)
        assert fields is not None
        return energies, fields

    def _of(self, system: SpinSystem, spins: Tensor) -> NativeField | None:
        if system.fingerprint not in self._known:
            try:
                with ordinary_modes():
                    model = self._model.base if isinstance(self._model, Family) else self._model
                    self._known[system.fingerprint] = model.native(system, spins.dtype)
            except NoCompiler:
                self._known[system.fingerprint] = None
        return self._known[system.fingerprint]

    def __getstate__(self) -> dict[str, Any]:
        return {"_model": self._model, "_known": {}}
