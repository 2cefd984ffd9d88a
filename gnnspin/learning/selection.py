r"""Which visited states are worth a label: those of uncertain torques, unlike each other and unlike those known.

The uncertainty of a snapshot is the root mean square of the torque's posterior deviation over its sites, from the last
layer of one model (`gnnspin.force_fields.last_layer`): a few draws :math:`w_k` of the last weights from their
posterior, :math:`w_k\sim N(0, C)`, change the torque by :math:`J w_k`, one backward pass each, and the mean of
:math:`|J_i w_k|^2` over draws and sites is an unbiased estimate of the mean of :math:`\mathrm{tr}\,J_i C J_i^T`. Its
scale does not matter here.

States are told apart by mean and spread of the hidden units over their sites. They are chosen one after the other: the
next one has the largest product of uncertainty and distance to the nearest that is known or chosen (farthest-point
sampling: T. F. Gonzalez, Theor. Comput. Sci. 38, 293 (1985), doi:10.1016/0304-3975(85)90224-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.containers import move_arrays
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.spins import torque
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.last_layer import hidden_of, recorded, torque_jacobian, weight_covariance

#: Snapshots whose Jacobians make the posterior, hidden units that are used, draws of the weights, sites at a time.
_SNAPSHOTS, _UNITS, _DRAWS, _SITES = 8, 48, 4, 4000


class Judge:
    """Judges snapshots by the last layer of a model.

    Parameters
    ----------
    force_field : ForceField
        A model with hidden units, see `gnnspin.force_fields.last_layer.require_hidden_units`.
    known : (M, N, 3)
        Spins of some training labels of its system: the posterior is that of a fit to them.
    seed : int
        Of the draws.
    """

    def __init__(self, force_field: ForceField, known: Tensor, seed: int = 0) -> None:
        self.model = force_field.model
        self.dtype, self.device = force_field.dtype, force_field.device
        self._data = move_arrays(self.model.prepare(force_field.system), self.device, self.dtype)
        generator = torch.Generator().manual_seed(seed)
        chosen = known[torch.linspace(0, len(known) - 1, min(_SNAPSHOTS, len(known))).round().long()]
        with torch.no_grad():
            n_hidden = self._hidden(chosen[:1]).shape[-1]
        mixing = torch.eye(n_hidden)
        if n_hidden > _UNITS:
            mixing = torch.randn(n_hidden, _UNITS, generator=generator) / n_hidden**0.5
        jacobians = [self._jacobian(each, mixing) for each in chosen]
        root = torch.linalg.cholesky(weight_covariance(jacobians))
        draws = root @ torch.randn(len(root), _DRAWS, generator=generator, dtype=root.dtype)
        self._draws = (mixing.to(draws) @ draws).to(self.device, self.dtype)

    @independent_of_modes
    def __call__(self, spins: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Uncertainties (M,) of snapshots (M, N, 3), up to a factor, and features (M, 2 P) that tell them apart."""
        uncertainties, features = [], []
        for part in spins.split(max(1, _SITES // spins.shape[-2])):
            given = part.to(self.device, self.dtype)
            hidden, squares = self._moved_by_draws(given)
            uncertainties.append(squares.sqrt())
            features.append(torch.cat([hidden.mean(1), hidden.std(1)], dim=-1))
        return torch.cat(uncertainties).double().cpu().numpy(), torch.cat(features).double().cpu().numpy()

    def _hidden(self, spins: Tensor) -> Tensor:
        given = spins.to(self.device, self.dtype)
        with recorded(self.model) as seen:
            self.model.site_energies(self._data, given)
        return hidden_of(self.model, seen, given)

    def _jacobian(self, spins: Tensor, mixing: Tensor) -> Tensor:
        given = spins[None].to(self.device, self.dtype)
        return torque_jacobian(self.model, self._data, given, mixing)[0].cpu()

    def _moved_by_draws(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden units (R, N, P), and mean squares (R,) of what the draws of the weights do to the torques."""
        with torch.enable_grad():
            variable = spins.detach().requires_grad_(True)
            with recorded(self.model) as seen:
                self.model.site_energies(self._data, variable)
            hidden = hidden_of(self.model, seen, variable)
            totals = (hidden @ self._draws).sum((0, 1))
            columns = [torch.autograd.grad(total, variable, retain_graph=True)[0] for total in totals]
        changes = torch.stack([torque(spins, -column) for column in columns])
        return hidden.detach(), changes.square().sum(-1).mean((0, 2))


def farthest_points(
    features: NDArray[np.float64],
    weights: NDArray[np.float64],
    known: NDArray[np.float64],
    count: int,
) -> list[int]:
    """Positions of `count` rows of features, each with the largest weight times distance to what is known or chosen.

    Parameters
    ----------
    features : (M, F)
        Of candidates; columns are scaled to equal spread over candidates and known rows.
    weights : (M,)
        Positive.
    known : (K, F)
        May be empty.
    count : int
        Rows to choose, at most M.

    Returns
    -------
    list of int
        In the order in which they are chosen.
    """
    together = np.concatenate([features, known])
    spread = together.std(0)
    scale = np.where(spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-300), spread, np.inf)
    rows, others = features / scale, known / scale
    nearest = np.full(len(rows), np.inf)
    for other in others:
        nearest = np.minimum(nearest, np.linalg.norm(rows - other, axis=1))
    chosen: list[int] = []
    for _ in range(min(count, len(rows))):
        score = weights * (nearest if np.isfinite(nearest).all() else 1.0)
        score[chosen] = -1.0
        best = int(np.argmax(score))
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(rows - rows[best], axis=1))
    return chosen


def chosen_states(
    judges: Sequence[Any], candidates: Sequence[Tensor], known: Sequence[Tensor], count: int
) -> list[tuple[int, int]]:
    """Candidates to label, as pairs of the system's number and the position among its candidates.

    Parameters
    ----------
    judges : sequence of Judge
        One for each system.
    candidates, known : sequences of (M, N, 3)
        Spins of each system: to be chosen from, and labelled already.
    count : int
        To choose, of all systems together; each contributes its share.
    """
    pairs: list[tuple[int, int]] = []
    for k, (judge, given, labelled) in enumerate(zip(judges, candidates, known, strict=True)):
        share = count // len(judges) + (k < count % len(judges))
        uncertainty, features = judge(given)
        seen = judge(labelled)[1] if len(labelled) else features[:0]
        pairs += [(k, index) for index in farthest_points(features, uncertainty, seen, share)]
    return pairs
