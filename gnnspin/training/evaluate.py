"""Errors of a field source on labels, stated on the torque first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import torque
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.force_field import ForceField
from gnnspin.systems import SpinSystem


@dataclass(frozen=True)
class Evaluation:
    """Errors on a set of labels, in units of the hopping.

    Attributes
    ----------
    torque_rmse : float
        Root mean square error of the torque per Cartesian component.
    torque_mse_per_spin : float
        Mean over spins of |T - T'|^2 (three times the square of `torque_rmse`).
    torque_r2 : float
        1 - (squared error) / (variance of the exact torque).
    torque_rms : float
        Root mean square of the exact torque per component: the signal.
    torque_sigma : float
        Standard deviation of a Gaussian fitted to the central errors (1.4826 times the median absolute error).
    field_rmse, field_r2 : float
        The same for the unprojected field; means something only for a model trained on fields.
    energy_rmse_per_site : float or None
        Error of the energy per site; None without energies.
    n_snapshots, n_spins : int
    predicted_torque, exact_torque : (n, 3) tensors
        All torques, for plots.
    """

    torque_rmse: float
    torque_mse_per_spin: float
    torque_r2: float
    torque_rms: float
    torque_sigma: float
    field_rmse: float
    field_r2: float
    energy_rmse_per_site: float | None
    n_snapshots: int
    n_spins: int
    predicted_torque: Tensor
    exact_torque: Tensor

    def numbers(self) -> dict[str, Any]:
        """All figures without the arrays."""
        return {k: v for k, v in asdict(self).items() if not isinstance(v, Tensor)}

    def __str__(self) -> str:
        lines = [
            f"snapshots {self.n_snapshots}, spins {self.n_spins}",
            f"torque RMSE per component {self.torque_rmse:.5f} (signal {self.torque_rms:.5f}, R2 {self.torque_r2:.5f})",
            f"torque mean square per spin {self.torque_mse_per_spin:.3e}",
            f"field RMSE per component {self.field_rmse:.5f}  (R2 {self.field_r2:.5f})",
        ]
        if self.energy_rmse_per_site is not None:
            lines.append(f"energy RMSE per site {self.energy_rmse_per_site:.6f}")
        return "\n".join(lines)


@independent_of_modes
def evaluate(source: FieldSource, labels: LabelSet) -> Evaluation:
    """Compare a source with labels.

    Parameters
    ----------
    source : FieldSource
        A `ForceField` or `Committee` is moved to each label's system; any other must live on the labels' one system.
    labels : LabelSet

    Raises
    ------
    InvalidInput
        If the set is empty, or a source other than a force field meets labels of another system.
    """
    if len(labels) == 0:
        raise InvalidInput("cannot evaluate on an empty set of labels")
    spins, predicted, exact, energy_errors = [], [], [], []
    for system, indices in labels.by_system().items():
        here = _on_system(source, system)
        stack = labels.stacked(indices)
        for k in range(len(stack)):
            if source.has_energy:
                energy, field = here.energy_and_field(stack.spins[k])
                if stack.energy is not None:
                    energy_errors.append(float(energy - stack.energy[k]) / system.n_sites)
            else:
                field = here.field(stack.spins[k])
            spins.append(stack.spins[k])
            predicted.append(field)
            exact.append(stack.field[k])
    return _summarise(torch.cat(spins), torch.cat(predicted), torch.cat(exact), energy_errors, len(labels))


def _on_system(source: FieldSource, system: SpinSystem) -> FieldSource:
    if source.system == system:
        return source
    if isinstance(source, ForceField | Committee):
        return source.on(system)
    raise InvalidInput(f"{type(source).__name__} lives on {source.system}, the labels on {system}")


def _summarise(
    spins: Tensor, predicted: Tensor, exact: Tensor, energy_errors: list[float], n_snapshots: int
) -> Evaluation:
    exact_torque, predicted_torque = torque(spins, exact), torque(spins, predicted)
    error = predicted_torque - exact_torque
    field_error = predicted - exact
    return Evaluation(
        torque_rmse=_rms(error),
        torque_mse_per_spin=float(error.square().sum(-1).mean()),
        torque_r2=_r2(error, exact_torque),
        torque_rms=_rms(exact_torque),
        torque_sigma=1.4826 * float(error.abs().median()),
        field_rmse=_rms(field_error),
        field_r2=_r2(field_error, exact),
        energy_rmse_per_site=_rms(torch.tensor(energy_errors)) if len(energy_errors) == n_snapshots else None,
        n_snapshots=n_snapshots,
        n_spins=len(spins),
        predicted_torque=predicted_torque,
        exact_torque=exact_torque,
    )


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _r2(error: Tensor, exact: Tensor) -> float:
    return 1 - float(error.square().sum() / (exact - exact.mean(0)).square().sum().clamp_min(1e-300))
