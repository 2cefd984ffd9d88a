"""A learned model as configurations name it: by its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.described import Described, Recipe
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.source import FieldSource
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.files import load, save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import parameter_names
from gnnspin.force_fields.pretrained import PREFIX
from gnnspin.force_fields.uncertainty import calibrate
from gnnspin.systems import SpinSystem


def load_any(path: str | Path, system: SpinSystem, at: Mapping[str, float] | None = None) -> ForceField | Committee:
    """The force field in a file, or the committee in a folder; errors as from `load` and `Committee.load`."""
    folder = not str(path).startswith(PREFIX) and Path(path).is_dir()
    if folder and at is not None:
        raise InvalidInput(f"{path} is a committee, not a family of models: leave out the parameters {dict(at)}")
    return Committee.load(path, system) if folder else load(path, system, at=at)


def save_calibrated(source: ForceField | Committee, labels: LabelSet, path: str | Path) -> Calibration:
    """Calibrate a model or committee on labels and write it to the new file or folder `path`; see `calibrate`.

    Raises
    ------
    StoreError
        If `path` exists, before any work.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; choose another file for the model with its error bars")
    found = calibrate(source, labels)
    if isinstance(source, Committee):
        source.save(path)
    else:
        save(source, path)
    return found


class ModelFile(FieldSource, kind="model"):
    """The force field in a model file, or the committee in a folder of them; built as that source itself.

    Parameters
    ----------
    system : SpinSystem
        Any system that fits the model.
    path : path
        A file written by `gnnspin.save`, a folder written by `Committee.save`, or ``pretrained:NAME``.
    at : dict, optional
        Of a family of models, the parameters of the Hamiltonian: ``{J: 3.0, filling: 0.3}``.
    dtype : torch.dtype
        Precision of the evaluation.
    max_sites : int, optional
        Sites per window, see `ForceField.tile`; default: the whole system at once.
    device : torch.device or str
        Where to evaluate.

    Raises
    ------
    StoreError
        If the file is missing, damaged or foreign.
    InvalidInput
        If the system does not fit the model, or the parameters do not fit the family; a family needs them.
    """

    def __init__(
        self,
        system: SpinSystem,
        path: str | Path,
        *,
        at: dict[str, float] | None = None,
        dtype: torch.dtype = torch.float32,
        max_sites: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.source = load_any(path, system, at).to(device, dtype)
        if isinstance(self.source, ForceField) and parameter_names(self.source):
            self.source.at()  # raises: says which parameters are missing
        if max_sites is not None:
            for member in self.source.members if isinstance(self.source, Committee) else (self.source,):
                member.tile(max_sites)
        self.system, self.device, self.dtype = system, self.source.device, self.source.dtype
        self.has_energy = self.source.has_energy

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        system: Any = None,
        device: Any = None,
        contents: Mapping[str, bytes] | None = None,
        **given: Any,
    ) -> Any:
        """The force field or committee itself."""
        return super().from_recipe(recipe, system, device, contents, **given).source

    def inside(self) -> Iterator[Described]:
        """The model as the source that it is."""
        yield from self.source.inside()

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies of the model; see `FieldSource.energies`."""
        return self.source.energies(spins, time)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields of the model; see `FieldSource.fields`."""
        return self.source.fields(spins, time)

    def specification(self) -> dict[str, Any]:
        """Description of the model in the file, not of the file."""
        return self.source.specification()
