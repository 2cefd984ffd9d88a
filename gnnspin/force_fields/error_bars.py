"""Torques with error bars: what force fields and committees that were calibrated have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import ordinary_modes, outside_inference
from gnnspin.core.spins import as_spins
from gnnspin.core.spins import torque as torque_of
from gnnspin.force_fields.calibration import Calibration


class WithErrorBars:
    """A field source that can say how wrong its torques are, once `calibrate` has seen labels it was not trained on."""

    system: Any
    device: torch.device
    dtype: torch.dtype

    @property
    @abstractmethod
    def calibration(self) -> Calibration | None:
        """Quantiles of its errors in units of its score, None before `calibrate`."""

    @abstractmethod
    def fields_and_scores(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Fields (R, N, 3) and scores (R, N), positive and large where the torque is uncertain, of checked spins."""

    def torque_with_error_bar(self, spins: Tensor | ArrayLike, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Torques and the radii of balls that hold the exact ones, from one evaluation.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        level : float
            Probability, 0.5 to 0.99.

        Returns
        -------
        torque : (..., N, 3)
        radius : (..., N)
            ``|T_i - T_i'| <= radius`` for the share `level` of spins like those calibrated on, T' being exact.

        Raises
        ------
        InvalidInput
            If the source is not calibrated, the level is out of range, or the spins have the wrong shape.
        """
        factor = self.require_calibration().factor(level)
        given, fields, scores = self._scored(spins)
        return torque_of(given, fields), factor * scores

    def torque_and_error(self, spins: Tensor | ArrayLike) -> tuple[Tensor, Tensor]:
        """Torques (..., N, 3) and expected errors (..., N), the root mean square of ``|T_i - T_i'|``.

        Errors as from `torque_with_error_bar`.
        """
        rms = self.require_calibration().rms
        given, fields, scores = self._scored(spins)
        return torque_of(given, fields), rms * scores

    def require_calibration(self) -> Calibration:
        """The calibration; InvalidInput if there is none."""
        if self.calibration is None:
            raise InvalidInput(
                f"{type(self).__name__} has no error bars; calibrate it on labels that it was not trained on: "
                "gs.force_fields.calibrate(force_field, labels), or gnnspin evaluate --calibrate"
            )
        return self.calibration

    def _scored(self, spins: Tensor | ArrayLike) -> tuple[Tensor, Tensor, Tensor]:
        """Checked spins, fields and scores in their shape, dtype and device."""
        checked = as_spins(spins, self.system.n_sites)
        with ordinary_modes(), torch.no_grad():
            given = outside_inference(checked.detach())
            own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
            fields, scores = self.fields_and_scores(own)
            return given, fields.to(given).reshape(given.shape), scores.to(given).reshape(given.shape[:-1])
