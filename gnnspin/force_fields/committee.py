"""Committees: several force fields of one system as one field source, with the spread of their torques."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, torque
from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.error_bars import WithErrorBars
from gnnspin.force_fields.files import load, save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.runs import read_json, replaced, write_json
from gnnspin.systems import SpinSystem

#: File of a committee's calibration in its folder.
_CALIBRATION = "uncertainty.json"


class Committee(WithErrorBars, FieldSource, kind="committee"):
    """Mean of force fields that were trained independently; where they disagree, none is to be trusted.

    Energies and fields are the members' means. `spread` says how much their torques differ, spin by spin: large where
    the training data say little. It is no error bar (members share their architecture and its mistakes), but it ranks
    configurations, and `calibrate` makes error bars of it.

    Parameters
    ----------
    members : sequence of ForceField
        At least two, all on one system; each keeps its own precision and device.

    Raises
    ------
    InvalidInput
        If there are fewer than two members, one is no force field, or they live on different systems.

    Examples
    --------
    Record the spread along a trajectory:

    >>> committee = Committee([first, second, third])  # doctest: +SKIP
    >>> run = gs.dynamics.simulate(
    ...     committee, spins, observers={"spread": lambda state: committee.spread(state.spins).mean(-1)}, ...
    ... )  # doctest: +SKIP
    """

    members: tuple[ForceField, ...]

    def __init__(self, members: Sequence[ForceField]) -> None:
        self.members = tuple(members)
        if len(self.members) < 2:
            raise InvalidInput(f"a committee of {len(self.members)} has no spread; give at least two force fields")
        for member in self.members:
            if not isinstance(member, ForceField):
                raise InvalidInput(
                    f"{type(member).__name__} in a committee is no ForceField; give trained force fields"
                )
        if len({member.system.fingerprint for member in self.members}) > 1:
            raise InvalidInput("the members live on different systems; move them with force_field.on(system)")
        self.system = self.members[0].system
        self.device = self.members[0].device
        #: Calibration of the spread, see `calibrate`.
        self.uncertainty: Calibration | None = None
        self.has_energy = all(member.has_energy for member in self.members)

    def __len__(self) -> int:
        return len(self.members)

    def on(self, system: SpinSystem) -> Committee:
        """The same models on another system."""
        moved = Committee([member.on(system) for member in self.members])
        moved.uncertainty = self.uncertainty
        return moved

    @property
    def calibration(self) -> Calibration | None:
        """Quantiles of its torque errors in units of the spread, None before `calibrate`."""
        return self.uncertainty

    def fields_and_scores(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Mean fields (R, N, 3) and the spread of the torques (R, N); see `WithErrorBars`."""
        fields = torch.stack([member.unchecked_field(spins) for member in self.members])
        return fields.mean(0), torque(spins.expand_as(fields), fields).var(0).sum(-1).sqrt()

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Committee:
        """Move all members, in place; returns itself."""
        for member in self.members:
            member.to(device, dtype)
        self.device = self.members[0].device
        return self

    def compile(self, **options: Any) -> Committee:
        """Compile all members, in place; returns itself."""
        for member in self.members:
            member.compile(**options)
        return self

    def save(self, folder: str | Path) -> Path:
        """Write every member to a file ``member_00.safetensors``, ... of a new folder, which it returns.

        Raises
        ------
        StoreError
            If the folder exists.
        """
        folder = Path(folder)
        if folder.exists():
            raise StoreError(f"{folder} exists; give a new folder for the committee")
        with replaced(folder) as complete:
            for k, member in enumerate(self.members):
                save(member, complete / f"member_{k:02d}.safetensors")
            if self.uncertainty is not None:
                write_json(complete / _CALIBRATION, self.uncertainty.to_dict())
        return folder

    @classmethod
    def load(cls, folder: str | Path, system: SpinSystem) -> Committee:
        """Committee of all model files in `folder`, in the order of their names, on `system`.

        Raises
        ------
        StoreError
            If the folder is missing or holds fewer than two model files, or a file is damaged.
        InvalidInput
            If the system does not fit a model.
        """
        paths = sorted(Path(folder).glob("*.safetensors"))
        if len(paths) < 2:
            raise StoreError(f"{folder} holds {len(paths)} model files; a committee needs at least two")
        committee = cls([load(path, system) for path in paths])
        known = Path(folder) / _CALIBRATION
        committee.uncertainty = Calibration.from_dict(read_json(known)) if known.is_file() else None
        return committee

    def torques(self, spins: Tensor | ArrayLike) -> Tensor:
        """Torques of every member, (M, ..., N, 3); parameters and errors as for `field`."""
        checked = as_spins(spins, self.system.n_sites).detach()
        return torch.stack([torque(checked, member.unchecked_field(checked)) for member in self.members])

    def spread(self, spins: Tensor | ArrayLike) -> Tensor:
        """Standard deviation of the members' torques for every spin.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (..., N) tensor
            ``sqrt(sum_m |T_m - T|^2 / (M - 1))`` with the mean torque T, in units of the hopping.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        """
        return self.torques(spins).var(0).sum(-1).sqrt()

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        return self._mean(spins, energy=True)[0]

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        return self._mean(spins, field=True)[1]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        return self._mean(spins, energy=True, field=True)

    def _mean(self, spins: Tensor, *, energy: bool = False, field: bool = False) -> Any:
        """Means of the members' energies and fields, None where not asked for."""
        results = [member.unchecked(spins, energy=energy, field=field) for member in self.members]
        return tuple(None if parts[0] is None else torch.stack(parts).mean(0) for parts in zip(*results, strict=True))
