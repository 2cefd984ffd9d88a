"""Observer of how wrong a learned field says it is, with thresholds at which something happens."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput, UntrustedField
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.core.state import State
from gnnspin.force_fields.error_bars import WithErrorBars
from gnnspin.observables.observable import SourceObservable
from gnnspin.runs import replaced
from gnnspin.trajectories.observers import Observer, StopRun

_THRESHOLDS = ("warn", "store", "stop")


class TorqueError(SourceObservable, kind="torque_error"):
    """Expected torque error by the error bars of a model: largest of the spins, and root mean square, (..., 2).

    Lengths of vectors in units of the hopping, root mean squares over what the model does not know, see
    `gnnspin.force_fields.calibrate`. Thresholds refer to the relative error of a replica: root mean square of the
    expected error over that of the torque; the replica with the largest counts.

    Parameters
    ----------
    warn : float, optional
        Relative error beyond which a warning is given.
    store : float, optional
        Relative error beyond which the spins are written to the folder `snapshots`, as ``step_00000400.npz``.
    stop : float, optional
        Relative error beyond which the run ends in good order; it can be resumed.
    snapshots : path, optional
        Folder of stored snapshots, made when needed.
    """

    def __init__(
        self,
        warn: float | None = None,
        store: float | None = None,
        stop: float | None = None,
        snapshots: Path | str | None = None,
    ) -> None:
        self.warn, self.store, self.stop, self.snapshots = warn, store, stop, snapshots

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput if a threshold is not positive, or snapshots have no folder or no threshold."""
        values = recipe.arguments()
        for name in _THRESHOLDS:
            if values[name] is not None and not values[name] > 0:
                raise InvalidInput(f"{name}={values[name]} must be positive: expected error over torque")
        if (values["store"] is None) is not (values["snapshots"] is None):
            raise InvalidInput("store is the relative error beyond which spins go to the folder snapshots; give both")

    def of_source(self, source: FieldSource) -> Observer:
        """Observer of the expected error; InvalidInput if the source has no error bars."""
        terms = source.terms if isinstance(source, SumSource) else (source,)
        learned = [term for term in terms if isinstance(term, WithErrorBars)]
        if not learned:
            raise InvalidInput(
                f"torque_error: {type(source).__name__} is no learned model on all sites and has no error bars"
            )
        for term in learned:
            term.require_calibration()

        def torque_error(state: State) -> Tensor:
            """Largest and mean expected error of a torque (R, 2)."""
            spins = state.spins.detach()
            total, variance = torch.zeros_like(spins), spins.new_zeros(spins.shape[:-1])
            for term in terms:
                if isinstance(term, WithErrorBars):
                    part, error = term.torque_and_error(spins)
                    variance = variance + error.square()
                else:
                    part = term.torque(spins, state.time)
                total = total + part
            values = torch.stack([variance.amax(-1), variance.mean(-1)], dim=-1).sqrt()
            signal = total.square().sum(-1).mean(-1).sqrt()
            self._react(state, float((values[..., 1] / signal).max()), values)
            return values

        return torque_error

    def _react(self, state: State, relative: float, values: Tensor) -> None:
        """Do what the thresholds ask for."""
        text = (
            f"step {state.step}: the model expects its torque to be wrong by {relative:.0%} (root mean square over "
            "that of the torque)"
        )
        if self.store is not None and self.snapshots is not None and relative > self.store:
            write_snapshot(Path(self.snapshots), state)
        if self.warn is not None and relative > self.warn:
            warnings.warn(f"{text}, more than warn={self.warn:.0%}", UntrustedField, stacklevel=2)
        if self.stop is not None and relative > self.stop:
            raise StopRun(f"{text}, more than stop={self.stop:.0%}", values)


def write_snapshot(folder: Path, state: State) -> Path:
    """Write spins, time and step as ``step_<number>.npz``, which configurations take as initial spins or order."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{state.step:08d}.npz"
    arrays: dict[str, Any] = {"spins": state.spins.detach().cpu().numpy(), "time": state.time, "step": state.step}
    with replaced(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)
    return path
