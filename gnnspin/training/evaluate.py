"""Errors of a field source on labels, stated on the torque first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import torque
from gnnspin.datasets.conditions import point_text
from gnnspin.datasets.labels import LabelSet, StackedLabels
from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import on_labels


@dataclass(frozen=True)
class PartErrors:
    """Torque errors on the snapshots of one sampler or one stretch of time, per Cartesian component.

    Attributes
    ----------
    name : str
        Kind of sampler, or ``t = a to b``.
    n_snapshots : int
    torque_rmse, torque_rms : float
        Root mean square of the error and of the exact torque.
    """

    name: str
    n_snapshots: int
    torque_rmse: float
    torque_rms: float

    @property
    def relative(self) -> float:
        """Error over torque."""
        return self.torque_rmse / self.torque_rms if self.torque_rms > 0 else math.inf

    def __str__(self) -> str:
        share = f"{self.relative:.1%} of the signal" if self.torque_rms > 0 else "no signal"
        return f"{self.name}: torque RMSE {self.torque_rmse:.5f}, {share} ({self.n_snapshots} snapshots)"


@dataclass(frozen=True)
class Evaluation:
    """Errors on a set of labels, in units of the hopping.

    Attributes
    ----------
    torque_rmse : float
        Root mean square error of the torque per Cartesian component.
    torque_mse_per_spin : float
        Mean over spins of ``|T - T'|^2`` (three times the square of `torque_rmse`).
    torque_r2 : float or None
        1 - (squared error) / (variance of the exact torque); None where that does not vary: R2 is undefined then.
    torque_rms : float
        Root mean square of the exact torque per component: the signal.
    torque_sigma : float
        Standard deviation of a Gaussian fitted to the central errors (1.4826 times the median absolute error).
    field_rmse, field_r2 : float, float or None
        The same for the unprojected field.
    field_trained : bool
        Whether these mean something: false for a model trained with a torque loss, which leaves the field along the
        spins free.
    energy_rmse_per_site : float or None
        Error of the energy per site; None without energies.
    n_snapshots, n_spins : int
    by_sampler, by_time, by_parameters : tuples of PartErrors
        Torque errors for each kind of sampler that the labels name, for up to four stretches of the time of their
        trajectories, from early to late, and for each point in the parameters of a family of Hamiltonians.
    predicted_torque, exact_torque : (n, 3) tensors
        All torques, for plots.
    """

    torque_rmse: float
    torque_mse_per_spin: float
    torque_r2: float | None
    torque_rms: float
    torque_sigma: float
    field_rmse: float
    field_r2: float | None
    field_trained: bool
    energy_rmse_per_site: float | None
    n_snapshots: int
    n_spins: int
    by_sampler: tuple[PartErrors, ...]
    by_time: tuple[PartErrors, ...]
    by_parameters: tuple[PartErrors, ...]
    predicted_torque: Tensor
    exact_torque: Tensor

    def numbers(self) -> dict[str, Any]:
        """Figures of the whole set, without the arrays and the parts."""
        return {k: v for k, v in asdict(self).items() if not isinstance(v, Tensor | tuple)}

    def parts(self) -> dict[str, list[dict[str, Any]]]:
        """Errors by sampler, time and parameters as plain numbers."""
        names = ("by_sampler", "by_time", "by_parameters")
        return {name: [asdict(part) for part in getattr(self, name)] for name in names}

    def __str__(self) -> str:
        lines = [
            f"snapshots {self.n_snapshots}, spins {self.n_spins}",
            f"torque RMSE per component {self.torque_rmse:.5f} (signal {self.torque_rms:.5f}, {r2(self.torque_r2)})",
            f"torque mean square per spin {self.torque_mse_per_spin:.3e}",
            f"field RMSE per component {self.field_rmse:.5f}  ({r2(self.field_r2)})"
            if self.field_trained
            else f"field: {NOT_TRAINED} (a torque loss leaves its part along the spins free)",
        ]
        if self.energy_rmse_per_site is not None:
            lines.append(f"energy RMSE per site {self.energy_rmse_per_site:.6f}")
        if len(self.by_sampler) > 1:
            lines += ["by sampler", *(f"  {part}" for part in self.by_sampler)]
        if len(self.by_time) > 1:
            lines += ["by time", *(f"  {part}" for part in self.by_time)]
        if len(self.by_parameters) > 1:
            lines += ["by parameters", *(f"  {part}" for part in self.by_parameters)]
        return "\n".join(lines)


#: What stands in place of a field error that means nothing.
NOT_TRAINED = "not trained"


def r2(value: float | None) -> str:
    """R2 in words: a number, or undefined where the labels do not vary."""
    return "R2 undefined: no signal" if value is None else f"R2 {value:.5f}"


@dataclass(frozen=True)
class _Snapshot:
    """Spins, predicted and exact field (N, 3) of one label, and the error of the energy per site."""

    spins: Tensor
    predicted: Tensor
    exact: Tensor
    energy_error: float | None


@independent_of_modes
def evaluate(source: FieldSource, labels: LabelSet) -> Evaluation:
    """Compare a source with labels.

    Parameters
    ----------
    source : FieldSource
        A `ForceField` or `Committee` is moved to each label's system; any other must live on the labels' one system.
        Of a family of models the member at each label's parameters is evaluated.
    labels : LabelSet

    Raises
    ------
    InvalidInput
        If the set is empty, or a source other than a force field meets labels of another system.
    """
    if len(labels) == 0:
        raise InvalidInput("cannot evaluate on an empty set of labels")
    snapshots: dict[int, _Snapshot] = {}
    for _, here, indices in on_labels(source, labels):
        stack = labels.stacked(indices)
        for k, index in enumerate(indices.tolist()):
            snapshots[index] = _snapshot(here, stack, k)
    return _summarise(
        [snapshots[index] for index in range(len(labels))], labels.provenances, _trained_on_fields(source)
    )


def _snapshot(source: FieldSource, stack: StackedLabels, k: int) -> _Snapshot:
    if not source.has_energy:
        return _Snapshot(stack.spins[k], source.field(stack.spins[k]), stack.field[k], None)
    energy, field = source.energy_and_field(stack.spins[k])
    error = None if stack.energy is None else float(energy - stack.energy[k]) / source.system.n_sites
    return _Snapshot(stack.spins[k], field, stack.field[k], error)


def _trained_on_fields(source: FieldSource) -> bool:
    """False for a model, or a committee with a member, that was trained on torques alone, as its record says."""
    members = source.members if isinstance(source, Committee) else (source,)
    training = [member.provenance.get("training", {}) for member in members if isinstance(member, ForceField)]
    return all(settings.get("loss") != "torque" for settings in training)


def _summarise(snapshots: list[_Snapshot], provenances: list[Mapping[str, Any]], field_trained: bool) -> Evaluation:
    spins, predicted, exact = (
        torch.cat([getattr(each, name) for each in snapshots]) for name in ("spins", "predicted", "exact")
    )
    exact_torque, predicted_torque = torque(spins, exact), torque(spins, predicted)
    error, field_error = predicted_torque - exact_torque, predicted - exact
    energy_errors = [each.energy_error for each in snapshots if each.energy_error is not None]
    lengths = [len(each.spins) for each in snapshots]
    parts = (torch.split(error, lengths), torch.split(exact_torque, lengths))
    scale = _rms(exact)
    return Evaluation(
        torque_rmse=_rms(error),
        torque_mse_per_spin=float(error.square().sum(-1).mean()),
        torque_r2=_r2(error, exact_torque, scale),
        torque_rms=_rms(exact_torque),
        torque_sigma=1.4826 * float(error.abs().median()),
        field_rmse=_rms(field_error),
        field_r2=_r2(field_error, exact, scale),
        field_trained=field_trained,
        energy_rmse_per_site=_rms(torch.tensor(energy_errors)) if len(energy_errors) == len(snapshots) else None,
        n_snapshots=len(snapshots),
        n_spins=len(spins),
        by_sampler=_parts(_samplers(provenances), *parts),
        by_time=_parts(_stretches(provenances), *parts),
        by_parameters=_parts(_points(provenances), *parts),
        predicted_torque=predicted_torque,
        exact_torque=exact_torque,
    )


def _parts(groups: dict[str, list[int]], errors: Sequence[Tensor], torques: Sequence[Tensor]) -> tuple[PartErrors, ...]:
    return tuple(
        PartErrors(
            name,
            len(members),
            _rms(torch.cat([errors[k] for k in members])),
            _rms(torch.cat([torques[k] for k in members])),
        )
        for name, members in groups.items()
    )


def _samplers(provenances: list[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Snapshots of each kind of sampler, in the order of appearance; those that name none are left out."""
    groups: dict[str, list[int]] = {}
    for k, provenance in enumerate(provenances):
        kind = provenance.get("sampler", {}).get("kind")
        if kind is not None:
            groups.setdefault(str(kind), []).append(k)
    return groups


def _points(provenances: list[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Snapshots of each point in the parameters of a family, in the order of their values."""
    groups: dict[tuple[tuple[str, float], ...], list[int]] = {}
    for k, provenance in enumerate(provenances):
        if values := provenance.get("parameters"):
            groups.setdefault(tuple(values.items()), []).append(k)
    ordered = sorted(groups.items())
    return {point_text(dict(point)): members for point, members in ordered}


def _stretches(provenances: list[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Snapshots of trajectories in up to `_STRETCHES` stretches of time (or of steps, without times)."""
    moments = [{**provenance, **provenance.get("sampler", {})} for provenance in provenances]
    unit = "time" if any("time" in each for each in moments) else "step"
    at = {k: float(each[unit]) for k, each in enumerate(moments) if unit in each}
    values = sorted(at.values())
    bounds = sorted({values[len(values) * k // _STRETCHES] for k in range(_STRETCHES)}) if values else []
    groups = [[k for k in at if low <= at[k] < high] for low, high in pairwise([*bounds, math.inf])]
    symbol = "t" if unit == "time" else "step"
    return {f"{symbol} = {_range([at[k] for k in members])}": members for members in groups}


#: Largest number of stretches of time of which errors are told.
_STRETCHES = 4


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _r2(error: Tensor, exact: Tensor, scale: float) -> float | None:
    """R2, or None where the exact values vary by no more than rounding does in fields of size `scale`."""
    variance = float((exact - exact.mean(0)).square().mean())
    if variance <= (1e-12 * scale) ** 2:
        return None
    return 1 - float(error.square().mean()) / variance
