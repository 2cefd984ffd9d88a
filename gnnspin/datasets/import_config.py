"""Data of one's own described in a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from gnnspin.core.errors import InvalidInput
from gnnspin.core.options import options_of
from gnnspin.datasets.array_files import USUAL_NAMES, read_arrays
from gnnspin.datasets.in_memory import LabelsInMemory, save_labels
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.own import from_arrays
from gnnspin.systems.config import SystemConfig

#: Arguments of `from_arrays` that a configuration gives as arrays in files, or not at all.
_IN_FILES = ("system", "provenance", *USUAL_NAMES)

_Options: Any = options_of(from_arrays, "ImportOptions", without=_IN_FILES)


class ImportConfig(_Options):
    """Configuration of `gnnspin import`: files, what is what in them, and the conventions they were written in."""

    files: tuple[Path, ...] = Field(
        min_length=1,
        description="file of arrays: .npz, .csv, .h5, .xyz, or several .npy; a name or a list",
        examples=["mine.npz"],
    )
    system: SystemConfig | None = Field(
        default=None, description="where the spins sit; null: extended XYZ, which says it"
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description=f"names in the file of {', '.join(USUAL_NAMES)}; default: usual names",
        examples=[{"fields": "B_eff"}],
    )
    source: str | None = Field(default=None, description="where the data come from, noted with every label")

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str | Path) else given

    def labels(self) -> list[LabelsInMemory]:
        """The labels, one set for each system.

        Raises
        ------
        StoreError, InvalidInput
            As from `read_arrays` and `from_arrays`; if a file without positions comes without a system.
        """
        system = None if self.system is None else self.system.build()
        options = {name: getattr(self, name) for name in _Options.model_fields}
        found = []
        for arrays in read_arrays(self.files, self.names):
            own = system or arrays.system
            if own is None:
                raise InvalidInput(f"{self.files[0]} does not say where the spins sit; give system")
            notes = {} if self.source is None else {"source": self.source}
            values: dict[str, Any] = dict(arrays.values)
            if self.trajectory is None:
                values = {name: value for name, value in values.items() if name not in ("steps", "times")}
            if "torques" in values and "fields" in values:
                del values["torques"]
            found.append(from_arrays(own, **values, **options, provenance=notes))
        return found

    def run(self, output: str | Path) -> LabelStore:
        """Write the labels to the new label store `output`; errors as from `labels` and `LabelStore.create`."""
        return save_labels(self.labels(), output, {"import": self.model_dump(mode="json")})
